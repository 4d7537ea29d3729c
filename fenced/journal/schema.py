"""The tables of the store, and the numbered migrations that create them.

It knows SQL, not the meaning of rows. Never change a released migration; the tables below are the result of the last
one. A new name in the stored texts (`codec`) needs a number, too, even if no table changes: an older program would take
each host for one whose records are damaged. All migrations of a start run in one transaction, so a store has either the
old or the new number.

Times are seconds on the steady clock. There are no foreign keys: each kind of row has its own rule for pruning, and a
record must be writable whatever happened to the others.
"""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    LargeBinary,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)

from fenced.ports.journal import StoreError, StoreTooNew

METADATA: Final = MetaData()

STORE: Final = Table(
    "store",
    METADATA,
    Column("one", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("created", Double, nullable=False),
)
"""One row: the id that the store got at its creation. A proxy remembers it with the tokens of this store."""

LEASE: Final = Table(
    "lease",
    METADATA,
    Column("one", BigInteger, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("until", Double, nullable=False),
    Column("anchor_boot_id", Text),
    Column("anchor_boottime", Double),
    Column("anchor_steady", Double),
    Column("anchor_calendar", Text),
)
"""One row, which every write checks: the newest epoch, its holder, and until when the holder may act."""

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("host", Text),
    Column("operation", Text),
    Column("body", Text, nullable=False),
)
"""The records. `host` null: the fleet's. The newest row is never deleted, because the next sequence follows it."""

SNAPSHOTS: Final = Table(
    "snapshots",
    METADATA,
    Column("host", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
"""A host's state, including all its records up to `sequence`."""

FLEET: Final = Table(
    "fleet",
    METADATA,
    Column("one", BigInteger, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

OPERATIONS: Final = Table(
    "operations",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("body", Text, nullable=False),
)
"""Each operation as last written. `number` is the order of creation, and the cursor of lists."""

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("sequence", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("host", Text),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("is_retained", Boolean, nullable=False),
    Column("is_event", Boolean, nullable=False),
    Column("is_delivered", Boolean, nullable=False),
    Column("operation", Text),
)
"""Messages for the bus. A delivered event stays for readers that resume; a delivered state is deleted."""


def _to_1(connection: Connection) -> None:
    """Uses only what SQLite 3.34 has. AUTOINCREMENT: a number is never reused."""
    for statement in (
        "CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, created REAL NOT NULL)",
        """CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, holder TEXT NOT NULL,
            until REAL NOT NULL, anchor_boot_id TEXT, anchor_boottime REAL, anchor_steady REAL)""",
        """CREATE TABLE records (sequence INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at REAL NOT NULL, host TEXT,
            operation TEXT, body TEXT NOT NULL)""",
        "CREATE INDEX records_of_host ON records (host, sequence)",
        "CREATE INDEX records_by_time ON records (at)",
        "CREATE TABLE snapshots (host TEXT PRIMARY KEY, sequence INTEGER NOT NULL, body TEXT NOT NULL)",
        "CREATE TABLE fleet (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL, body TEXT NOT NULL)",
        """CREATE TABLE operations (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            host TEXT NOT NULL, state TEXT NOT NULL, action TEXT NOT NULL, cause TEXT NOT NULL, started REAL NOT NULL,
            ended REAL, body TEXT NOT NULL)""",
        "CREATE INDEX operations_of_host ON operations (host, number)",
        "CREATE INDEX operations_by_state ON operations (state, number)",
        "CREATE INDEX operations_by_end ON operations (ended) WHERE ended IS NOT NULL",
        """CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at REAL NOT NULL,
            host TEXT, topic TEXT NOT NULL, payload BLOB NOT NULL, is_retained INTEGER NOT NULL,
            is_event INTEGER NOT NULL, is_delivered INTEGER NOT NULL, operation TEXT)""",
        "CREATE INDEX outbox_pending ON outbox (sequence) WHERE is_delivered = 0",
        "CREATE INDEX outbox_delivered ON outbox (at) WHERE is_delivered = 1",
    ):
        connection.exec_driver_sql(statement)
    connection.execute(text("INSERT INTO store VALUES (1, :id, 0)"), {"id": str(uuid.uuid4())})
    connection.execute(text("INSERT INTO lease VALUES (1, 0, '', 0, NULL, NULL, NULL)"))


def _to_2(connection: Connection) -> None:
    """Add an index that finds the hosts with pending messages, and the oldest of each, without reading the rest."""
    connection.exec_driver_sql(
        "CREATE INDEX outbox_lanes ON outbox (coalesce(host, ''), sequence) WHERE is_delivered = 0"
    )


def _to_3(connection: Connection) -> None:
    """Add the offsets of the steady clock from the wall clock."""
    connection.exec_driver_sql("ALTER TABLE lease ADD COLUMN anchor_calendar TEXT")


def _to_4(_connection: Connection) -> None:
    """Change no table: with would-be fences and drills, the texts have names that an older program can't read."""


Migration = Callable[[Connection], None]

MIGRATIONS: Final[Mapping[int, Migration]] = {1: _to_1, 2: _to_2, 3: _to_3, 4: _to_4}


def migrate(connection: Connection, *, path: Path, now: float, migrations: Mapping[int, Migration] = MIGRATIONS) -> int:
    """Migrate an empty or older store, and return its new number. The caller's transaction holds all of it.

    Raises StoreTooNew, and StoreError for another program's database.
    """
    found = _number(connection, path)
    newest = max(migrations)
    if found > newest:
        raise StoreTooNew(
            f"{path}: schema {found} is newer than this program's {newest}; install the program that wrote it"
        )
    for number in range(found + 1, newest + 1):
        migrations[number](connection)
        connection.execute(text("INSERT INTO schema VALUES (:number, :now)"), {"number": number, "now": now})
    if found == 0:
        connection.execute(text("UPDATE store SET created = :now"), {"now": now})
    return newest


def _number(connection: Connection, path: Path) -> int:
    """Return the store's schema number; for an empty database create the table of numbers and return 0."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        connection.exec_driver_sql("CREATE TABLE schema (number INTEGER PRIMARY KEY, applied REAL NOT NULL)")
        return 0
    if not {"schema", "store", "lease"} <= tables:
        raise StoreError(f"{path}: this database is not a store of fenced; give another file in [store] url")
    return int(connection.execute(text("SELECT max(number) FROM schema")).scalar_one())

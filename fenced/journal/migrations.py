"""The numbered migrations of a store, and the check that a database is one.

Never change a released migration. All migrations of a start run in one transaction, so a store has either the old or
the new number. PostgreSQL begins at number 4, whose tables `schema` describes; older numbers are SQLite's alone.

Programs of two versions may use a store at once, while controllers are upgraded one after the other. An older program
opens a newer schema unless the store's `minimum` is above what it knows. So let a migration be additive where that is
possible: it only adds tables, or columns that may be null or have a default. New names in the stored texts need a new
format (`codec`), not a number.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, inspect, text

from fenced import __version__
from fenced.journal import codec
from fenced.journal.schema import BUDGET, DRAWS, METADATA, SCHEMA, WORDS
from fenced.ports.journal import StoreError, StoreMoved, StoreTooNew

Migration = Callable[[Connection], None]
_LOCK_KEY: Final = 0x66656E636564
"""PostgreSQL's advisory lock of migrations ("fenced"): two daemons that start at once make one set of tables."""


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


def _to_4(connection: Connection) -> None:
    """Add the shard, and what a lease needs that several controllers compete for.

    With would-be fences and drills, the texts have names that an older program can't read.
    """
    if connection.dialect.name == "postgresql":
        METADATA.create_all(connection, checkfirst=False, tables=[t for t in METADATA.sorted_tables if t is not SCHEMA])
        connection.execute(text("INSERT INTO store VALUES (1, :id, 0, 0, NULL)"), {"id": str(uuid.uuid4())})
        return
    for statement in (
        "ALTER TABLE store ADD COLUMN epochs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE store ADD COLUMN moved TEXT",
        "UPDATE store SET epochs = (SELECT epoch FROM lease)",
        "ALTER TABLE lease RENAME TO lease_3",
        """CREATE TABLE lease (shard TEXT PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL, holder TEXT NOT NULL,
            name TEXT NOT NULL, place TEXT NOT NULL, until REAL NOT NULL, batch INTEGER NOT NULL,
            sequence INTEGER NOT NULL, at REAL, anchor_boot_id TEXT, anchor_boottime REAL, anchor_steady REAL,
            anchor_calendar TEXT, anchor_at REAL, since REAL NOT NULL, pruned INTEGER NOT NULL,
            released_by TEXT NOT NULL, released_to TEXT NOT NULL, released_at REAL, timeline INTEGER,
            is_doubted INTEGER NOT NULL)""",
        """INSERT INTO lease SELECT 'main', epoch, holder, holder, '', until, 0,
            coalesce((SELECT max(sequence) FROM records), 0),
            (SELECT CASE WHEN typeof(at) = 'real' THEN at END FROM records ORDER BY sequence DESC LIMIT 1),
            anchor_boot_id, anchor_boottime, anchor_steady, anchor_calendar, NULL, 0,
            coalesce((SELECT max(sequence) FROM records), 0), '', '', NULL, NULL, 0 FROM lease_3""",
        "DROP TABLE lease_3",
        "ALTER TABLE fleet RENAME TO fleet_3",
        "CREATE TABLE fleet (shard TEXT PRIMARY KEY NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL)",
        "INSERT INTO fleet SELECT 'main', sequence, body FROM fleet_3",
        "DROP TABLE fleet_3",
        """CREATE TABLE controllers (name TEXT PRIMARY KEY NOT NULL, instance TEXT NOT NULL, place TEXT NOT NULL,
            address TEXT NOT NULL, version TEXT NOT NULL, unfit TEXT NOT NULL, lag INTEGER NOT NULL,
            configuration TEXT NOT NULL, heard REAL NOT NULL, is_gone INTEGER NOT NULL)""",
        *(
            f"ALTER TABLE {name} ADD COLUMN shard TEXT NOT NULL DEFAULT 'main'"
            for name in ("records", "snapshots", "operations", "outbox")
        ),
    ):
        connection.exec_driver_sql(statement)


def _add_takes(connection: Connection) -> None:
    """Add which shards a controller would take, and how the holder of a shard divides the fleet."""
    is_there = "IF NOT EXISTS" if connection.dialect.name == "postgresql" else ""  # `_to_4` makes today's tables
    connection.execute(text(f"ALTER TABLE controllers ADD COLUMN {is_there} takes TEXT"))
    connection.execute(text(f"ALTER TABLE lease ADD COLUMN {is_there} division TEXT NOT NULL DEFAULT ''"))


def _add_budget(connection: Connection) -> None:
    """Add what the fleet's budget needs in a store of several shards. A new PostgreSQL store has the tables."""
    METADATA.create_all(connection, tables=[BUDGET, DRAWS])
    connection.execute(text("INSERT INTO budget VALUES ('', 0) ON CONFLICT DO NOTHING"))


def _add_standing(connection: Connection) -> None:
    """Add what programs of two versions must know of a store, and what tells a copy of it from the original."""
    is_there = " IF NOT EXISTS" if connection.dialect.name == "postgresql" else ""  # `_to_4` makes today's tables
    for table, column in (
        ("store", "format BIGINT NOT NULL DEFAULT 1"),
        ("store", "minimum BIGINT NOT NULL DEFAULT 0"),
        ("store", "program TEXT NOT NULL DEFAULT ''"),
        ("store", "home TEXT"),
        ("store", "adopted BIGINT NOT NULL DEFAULT 0"),
        ("store", "doubt TEXT NOT NULL DEFAULT ''"),
        ("controllers", "format BIGINT NOT NULL DEFAULT 1"),
    ):
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN{is_there} {column}")


def _add_words(connection: Connection) -> None:
    """Add the words of controllers without the lease. In an empty PostgreSQL database number 4 made them already."""
    if connection.dialect.name == "postgresql":
        WORDS.create(connection, checkfirst=True)
        connection.execute(text("ALTER TABLE lease ADD COLUMN IF NOT EXISTS reads_words BIGINT DEFAULT 0 NOT NULL"))
        return
    connection.exec_driver_sql(
        """CREATE TABLE words (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at REAL NOT NULL,
            by TEXT NOT NULL, body TEXT NOT NULL, shard TEXT NOT NULL)"""
    )
    connection.exec_driver_sql("ALTER TABLE lease ADD COLUMN reads_words INTEGER NOT NULL DEFAULT 0")


def _add_decided(connection: Connection) -> None:
    """Add the moment of a decision, and an index of decisions alone: a reader of them passes over no other record."""
    if connection.dialect.name == "postgresql":  # `_to_4` makes today's tables
        connection.exec_driver_sql("ALTER TABLE records ADD COLUMN IF NOT EXISTS decided DOUBLE PRECISION")
        connection.exec_driver_sql(
            "CREATE INDEX IF NOT EXISTS decisions_of_host ON records (shard, host, decided, sequence) "
            "WHERE decided IS NOT NULL"
        )
        return
    connection.exec_driver_sql("ALTER TABLE records ADD COLUMN decided REAL")
    connection.exec_driver_sql("CREATE INDEX decisions_of_host ON records (host, decided) WHERE decided IS NOT NULL")


MIGRATIONS: Final[Mapping[int, Migration]] = {
    1: _to_1, 2: _to_2, 3: _to_3, 4: _to_4, 5: _add_standing, 6: _add_takes, 7: _add_budget,
    8: _add_words, 9: _add_decided,
}  # fmt: skip
MINIMUM_FROM: Final = 5
"""The first number whose tables have a `minimum`. Programs of older numbers refuse any that they don't know."""
ADDITIVE: Final[frozenset[int]] = frozenset({9})
"""Migrations after which a program that does not know them can go on with the store."""
FIRST: Final[Mapping[str, int]] = {"sqlite": 1, "postgresql": 4}
"""The first migration of an empty database."""


def migrate(
    connection: Connection,
    *,
    place: str,
    now: float,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    additive: frozenset[int] = ADDITIVE,
) -> int:
    """Migrate an empty or older store, and return its number. The caller's transaction holds all of it.

    A newer store that this program may use stays as it is. Raises StoreTooNew, StoreMoved, and StoreError for another
    program's database.
    """
    if connection.dialect.name == "postgresql":
        encoding = connection.execute(text("SELECT current_setting('server_encoding')")).scalar_one()
        if encoding != "UTF8":
            raise StoreError(f"{place}: the database's encoding is {encoding}; create one with ENCODING 'UTF8'")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    found, newest = _number(connection, place), max(migrations)
    if found >= MINIMUM_FROM:
        _check_program(connection, place, found, newest)
    missing = range(max(found + 1, FIRST[connection.dialect.name]), newest + 1)
    for number in missing:
        migrations[number](connection)
        connection.execute(text("INSERT INTO schema VALUES (:number, :now)"), {"number": number, "now": now})
    if newest >= MINIMUM_FROM and (breaking := set(missing) - additive):
        row = {"number": max(breaking), "version": __version__}
        connection.execute(text("UPDATE store SET minimum = :number, program = :version"), row)
    if found == 0:
        connection.execute(text("UPDATE store SET created = :now"), {"now": now})
        if newest >= MINIMUM_FROM:  # no older program writes into a new store, so nobody must be waited for
            connection.execute(text("UPDATE store SET format = :format"), {"format": codec.FORMAT})
    _check_not_moved(connection, place)
    return max(found, newest)


def number_of(connection: Connection, *, place: str) -> int:
    """Return the schema number of a store, and change nothing. Raises StoreError, StoreTooNew, StoreMoved."""
    if not tables(connection):
        raise StoreError(f"{place}: there is no store; the first start of a daemon makes one")
    found, newest = _number(connection, place), max(MIGRATIONS)
    if found < newest:
        raise StoreError(f"{place}: schema {found} is older than this program's {newest}; start its daemon once")
    _check_program(connection, place, found, newest)
    _check_not_moved(connection, place)
    return found


def _check_not_moved(connection: Connection, place: str) -> None:
    moved = connection.execute(text("SELECT moved FROM store")).scalar_one()
    if moved:
        raise StoreMoved(f"{place}: this store was moved to {moved}; set [store] url to it")


def _check_program(connection: Connection, place: str, found: int, newest: int) -> None:
    """Raises StoreTooNew if this program can't use the store. `found`: its schema number."""
    compared = "SELECT minimum > :newest AS needs_more, format > :format AS says_more, format, program FROM store"
    row = connection.execute(text(compared), {"newest": newest, "format": codec.FORMAT}).one()
    if row.needs_more:
        what = f"schema {found} is newer than this program's {newest}"
    elif row.says_more:
        what = f"format {row.format} is newer than this program's {codec.FORMAT}"
    else:
        return
    needed = f"fenced {row.program} or newer" if row.program else "the program that wrote it"
    raise StoreTooNew(f"{place}: {what}; install {needed} (this is {__version__})")


def tables(connection: Connection) -> tuple[str, ...]:
    """Return the names of all tables of the database."""
    return tuple(inspect(connection).get_table_names())


def _number(connection: Connection, place: str) -> int:
    """Return the store's schema number; for an empty database create the table of numbers and return 0."""
    found = set(tables(connection))
    if not found:
        SCHEMA.create(connection, checkfirst=False)
        return 0
    if not {"schema", "store", "lease"} <= found:
        raise StoreError(f"{place}: this database is not a store of fenced; give another one in [store] url")
    return int(connection.execute(text("SELECT max(number) FROM schema")).scalar_one())

"""The tables of the store, as the last migration leaves them.

It knows SQL, not the meaning of rows. Times are seconds on the steady clock. There are no foreign keys: each kind of
row has its own rule for pruning, and a record must be writable whatever happened to the others.

Each row belongs to a shard. In PostgreSQL the shard is part of the keys; an SQLite file holds one shard.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)

METADATA: Final = MetaData()

STORE: Final = Table(
    "store",
    METADATA,
    Column("one", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("epochs", BigInteger, nullable=False),
    Column("moved", Text),
    Column("format", BigInteger, nullable=False, server_default=text("1")),
    Column("minimum", BigInteger, nullable=False, server_default=text("0")),
    Column("program", Text, nullable=False, server_default=text("''")),
    Column("home", Text),
    Column("adopted", BigInteger, nullable=False, server_default=text("0")),
    Column("doubt", Text, nullable=False, server_default=text("''")),
)
"""One row: the id that the store got at its creation, which a proxy remembers with the tokens of this store; the newest
epoch that was drawn for any shard; and where `fenced store copy` took the store, if it did.

`format`: what the stored texts may hold (`codec`). `minimum`: the schema number that a program must know to use the
store. `program`: the version that set one of the two. `home`: the server and database to which the store belongs
(`standing`); null before the first lease, in SQLite, and where the user may not know it. `adopted`: the epoch of the
last `fenced store adopt`, 0 for none; `doubt`: why a person must check the store after it, until a
record says so."""

LEASE: Final = Table(
    "lease",
    METADATA,
    Column("shard", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("until", Double, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("at", Double),
    Column("anchor_boot_id", Text),
    Column("anchor_boottime", Double),
    Column("anchor_steady", Double),
    Column("anchor_calendar", Text),
    Column("anchor_at", Double),
    Column("since", Double, nullable=False),
    Column("pruned", BigInteger, nullable=False),
    Column("released_by", Text, nullable=False),
    Column("released_to", Text, nullable=False),
    Column("released_at", Double),
    Column("timeline", BigInteger),
    Column("is_doubted", Boolean, nullable=False),
    Column("division", Text, nullable=False, server_default=text("''")),
    Column("reads_words", BigInteger, nullable=False, server_default="0"),
)
"""A row a shard, which every write locks and changes: the epoch, who holds it (`holder` differs for each start, `name`
is the daemon's, `place` its state directory in a boot of its machine), until when the holder may act (0: released).
`batch` counts the writes, `sequence` and `at` are those of the newest record. `anchor_at`: PostgreSQL's clock at the
anchor. `since`: the database's clock when the holder took the lease.

`pruned`: records up to this number may have been deleted because of their age. `released_by`: the place that handed
the lease over, "" after the proper end of a daemon. `released_to`: the name of the controller that is to have it, ""
for any. `released_at`: the database's clock at the release.

`timeline`: PostgreSQL's timeline when the holder took the lease; a promotion of a standby database begins a new one.
Null: not known, or SQLite. `is_doubted`: records may be missing, and no holder has waited yet until the commands in
them can't act any more. `reads_words`: the epoch of the last holder whose program reads `words`.
`division`: how the holder divides the fleet into shards; "": not known."""

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("host", Text),
    Column("operation", Text),
    Column("body", Text, nullable=False),
    Column("shard", Text, primary_key=True),
    Column("decided", Double),
)
"""The records. `host` null: the fleet's. `decided`: `at` of a decision, null for every other record. The newest row is
never deleted, so that a damaged lease row shows."""

SNAPSHOTS: Final = Table(
    "snapshots",
    METADATA,
    Column("host", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("shard", Text, primary_key=True),
)
"""A host's state, including all its records up to `sequence`."""

FLEET: Final = Table(
    "fleet",
    METADATA,
    Column("shard", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

OPERATIONS: Final = Table(
    "operations",
    METADATA,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("body", Text, nullable=False),
    Column("shard", Text, nullable=False),
)
"""Each operation as last written. `number` is the order of creation, and the cursor of lists."""

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("sequence", BigInteger, Identity(), primary_key=True),
    Column("id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("host", Text),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("is_retained", Boolean, nullable=False),
    Column("is_event", Boolean, nullable=False),
    Column("is_delivered", Boolean, nullable=False),
    Column("operation", Text),
    Column("shard", Text, nullable=False),
)
"""Messages for the bus. A delivered event stays for readers that resume; a delivered state is deleted. Within a shard
the numbers rise in the order of the writes, because each write holds the shard's row of `lease`."""

CONTROLLERS: Final = Table(
    "controllers",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("instance", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("unfit", Text, nullable=False),
    Column("lag", BigInteger, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("heard", Double, nullable=False),
    Column("is_gone", Boolean, nullable=False),
    Column("format", BigInteger, nullable=False, server_default=text("1")),
    Column("takes", Text),
)
"""The last report of each controller. `instance`: the id of its state directory. `unfit`: a JSON list. `heard`: the
database's clock at the report. `is_gone`: it ended properly after it. `format`: the newest that its program reads.
`takes`: a JSON list of the shards that it would take, null if it did not say. No lease depends on these rows."""

BUDGET: Final = Table(
    "budget",
    METADATA,
    Column("shard", Text, primary_key=True),
    Column("unrecovered", BigInteger, nullable=False),
)
"""A row a shard: how many of its hosts were fenced, or could not be, and are not back. The row of shard "" is locked
last by each draw from the fleet's budget, so that draws of several shards come one after the other. Not in SQLite,
whose file holds one shard."""

DRAWS: Final = Table(
    "draws",
    METADATA,
    Column("shard", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("until", Double, nullable=False),
)
"""The draws from the fleet's budget, for the other shards; a shard's own ones are in its records. `at`: when the
operation started, on the steady clock of its shard. `until`: how long it counts, by the database's clock."""

WORDS: Final = Table(
    "words",
    METADATA,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("shard", Text, nullable=False),
)
"""What operators said at controllers without the lease: a disarm, a pause, a maintenance. A row a shard, until the
holder has folded it. `id`: the same in each shard. `at`: the database's clock. `number` says nothing about the order in
which rows became visible: what is there is not folded."""

SCHEMA: Final = Table(
    "schema",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("applied", Double, nullable=False),
)
"""The migrations that were applied."""

# PostgreSQL's indexes; the migrations of SQLite write their own.
_PENDING: Final = text("NOT is_delivered")
Index("records_of_host", RECORDS.c.shard, RECORDS.c.host, RECORDS.c.sequence)
Index("records_by_time", RECORDS.c.shard, RECORDS.c.at)
Index(
    "decisions_of_host",
    RECORDS.c.shard,
    RECORDS.c.host,
    RECORDS.c.decided,
    RECORDS.c.sequence,
    postgresql_where=text("decided IS NOT NULL"),
)
Index("operations_of_host", OPERATIONS.c.host, OPERATIONS.c.number)
Index("operations_by_state", OPERATIONS.c.state, OPERATIONS.c.number)
Index("operations_by_end", OPERATIONS.c.shard, OPERATIONS.c.ended)
Index(
    "outbox_lanes",
    OUTBOX.c.shard,
    func.coalesce(OUTBOX.c.host, text("''")),
    OUTBOX.c.sequence,
    postgresql_where=_PENDING,
)
Index("draws_in_force", DRAWS.c.until)
Index("outbox_events", OUTBOX.c.shard, OUTBOX.c.sequence, postgresql_where=text("is_event"))
Index("outbox_delivered", OUTBOX.c.shard, OUTBOX.c.at, postgresql_where=text("is_delivered"))

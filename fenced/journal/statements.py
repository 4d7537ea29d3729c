"""Statements that each database needs in its own words, by the name of the dialect.

Each says its reason; everything else is written once, in `reading` and `writing`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Double, cast, func, literal, literal_column, text

from fenced.journal.schema import OUTBOX

KEYS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "sqlite": {"snapshots": ["host"], "fleet": ["shard"], "operations": ["id"]},
    "postgresql": {"snapshots": ["host", "shard"], "fleet": ["shard"], "operations": ["id"]},
}
"""Key columns: an SQLite file holds one shard, and its keys are as old as the first schema."""


DATABASE_CLOCK: Final = func.extract("epoch", func.clock_timestamp())
"""PostgreSQL's time of day in seconds. `now()` would be the moment at which the transaction began."""


_SQLITE_CLOCK: Final[Any] = literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)


# The control file names the timeline of the last checkpoint, which a standby that was just promoted lacks.
TIMELINE: Final = "SELECT CAST(CAST('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS bit(32)) AS integer)"
"""PostgreSQL's timeline now. Fails where the user may not call these functions, and on a standby database."""
SERVER_TIMELINE: Final[Any] = literal_column(f"({TIMELINE})", BigInteger)


def database_time(dialect: str) -> Any:
    """Return the expression of the time now; None where the database is the daemon's own and has no other clock."""
    return None if dialect == "sqlite" else DATABASE_CLOCK


def wall_time(dialect: str) -> Any:
    """Return the expression of the wall time now. SQLite's clock is that of the daemon's machine."""
    return _SQLITE_CLOCK if dialect == "sqlite" else cast(DATABASE_CLOCK, Double)


def lease_end(dialect: str, *, until: float, ttl_seconds: float) -> Any:
    """Return the value of `lease.until`.

    Of several controllers none can compare another's clock, so PostgreSQL's counts.
    """
    if dialect == "sqlite":
        return until
    return cast(DATABASE_CLOCK, Double) + literal(ttl_seconds, Double)


# SQLite stores any type in any column.
NEWEST_MOMENT: Final = {
    "sqlite": text(
        """
        SELECT at FROM records WHERE shard = :shard AND typeof(at) = 'real' AND abs(at) < 1e15
            ORDER BY sequence DESC LIMIT 1
        """
    ),
    "postgresql": text("SELECT at FROM records WHERE shard = :shard AND abs(at) < 1e15 ORDER BY sequence DESC LIMIT 1"),
}

# Both find the names by jumping through the index (one seek a host) instead of reading a million rows; the same index
# yields each host's records after its snapshot. In SQLite the shard is not in the index: a file holds one.
_TAIL: Final = """
    WITH RECURSIVE names (host) AS (
        SELECT min(host) FROM records WHERE {shard}
        UNION ALL
        SELECT (SELECT min(host) FROM records WHERE {shard} AND records.host > names.host)
            FROM names WHERE names.host IS NOT NULL)
    SELECT records.sequence, records.at, records.host, records.body
        FROM names CROSS JOIN records
        WHERE {shard} AND records.host = names.host AND names.host IS NOT NULL
            AND records.sequence > coalesce(
                (SELECT sequence FROM snapshots WHERE snapshots.host = names.host AND snapshots.shard = :shard), 0)
    UNION ALL
    SELECT sequence, at, host, body
        FROM records
        WHERE {shard} AND host IS NULL
            AND sequence > coalesce((SELECT sequence FROM fleet WHERE fleet.shard = :shard), 0)
    ORDER BY 1
    """
TAIL: Final = {
    "sqlite": text(_TAIL.format(shard="+records.shard = :shard")),
    "postgresql": text(_TAIL.format(shard="records.shard = :shard")),
}

PENDING_COUNT: Final = {
    # SQLite uses a partial index only for the index's own words.
    "sqlite": text("SELECT count(*) FROM outbox WHERE is_delivered = 0 AND shard = :shard"),
    "postgresql": text("SELECT count(*) FROM outbox WHERE NOT is_delivered AND shard = :shard"),
}

# One seek in the index outbox_lanes finds each host with pending messages, and only its oldest messages are read: a
# hundred thousand messages of one host do not slow down the others. Messages of no host have the name "".
_LANES: Final = """
    WITH RECURSIVE
    lanes (lane) AS (
        SELECT min(coalesce(host, '')) FROM outbox WHERE {pending}
        UNION ALL
        SELECT (SELECT min(coalesce(host, '')) FROM outbox WHERE {pending} AND coalesce(host, '') > lanes.lane)
            FROM lanes WHERE lanes.lane IS NOT NULL),
    heads (lane, head) AS (
        SELECT lane,
               (SELECT min(sequence) FROM outbox WHERE {pending} AND coalesce(host, '') = lanes.lane) AS head
            FROM lanes WHERE lane IS NOT NULL AND lane NOT IN ({skipping})
            ORDER BY head LIMIT :limit)
    SELECT outbox.*
        FROM heads {messages}
        ORDER BY row_number() OVER (PARTITION BY heads.lane ORDER BY outbox.sequence), outbox.sequence LIMIT :limit
    """
PENDING: Final[Mapping[str, Any]] = {
    "sqlite": text(
        _LANES.format(
            pending="is_delivered = 0 AND +outbox.shard = :shard",
            skipping="SELECT value FROM json_each(:skipping)",
            messages="""CROSS JOIN outbox
                WHERE outbox.sequence IN (
                    SELECT one.sequence FROM outbox AS one
                    WHERE one.is_delivered = 0 AND coalesce(one.host, '') = heads.lane AND +one.shard = :shard
                    ORDER BY one.sequence LIMIT :each)""",
        )
    ).columns(*OUTBOX.columns),
    # PostgreSQL would run that subquery for each row of the table; a lateral one runs once a lane.
    "postgresql": text(
        _LANES.format(
            pending="NOT is_delivered AND outbox.shard = :shard",
            skipping="SELECT jsonb_array_elements_text(CAST(:skipping AS jsonb))",
            messages="""CROSS JOIN LATERAL (
                SELECT * FROM outbox AS one
                WHERE NOT one.is_delivered AND coalesce(one.host, '') = heads.lane AND one.shard = :shard
                ORDER BY one.sequence LIMIT :each) AS outbox""",
        )
    ).columns(*OUTBOX.columns),
}

# Keep the newest record, records without a snapshot, and those of running operations.
PRUNE_RECORDS: Final = dict.fromkeys(
    KEYS,
    text(
        """
        DELETE FROM records WHERE shard = :shard AND sequence IN (
            SELECT record.sequence FROM records AS record
            LEFT JOIN snapshots ON snapshots.host = record.host AND snapshots.shard = record.shard
            LEFT JOIN fleet ON record.host IS NULL AND fleet.shard = record.shard
            LEFT JOIN operations ON operations.id = record.operation
            WHERE record.shard = :shard AND record.at < :before
                AND record.sequence <= coalesce(snapshots.sequence, fleet.sequence, 0)
                AND coalesce(operations.state, '') <> 'running'
                AND record.sequence < (SELECT max(sequence) FROM records WHERE shard = :shard)
            ORDER BY record.at LIMIT :limit)
        """
    ),
)
_PRUNE_EVENTS: Final = """
    DELETE FROM outbox WHERE sequence IN (
        SELECT sequence FROM outbox WHERE {delivered} AND shard = :shard AND at < :before ORDER BY at LIMIT :limit)
    """
PRUNE_EVENTS: Final = {
    "sqlite": text(_PRUNE_EVENTS.format(delivered="is_delivered = 1")),
    "postgresql": text(_PRUNE_EVENTS.format(delivered="is_delivered")),
}
PRUNE_OPERATIONS: Final = dict.fromkeys(
    KEYS,
    text(
        """
        DELETE FROM operations WHERE number IN (
            SELECT number FROM operations WHERE shard = :shard AND ended < :before AND state <> 'running'
            ORDER BY ended LIMIT :limit)
        """
    ),
)
# A draw that is still in force stays, however soon records are pruned. In SQLite there are none.
_PRUNE_DRAWS: Final = """
    DELETE FROM draws WHERE shard = :shard AND (host, at) IN (
        SELECT host, at FROM draws WHERE shard = :shard AND at < :before {over} LIMIT :limit)
    """
PRUNE_DRAWS: Final = {
    "sqlite": text(_PRUNE_DRAWS.format(over="")),
    "postgresql": text(_PRUNE_DRAWS.format(over="AND until < extract(epoch FROM clock_timestamp())")),
}

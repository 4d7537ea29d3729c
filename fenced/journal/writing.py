"""Writes the store: plain functions over a connection, which the store calls within one transaction.

It knows rows and the codec, but no threads, files or errors. Each write first changes the shard's row of `lease`, under
the condition that this start still holds it. The row stays locked until the commit, so the writes of a shard come one
after the other, and a controller that takes the lease waits for a running one (S20).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Double,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.journal import codec, statements
from fenced.journal.schema import FLEET, LEASE, OPERATIONS, OUTBOX, RECORDS, SNAPSHOTS, STORE
from fenced.ports.journal import Batch, ClockAnchor, EpochLost, OutboxMessage

Row = dict[str, Any]
EPOCH_MAX: Final = 10**17
"""A fence token has 18 digits for the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this start holds of the store: a shard under an epoch. `holder` is its own, unlike any other start's."""

    shard: str
    epoch: int = 0
    holder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedBatch:
    """A batch as rows without what only the transaction knows: epoch and sequences."""

    records: Sequence[tuple[float, str | None, str | None, str]]
    snapshots: Sequence[Row]
    fleet: Row | None
    operations: Sequence[Row]
    outbox: Sequence[Row]


def encode(batch: Batch) -> EncodedBatch:
    """Do everything that is possible before the transaction. Raises for a value that could not be read back (a bug)."""
    return EncodedBatch(
        records=[_record_row(entry) for entry in batch.entries],
        snapshots=[_snapshot_row(host) for host in batch.snapshots],
        fleet=_fleet_row(batch.fleet) if batch.fleet is not None else None,
        operations=[_operation_row(operation) for operation in batch.operations],
        outbox=[_outbox_row(message) for message in batch.outbox],
    )


def append(connection: Connection, batch: EncodedBatch, held: Held) -> int:
    """Return the sequence of the newest record: the batch's last, if it has any. Raises EpochLost."""
    last_at = batch.records[-1][0] if batch.records else None
    sequence, at = advance(connection, held, records=len(batch.records), at=last_at)
    if batch.records:
        first = sequence - len(batch.records) + 1
        numbered = [(number, held.epoch, *row, held.shard) for number, row in enumerate(batch.records, first)]
        connection.exec_driver_sql(_insert_record(connection.dialect), numbered)
    if batch.snapshots:
        connection.execute(
            _upserting(connection.dialect.name, SNAPSHOTS),
            [{**row, "sequence": sequence, "shard": held.shard} for row in batch.snapshots],
        )
    if batch.fleet is not None:
        connection.execute(
            _upserting(connection.dialect.name, FLEET), {**batch.fleet, "sequence": sequence, "shard": held.shard}
        )
    if batch.operations:
        connection.execute(
            _upserting(connection.dialect.name, OPERATIONS), [{**row, "shard": held.shard} for row in batch.operations]
        )
    if batch.outbox:
        connection.execute(insert(OUTBOX), [{**row, "at": at or 0.0, "shard": held.shard} for row in batch.outbox])
    return sequence


def advance(
    connection: Connection, held: Held, *, records: int = 0, at: float | None = None
) -> tuple[int, float | None]:
    """Lock and advance the shard's lease row; return sequence and time of the newest record. Raises EpochLost."""
    row = {"of": held.shard, "ours": held.epoch, "us": held.holder, "records": records, "moment": at}
    if connection.execute(_ADVANCE, row).rowcount != 1:
        row_of = select(LEASE.c.epoch, LEASE.c.name).where(LEASE.c.shard == held.shard)
        raise _lost(held, connection.execute(row_of).one_or_none())
    found = connection.execute(_NEWEST, row).one()
    return found.sequence, found.at


def _lost(held: Held, row: Any) -> EpochLost:
    who = f"{row.name} holds epoch {row.epoch}" if row is not None else "nobody holds the lease"
    return EpochLost(f"{who}, ours is {held.epoch}: another daemon took over this store")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """Who holds a shard, as the database's clock has it. Equal rows of two moments: nothing was written between."""

    name: str
    place: str
    epoch: int
    batch: int
    until: float
    is_over: bool = field(compare=False)

    @property
    def is_released(self) -> bool:
        return self.until == 0.0


def lease_row(connection: Connection, shard: str) -> LeaseRow | None:
    """Return who holds the shard; None if nobody ever did. PostgreSQL only."""
    row = connection.execute(_LEASE_ROW, {"of": shard}).one_or_none()
    return None if row is None else LeaseRow(**row._mapping)


def locked_lease_row(connection: Connection, shard: str) -> LeaseRow:
    """Return who holds the shard, and let nobody take it until the transaction ends. PostgreSQL only."""
    row: Row = {"shard": shard, "epoch": 0, "holder": "", "name": "", "place": "", "until": 0.0}
    row |= {"batch": 0, "sequence": 0}
    connection.execute(postgresql.insert(LEASE).on_conflict_do_nothing(), row)  # without a row there is no lock
    locked = connection.execute(_LEASE_ROW.with_for_update(key_share=True), {"of": shard}).one()
    return LeaseRow(**locked._mapping)


def steady_time(connection: Connection, shard: str) -> float | None:
    """Return what the last holder's steady clock reads now, by PostgreSQL's clock; None if it was never noted."""
    elapsed = cast(statements.DATABASE_CLOCK, Double) - LEASE.c.anchor_at
    found = select(LEASE.c.anchor_steady, elapsed.label("elapsed")).where(LEASE.c.shard == shard)
    row = connection.execute(found).one_or_none()
    if row is None or row.anchor_steady is None or row.elapsed is None:
        return None
    return float(row.anchor_steady) + max(float(row.elapsed), 0.0)


def batches(connection: Connection, held: Held) -> int:
    """Lock the shard's row and return how many writes it counts. Raises EpochLost."""
    columns = select(LEASE.c.batch, LEASE.c.epoch, LEASE.c.holder, LEASE.c.name)
    row = connection.execute(columns.where(LEASE.c.shard == held.shard).with_for_update(key_share=True)).one()
    if (row.epoch, row.holder) != (held.epoch, held.holder):
        raise _lost(held, row)
    return int(row.batch)


def take_epoch(
    connection: Connection, held: Held, *, name: str, place: str, until: float = 0.0, ttl_seconds: float = 0.0
) -> int:
    """Take a new epoch for this start; from now on no older one can write. The caller may take the lease.

    `place`: the state directory in this boot of its machine. `until`, `ttl_seconds`: the lease's end, as at
    `renew_lease`.
    """
    drawn = connection.execute(select(STORE.c.epochs).with_for_update(key_share=True)).scalar_one()
    in_force = connection.execute(select(LEASE.c.epoch)).scalars()
    known = (drawn, *in_force)
    if not all(isinstance(epoch, int) and 0 <= epoch < EPOCH_MAX for epoch in known):
        raise codec.CodecError("the epoch of the lease cannot be read: it is not a number in range")
    epoch: int = max(known) + 1
    connection.execute(update(STORE).values(epochs=epoch))
    newest = select(func.coalesce(func.max(RECORDS.c.sequence), 0)).where(RECORDS.c.shard == held.shard)
    row = {
        "shard": held.shard, "epoch": epoch, "holder": held.holder, "name": name, "place": place, "batch": 0,
        "sequence": connection.execute(newest).scalar_one(), "at": None,
        "until": statements.lease_end(connection.dialect.name, until=until, ttl_seconds=ttl_seconds),
    }  # fmt: skip
    upsert = _insert_into(connection.dialect.name, LEASE).values(row)
    taken = {key: upsert.excluded[key] for key in ("epoch", "holder", "name", "place", "until")}
    # A number beyond all records is that of a damaged row; one below them would be given twice.
    taken |= {"sequence": upsert.excluded.sequence, "batch": LEASE.c.batch + 1}
    connection.execute(upsert.on_conflict_do_update(index_elements=["shard"], set_=taken))
    return epoch


def renew_lease(
    connection: Connection, held: Held, *, until: float, ttl_seconds: float, anchor: ClockAnchor | None
) -> None:
    """`until`: the lease's end by the daemon's clock, which counts if the database is the daemon's own.

    Otherwise the end is `ttl_seconds` from now by the database's clock. Raises EpochLost.
    """
    advance(connection, held)
    values: Row = {"until": statements.lease_end(connection.dialect.name, until=until, ttl_seconds=ttl_seconds)}
    if anchor is not None:
        values |= {
            "anchor_boot_id": anchor.boot_id,
            "anchor_boottime": anchor.boottime,
            "anchor_steady": anchor.steady,
            "anchor_calendar": anchor.calendar,
            "anchor_at": statements.database_time(connection.dialect.name),
        }
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(**values))


def release_lease(connection: Connection, held: Held) -> None:
    """End the lease, so that another daemon may take it at once. Raises EpochLost."""
    advance(connection, held)
    connection.execute(update(LEASE).where(LEASE.c.shard == held.shard).values(until=0.0))


def delivered(connection: Connection, messages: Sequence[OutboxMessage], held: Held) -> None:
    """Mark events as delivered, and delete states, whose old values are not needed. Raises EpochLost."""
    advance(connection, held)
    if events := [{"of": message.sequence} for message in messages if not message.is_retained]:
        connection.execute(_MARK_DELIVERED, events)
    if states := [{"of": message.sequence} for message in messages if message.is_retained]:
        connection.execute(_DELETE_DELIVERED, states)


def prune(connection: Connection, held: Held, *, before: float, events_before: float, limit: int) -> int:
    """Delete at most `limit` rows, and return how many. Raises EpochLost."""
    advance(connection, held)
    gone = 0
    for statement, moment in (
        (statements.PRUNE_EVENTS, events_before),
        (statements.PRUNE_RECORDS, before),
        (statements.PRUNE_OPERATIONS, before),
    ):
        if gone < limit:
            rows = {"before": moment, "limit": limit - gone, "shard": held.shard}
            gone += connection.execute(statement[connection.dialect.name], rows).rowcount
    return gone


def _record_row(entry: Entry) -> tuple[float, str | None, str | None, str]:
    """Return the columns after `epoch`, in the table's order."""
    return entry.at, entry.host, codec.operation_of(entry.record), codec.dump_record(entry.record)


@functools.cache
def _insert_record(dialect: Dialect) -> str:
    """Return the statement's text: for a thousand records SQLAlchemy's parameters take as long as SQLite itself."""
    return str(insert(RECORDS).compile(dialect=dialect))


def _snapshot_row(host: HostState) -> Row:
    return {"host": host.name, "body": codec.dump_host(host)}


def _fleet_row(fleet: FleetState) -> Row:
    return {"body": codec.dump_fleet(fleet)}


def _operation_row(operation: Operation) -> Row:
    return {
        "id": operation.id,
        "host": operation.host,
        "state": operation.state.value,
        "action": operation.action.value,
        "cause": operation.cause.value,
        "started": operation.started,
        "ended": operation.ended,
        "body": codec.dump_operation(operation),
    }


def _outbox_row(message: OutboxMessage) -> Row:
    return {
        "id": message.id,
        "host": message.host,
        "topic": message.topic,
        "payload": message.payload,
        "is_retained": message.is_retained,
        "is_event": not message.is_retained,
        "is_delivered": False,
        "operation": message.operation,
    }


def _insert_into(dialect: str, table: Table) -> Any:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@functools.cache
def _upserting(dialect: str, table: Table) -> Any:
    """Insert, or update every column but the key (and an operation's number)."""
    keys = statements.KEYS[dialect][table.name]
    statement = _insert_into(dialect, table)
    kept = {*keys, "number"}
    changed = {column.name: column for column in statement.excluded if column.name not in kept}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_LEASE_ROW: Final = select(
    LEASE.c.name, LEASE.c.place, LEASE.c.epoch, LEASE.c.batch, LEASE.c.until,
    (LEASE.c.until < statements.DATABASE_CLOCK).label("is_over"),
).where(LEASE.c.shard == bindparam("of"))  # fmt: skip
_ADVANCE: Final = (
    update(LEASE)
    .where(LEASE.c.shard == bindparam("of"), LEASE.c.epoch == bindparam("ours"), LEASE.c.holder == bindparam("us"))
    .values(
        batch=LEASE.c.batch + 1,
        sequence=LEASE.c.sequence + bindparam("records", type_=BigInteger),
        at=func.coalesce(bindparam("moment", type_=Double), LEASE.c.at),
    )
)
_NEWEST: Final = select(LEASE.c.sequence, LEASE.c.at).where(LEASE.c.shard == bindparam("of"))
_MARK_DELIVERED: Final = update(OUTBOX).where(OUTBOX.c.sequence == bindparam("of")).values(is_delivered=True)
_DELETE_DELIVERED: Final = delete(OUTBOX).where(OUTBOX.c.sequence == bindparam("of"))

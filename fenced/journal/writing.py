"""Writes the store: plain functions over a connection, which the store calls within one transaction.

It knows rows and the codec, but no threads, files or errors. Each write first checks that this daemon's epoch is
still the newest; the caller's transaction holds the write lock from its first statement on.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.journal import codec
from fenced.journal.schema import FLEET, LEASE, OPERATIONS, OUTBOX, RECORDS, SNAPSHOTS
from fenced.ports.journal import Batch, ClockAnchor, EpochLost, OutboxMessage

Row = dict[str, Any]
EPOCH_MAX: Final = 10**17
"""A fence token has 18 digits for the epoch."""


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


def append(connection: Connection, batch: EncodedBatch, *, epoch: int) -> int:
    """Return the sequence of the newest record: the batch's last, if it has any. Raises EpochLost."""
    sequence, last_at = _newest(connection, epoch)
    if batch.records:
        numbered = [(number, epoch, *row) for number, row in enumerate(batch.records, sequence + 1)]
        connection.exec_driver_sql(_insert_record(connection.dialect), numbered)
        sequence, last_at = numbered[-1][0], batch.records[-1][0]
    if batch.snapshots:
        for row in batch.snapshots:
            row["sequence"] = sequence
        connection.execute(_UPSERT_SNAPSHOT, batch.snapshots)
    if batch.fleet is not None:
        connection.execute(_UPSERT_FLEET, {**batch.fleet, "sequence": sequence})
    if batch.operations:
        connection.execute(_UPSERT_OPERATION, batch.operations)
    if batch.outbox:
        for row in batch.outbox:
            row["at"] = last_at
        connection.execute(insert(OUTBOX), batch.outbox)
    return sequence


def take_epoch(connection: Connection, *, holder: str, now: float) -> int:
    """Take a new epoch for this start; from now on no older one can write. The caller holds the lock file."""
    before = connection.execute(select(LEASE.c.epoch).with_for_update()).scalar_one()
    if not isinstance(before, int) or not 0 <= before < EPOCH_MAX:
        raise codec.CodecError("the epoch of the lease cannot be read: it is not a number in range")
    epoch = before + 1
    connection.execute(update(LEASE).values(epoch=epoch, holder=holder, until=now))
    return epoch


def renew_lease(connection: Connection, *, epoch: int, until: float, anchor: ClockAnchor | None) -> None:
    """Raises EpochLost."""
    check_epoch(connection, epoch)
    values: Row = {"until": until}
    if anchor is not None:
        values |= {
            "anchor_boot_id": anchor.boot_id,
            "anchor_boottime": anchor.boottime,
            "anchor_steady": anchor.steady,
            "anchor_calendar": anchor.calendar,
        }
    connection.execute(update(LEASE).values(**values))


def delivered(connection: Connection, messages: Sequence[OutboxMessage], *, epoch: int) -> None:
    """Mark events as delivered, and delete states, whose old values are not needed. Raises EpochLost."""
    check_epoch(connection, epoch)
    if events := [{"of": message.sequence} for message in messages if not message.is_retained]:
        connection.execute(_MARK_DELIVERED, events)
    if states := [{"of": message.sequence} for message in messages if message.is_retained]:
        connection.execute(_DELETE_DELIVERED, states)


def prune(connection: Connection, *, epoch: int, before: float, events_before: float, limit: int) -> int:
    """Delete at most `limit` rows, and return how many. Raises EpochLost."""
    check_epoch(connection, epoch)
    gone = 0
    for statement, moment in ((_PRUNE_EVENTS, events_before), (_PRUNE_RECORDS, before), (_PRUNE_OPERATIONS, before)):
        if gone < limit:
            gone += connection.execute(statement, {"before": moment, "limit": limit - gone}).rowcount
    return gone


def check_epoch(connection: Connection, epoch: int) -> None:
    """Raise EpochLost if there is a newer epoch than this daemon's."""
    row = connection.execute(select(LEASE.c.epoch, LEASE.c.holder).with_for_update()).one()
    _compare(row.epoch, row.holder, epoch)


def _newest(connection: Connection, epoch: int) -> tuple[int, float]:
    """Return sequence and time of the newest record, zeros if there is none. Raises EpochLost."""
    row = connection.execute(_NEWEST).one()
    _compare(row.epoch, row.holder, epoch)
    return row.sequence or 0, row.at or 0.0


def _compare(newest: int, holder: str, ours: int) -> None:
    if newest != ours:
        raise EpochLost(f"{holder} holds epoch {newest}, ours is {ours}: another daemon took over this store")


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
    return {"one": 1, "body": codec.dump_fleet(fleet)}


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


def _upserting(table: Table, key: str) -> Any:
    """Insert, or update every column but the key (and an operation's number)."""
    statement = upsert(table)
    changed = {column.name: column for column in statement.excluded if column.name not in {key, "number"}}
    return statement.on_conflict_do_update(index_elements=[key], set_=changed)


_UPSERT_SNAPSHOT: Final = _upserting(SNAPSHOTS, "host")
_UPSERT_FLEET: Final = _upserting(FLEET, "one")
_UPSERT_OPERATION: Final = _upserting(OPERATIONS, "id")
_MARK_DELIVERED: Final = update(OUTBOX).where(OUTBOX.c.sequence == bindparam("of")).values(is_delivered=True)
_DELETE_DELIVERED: Final = delete(OUTBOX).where(OUTBOX.c.sequence == bindparam("of"))

_LAST: Final = select(func.max(RECORDS.c.sequence)).scalar_subquery()
_NEWEST: Final = select(
    LEASE.c.epoch,
    LEASE.c.holder,
    _LAST.label("sequence"),
    select(RECORDS.c.at).where(RECORDS.c.sequence == _LAST).scalar_subquery().label("at"),
).with_for_update()

# Keep the newest record (sequences are counted from it), records without a snapshot, and those of running operations.
_PRUNE_RECORDS: Final = text(
    """
    DELETE FROM records WHERE sequence IN (
        SELECT record.sequence FROM records AS record
        LEFT JOIN snapshots ON snapshots.host = record.host
        LEFT JOIN fleet ON record.host IS NULL
        LEFT JOIN operations ON operations.id = record.operation
        WHERE record.at < :before
            AND record.sequence <= coalesce(snapshots.sequence, fleet.sequence, 0)
            AND coalesce(operations.state, '') <> 'running'
            AND record.sequence < (SELECT max(sequence) FROM records)
        ORDER BY record.at LIMIT :limit)
    """
)
_PRUNE_EVENTS: Final = text(
    """
    DELETE FROM outbox WHERE sequence IN (
        SELECT sequence FROM outbox WHERE is_delivered = 1 AND at < :before ORDER BY at LIMIT :limit)
    """
)
_PRUNE_OPERATIONS: Final = text(
    """
    DELETE FROM operations WHERE number IN (
        SELECT number FROM operations WHERE ended < :before AND state <> 'running' ORDER BY ended LIMIT :limit)
    """
)

"""Writes the store: plain functions over a connection, which the store calls within one transaction.

It knows rows and the codec, but no threads, files or errors. Each write first advances the shard's row of `lease`
(`leases`), which fails unless this start still holds it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table, bindparam, delete, insert, update

from fenced.core.durable.records import Entry
from fenced.core.durable.state import Operation
from fenced.journal import budget, codec, statements, words
from fenced.journal.deciding import decided_at
from fenced.journal.leases import Held, advance, insert_into, note_pruned
from fenced.journal.schema import FLEET, OPERATIONS, OUTBOX, RECORDS, SNAPSHOTS
from fenced.ports.journal import Batch, OutboxMessage

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedBatch:
    """A batch as rows without what only the transaction knows: epoch and sequences. `decided`: of each record, the
    moment of a decision. `words`: as at Batch."""

    records: Sequence[tuple[float, str | None, str | None, str]]
    decided: Sequence[float | None]
    snapshots: Sequence[Row]
    fleet: Row | None
    operations: Sequence[Row]
    outbox: Sequence[Row]
    budget: budget.Change
    words: frozenset[int]


def encode(batch: Batch, format: int) -> EncodedBatch:
    """Do everything that is possible before the transaction. Raises for a value that could not be read back (a bug).

    `format`: the store's (`codec`).
    """
    return EncodedBatch(
        records=[_record_row(entry, format) for entry in batch.entries],
        decided=[decided_at(entry) for entry in batch.entries],
        snapshots=[{"host": host.name, "body": codec.dump_host(host, format)} for host in batch.snapshots],
        fleet={"body": codec.dump_fleet(batch.fleet, format)} if batch.fleet is not None else None,
        operations=[_operation_row(operation, format) for operation in batch.operations],
        outbox=[_outbox_row(message) for message in batch.outbox],
        budget=budget.change_of(batch),
        words=batch.words,
    )


def append(connection: Connection, batch: EncodedBatch, held: Held) -> int:
    """Return the sequence of the newest record: the batch's last, if it has any.

    Raises EpochLost, StoreWentBack, WordsUnread, BudgetClosed.
    """
    last_at = batch.records[-1][0] if batch.records else None
    sequence, at, has_words = advance(connection, held, records=len(batch.records), at=last_at)
    if has_words:
        words.fold(connection, batch.words, held)
    if batch.records:
        first = sequence - len(batch.records) + 1
        rows = enumerate(zip(batch.records, batch.decided, strict=True), first)
        numbered = [(number, held.epoch, *row, held.shard, decided) for number, (row, decided) in rows]
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
    budget.write(connection, batch.budget, held.shard)  # the last one: it may lock what all shards need
    return sequence


def delivered(connection: Connection, messages: Sequence[OutboxMessage], held: Held) -> None:
    """Mark events as delivered, and delete states, whose old values are not needed. Raises EpochLost, StoreWentBack."""
    advance(connection, held)
    if events := [{"of": message.sequence} for message in messages if not message.is_retained]:
        connection.execute(_MARK_DELIVERED, events)
    if states := [{"of": message.sequence} for message in messages if message.is_retained]:
        connection.execute(_DELETE_DELIVERED, states)


def prune(connection: Connection, held: Held, *, before: float, events_before: float, limit: int) -> int:
    """Delete at most `limit` rows, and return how many. Raises EpochLost, StoreWentBack."""
    advance(connection, held)
    gone = 0
    for statement, moment in (
        (statements.PRUNE_EVENTS, events_before),
        (statements.PRUNE_RECORDS, before),
        (statements.PRUNE_OPERATIONS, before),
        (statements.PRUNE_DRAWS, before),
    ):
        if gone < limit:
            rows = {"before": moment, "limit": limit - gone, "shard": held.shard}
            deleted = connection.execute(statement[connection.dialect.name], rows).rowcount
            if deleted and statement is statements.PRUNE_RECORDS:
                note_pruned(connection, held)
            gone += deleted
    return gone


def _record_row(entry: Entry, format: int) -> tuple[float, str | None, str | None, str]:
    """Return the columns between `epoch` and `shard`, in the table's order."""
    return entry.at, entry.host, codec.operation_of(entry.record), codec.dump_record(entry.record, format)


@functools.cache
def _insert_record(dialect: Dialect) -> str:
    """Return the statement's text: for a thousand records SQLAlchemy's parameters take as long as SQLite itself."""
    return str(insert(RECORDS).compile(dialect=dialect))


def _operation_row(operation: Operation, format: int) -> Row:
    return {
        "id": operation.id,
        "host": operation.host,
        "state": operation.state.value,
        "action": operation.action.value,
        "cause": operation.cause.value,
        "started": operation.started,
        "ended": operation.ended,
        "body": codec.dump_operation(operation, format),
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


@functools.cache
def _upserting(dialect: str, table: Table) -> Any:
    """Insert, or update every column but the key (and an operation's number)."""
    keys = statements.KEYS[dialect][table.name]
    statement = insert_into(dialect, table)
    kept = {*keys, "number"}
    changed = {column.name: column for column in statement.excluded if column.name not in kept}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_MARK_DELIVERED: Final = update(OUTBOX).where(OUTBOX.c.sequence == bindparam("of")).values(is_delivered=True)
_DELETE_DELIVERED: Final = delete(OUTBOX).where(OUTBOX.c.sequence == bindparam("of"))

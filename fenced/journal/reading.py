"""Reads the store: plain functions over a connection, each of bounded work, that return the stored objects.

It knows rows and the codec, but no threads, files or errors. A row that can't be read is an error that names the row.
At a start it is a fault of its host, and nothing after it is read of this host. Two readers skip such rows: the outbox
logs them, so that the other messages go out, and `entries` shows the rest.
"""

import contextlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, TextClause, func, select, text

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.journal import codec, statements
from fenced.journal.schema import FLEET, LEASE, OPERATIONS, OUTBOX, RECORDS, SNAPSHOTS, STORE
from fenced.model.names import HostName, OperationId
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import ClockAnchor, Loaded, OutboxMessage, Page

ROWS_MAX: Final = 10_000
"""The most rows of one answer: the event loop's thread decodes them."""

T = TypeVar("T")

LeftOut = Callable[[int, str], None]
"""Gets the number of an unreadable message, and the reason."""


def load(connection: Connection, *, shard: str) -> Loaded:
    """Return what a start needs: every snapshot, and for each host only the records after it."""
    sequence = connection.execute(_NEWEST_RECORD, {"shard": shard}).scalar() or 0
    faults: dict[HostName | None, str] = {}
    hosts = dict(_snapshots(connection, shard, sequence, faults))
    fleet = _fleet(connection, shard, sequence, faults)
    tail = list(_tail(connection, shard, faults))
    fleet_fault = faults.pop(None, "")
    return Loaded(
        store_id=_text(connection.execute(select(STORE.c.id)).scalar_one(), "the store's id"),
        hosts=hosts,
        fleet=fleet,
        tail=tail,
        last_at=newest_moment(connection, shard=shard),
        sequence=sequence,
        faults={name: why for name, why in faults.items() if name is not None},
        fleet_fault=fleet_fault,
    )


def newest_moment(connection: Connection, *, shard: str) -> float | None:
    """Return the time of the newest record that has a readable one."""
    return connection.execute(_statement(connection, statements.NEWEST_MOMENT), {"shard": shard}).scalar()


def clock_anchor(connection: Connection, *, shard: str) -> ClockAnchor | None:
    columns = (LEASE.c.anchor_boot_id, LEASE.c.anchor_boottime, LEASE.c.anchor_steady, LEASE.c.anchor_calendar)
    row = connection.execute(select(*columns).where(LEASE.c.shard == shard)).one_or_none()
    if row is None or row.anchor_boot_id is None:
        return None
    return ClockAnchor(
        boot_id=_text(row.anchor_boot_id, "the boot of the clock's anchor"),
        boottime=_moment(row.anchor_boottime, "the clock's anchor"),
        steady=_moment(row.anchor_steady, "the clock's anchor"),
        calendar=str(row.anchor_calendar or ""),
    )


def outbox(
    connection: Connection,
    *,
    shard: str,
    limit: int,
    each: int,
    skipping: Collection[HostName | None],
    left_out: LeftOut,
) -> Sequence[OutboxMessage]:
    """An unreadable message blocks no other, not even its host's."""
    skipped = json.dumps(["" if host is None else host for host in skipping])
    wanted = {"shard": shard, "limit": _bounded(limit), "each": _bounded(each), "skipping": skipped}
    rows = connection.execute(_statement(connection, statements.PENDING), wanted)
    return _messages(sorted(rows, key=lambda row: row.sequence), left_out)


def outbox_pending(connection: Connection, *, shard: str) -> int:
    return int(connection.execute(_statement(connection, statements.PENDING_COUNT), {"shard": shard}).scalar_one())


def events(connection: Connection, *, shard: str, after: int, limit: int, left_out: LeftOut) -> Sequence[OutboxMessage]:
    found = select(OUTBOX).where(OUTBOX.c.shard == shard, OUTBOX.c.sequence > after, OUTBOX.c.is_event)
    rows = connection.execute(found.order_by(OUTBOX.c.sequence).limit(_bounded(limit)))
    return _messages(rows, left_out)


def newest_event(connection: Connection, *, shard: str) -> int:
    """Return the sequence of the newest event, 0 if there is none."""
    found = select(func.max(OUTBOX.c.sequence)).where(OUTBOX.c.shard == shard, OUTBOX.c.is_event)
    return int(connection.execute(found).scalar() or 0)


def operation(connection: Connection, *, id: OperationId) -> Operation | None:
    body = connection.execute(select(OPERATIONS.c.body).where(OPERATIONS.c.id == id)).scalar_one_or_none()
    return None if body is None else _decoded(codec.load_operation, body, f"operation {id}")


def operations(connection: Connection, *, like: OperationsLike, limit: int, below: int | None) -> Page:
    """Return the newest first; `below`: the number in the cursor."""
    limit = _bounded(limit)
    found = select(OPERATIONS.c.number, OPERATIONS.c.id, OPERATIONS.c.body)
    if like.host is not None:
        found = found.where(OPERATIONS.c.host == like.host)
    words = ((OPERATIONS.c.state, like.states), (OPERATIONS.c.action, like.actions), (OPERATIONS.c.cause, like.causes))
    for column, chosen in words:
        if chosen:
            found = found.where(column.in_(sorted(each.value for each in chosen)))
    if like.since is not None:
        found = found.where(OPERATIONS.c.started >= like.since)
    if like.until is not None:
        found = found.where(OPERATIONS.c.started < like.until)
    if below is not None:
        found = found.where(OPERATIONS.c.number < below)
    rows = connection.execute(found.order_by(OPERATIONS.c.number.desc()).limit(limit + 1)).all()
    items = tuple(_decoded(codec.load_operation, row.body, f"operation {row.id}") for row in rows[:limit])
    return Page(items=items, next=str(rows[limit - 1].number) if len(rows) > limit else None)


def entries(
    connection: Connection, *, shard: str, host: HostName | None, limit: int, before: int | None
) -> Sequence[tuple[int, Entry]]:
    """Return the newest first; `host` None: of all hosts and the fleet.

    Unreadable records are skipped here, so that operators see the rest; the gates `record` and `store` report them.
    """
    found = select(RECORDS.c.sequence, RECORDS.c.at, RECORDS.c.host, RECORDS.c.body).where(RECORDS.c.shard == shard)
    if host is not None:
        found = found.where(RECORDS.c.host == host)
    if before is not None:
        found = found.where(RECORDS.c.sequence < before)
    read: list[tuple[int, Entry]] = []
    for row in connection.execute(found.order_by(RECORDS.c.sequence.desc()).limit(_bounded(limit))):
        with contextlib.suppress(codec.CodecError):
            read.append((row.sequence, entry_of(row)))
    return read


def entry_of(row: Any) -> Entry:
    """Decode a row of `records`. Raises CodecError."""
    what = f"record {row.sequence}"
    record = _decoded(codec.load_record, row.body, what)
    host = None if row.host is None else HostName(_text(row.host, what))
    return Entry(at=_moment(row.at, what), host=host, record=record)


def cursor_number(after: str | None) -> int | None:
    """Return the number in a cursor of `operations`. Raises ValueError for an invalid cursor."""
    if after is None:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) <= 18):  # fits in 64 bits
        raise ValueError(f"{after[:40]!r} is not a cursor of this list; use `next` of the page before")
    return int(after)


def _snapshots(
    connection: Connection, shard: str, newest: int, faults: dict[HostName | None, str]
) -> Iterator[tuple[HostName, HostState]]:
    found = select(SNAPSHOTS.c.host, SNAPSHOTS.c.sequence, SNAPSHOTS.c.body).where(SNAPSHOTS.c.shard == shard)
    for row in connection.execute(found):
        name: HostName | None = None
        try:
            name = HostName(_text(row.host, "a snapshot's host"))
            what = f"the snapshot of {name}"
            _numbered(row.sequence, newest, what)
            state = _decoded(codec.load_host, row.body, what)
        except codec.CodecError as exc:
            faults.setdefault(name, str(exc))
            continue
        if state.name == name:
            yield name, state
        else:
            faults.setdefault(name, f"{what} cannot be read: it holds the state of {state.name}")


def _fleet(connection: Connection, shard: str, newest: int, faults: dict[HostName | None, str]) -> FleetState:
    row = connection.execute(select(FLEET.c.sequence, FLEET.c.body).where(FLEET.c.shard == shard)).one_or_none()
    if row is None:
        return FleetState()
    try:
        _numbered(row.sequence, newest, "the fleet's snapshot")
        return _decoded(codec.load_fleet, row.body, "the fleet's snapshot")
    except codec.CodecError as exc:
        faults.setdefault(None, str(exc))
        return FleetState()


def _tail(connection: Connection, shard: str, faults: dict[HostName | None, str]) -> Iterator[Entry]:
    """Yield the readable records. Stop at a host's first unreadable one; the fleet's do not depend on each other."""
    for row in connection.execute(_statement(connection, statements.TAIL), {"shard": shard}):
        host = HostName(row.host) if isinstance(row.host, str) else None
        if host is not None and host in faults:
            continue
        try:
            yield entry_of(row)
        except codec.CodecError as exc:
            faults.setdefault(host, str(exc))


def _numbered(sequence: object, newest: int, what: str) -> None:
    """A number beyond all records would hide the records after the snapshot."""
    if not isinstance(sequence, int) or not 0 <= sequence <= newest:
        raise codec.CodecError(f"{what} cannot be read: no record has its sequence number")


def _messages(rows: Iterable[Any], left_out: LeftOut) -> list[OutboxMessage]:
    read: list[OutboxMessage] = []
    for row in rows:
        try:
            read.append(_message(row))
        except codec.CodecError as exc:
            left_out(row.sequence, str(exc))
    return read


def _message(row: Any) -> OutboxMessage:
    what = f"message {row.sequence} of the outbox"
    if not isinstance(row.payload, bytes):
        raise codec.CodecError(f"{what} cannot be read: its payload is not bytes")
    return OutboxMessage(
        id=_text(row.id, what),
        host=None if row.host is None else HostName(_text(row.host, what)),
        topic=_text(row.topic, what),
        payload=row.payload,
        is_retained=row.is_retained,
        operation=None if row.operation is None else OperationId(_text(row.operation, what)),
        sequence=row.sequence,
    )


def _text(value: object, what: str) -> str:
    """SQLite stores any type in any column."""
    if not isinstance(value, str):
        raise codec.CodecError(f"{what} cannot be read: {type(value).__name__} instead of text")
    return value


def _moment(value: object, what: str) -> float:
    """Return a moment in seconds on the steady clock."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise codec.CodecError(f"{what} cannot be read: its time is not a finite number")
    return value


def _decoded(decode: Callable[[str], T], body: str, what: str) -> T:
    with _named(what):
        return decode(body)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except codec.CodecError as exc:
        raise codec.CodecError(f"{what} cannot be read: {exc}") from exc


def _bounded(limit: int) -> int:
    assert limit > 0, "a limit is at least 1"
    return min(limit, ROWS_MAX)


def _statement(connection: Connection, of: Mapping[str, TextClause]) -> TextClause:
    return of[connection.dialect.name]


_NEWEST_RECORD: Final = text("SELECT sequence FROM records WHERE shard = :shard ORDER BY sequence DESC LIMIT 1")

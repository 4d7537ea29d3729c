"""Reads the records after a position, and checks that the store still holds what was read before it (S22).

A store that was put back lacks records, or has other ones under their numbers. The record at the position shows both:
its epoch and the digest of its content must be the same. Only deletion by age may leave numbers out, and `lease.pruned`
bounds it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from fenced.core.durable.records import Entry, StoreDoubted, StoreReleased
from fenced.journal import codec, reading
from fenced.journal.schema import LEASE, RECORDS
from fenced.model.names import HostName
from fenced.ports.journal import Followed, StoreWentBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A record that was read or written: its number, its epoch, and the digest of its content. 0: before the first."""

    sequence: int = 0
    epoch: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a controller knows the shard. `epoch`: the newest in force that it saw."""

    mark: Mark
    epoch: int = 0


def digest(at: object, host: object, body: object) -> str:
    """Return the digest of a record's content; the number and the epoch are compared as they are."""
    at = float(at) if isinstance(at, int) else at  # as the databases return it
    return hashlib.sha256(repr((at, host, body)).encode("utf-8", "surrogatepass")).hexdigest()


def position(connection: Connection, *, shard: str, sequence: int) -> Position:
    """Return the position at a record that was just read in the same transaction."""
    lease = _lease(connection, shard)
    row = connection.execute(_AT_OR_AFTER, {"of": shard, "first": sequence, "most": 1}).one_or_none()
    return Position(mark=Mark() if row is None or not sequence else _mark(row), epoch=lease.epoch)


def follow(connection: Connection, *, shard: str, since: Position, limit: int) -> tuple[Followed, Position]:
    """Return at most `limit` records after a position, and the new position. Raises StoreWentBack."""
    most = min(limit, reading.ROWS_MAX)
    first = since.mark.sequence
    # One statement reads the record at the position and those after it, so that both are of one moment.
    rows = connection.execute(_AT_OR_AFTER, {"of": shard, "first": first, "most": most + 1}).all()
    lease = _lease(connection, shard)
    if why := _missing(rows, lease, since):
        raise StoreWentBack(why)
    new = [row for row in rows if row.sequence > first][:most]
    _check_numbers(new, first, lease)
    faults: dict[HostName | None, str] = {}
    entries = tuple(_entries(new, faults))
    mark = _mark(new[-1]) if new else since.mark
    followed = Followed(
        entries=entries,
        sequence=mark.sequence,
        behind=max(lease.sequence - mark.sequence, 1) if len(rows) > most else 0,
        faults=faults,
    )
    return followed, Position(mark=mark, epoch=lease.epoch)


def missing(connection: Connection, *, shard: str, since: Position) -> str:
    """Return what the store lacks although a controller saw it; "" if nothing."""
    rows = connection.execute(_AT_OR_AFTER, {"of": shard, "first": since.mark.sequence, "most": 1}).all()
    return _missing(rows, _lease(connection, shard), since)


def is_doubted(connection: Connection, *, shard: str, above: int) -> bool:
    """Return whether a controller of a higher epoch journalled that the store is in doubt, or a person's release.

    It noticed the same, and took an epoch above all that it knew: then the journal holds the doubt.
    """
    bodies = connection.execute(_DOUBTS, {"of": shard, "above": above}).scalars()
    return any(isinstance(codec.load_record(body), StoreDoubted | StoreReleased) for body in bodies)


def _missing(rows: Sequence[Any], lease: "_Lease", since: Position) -> str:
    """`rows`: those at the position and after it, as far as they were read."""
    mark = since.mark
    if lease.epoch < since.epoch:
        return f"the store has epoch {lease.epoch}, and this controller saw epoch {since.epoch}"
    if not mark.sequence:
        return ""
    if not rows:
        return f"the store lacks record {mark.sequence}, which this controller saw; its newest is {lease.sequence}"
    if rows[0].sequence == mark.sequence:
        if _mark(rows[0]) == mark:
            return ""
        return (
            f"record {mark.sequence} is another one than this controller saw (epoch {rows[0].epoch}, it saw epoch "
            f"{mark.epoch})"
        )
    if mark.sequence <= lease.pruned:
        return ""
    return f"the store lacks record {mark.sequence}, which this controller saw, and has newer ones"


def _check_numbers(rows: Sequence[Any], after: int, lease: "_Lease") -> None:
    """Raises StoreWentBack if a number is missing: without that record the others can't be followed."""
    for number, row in enumerate(rows, after + 1):
        if row.sequence != number:
            last = row.sequence - 1
            why = "" if last > lease.pruned else "; they were deleted because of their age before they were read"
            raise StoreWentBack(f"the store lacks the records from {number} to {last}{why}")


def _entries(rows: Sequence[Any], faults: dict[HostName | None, str]) -> "list[Entry]":
    """Return the readable records. Stop at a host's first unreadable one; the fleet's do not depend on each other."""
    read = []
    for row in rows:
        host = HostName(row.host) if isinstance(row.host, str) else None
        if host is not None and host in faults:
            continue
        try:
            read.append(reading.entry_of(row))
        except codec.CodecError as exc:
            faults.setdefault(host, str(exc))
    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    epoch: int = 0
    sequence: int = 0
    pruned: int = 0


def _lease(connection: Connection, shard: str) -> _Lease:
    row = connection.execute(_LEASE, {"of": shard}).one_or_none()
    if row is None:
        return _Lease()
    if not all(isinstance(number, int) for number in row):  # SQLite stores any type in any column
        raise codec.CodecError("the lease cannot be read: its numbers are not whole numbers")
    return _Lease(**row._mapping)


def _mark(row: Any) -> Mark:
    return Mark(sequence=row.sequence, epoch=row.epoch, digest=digest(row.at, row.host, row.body))


_DOUBTS: Final = (
    select(RECORDS.c.body)
    .where(RECORDS.c.shard == bindparam("of"), RECORDS.c.host.is_(None), RECORDS.c.epoch > bindparam("above"))
    .where(RECORDS.c.body.like('%"kind":"store\\_%', escape="\\"))
    .order_by(RECORDS.c.sequence.desc())
    .limit(100)
)
"""Records of the fleet are few, and it is read only for a store that went back."""
_LEASE: Final = select(LEASE.c.epoch, LEASE.c.sequence, LEASE.c.pruned).where(LEASE.c.shard == bindparam("of"))
_AT_OR_AFTER: Final = (
    select(RECORDS.c.sequence, RECORDS.c.epoch, RECORDS.c.at, RECORDS.c.host, RECORDS.c.body)
    .where(RECORDS.c.shard == bindparam("of"), RECORDS.c.sequence >= bindparam("first"))
    .order_by(RECORDS.c.sequence)
    .limit(bindparam("most"))
)

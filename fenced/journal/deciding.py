"""Reads decision records: the newest of a host before a moment, through an index of their own.

A column of `records` has the moment of a decision, and nothing for other records, so that a year of them costs no
reader anything.
"""

import contextlib
import math
from typing import Any, Final

from sqlalchemy import Connection, Select, or_, select

from fenced.core.durable.records import Decided, Entry, Record
from fenced.journal import codec
from fenced.journal.reading import ROWS_MAX, entry_of
from fenced.journal.schema import RECORDS
from fenced.model.names import HostName
from fenced.ports.decisions import DecisionPage, RecordedDecision

LATEST: Final = 1e15
"""Later than every record."""


def decided_at(entry: Entry) -> float | None:
    """Return what the column `decided` has for a record."""
    return entry.at if _is_decision(entry.record) else None


def _is_decision(record: Record) -> bool:
    return isinstance(record, Decided)


def decisions(
    connection: Connection, *, shard: str, host: HostName, before: float | None, limit: int,
    after: tuple[float, int] | None,
) -> DecisionPage:  # fmt: skip
    """Return the newest first. `after`: moment and number of the last one of the page before.

    An unreadable record is left out, as in `reading.entries`.
    """
    limit = min(limit, ROWS_MAX)
    found = statement(shard=shard, host=host, before=before, limit=limit + 1, after=after)
    rows = connection.execute(found).all()
    items = []
    for row in rows[:limit]:
        with contextlib.suppress(codec.CodecError):
            entry = entry_of(row)
            if isinstance(entry.record, Decided):
                items.append(RecordedDecision(at=entry.at, host=host, record=entry.record))
    last = rows[limit - 1] if len(rows) > limit else None
    return DecisionPage(items=tuple(items), next=None if last is None else cursor(last.decided, last.sequence))


def statement(
    *, shard: str, host: HostName, before: float | None, limit: int, after: tuple[float, int] | None
) -> Select[Any]:  # fmt: skip
    """Return the query: its order and every condition are those of the index."""
    decided, sequence = RECORDS.c.decided, RECORDS.c.sequence
    found = select(sequence, RECORDS.c.at, RECORDS.c.host, RECORDS.c.body, decided).where(
        RECORDS.c.shard == shard, RECORDS.c.host == host, decided.is_not(None),
        decided < (LATEST if before is None else before),
    )  # fmt: skip
    if after is not None:
        at, number = after
        found = found.where(decided <= at, or_(decided < at, sequence < number))
    return found.order_by(decided.desc(), sequence.desc()).limit(limit)


def cursor(at: float, number: int) -> str:
    return f"{at!r}_{number}"


def place_of(after: str | None) -> tuple[float, int] | None:
    """Return the place in a cursor of `decisions`. Raises ValueError for an invalid one."""
    if after is None:
        return None
    at, separator, number = after.partition("_")
    is_number = number.isascii() and number.isdecimal() and len(number) <= 18  # fits in 64 bits
    with contextlib.suppress(ValueError):
        moment = float(at)
        if separator and is_number and math.isfinite(moment):
            return moment, int(number)
    raise ValueError(f"{after[:40]!r} is not a cursor of this list; use `next` of the page before")

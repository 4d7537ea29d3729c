"""Reads from the journal what people and programs asked for, newest first, page by page, of one shard or of several."""

import heapq
from collections.abc import Mapping
from typing import Final

from fenced.core.durable.asked import asked
from fenced.model.positions import Position
from fenced.ports.control import Audit, BadCursor, Control
from fenced.ports.journal import Journal

SCANNED: Final = 1000
"""Records in one read."""
DIGITS_MAX: Final = 18
SCANNED_MAX: Final = 20_000
"""Records for one page: a fleet at which nobody does anything has many more between two requests."""


async def page_of(journal: Journal, *, shard: str, limit: int, after: str | None) -> Audit:
    """Return a page of one shard. `next`: the number of the last record that was read. Raises BadCursor, StoreError."""
    before = _number(after, shard)
    found = []
    for _ in range(SCANNED_MAX // SCANNED):
        read = await journal.entries(host=None, limit=SCANNED, before=before)
        for number, entry in read:
            before = number
            if asked(entry.record) is not None:
                found.append((number, entry))
            if len(found) == limit:
                return Audit(entries=tuple(found), next=str(number))
        if len(read) < SCANNED:
            return Audit(entries=tuple(found), next=None)
    return Audit(entries=tuple(found), next=str(before))


def _number(after: str | None, shard: str) -> int | None:
    """Return the number in a cursor of one shard or of several; None: it begins there. Raises BadCursor."""
    if after is None:
        return None
    if after.isascii() and after.isdigit() and len(after) <= DIGITS_MAX:
        return int(after)
    try:
        return Position.parse(after).numbers.get(shard)
    except ValueError as exc:
        raise BadCursor from exc


async def page_of_all(shards: Mapping[str, Control], *, limit: int, after: str | None) -> Audit:
    """Return a page of all shards by time. Raises BadCursor, Unavailable."""
    try:
        begin = Position() if after is None else Position.parse(after)
    except ValueError as exc:
        raise BadCursor from exc
    parts = {}
    for shard, control in shards.items():
        number = begin.numbers.get(shard)
        parts[shard] = await control.audit(limit=limit, after=None if number is None else str(number))
    merged = heapq.merge(
        *([(shard, one) for one in part.entries] for shard, part in parts.items()), key=lambda it: -it[1][1].at
    )
    taken = [one for one, _ in zip(merged, range(limit), strict=False)]
    end, is_more = begin, False
    for shard, part in parts.items():
        mine = [number for name, (number, _) in taken if name == shard]
        if len(mine) == len(part.entries) and part.next is not None:
            end = end.moved(Position(numbers={shard: int(part.next)}))
        elif mine:
            end = end.moved(Position(numbers={shard: mine[-1]}))
        is_more = is_more or len(mine) < len(part.entries) or part.next is not None
    return Audit(entries=tuple(one for _, one in taken), next=str(end) if is_more else None)

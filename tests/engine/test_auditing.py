"""Pages of what was asked for, of one shard and of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.records import Entry
from fenced.engine import auditing
from fenced.engine.auditing import SCANNED, SCANNED_MAX, page_of, page_of_all
from fenced.model.names import HostName
from fenced.ports.control import Audit, BadCursor


@dataclass
class Stored:
    """A journal, or the control over it: its numbered records, the oldest first."""

    records: Sequence[tuple[int, Entry]]

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        assert host is None
        return [one for one in reversed(self.records) if before is None or one[0] < before][:limit]

    async def audit(self, *, limit: int, after: str | None) -> Audit:
        return await page_of(self, shard="main", limit=limit, after=after)  # type: ignore[arg-type]  # nothing else is used


def stored(moments: Mapping[int, float], *, others: int = 0) -> Stored:
    """Return requests at these moments, by number, with `others` records of the daemon after each."""
    records = []
    for number, at in moments.items():
        base = number * (others + 1)
        records.append((base, Entry(at=at, host=None, record=r.Armed(by="alice", reason=str(number)))))
        records += [(base + 1 + n, Entry(at=at, host=None, record=r.PauseEnded(id="p", by=""))) for n in range(others)]
    return Stored(records)


async def walk(source: Stored, *, limit: int) -> list[str]:
    """Return the reasons of all pages."""
    seen, after = [], None
    while True:
        page = await source.audit(limit=limit, after=after)
        assert len(page.entries) <= limit
        seen += [entry.record.reason for _, entry in page.entries if isinstance(entry.record, r.Armed)]
        if page.next is None:
            return seen
        assert page.next != after
        after = page.next


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("others", [0, 1, 7])
async def test_a_walk_has_each_request_once_newest_first(limit: int, others: int) -> None:
    source = stored({number: float(number) for number in range(7)}, others=others)
    assert await walk(source, limit=limit) == ["6", "5", "4", "3", "2", "1", "0"]


async def test_a_request_behind_many_records_is_found_on_a_later_page() -> None:
    source = stored({0: 0.0, 1: 1.0}, others=SCANNED_MAX + SCANNED)
    first = await source.audit(limit=10, after=None)
    assert (first.entries, first.next is None) == ((), False)
    assert await walk(source, limit=10) == ["1", "0"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
async def test_several_shards_are_one_list_by_time(limit: int) -> None:
    shards = {
        "dc1": stored({number: 10.0 * number for number in range(5)}, others=2),
        "dc2": stored({100 + number: 10.0 * number + 5 for number in range(3)}),
        "dc3": stored({}),
    }

    class All(Stored):
        async def audit(self, *, limit: int, after: str | None) -> Audit:
            return await page_of_all(shards, limit=limit, after=after)  # type: ignore[arg-type]

    assert await walk(All([]), limit=limit) == ["4", "3", "102", "2", "101", "1", "100", "0"]


@pytest.mark.parametrize("after", ["x", "-1", "1" * 40, "a=", ""])
async def test_what_is_no_cursor_is_refused(after: str) -> None:
    with pytest.raises(BadCursor):
        await stored({1: 1.0}).audit(limit=1, after=after)


async def test_a_position_of_several_shards_is_one_of_each() -> None:
    source = stored({1: 1.0, 2: 2.0})
    assert [number for number, _ in (await source.audit(limit=5, after="dc1=9,main=2")).entries] == [1]
    assert [number for number, _ in (await source.audit(limit=5, after="dc1=9")).entries] == [2, 1]


async def test_what_is_no_cursor_of_several_shards_is_refused() -> None:
    with pytest.raises(BadCursor):
        await page_of_all({"dc1": stored({1: 1.0})}, limit=1, after="x=y")  # type: ignore[dict-item]
    assert auditing.SCANNED_MAX % auditing.SCANNED == 0

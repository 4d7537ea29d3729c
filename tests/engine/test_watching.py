"""Event streams: the store is read once for all watchers, none misses an event, a failed read is reported."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from fenced.engine import watching
from fenced.engine.watching import Events
from fenced.ports.journal import Batch, OutboxMessage, StoreError
from tests.fakes.journal import MemoryJournal
from tests.journal.strategies import entry, message
from tests.world.loop import run


class Counting(MemoryJournal):
    """Counts how often events are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        self.reads += 1
        await asyncio.sleep(0.01)
        return await super().events(after=after, limit=limit)


class Hall:
    """Events over a journal, and their watchers."""

    def __init__(self) -> None:
        self.journal = Counting()
        self.events = Events(self.journal)
        self.count = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def happen(self, number: int = 1) -> None:
        self.count += number
        last = range(self.count - number + 1, self.count + 1)
        await self.journal.append(Batch(entries=[entry()], outbox=[message(it) for it in last]))
        self.events.told()

    def watch(self, *, after: int | None = None) -> list[int]:
        """Start a watcher. Return the list of what it sees."""
        seen: list[int] = []

        async def watching() -> None:
            position = after if after is not None else await self.events.newest()
            while True:
                for event in await self.events.after(position):
                    assert event.sequence is not None
                    position = event.sequence
                    seen.append(position)

        self.tasks.append(asyncio.get_running_loop().create_task(watching()))
        return seen


def play(story: Callable[[Hall], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        hall = Hall()
        await hall.journal.opened(holder="fenced-a", now=1.0)
        await story(hall)
        for task in hall.tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*hall.tasks, return_exceptions=True)

    run(main())


def test_a_hundred_watchers_cost_the_store_what_one_does() -> None:
    async def story(hall: Hall) -> None:
        await hall.happen(5)
        watchers = [hall.watch() for _ in range(100)]
        await asyncio.sleep(1.0)
        before = hall.journal.reads
        for _ in range(20):
            await hall.happen(3)
            await asyncio.sleep(0.1)
        assert hall.journal.reads - before == 20
        assert all(seen == list(range(6, 66)) for seen in watchers)

    play(story)


def test_a_watcher_that_returns_gets_the_missed_events_first() -> None:
    async def story(hall: Hall) -> None:
        await hall.happen(3 * watching.SLICE)
        now, old = hall.watch(), hall.watch(after=10)
        await asyncio.sleep(1.0)
        await hall.happen(2)
        await asyncio.sleep(1.0)
        total = 3 * watching.SLICE + 2
        assert old == list(range(11, total + 1)) and now == [total - 1, total]

    play(story)


def test_no_watcher_misses_an_event_where_more_come_than_are_kept() -> None:
    async def story(hall: Hall) -> None:
        seen = hall.watch()
        await asyncio.sleep(1.0)
        for number in (1, watching.SLICE - 1, watching.SLICE, 2 * watching.KEPT_MAX, 7):
            await hall.happen(number)
        await asyncio.sleep(1.0)
        for _ in range(30):
            await hall.happen(watching.SLICE // 2)
            await asyncio.sleep(0.1)
        late = hall.watch(after=1)
        await asyncio.sleep(5.0)
        assert seen == list(range(1, hall.count + 1))
        assert late == seen[1:]

    play(story)


def test_a_watcher_that_asks_for_pruned_events_does_not_keep_reading() -> None:
    async def story(hall: Hall) -> None:
        await hall.happen(50)
        hall.watch()
        await asyncio.sleep(1.0)
        await hall.journal.delivered(await hall.journal.outbox(limit=100, each=100))
        await hall.journal.prune(before=1e12, events_before=1e12, limit=1000)
        late = hall.watch(after=10)
        await asyncio.sleep(1.0)
        before = hall.journal.reads
        await asyncio.sleep(100.0)
        assert hall.journal.reads - before < 50
        await hall.happen()
        await asyncio.sleep(1.0)
        assert late == [51]

    play(story)


def test_a_store_that_can_not_be_read_raises_for_each_watcher() -> None:
    async def story(hall: Hall) -> None:
        await hall.journal.close()
        for _ in range(2):
            with pytest.raises(StoreError):
                await hall.events.newest()

    play(story)

"""Keeps the newest events for all watchers: reads each from the store once, however many watch.

Knows the journal, not the watchers. No watcher misses an event: one that is further behind than this buffer reads the
store itself until it has caught up.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from fenced.ports.journal import Journal, OutboxMessage

SLICE: Final = 100
KEPT_MAX: Final = 1000
LOOK_SECONDS: Final = 15.0


class Events:
    """`told`: call it after each durable batch with events. Each watcher fetches what is `after` its position."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._newest: deque[OutboxMessage] = deque()
        self._floor = self._last = 0
        self._is_begun = False
        self._told = 0
        self._read_at = -1
        self._reading = asyncio.Lock()
        self._changed = asyncio.Event()

    def told(self) -> None:
        """Note that there are unread events."""
        self._told += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def newest(self) -> int:
        """Return the position at which a new watcher begins. Raises StoreError."""
        await self._catch_up()
        return self._last

    async def after(self, position: int) -> Sequence[OutboxMessage]:
        """Return some of the next events. Waits until there is one or a re-read is due (then none). Raises
        StoreError."""
        changed = self._changed
        await self._catch_up()
        if position < self._floor and (older := await self._journal.events(after=position, limit=SLICE)):
            return older
        position = max(position, self._floor)
        if position < self._last:
            return [message for message in self._newest if _number(message) > position][:SLICE]
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await changed.wait()
        except TimeoutError:
            self._read_at = -1  # read the store now and then even without a nudge
        return []

    async def _catch_up(self) -> None:
        """Read the events since the last time: one caller reads, the others wait for it."""
        async with self._reading:
            if self._read_at == self._told:
                return
            told = self._told
            found = await self._journal.events(after=self._last, limit=SLICE) if self._is_begun else ()
            self._keep(found)
            if not self._is_begun or len(found) >= SLICE:  # too far behind, or the first call: skip to the newest event
                self._floor = self._last = await self._journal.newest_event()
                self._newest.clear()
            self._is_begun, self._read_at = True, told

    def _keep(self, found: Sequence[OutboxMessage]) -> None:
        for message in found:
            self._newest.append(message)
            self._last = _number(message)
        while len(self._newest) > KEPT_MAX:
            self._floor = _number(self._newest.popleft())


def _number(message: OutboxMessage) -> int:
    assert message.sequence is not None, "it was read from the journal"
    return message.sequence

"""The daemons' store, shared by several controllers like a database with a lease row, on a disk that can fail.

Does not know the contents. Every write carries the epoch of its writer, and a write with an older epoch fails.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from fenced.ports.clock import Clock
from fenced.ports.journal import Batch, ClockAnchor, Followed, Loaded, StoreError, Taken
from tests.fakes.journal import Durable, MemoryJournal
from tests.world.loop import virtual


@dataclass(slots=True)
class Disk:
    """The disk under the journals of all daemons. `lease_ends`: by the store's clock, not by its holder's.

    `slow_seconds`: duration of each write; `is_failing`: every write fails; `refused_share`: this share of them, 0 to
    1, fails; `is_hanging`: no write ends until this is reset; `refuse`: asked before each batch whether that one fails.
    """

    clock: Clock
    durable: Durable = field(default_factory=Durable)
    lease_ends: float = 0.0
    slow_seconds: float = 0.0
    is_failing: bool = False
    refused_share: float = 0.0
    is_hanging: bool = False
    refuse: Callable[[], bool] = lambda: False
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_well(self) -> bool:
        return not (self.is_failing or self.is_hanging or self.slow_seconds or self.refused_share)

    def refuses(self) -> bool:
        """Whether it refuses the next write."""
        return self.is_failing or (self.refused_share > 0.0 and self._dice.random() < self.refused_share)

    def hang(self, is_hanging: bool) -> None:
        self.is_hanging = is_hanging
        self.changed()

    def changed(self) -> None:
        """Wake those that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        await self._changed.wait()


class WorldJournal(MemoryJournal):
    """One daemon's connection to the disk. `is_cut`: it does not reach it; `is_dead`: the daemon was killed.

    `on_append` is called before a batch is stored, `on_stored` when the daemon learns of it."""

    def __init__(self, disk: Disk, owner: str, *, is_checked: bool) -> None:
        super().__init__(disk.durable, is_checked=is_checked)
        self.disk, self._owner = disk, owner
        self.is_cut = self.is_dead = False
        self.on_append: Callable[[Batch], None] = lambda batch: None
        self.on_stored: Callable[[], None] = lambda: None

    async def open(self, *, holder: str, now: float) -> Loaded:
        await self._reached()
        return await super().open(holder=holder, now=now)

    async def follow(self, *, after: int, limit: int) -> Followed:
        await self._reached()
        return await super().follow(after=after, limit=limit)

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        """A daemon takes over its own lease at once, another's when that has ended by the store's clock."""
        await self._reached()
        if self.disk.is_failing:
            raise StoreError("disk: no space left")
        taken = await super().take(after=after, now=now, patience_seconds=patience_seconds, at_least=at_least)
        if taken is not None:
            self.disk.lease_ends = self.disk.clock.now()
        return taken

    def _may_take(self, patience_seconds: float) -> bool:
        durable = self.durable
        if durable.owner is None:
            return super()._may_take(patience_seconds)
        return durable.holder == self.name or self.disk.clock.now() >= self.disk.lease_ends + patience_seconds

    async def append(self, batch: Batch) -> int:
        self.on_append(batch)
        if self.disk.refuse():
            raise StoreError("disk: no space left")
        sequence = await super().append(batch)
        self.on_stored()
        return sequence

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        until = await super().renew_lease(now=now, ttl_seconds=ttl_seconds, anchor=anchor)
        self.disk.lease_ends = self.disk.clock.now() + ttl_seconds
        return until

    async def _writing(self) -> None:
        if self.is_cut or self.disk.is_hanging:
            await self._reached()
        if self.disk.slow_seconds:
            await asyncio.sleep(self.disk.slow_seconds)
        if self.disk.refuses():
            raise StoreError("disk: no space left")
        await super()._writing()
        if virtual().is_held(self._owner):
            await asyncio.sleep(0)  # does not come back before the hold ends
        if self.is_dead:
            raise asyncio.CancelledError

    async def _reached(self) -> None:
        while self.is_cut or self.disk.is_hanging:
            await self.disk.change()

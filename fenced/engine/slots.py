"""Bounds calls, and serves urgent work first (S15): OFF and its verification, then ON, then probes, then status.

Failing devices hold at most half of the slots, one each, so that they delay no other device.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`total` slots, given by priority (lower first), then in order of request."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._failing_free = max(1, total // 2)
        self._failing_held: set[str] = set()
        self._waiting: list[tuple[int, int, asyncio.Future[None], str | None]] = []
        self._numbers = itertools.count()

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    @property
    def load(self) -> float:
        """Return the held and requested slots as a share of the total: above 1, requests wait."""
        return (self._total - self._free + len(self._waiting)) / self._total

    @property
    def held(self) -> int:
        return self._total - self._free

    def resize(self, total: int) -> None:
        """Change the bound; slots held above it are not revoked."""
        if total == self._total:
            return
        self._free += total - self._total
        self._failing_free += max(1, total // 2) - max(1, self._total // 2)
        self._total = total
        self._serve()

    async def acquire(self, priority: int, *, failing: str | None = None) -> None:
        """Take a slot; `failing` names a device that fails now. When cancelled, no slot is held."""
        if not self._waiting and self._may_have(failing):
            self._take(failing)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), future, failing))
        self._serve()  # the waiting requests may all be for failing devices; those must not delay a healthy one
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(failing)
            raise

    def release(self, failing: str | None = None) -> None:
        """Give a slot back, with the `failing` that it was acquired with."""
        self._free += 1
        if failing is not None:
            self._failing_free += 1
            self._failing_held.discard(failing)
        self._serve()

    @asynccontextmanager
    async def hold(self, priority: int, *, failing: str | None = None) -> AsyncIterator[None]:
        """Hold a slot for the block."""
        await self.acquire(priority, failing=failing)
        try:
            yield
        finally:
            self.release(failing)

    def _may_have(self, failing: str | None) -> bool:
        if self._free <= 0:
            return False
        return failing is None or (self._failing_free > 0 and failing not in self._failing_held)

    def _take(self, failing: str | None) -> None:
        self._free -= 1
        if failing is not None:
            self._failing_free -= 1
            self._failing_held.add(failing)

    def _serve(self) -> None:
        passed: list[tuple[int, int, asyncio.Future[None], str | None]] = []
        while self._waiting and self._free > 0:
            entry = heapq.heappop(self._waiting)
            _, _, future, failing = entry
            if future.done():
                continue
            if not self._may_have(failing):
                passed.append(entry)
                continue
            self._take(failing)
            future.set_result(None)
        for entry in passed:
            heapq.heappush(self._waiting, entry)

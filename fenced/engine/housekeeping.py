"""Prunes old rows from the store and checkpoints its write-ahead log.

Knows how long rows are kept, not what they mean. It must not delay writes: slices are small, a pause follows each, and
failures are logged and retried later.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, StoreError

log = structlog.get_logger(__name__)

FIRST_PRUNE_SECONDS: Final = 60.0
"""After a start, so that a daemon that restarts every half hour prunes too."""
PRUNE_SECONDS: Final = 3600.0
PRUNE_ROWS: Final = 500
"""Takes the one writing connection for some milliseconds."""
PRUNE_PAUSE_SECONDS: Final = 0.2
DELIVERED_KEPT_SECONDS: Final = 86400.0
"""Delivered events are kept this long for readers of `GET events` that were away."""
CHECKPOINT_SECONDS: Final = 5.0


class Housekeeping:
    """`keep_seconds`: how long records and operations are kept; a reload may change it."""

    def __init__(self, *, journal: Journal, clock: Clock, keep_seconds: Callable[[], float]) -> None:
        self._journal, self._clock, self._keep_seconds = journal, clock, keep_seconds

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prune_for_ever(), name="prune")
            group.create_task(self._checkpoint_for_ever(), name="checkpoint")

    async def _prune_for_ever(self) -> None:
        await asyncio.sleep(FIRST_PRUNE_SECONDS)
        while True:
            try:
                await self._prune()
            except StoreError as exc:
                log.error("prune_failed", error=str(exc))
            await asyncio.sleep(PRUNE_SECONDS)

    async def _prune(self) -> None:
        now, keep = self._clock.now(), self._keep_seconds()
        before, events_before = now - keep, now - min(keep, DELIVERED_KEPT_SECONDS)
        while await self._journal.prune(before=before, events_before=events_before, limit=PRUNE_ROWS) >= PRUNE_ROWS:  # noqa: ASYNC110 - slices
            await asyncio.sleep(PRUNE_PAUSE_SECONDS)

    async def _checkpoint_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            try:
                await self._journal.checkpoint()
            except StoreError as exc:
                log.warning("checkpoint_failed", error=str(exc))

"""One look at the database for all shards of a process, over a connection of its own (`glances`).

Whoever asks within a moment of the first gets the answer of the same statement. If that fails or is slow, each of them
looks by itself; after two failures nobody is answered here for some seconds, because what is wrong with this connection
is not wrong with theirs.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from fenced.journal import glances
from fenced.journal.glances import Glance
from fenced.journal.postgres.connections import engine
from fenced.journal.postgres.errors import FAILURES
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import boottime

GATHER_SECONDS: Final = 0.01
"""How long the first waits for others: those that wake together ask within that."""
ANSWER_SECONDS_MAX: Final = 0.4
"""How long an answer may take: together with a look alone, a standby still looks about twice a second."""
SLACK_SECONDS: Final = 0.1
"""How much longer those who asked wait for the end of the look."""
LATE_SECONDS: Final = 0.25
"""If a wait ends so late, this process was busy, and the connection may be in order."""
FAILURES_MAX: Final = 2
"""In a row. One alone may be a busy moment of this process."""
REST_SECONDS: Final = 5.0
"""How long everyone looks by itself after that."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One statement: for which shards, and the task that runs it. `has_timeline`: whether all of them may see it."""

    task: asyncio.Task[Mapping[str, Glance]]
    has_timeline: bool
    shards: set[str] = field(default_factory=set)
    has_failed: bool = False


class SharedLooks:
    """Implements `Glances`. Connects at the first question."""

    def __init__(self, settings: PostgresSettings, *, clock: Callable[[], float] = boottime) -> None:
        self._settings, self._clock = settings, clock
        self._engine: AsyncEngine | None = None
        self._asked: _Asked | None = None
        """What is not sent yet."""
        self._tasks: set[asyncio.Task[Mapping[str, Glance]]] = set()
        self._rests_until = float("-inf")
        self._failures = 0
        """In a row."""
        self._is_closed = False

    async def of(self, shard: str, *, has_timeline: bool) -> Glance | None:
        if self._is_closed or self._clock() < self._rests_until:
            return None
        asked = self._asked
        if asked is None:
            task = asyncio.create_task(self._look(), name="shared look")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            asked = self._asked = _Asked(task=task, has_timeline=has_timeline)
        asked.shards.add(shard)
        asked.has_timeline = asked.has_timeline and has_timeline
        # Not awaited itself: one that is cancelled leaves the others their answer, and none waits longer than this.
        wait, clock = GATHER_SECONDS + ANSWER_SECONDS_MAX + SLACK_SECONDS, asyncio.get_running_loop().time
        latest = clock() + wait + LATE_SECONDS
        await asyncio.wait({asked.task}, timeout=wait)
        if not asked.task.done():
            if clock() < latest:
                self._failed(asked, "no answer")
            return None
        if asked.task.cancelled():
            return None
        if (fault := asked.task.exception()) is not None:
            self._failed(asked, f"{type(fault).__name__}: {fault}")
            return None
        return asked.task.result().get(shard)

    async def close(self) -> None:
        """End the connection."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._engine is not None:
            with contextlib.suppress(Exception):  # a lost connection can't be closed properly
                await self._engine.dispose()

    async def _look(self) -> Mapping[str, Glance]:
        """Return the glances by shard; empty after a failure."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(GATHER_SECONDS)
        asked, self._asked = self._asked, None
        assert asked is not None, "asked by this task's maker"
        latest = clock() + ANSWER_SECONDS_MAX + LATE_SECONDS
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                found = await self._ask(asked)
        except FAILURES as exc:  # includes TimeoutError
            if clock() < latest:
                self._failed(asked, str(exc) or type(exc).__name__)
            return {}
        if self._failures >= FAILURES_MAX:
            log.info("shared_look_answers")
        self._failures = 0
        return found

    async def _ask(self, asked: _Asked) -> Mapping[str, Glance]:
        if self._engine is None:
            self._engine = engine(self._settings, size=1, wait_seconds=ANSWER_SECONDS_MAX)
        has_timeline = asked.has_timeline
        async with self._engine.connect() as connection:
            try:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                began = self._clock()
                found = await driver.fetch(glances.STATEMENTS[has_timeline], sorted(asked.shards))
            except BaseException:
                await connection.invalidate()
                raise
            came = self._clock()
            return {
                row["shard"]: glances.glance_of(row, has_timeline=has_timeline, asked=began, came=came) for row in found
            }

    def _failed(self, asked: _Asked, why: str) -> None:
        """Count a failure once, whoever notes it; after some in a row let everyone look by itself for a while."""
        if asked.has_failed:
            return
        asked.has_failed = True
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._rests_until = self._clock() + REST_SECONDS
        if self._failures == FAILURES_MAX:
            log.warning("shared_look_failed", error=why, advice="each shard looks by itself meanwhile")

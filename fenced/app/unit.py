"""One shard in a process of several: its journal, its lease and its engine, one life after the other.

A life ends when the shard is handed over, the lease is lost, or the store went back. The next one reads the store
anew, and is a standby first. The other shards, the bus and the API go on meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from fenced.app.clocks import Clocks
from fenced.app.life import Life, Setting, begin
from fenced.app.store import Opened, clocks_of, opened
from fenced.config.configuration import Configuration
from fenced.engine.beside import Beside
from fenced.engine.engine import Engine
from fenced.engine.giving_over import HandedOver, Shown, shown_before
from fenced.engine.living_control import LivingControl
from fenced.engine.retired import Retired
from fenced.journal.glances import Glances
from fenced.model.groups import leaf
from fenced.model.names import HostName
from fenced.ports.bus import Bus, StateSeen
from fenced.ports.journal import EpochLost, Loaded, StoreError, StoreWentBack
from fenced.telemetry.metrics import Metrics

log = structlog.get_logger("fenced")

AHEAD_SECONDS_MAX: Final = 1.0
"""How far the time of a shard may be ahead of this process' clock, on which all its shards count."""
WAKE_SECONDS: Final = 0.001
"""The loop's timers may fire a little early."""


class ClocksApart(StoreError):
    """The records of a shard are of a later time than this process' clock; a new start begins above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all shards of a process share. `configuration`: returns the one in force. `moved`: how far the clock was
    ahead of each shard's own time at the start, in seconds. `ended`: called at the end of each life of a shard's
    engine. `glances`: looks at the store for all of them; None: each looks alone."""

    configuration: Callable[[], Configuration]
    clocks: Clocks
    moved: Mapping[str, float]
    metrics: Metrics
    remarks: Callable[[], tuple[str, ...]]
    ended: Callable[[str], None]
    glances: Glances | None = None


class Unit:
    """`control` answers for the shard over all its lives. `life`, `engine`: that which runs, or the last one."""

    def __init__(self, shard: str, *, beside: Beside, bus: Bus, retired: Retired | None) -> None:
        """`retired`: the old name of this controller, for one of the units to clear."""
        self.shard = shard
        self.control = LivingControl(shard)
        self._beside, self._bus, self._retired = beside, bus, retired
        self._is_alive = asyncio.Event()
        self._life: Life | None = None

    @property
    def life(self) -> Life:
        assert self._life is not None, "the first life has begun"
        return self._life

    @property
    def engine(self) -> Engine:
        return self.life.engine

    @property
    def is_alive(self) -> bool:
        """Whether an engine runs."""
        return self._is_alive.is_set()

    def runs(self, engine: Engine | None) -> bool:
        """Whether this is the engine that runs."""
        return engine is not None and self.is_alive and self.engine is engine

    async def alive(self) -> Engine:
        """Wait for an engine that runs."""
        await self._is_alive.wait()
        return self.engine

    async def run(self, store: Opened, common: Common) -> None:
        """Run one life after the other until cancelled. Raises StoreError, and what else ends the process."""
        shown: Mapping[HostName, StateSeen] = {}
        while True:
            try:
                await self._until_ended(store, common, shown)
            except BaseExceptionGroup as group:
                ours, others = group.split((HandedOver, EpochLost, StoreWentBack))
                if others is not None or ours is None:
                    raise
                shown = shown_before(group)
                log.warning("shard_begins_anew", shard=self.shard, reason=str(leaf(ours)))
            finally:
                common.ended(self.shard)
            store = await self._open_again(common)

    async def _until_ended(self, store: Opened, common: Common, shown: Shown) -> None:
        """Run one life in a task of its own: a task group that ends with an error forgets that it was cancelled.

        So a stop while the life ends would begin the next one.
        """
        life = asyncio.create_task(self._live(store, common, shown), name=f"life of {self.shard}")
        try:
            await asyncio.wait({life})
        except asyncio.CancelledError:
            life.cancel()
            await asyncio.wait({life})
            if not life.cancelled() and (fault := life.exception()) is not None:
                log.warning("shard_ended", shard=self.shard, reason=str(leaf(fault)))
            raise
        life.result()

    async def _open_again(self, common: Common) -> Opened:
        store = await opened(common.configuration(), self.shard, glances=common.glances)
        try:
            _check_clock(self.shard, store.loaded, now=common.clocks.steady.now())
        except ClocksApart:
            await store.journal.close()
            raise
        return store

    async def _live(self, store: Opened, common: Common, shown: Shown) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.journal.close)
            setting = Setting(
                bus=self._bus, clocks=common.clocks, metrics=common.metrics, remarks=common.remarks,
                advance=lambda to: _reach(self.shard, common.clocks, to),
                moved_seconds=common.moved.get(self.shard, 0.0), retired=self._retired, shown=shown,
                beside=self._beside,
            )  # fmt: skip
            life = self._life = await begin(common.configuration(), store, setting, stack)
            self.control.begin(life.engine.control)
            self._is_alive.set()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(life.engine.run(), name=f"engine of {self.shard}")
                    group.create_task(life.remote.watch_certificates(), name="certificates")
                    group.create_task(life.watch.run(), name="proxies")
            finally:
                self._is_alive.clear()
                self.control.end()


def first_clock(stores: Mapping[str, Opened]) -> tuple[Clocks, Mapping[str, float]]:
    """Return the clock on which all shards count: it goes on from the shard whose time is the latest.

    Also return how far it is ahead of each shard's own time, in seconds: commands of that shard act so much longer.
    """
    latest = max(stores.values(), key=_time_of)
    last_at = [one.loaded.last_at for one in stores.values() if one.loaded.last_at is not None]
    clocks = Clocks(kept=latest.kept, last_at=max(last_at, default=None), steady_at=latest.loaded.steady_at)
    clocks.steady.advance(max(map(_time_of, stores.values())))
    moved = {shard: max(clocks.steady.now() - clocks_of(one).steady.now(), 0.0) for shard, one in stores.items()}
    return clocks, moved


def _time_of(store: Opened) -> float:
    loaded = store.loaded
    return max((at for at in (loaded.steady_at, loaded.last_at) if at is not None), default=float("-inf"))


def _check_clock(shard: str, loaded: Loaded, *, now: float) -> None:
    """Raises ClocksApart."""
    _check_ahead(shard, max((at for at in (loaded.steady_at, loaded.last_at) if at is not None), default=now) - now)


async def _reach(shard: str, clocks: Clocks, to: float) -> float:
    """Wait until the clock of all shards is there. It is never set forward while they count on it: their hosts would
    look silent, and their commands as if they could act no more. Return 0: it was not moved.

    Raises ClocksApart.
    """
    _check_ahead(shard, to - clocks.steady.now())
    if (ahead := to - clocks.steady.now()) > 0.0:
        await asyncio.sleep(ahead + WAKE_SECONDS)
    return 0.0


def _check_ahead(shard: str, seconds: float) -> None:
    if seconds > AHEAD_SECONDS_MAX:
        raise ClocksApart(
            f"shard {shard}: its records are {seconds:.1f} s ahead of this process' clock; the next start goes on from "
            "them"
        )

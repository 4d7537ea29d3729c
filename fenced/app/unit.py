"""One shard in a process of several: its journal, its lease and its engine, one life after the other.

A life ends when the shard is handed over, the lease is lost, or the store went back. The next one reads the store
anew, and is a standby first. The other shards, the bus and the API go on meanwhile.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from fenced.app.clocks import Clocks
from fenced.app.connections import tls_files, urls, vias
from fenced.app.store import divide, journal_of, shard_dir
from fenced.app.survivors import kill_marked, kill_named
from fenced.config.configuration import Configuration
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.local import LocalCaller
from fenced.drivers.registry import drivers
from fenced.engine.beside import Beside
from fenced.engine.engine import Engine, Ports
from fenced.engine.giving_over import HandedOver, Shown, shown_before
from fenced.engine.living_control import LivingControl
from fenced.engine.replaying import replay
from fenced.engine.retired import Retired
from fenced.engine.takeover import Surroundings
from fenced.host import memory
from fenced.host.liveness import TcpLiveness
from fenced.journal.database import SqlJournal
from fenced.journal.instance import instance
from fenced.model.names import HostName
from fenced.ports.bus import Bus, StateSeen
from fenced.ports.journal import ClockAnchor, EpochLost, Loaded, StoreError, StoreWentBack
from fenced.proxy.client import ProxyCaller
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.metrics import Metrics

log = structlog.get_logger("fenced")

AHEAD_SECONDS_MAX: Final = 1.0
"""How far the time of a shard may be ahead of this process' clock, on which all its shards count."""
WAKE_SECONDS: Final = 0.001
"""The loop's timers may fire a little early."""


class ClocksApart(StoreError):
    """The records of a shard are of a later time than this process' clock; a new start begins above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The store of one shard, opened."""

    journal: SqlJournal
    loaded: Loaded
    kept: ClockAnchor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all shards of a process share. `configuration`: returns the one in force. `moved`: how far the clock was
    ahead of each shard's own time at the start, in seconds. `ended`: called at the end of each life of a shard's
    engine."""

    configuration: Callable[[], Configuration]
    clocks: Clocks
    moved: Mapping[str, float]
    metrics: Metrics
    remarks: Callable[[], tuple[str, ...]]
    ended: Callable[[str], None]


class Unit:
    """`control` answers for the shard over all its lives. `engine`, `remote`, `watch`, `journal`: those of the life
    that runs, or of the last one."""

    def __init__(self, shard: str, *, beside: Beside, bus: Bus, retired: Retired | None) -> None:
        """`retired`: the old name of this controller, for one of the units to clear."""
        self.shard = shard
        self.control = LivingControl(shard)
        self._beside, self._bus, self._retired = beside, bus, retired
        self._is_alive = asyncio.Event()
        self._parts: tuple[Engine, ProxyCaller, ProxyWatch, SqlJournal] | None = None

    @property
    def engine(self) -> Engine:
        assert self._parts is not None, "the first life has begun"
        return self._parts[0]

    @property
    def remote(self) -> ProxyCaller:
        assert self._parts is not None, "the first life has begun"
        return self._parts[1]

    @property
    def watch(self) -> ProxyWatch:
        assert self._parts is not None, "the first life has begun"
        return self._parts[2]

    @property
    def journal(self) -> SqlJournal:
        assert self._parts is not None, "the first life has begun"
        return self._parts[3]

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
                log.warning("shard_begins_anew", shard=self.shard, reason=str(_leaf(ours)))
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
                log.warning("shard_ended", shard=self.shard, reason=str(_leaf(fault)))
            raise
        life.result()

    async def _open_again(self, common: Common) -> Opened:
        store = await opened(common.configuration(), self.shard)
        try:
            _check_clock(self.shard, store.loaded, now=common.clocks.steady.now())
        except ClocksApart:
            await store.journal.close()
            raise
        return store

    async def _live(self, store: Opened, common: Common, shown: Shown) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.journal.close)
            configuration = common.configuration()
            directory = shard_dir(configuration.state_dir, self.shard)
            await kill_marked(configuration, store_id=store.loaded.store_id, shard=self.shard)
            keeper = Keeper(marker=instance(directory), has_warm_agents=configuration.inventory.daemon.has_warm_agents)
            registry = await stack.enter_async_context(
                drivers(agent_path=configuration.agent_path, keeper=keeper, state_dir=directory)
            )
            inventory, clock = configuration.inventory.of_shard(self.shard), common.clocks.steady
            fleet = replay(inventory, store.loaded, started=clock.now())
            memory.give_back()
            remote = ProxyCaller(
                store=store.loaded.store_id, shard=self.shard, urls=urls(inventory), vias=vias(inventory),
                tls=tls_files(configuration.proxy_client), clock=clock,
            )  # fmt: skip
            stack.push_async_callback(remote.close)
            watch = ProxyWatch(remote, inventory.proxies.values(), clock=clock)
            around = Surroundings(
                advance=lambda to: _reach(self.shard, common.clocks, to),
                settle=kill_named,
                floors=remote,
                moved_seconds=common.moved.get(self.shard, 0.0),
            )
            engine = Engine(
                fleet=fleet, loaded=store.loaded,
                ports=Ports(
                    bus=self._bus, journal=store.journal, local=LocalCaller(registry.driver_for), remote=remote,
                    liveness=TcpLiveness(), clock=clock, telemetry=common.metrics, anchor=common.clocks.anchor,
                    reach=remote.reach, proxies=watch.views, wall=common.clocks.wall, remarks=common.remarks,
                    retired=self._retired, takeover=around, shown=shown, beside=self._beside,
                ),
            )  # fmt: skip
            watch.report_to(engine.bar)
            self._parts = engine, remote, watch, store.journal
            self.control.begin(engine.control)
            self._is_alive.set()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(engine.run(), name=f"engine of {self.shard}")
                    group.create_task(remote.watch_certificates(), name="certificates")
                    group.create_task(watch.run(), name="proxies")
            finally:
                self._is_alive.clear()
                self.control.end()


async def opened(configuration: Configuration, shard: str) -> Opened:
    """Open the store of one shard. Raises StoreError."""
    directory = shard_dir(configuration.state_dir, shard)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as exc:
        raise StoreError(f"can't make {directory}: {exc.strerror or exc}; make it for the daemon's user") from exc
    journal = journal_of(configuration, shard=shard)
    divide(journal, configuration.inventory)
    loaded = await journal.open(holder=configuration.inventory.daemon.name, now=time.time())
    try:
        return Opened(journal=journal, loaded=loaded, kept=await journal.clock_anchor())
    except BaseException:
        await journal.close()
        raise


def first_clock(stores: Mapping[str, Opened]) -> tuple[Clocks, Mapping[str, float]]:
    """Return the clock on which all shards count: it goes on from the shard whose time is the latest.

    Also return how far it is ahead of each shard's own time, in seconds: commands of that shard act so much longer.
    """
    latest = max(stores.values(), key=_time_of)
    last_at = [one.loaded.last_at for one in stores.values() if one.loaded.last_at is not None]
    clocks = Clocks(kept=latest.kept, last_at=max(last_at, default=None), steady_at=latest.loaded.steady_at)
    clocks.steady.advance(max(map(_time_of, stores.values())))
    moved = {shard: max(clocks.steady.now() - _alone(one).steady.now(), 0.0) for shard, one in stores.items()}
    return clocks, moved


def _alone(store: Opened) -> Clocks:
    """Return the clock on which the shard would go on if it were the only one."""
    return Clocks(kept=store.kept, last_at=store.loaded.last_at, steady_at=store.loaded.steady_at)


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


def _leaf(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc

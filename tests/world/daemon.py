"""A daemon of the world: a process on its own machine, with its own clock and connections to the store and the bus.

Starts it as fenced/app/daemon.py does, and restarts it as systemd would after it ended on its own. It can be killed at
any await: nothing of it goes on, what is durable stays. Knows neither rules nor other daemons.
"""

import asyncio
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.beside import Beside
from fenced.engine.engine import Engine, Ports
from fenced.engine.giving_over import HandedOver, Shown, shown_before
from fenced.engine.replaying import replay
from fenced.engine.takeover import Surroundings as Takeover
from fenced.host import machine as host_machine
from fenced.model.inventory import Inventory
from fenced.model.names import HostName, ProxyName
from fenced.ports.journal import ClockAnchor, EpochLost, StoreError
from tests.world.callers import WorldProxyCaller
from tests.world.disk import Disk
from tests.world.leasing import StateDir
from tests.world.looking import Eyes, WorldLiveness
from tests.world.loop import owned, virtual
from tests.world.machines import Machine
from tests.world.network import START, Broker, WorldBus
from tests.world.proxies import WorldProxy
from tests.world.store import WorldJournal
from tests.world.telemetry import RecordingTelemetry
from tests.world.wires import Wires, WorldCaller

START_SECONDS: Final = 1.0
STOP_SECONDS: Final = 90.0
"""How long systemd waits for an orderly end."""
NEXT_LIFE_SECONDS: Final = 0.2
"""After a hand-over the program closes its connections and goes on by itself, as a standby."""
RESTART_SECONDS: Final = 5.0
"""How long systemd waits before it restarts the daemon, as in the unit file."""


@dataclass(slots=True)
class Board:
    """A daemon's machine. `wall_off_seconds`: the error of its wall clock; `boots`: how often it has booted. `kept`:
    the daemon's state directory on its disk. `rate`: seconds of its clock in a second."""

    name: str
    kept: StateDir
    wall_off_seconds: float = 0.0
    boots: int = 1
    booted_at: float = 0.0
    rate: float = 1.0

    def reboot(self) -> None:
        self.boots += 1
        self.booted_at = asyncio.get_running_loop().time()

    def empty(self) -> None:
        """Lose the state directory; the next start makes another one."""
        self.kept = StateDir(f"{self.kept.id}*")

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self.boots}"

    @property
    def place(self) -> str:
        """The state directory in this boot of the machine."""
        return f"{self.kept.id} in {self.boot_id}"

    def boottime(self) -> float:
        return (asyncio.get_running_loop().time() - self.booted_at) * self.rate

    def wall(self) -> float:
        return START + asyncio.get_running_loop().time() + self.wall_off_seconds


class SteadyClock:
    """ports.clock.Clock like fenced.host.machine.SteadyClock, over a Board: anchored once, independent
    of the wall clock.
    """

    def __init__(self, start: float, board: Board) -> None:
        self._board = board
        self._offset = start - board.boottime()

    def now(self) -> float:
        return self._board.boottime() + self._offset

    async def reach(self, to: float) -> float:
        """Go on from that moment, if it is ahead. Return by how many seconds this moved."""
        moved = max(to - self.now(), 0.0)
        self._offset += moved
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that a daemon of the world needs. `observers`: proxies that may look at hosts. `stored`: called with
    the fleet after each durable batch; `changed`: called when a daemon starts or dies."""

    read_inventory: Callable[[], Inventory]
    machines: Mapping[HostName, Machine]
    wires: Wires
    proxies: Mapping[ProxyName, WorldProxy]
    broker: Broker
    disk: Disk
    eyes: Eyes
    observers: frozenset[ProxyName]
    telemetry: RecordingTelemetry
    is_codec_checked: bool
    stored: Callable[[Fleet], None]
    changed: Callable[[str, bool], None]


class Point(Enum):
    """Points at which a daemon may be killed: before it learns that records are durable,
    and before a power command leaves.
    """

    RECORDS_STORED = "records are stored"
    COMMAND_LEAVES = "a command leaves"


class Daemon:
    """`journal`: its current connection, or the one for its next start. `on_point` is called at each Point."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name, self._around = name, around
        self.board = Board(name, StateDir(name))
        self.journal = self._connect()
        self.engine: Engine | None = None
        self.clock: SteadyClock | None = None
        self.faults: list[BaseException] = []
        self.on_point: Callable[[Point], None] = lambda point: None
        self._bus: WorldBus | None = None
        self._caller: WorldCaller | None = None
        self._shown: Shown = {}
        self.moved_seconds = 0.0
        """How far its clock is ahead of the time of its records."""
        self.beside = Beside()
        """What the last life left to the next one of the same process."""
        self._process: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def is_started(self) -> bool:
        """Whether it is meant to run; it may be waiting for the store."""
        return self._watcher is not None

    @property
    def is_running(self) -> bool:
        return self.engine is not None and self._process is not None and not self._process.done()

    def now(self) -> float:
        """The time on its own clock."""
        return self.clock.now() if self.clock is not None else self.board.wall()

    async def start(self) -> None:
        """Start it under supervision. Return when it runs, or waits for the store."""
        assert self._watcher is None, f"{self.name} runs already"
        begun = asyncio.get_running_loop().create_future()
        self._watcher = asyncio.create_task(self._watch(begun), name=f"systemd of {self.name}")
        await asyncio.wait({begun}, timeout=START_SECONDS)

    async def stop(self) -> None:
        """End it in order, as systemd does with SIGTERM and, when that takes too long, with SIGKILL."""
        engine, process = self.engine, self._process
        if self._watcher is not None and engine is not None and process is not None and not process.done():
            draining = virtual().create_task(engine.drain(), name=f"drain {self.name}", context=owned(self.name))
            await asyncio.wait({draining}, timeout=STOP_SECONDS)
            if draining.done() and not virtual().is_held(self.name) and self._process is process:
                process.cancel()
                await asyncio.wait({process})
                await self.journal.close()
            draining.cancel()
        if self._watcher is not None:
            await self.crash()

    async def crash(self) -> None:
        """Kill it as kill -9 does, also while it is held. Raises what it had died of before."""
        assert self._watcher is not None, f"{self.name} does not run"
        watcher, self._watcher = self._watcher, None
        watcher.cancel()
        await asyncio.wait({watcher})
        await self._kill()
        self._shown = {}
        for fault in self.faults:
            raise fault

    def stall(self, seconds: float) -> None:
        """Stop its loop for a while; input waits in its sockets."""
        virtual().hold(self.name, seconds)

    def suspend(self, seconds: float) -> None:
        """Suspend its machine: timers stand still, and messages for it are lost."""
        virtual().hold(self.name, seconds, is_suspended=True)
        bus = self._bus
        if bus is not None and virtual().is_held(self.name):  # not if it is about to die instead
            bus.is_deaf = True
            virtual().call_later(seconds, setattr, bus, "is_deaf", False)

    def die_after(self, steps: int, on_dead: Callable[[], None]) -> None:
        """Stop it at an await after so many more steps of its tasks. `on_dead` is called then and must see to `crash`.

        Has no effect on a daemon that does not run."""
        if self.is_running:
            virtual().stop_after(self.name, steps, on_dead)

    def _connect(self) -> WorldJournal:
        daemon = self._around.read_inventory().daemon
        return WorldJournal(
            self._around.disk, self.name, is_checked=self._around.is_codec_checked, kept=self.board.kept,
            lease_seconds=daemon.lease_ttl_seconds, own_now=self.board.boottime,
        )  # fmt: skip

    async def _watch(self, begun: "asyncio.Future[None]") -> None:
        """Supervise it like systemd: restart it some time after it ended. `begun` is set after the first attempt."""
        while True:
            is_begun = await self._try()
            if not begun.done():
                begun.set_result(None)
            if is_begun and self._process is not None:
                process = self._process
                await asyncio.wait({process})
                if not self._has_ended_well(process):
                    return
                self._shown = shown_before(process.exception() if not process.cancelled() else None)
                await self.journal.close()
                is_next_life = _is_of(process, HandedOver)
                await self._kill()
                if is_next_life:
                    await asyncio.sleep(NEXT_LIFE_SECONDS)
                    continue
            await asyncio.sleep(RESTART_SECONDS)

    def _has_ended_well(self, process: "asyncio.Task[None]") -> bool:
        """Return whether the store or another controller made it end, so that it is restarted.

        Otherwise it is a bug.
        """
        fault = process.exception() if not process.cancelled() else None
        _, others = (
            fault.split((EpochLost, StoreError, HandedOver)) if isinstance(fault, BaseExceptionGroup) else (None, fault)
        )
        if isinstance(others, StoreError) or others is None:
            return True
        self.faults.append(others)
        return False

    async def _try(self) -> bool:
        try:
            await self._begin()
        except StoreError:
            self.journal = self._connect_again()
            return False
        return True

    async def _begin(self) -> None:
        """Start as run_daemon does: open the journal, anchor the clock, replay, build the engine, run.

        Raises StoreError.
        """
        around, board, journal = self._around, self.board, self.journal
        journal.place, journal.kept = board.place, board.kept
        loaded = await journal.open(holder=self.name, now=board.wall())
        start = host_machine.steady_start(
            wall_now=board.wall(), boot=board.boot_id, boottime_now=board.boottime(),
            kept=await journal.clock_anchor(), last_at=loaded.last_at, steady_at=loaded.steady_at,
        )  # fmt: skip
        clock = self.clock = SteadyClock(start, board)
        inventory = around.read_inventory()
        inventory = replace(inventory, daemon=replace(inventory.daemon, name=self.name))
        fleet = replay(inventory, loaded, started=clock.now())
        bus = self._bus = WorldBus(around.broker, clock, self.name)
        caller = self._caller = WorldCaller(around.wires, self.name)
        remote = WorldProxyCaller(around.proxies, around.wires, clock, caller.leave, owner=self.name)
        eyes = WorldLiveness(around.eyes, self.name)
        engine = self.engine = Engine(
            fleet=fleet,
            loaded=loaded,
            ports=Ports(
                bus=bus, journal=journal, local=caller, remote=remote, clock=clock,
                liveness=eyes, ask_proxy=eyes.ask_proxy, telemetry=around.telemetry,
                reach=remote.reach, shown=self._shown, beside=self.beside,
                anchor=lambda: ClockAnchor(boot_id=board.boot_id, boottime=board.boottime(), steady=clock.now()),
                takeover=Takeover(
                    advance=clock.reach, floors=remote if around.proxies else None, moved_seconds=self.moved_seconds
                ),
            ),
        )  # fmt: skip
        if around.observers:
            engine.reactor.deliver(e.ProxiesSeen(faults={}, observers=around.observers))
        caller.before_command = lambda: self.on_point(Point.COMMAND_LEAVES)

        def stored() -> None:
            around.stored(engine.fleet)
            self.on_point(Point.RECORDS_STORED)

        journal.on_stored = stored
        around.changed(self.name, True)
        self._process = virtual().create_task(engine.run(), name=self.name, context=owned(self.name))

    async def _kill(self) -> None:
        """End the process and everything that belongs to it."""
        # What a killed program had not begun is never awaited, as it should be.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        self.journal.is_dead = True
        self._around.changed(self.name, False)
        if self._bus is not None and self._caller is not None:
            self._bus.is_dead = self._caller.is_dead = True
            self._around.broker.subscribe(self.name, None)
        if self._process is not None:
            self._process.cancel()
            virtual().release(self.name)
            await asyncio.wait({self._process})
            self._has_ended_well(self._process)
        self.engine = self._process = self._bus = self._caller = None
        self.journal = self._connect_again()

    def _connect_again(self) -> WorldJournal:
        """Return a new connection over the same network."""
        journal = self._connect()
        journal.is_cut, journal.delay_seconds = self.journal.is_cut, self.journal.delay_seconds
        return journal


def _is_of(process: "asyncio.Task[None]", kind: type[BaseException]) -> bool:
    """Return whether the process ended with an exception of that kind."""
    fault = None if process.cancelled() else process.exception()
    return isinstance(fault, BaseExceptionGroup) and fault.subgroup(kind) is not None

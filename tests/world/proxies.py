"""Proxy agents of the world: the real code of fenced/proxy (client, calls, token memory) over a simulated network
and disk.

A proxy outlives the daemon, has its own clock, and keeps its state over restarts. It knows nothing of the truth. Only
the way of a request and the disk are simulated; every decision of a proxy is made by the real program.
"""

import asyncio
import contextvars
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from fenced.model.inventory import DeviceSpec
from fenced.model.names import Token
from fenced.model.power import Outcome, Power
from fenced.ports.clock import Clock
from fenced.ports.devices import (
    CommandRefused,
    DeviceError,
    DeviceTimedOut,
    Identified,
    OnStarted,
    Started,
)
from fenced.proxy.calls import Calls
from fenced.proxy.clock import ProxyClock
from fenced.proxy.protocol import (
    FLOOR_PATH,
    STATUS_PATH,
    Answer,
    Call,
    InFlight,
    RaiseFloor,
    Status,
    WireError,
    WirePermit,
)
from fenced.proxy.state import ProxyState, StateError
from fenced.proxy.tokens import TokenMemory
from tests.world.machines import Machine, Run
from tests.world.wires import Path, Wires

T = TypeVar("T")

STORE: Final = "store-1"
CAPACITY: Final = 32
TOKEN_OPTION: Final = "world_token"


class MemoryState(ProxyState):
    """The real state without a file. `is_broken`: its disk fails every read and write."""

    def __init__(self, *, machine_boot: str) -> None:
        self._path = FilePath("proxy.db")
        self._machine_boot = machine_boot
        self._lock = None
        self.is_broken = False
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._prepare()

    def reboot(self, machine_boot: str) -> None:
        """The machine booted: everything that it ran before is dead."""
        self._machine_boot = machine_boot

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.is_broken:
            raise StateError(f"{self._path}: can't be written: disk I/O error")
        with super().transaction():
            yield


class WorldMemory(TokenMemory):
    """The real memory without its thread. Its state is made on first use: most proxies never get a command."""

    def __init__(self, find: Callable[[], ProxyState]) -> None:
        self._find = find

    @property
    def _state(self) -> ProxyState:  # type: ignore[override] # an attribute of the real one
        return self._find()

    async def _submit(self, act: Callable[[], T]) -> T:
        with self._state.transaction():
            return act()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldProxyClock(ProxyClock):
    """A clock that shows what its machine believes."""

    show: Callable[[], float]

    def now(self) -> float:
        return self.show()


class WorldDriver:
    """ports.devices.Driver on one machine: its programs reach the plugs over that machine's path."""

    def __init__(self, wires: Wires, path: Path, pids: Iterator[int]) -> None:
        self._wires, self._path, self._pids = wires, path, pids

    async def read(self, spec: DeviceSpec, *, timeout_seconds: float) -> Power:
        return await self._wires.read(self._path, self._wires.plugs[spec.plug_id], timeout_seconds)

    async def identify(self, spec: DeviceSpec, *, timeout_seconds: float) -> Identified:
        power = await self.read(spec, timeout_seconds=timeout_seconds)
        return Identified(power=power, identities=self._wires.plugs[spec.plug_id].identities)

    async def set(self, spec: DeviceSpec, power: Power, *, timeout_seconds: float, on_started: OnStarted) -> None:
        await self._command(spec, power, timeout_seconds, on_started)

    async def soft_off(self, spec: DeviceSpec, *, timeout_seconds: float, on_started: OnStarted) -> None:
        await self._command(spec, Power.OFF, timeout_seconds, on_started, is_soft=True)

    async def _command(
        self, spec: DeviceSpec, power: Power, timeout_seconds: float, on_started: OnStarted, *, is_soft: bool = False
    ) -> None:
        pid = next(self._pids)
        await on_started(Started(pid=pid, pid_started="1"))
        await self._wires.set(
            self._path,
            self._wires.plugs[spec.plug_id],
            power,
            token=Token.parse(str(spec.options[TOKEN_OPTION])),
            timeout_seconds=timeout_seconds,
            pid=pid,
            is_soft=is_soft,
        )

    async def close(self) -> None:
        pass


class WorldProxy:
    """One proxy agent, over all its restarts. `is_down`: no agent runs, so connections are refused."""

    def __init__(self, path: Path, wires: Wires, *, clock: Clock, number: int) -> None:
        self.path, self._wires, self._clock = path, wires, clock
        self._number, self._lives, self._boots = number, 0, 1
        self._pids = itertools.count(10_000 * (number + 1))
        self._shift_seconds = 1000.0 * number
        self._state: MemoryState | None = None
        self._driver = WorldDriver(wires, path, self._pids)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._calls: Calls | None = None
        self.path.on_sent_out = lambda: self.crash(are_agents_spared=False)
        self._begin()

    def ride(self, machine: Machine) -> None:
        """Run on that host from now on: die with it, and start when it has booted."""
        self.path.carrier = machine
        machine.riders.append(self._machine_changed)

    def _machine_changed(self, is_up: bool) -> None:
        if is_up:
            self.start(is_machine_booted=True)
        else:
            self.crash(are_agents_spared=False)
            self._wires.kill_agents(self.path.name)

    @property
    def is_down(self) -> bool:
        return self._calls is None

    def show(self) -> float:
        """Return its clock: seconds since its machine's boot, as the machine believes."""
        return max(0.0, asyncio.get_running_loop().time() + self._shift_seconds)

    def shift_clock(self, seconds: float) -> None:
        """Let its clock jump without a restart, which a steady clock never does; from then on it can't be trusted."""
        self._shift_seconds += seconds
        self.path.has_lied = True

    def crash(self, *, are_agents_spared: bool) -> None:
        """Kill it as kill -9 does. Its agents die with it, unless they are spared."""
        self.path.are_agents_spared = are_agents_spared
        self._calls = None
        for task in list(self._tasks):
            task.cancel()

    def start(self, *, is_machine_booted: bool = False, is_emptied: bool = False) -> None:
        """Restart it over the same or an emptied disk; impossible on a machine that does not run."""
        if self.path.carrier is not None and self.path.carrier.does is not Run.RUNNING:
            return
        if not self.is_down:
            self.crash(are_agents_spared=not is_machine_booted)
        if is_emptied:
            self._state = None
        if is_machine_booted:
            self._boots += 1
            self._wires.kill_agents(self.path.name)
            if self._state is not None:
                self._state.reboot(self._machine_boot)
        self._spawn(self._settle(self._begin_calls()), f"proxy {self.path.name} starts")

    @property
    def state(self) -> MemoryState:
        if self._state is None:
            self._state = MemoryState(machine_boot=self._machine_boot)
        return self._state

    def mend_disk(self) -> None:
        """Make the disk writable again; what was lost stays lost."""
        if self._state is not None:
            self._state.is_broken = False

    async def end(self) -> None:
        """Stop it at the end of the world."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _machine_boot(self) -> str:
        return f"{self.path.name} boot {self._boots}"

    def _begin(self) -> None:
        """Start it for the first time, with nothing left from before."""
        self._calls = self._begin_calls()

    def _begin_calls(self) -> Calls:
        self._lives += 1
        self._clock_of_life = WorldProxyClock(
            life=f"{self.path.name} life {self._lives}", machine_boot=self._machine_boot, show=self.show
        )
        return Calls(
            memory=WorldMemory(lambda: self.state),
            driver_for=lambda name: self._driver,
            agent_processes_max=CAPACITY,
            clock=self._clock_of_life,
        )

    async def _settle(self, calls: Calls) -> None:
        """Settle survivors as the real agent does: accept nothing before; don't start if the state can't be read."""
        try:
            await calls.settle_survivors(self._kill)
        except StateError:
            return
        self.path.are_agents_spared = False
        self._calls = calls

    async def _kill(self, survivors: Sequence[Started]) -> None:
        for survivor in survivors:
            self._wires.kill_agent(survivor.pid)

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    # -- its HTTP interface -------------------------------------------------------------------------------------------

    def arrive(self, where: str, body: bytes, after_seconds: float) -> asyncio.Task[bytes]:
        """Send a request. The task is cancelled if the agent dies; otherwise only the caller cancels it."""
        return self._spawn(self._serve(where, body, after_seconds), f"request to {self.path.name}")

    async def _serve(self, where: str, body: bytes, after_seconds: float) -> bytes:
        if after_seconds > 0:
            await asyncio.sleep(after_seconds)
        calls = self._calls
        assert calls is not None, "requests die with the agent"
        if where == STATUS_PATH:
            return self._status(calls).model_dump_json().encode()
        if where.endswith(FLOOR_PATH):
            return await self._raise_floor(calls, RaiseFloor.model_validate_json(body))
        call = Call.model_validate_json(body)
        if call.permit is None:
            return await self._read(calls, call)
        return await self._command(calls, call, call.permit)

    async def _raise_floor(self, calls: Calls, wanted: RaiseFloor) -> bytes:
        answer = await calls.raise_floor(wanted)
        if answer.is_raised:
            self._wires.on_floor(self.path.name, answer.epoch)
        return answer.model_dump_json().encode()

    def _status(self, calls: Calls) -> Status:
        return Status(
            name=self.path.name,
            version="world",
            clock=self._clock_of_life.wire(),
            in_flight=InFlight(reads=0, commands=0),
            capacity=CAPACITY,
            floors=calls.floors(STORE),
        )

    async def _read(self, calls: Calls, call: Call) -> bytes:
        try:
            found = await calls.read(call, call.device.spec())
        except DeviceError as exc:
            return self._answer(calls, call, Outcome.UNKNOWN, power=Power.UNKNOWN, error=exc)
        return self._answer(calls, call, Outcome(found.power.value), power=found.power, identities=found.identities)

    async def _command(self, calls: Calls, call: Call, permit: WirePermit) -> bytes:
        spec = call.device.spec()
        try:
            await calls.command(call, permit, replace(spec, options={**spec.options, TOKEN_OPTION: permit.token}))
        except CommandRefused as exc:
            return self._answer(calls, call, Outcome.REFUSED, error=exc)
        except DeviceTimedOut as exc:
            return self._answer(calls, call, Outcome.TIMED_OUT, error=exc)
        except DeviceError as exc:
            return self._answer(calls, call, Outcome.FAILED, error=exc)
        return self._answer(calls, call, Outcome.DONE)

    def _answer(
        self, calls: Calls, call: Call, outcome: Outcome, *, power: Power | None = None,
        error: DeviceError | None = None, identities: tuple[str, ...] = (),
    ) -> bytes:  # fmt: skip
        told = None if error is None else WireError.of(error, ())
        answer = Answer(
            id=call.id,
            outcome=outcome,
            power=power,
            error=told,
            clock=self._clock_of_life.wire(),
            identities=identities,
            floor=calls.floor(call),
        )
        return answer.model_dump_json().encode()

"""A virtual data centre with a daemon in it: start it, kill it at any moment, start it again over the same journal.

What the daemon knows goes through its ports; what is true stays in `machines`. Time is the running virtual loop's.
"""

import asyncio
from collections.abc import Callable

from fenced.core import events as e
from fenced.engine.control import EngineControl
from fenced.engine.engine import Engine, Ports, replay
from fenced.model.names import ENGINE, DeviceName, HostName, ProxyName
from fenced.ports.journal import Batch
from tests.fakes.journal import Durable, MemoryJournal
from tests.world import rack as racks
from tests.world.checker import Checker
from tests.world.machines import Machine, Plug
from tests.world.network import Broker, Path, Wires, WorldBus, WorldCaller, WorldClock, WorldLiveness
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry


class CheckedJournal(MemoryJournal):
    """A MemoryJournal that says when a batch was stored."""

    def __init__(self, durable: Durable | None = None) -> None:
        super().__init__(durable, is_checked=True)
        self.on_stored: Callable[[], None] = lambda: None

    def reopen(self) -> "CheckedJournal":
        self.durable.owner = None
        return CheckedJournal(self.durable)

    async def append(self, batch: Batch) -> int:
        sequence = await super().append(batch)
        self.on_stored()
        return sequence


class World:
    """Everything. `heard(name, text)` is told what happens to the machines; `use` as a context that ends it all."""

    def __init__(self, rack: Rack, *, told: Callable[[str, str], None] = lambda name, text: None) -> None:
        self.clock = WorldClock()
        self.inventory = racks.inventory(rack)
        self._told = told
        self.machines = racks.machines(self.inventory, self._happened, is_bmc_fed=not rack.is_standby_separate)
        self.paths = {name: Path(name=name) for name in (ENGINE, *self.inventory.proxies)}
        plugs = {plug.plug_id: plug for machine in self.machines.values() for plug in machine.plugs.values()}
        self.wires = Wires(plugs, self.paths, self.clock)
        self.broker = Broker(self.clock)
        self.telemetry = RecordingTelemetry()
        self.journal = CheckedJournal()
        self.checker = Checker(self.journal.durable, self.machines, self.wires, self.clock.now)
        self.wires.on_sent, self.wires.on_act = self.checker.sent, self.checker.acting
        self.wires.on_wrong = self.checker.wrong_machine
        self.broker.on_published = self.checker.published
        self._engine: Engine | None = None
        self._daemon: asyncio.Task[None] | None = None
        self._bus: WorldBus | None = None
        self._beats: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """The machines start to send heartbeats, spread over their interval."""
        for number, machine in enumerate(self.machines.values()):
            offset = machine.interval * (number + 1) / (len(self.machines) + 1)
            self._beats.append(asyncio.create_task(self._beat(machine, offset), name=f"beats of {machine.name}"))

    async def end(self) -> None:
        """Stop everything; raises AssertionError with what the checker found."""
        if self._daemon is not None:
            await self.crash()
        for task in [*self._beats, *(sent.task for sent in self.wires.sent.values())]:
            task.cancel()
        await asyncio.gather(*self._beats, return_exceptions=True)
        self.checker.look()
        assert not self.checker.violations, "\n".join(self.checker.violations)

    # -- what the machines do -----------------------------------------------------------------------------------------

    def _happened(self, machine: Machine, text: str) -> None:
        self._told(machine.name, text)
        if text == "has power":
            self.checker.look()
            self.checker.power_came(machine)

    async def _beat(self, machine: Machine, offset: float) -> None:
        await asyncio.sleep(offset)
        while True:
            while not self.broker.is_heard:
                await self.broker.changed()
                behind = (asyncio.get_running_loop().time() - offset) % machine.interval
                await asyncio.sleep((machine.interval - behind) % machine.interval)
            machine.beats += 1
            if machine.is_beating:
                self.say(machine.name)
            await asyncio.sleep(machine.interval)

    def say(self, name: str, status: e.HealthStatus = e.HealthStatus.OK, *, boot: int | None = None) -> None:
        """One health message of a machine, as it would send it now (`boot`: or in that run of it)."""
        machine = self.machines[HostName(name)]
        boot_id = machine.boot if boot is None else type(machine.boot)(f"{name}#{boot}")
        self.broker.send(
            e.Health(
                host=machine.name,
                received=self.clock.now(),
                is_retained=False,
                boot=boot_id,
                sequence=machine.beats,
                status=status,
                interval_seconds=machine.interval,
                reason="" if status is e.HealthStatus.OK else f"says {status.value}",
            )
        )

    def machine(self, name: str) -> Machine:
        return self.machines[HostName(name)]

    def plug(self, host: str, device: str) -> Plug:
        return self.machine(host).plugs[DeviceName(device)]

    def path(self, name: str) -> Path:
        return self.paths[ProxyName(name)]

    # -- the daemon ---------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "no daemon runs"
        return self._engine

    @property
    def control(self) -> EngineControl:
        return self.engine.control

    async def start(self) -> None:
        """As fenced/app/daemon.py: open the journal, replay, build the engine, run it."""
        assert self._daemon is None, "a daemon runs already"
        now = self.clock.now()
        loaded = await self.journal.open(holder="fenced-a", now=now)
        fleet = replay(self.inventory, loaded, started=now)
        self._bus = WorldBus(self.broker, self.clock)
        caller = WorldCaller(self.wires)
        engine = Engine(
            fleet=fleet,
            ports=Ports(
                bus=self._bus, journal=self.journal, local=caller, remote=caller, clock=self.clock,
                liveness=WorldLiveness(list(self.machines.values()), self.wires), telemetry=self.telemetry,
            ),
        )  # fmt: skip
        self._engine = engine
        self.journal.on_stored = lambda: self.checker.stored(engine.fleet)
        self._daemon = asyncio.create_task(engine.run(), name="daemon")

    async def crash(self) -> None:
        """kill -9: nothing of the daemon goes on, what is durable stays. Raises what the daemon had died of before."""
        assert self._daemon is not None and self._bus is not None
        self._bus.is_dead = True
        self.broker.subscribe(None)
        self._daemon.cancel()
        try:
            await self._daemon
        except asyncio.CancelledError:
            pass
        finally:
            self._daemon, self._engine = None, None
            self.journal = self.journal.reopen()

"""A virtual data centre with daemons: start one, kill it at any moment, restart it over the same journal.

A daemon learns everything through its ports; the truth is in `machines`. Time is the running virtual loop's.
"""

from collections.abc import Callable
from typing import Final

from fenced.core import events as e
from fenced.engine.control import EngineControl
from fenced.engine.engine import Engine
from fenced.model.inventory import Inventory
from fenced.model.names import ENGINE, DeviceName, HostName, ProxyName
from fenced.ports.bus import BusEvent
from tests.world import rack as racks
from tests.world.checker import Checker
from tests.world.daemon import Daemon, Surroundings
from tests.world.disk import Disk
from tests.world.edits import Files
from tests.world.looking import Eyes
from tests.world.loop import virtual
from tests.world.machines import Machine, Plug
from tests.world.manners import Manner, meant, spelled
from tests.world.network import Broker, WorldClock
from tests.world.post import Post
from tests.world.proxies import WorldProxy
from tests.world.rack import Rack
from tests.world.sources import Sources
from tests.world.store import WorldJournal
from tests.world.telemetry import RecordingTelemetry
from tests.world.wires import Path, Wires

COLLECTOR: Final = "collector"
"""The second reporter of machines that are polled."""


class World:
    """The whole world. `told(name, text)` is called for what happens to the machines. `is_journal_checked`: records go
    through the codec and are replayed beside the program."""

    def __init__(
        self,
        rack: Rack,
        *,
        told: Callable[[str, str], None] = lambda name, text: None,
        is_journal_checked: bool = True,
    ) -> None:
        self.clock = WorldClock()
        self.inventory = racks.inventory(rack)
        self._told = told
        self.machines = racks.machines(self.inventory, self._happened, rack)
        self.files = Files(
            known=self.inventory, machines=self.machines, now=self.clock.now, changed=self._inventory_changed
        )
        self.paths = {name: Path(name=name) for name in (ENGINE, *self.inventory.proxies)}
        plugs = {plug.plug_id: plug for machine in self.machines.values() for plug in machine.plugs.values()}
        self.wires = Wires(plugs, self.paths, self.clock)
        answering: dict[str, list[str]] = {}
        for reference in racks.references(rack):
            answering.setdefault(reference.network, []).append(reference.address)
        self.eyes = Eyes(self.machines, self.paths, self.wires, answering)
        self.proxies = {
            name: WorldProxy(path, self.wires, clock=self.clock, number=number)
            for number, (name, path) in enumerate(self.paths.items())
            if name != ENGINE
        }
        for name, proxy in self.inventory.proxies.items():
            if proxy.machine is not None:
                self.proxies[name].ride(self.machines[proxy.machine])
        self.broker = Broker(self.clock)
        self.broker.spell = self._spell
        self.post = Post(self.broker)
        self.sources = Sources(self.broker, self.machines)
        self.telemetry = RecordingTelemetry()
        self.disk = Disk(self.clock)
        self.checker = Checker(self.disk.durable, self.machines, self.wires, self.clock.now)
        self.checker.is_replaying = is_journal_checked
        self.wires.on_sent, self.wires.on_act = self.checker.sent, self.checker.acting
        self.wires.on_left, self.wires.on_wrong = self.checker.left, self.checker.wrong_machine
        self.broker.on_published = self.checker.published
        self.broker.on_sender = lambda client, message: self.checker.call("spoke", client, message)
        self.eyes.told = lambda answered: self.checker.call("looked", answered)
        self.checker.watch(self.inventory, self.broker, self.disk, self._journals)
        if self.checker.truth is not None:
            self.checker.truth.observers = frozenset(map(ProxyName, rack.observers))
        self.wires.on_read, self.broker.on_delivered = self.checker.read, self.checker.heard
        self.broker.on_ear = self.checker.ear_changed
        around = Surroundings(
            read_inventory=self.files.read, machines=self.machines, wires=self.wires, proxies=self.proxies,
            broker=self.broker, disk=self.disk, eyes=self.eyes,
            observers=frozenset(map(ProxyName, rack.observers)),
            telemetry=self.telemetry, is_codec_checked=is_journal_checked, stored=self.checker.stored,
            changed=lambda name, is_up: self.checker.daemon_changed(name, is_up=is_up),
        )  # fmt: skip
        self.daemons = {name: Daemon(name, around) for name in ("fenced-a", *rack.other_daemons)}
        self._is_over = False

    def _inventory_changed(self, inventory: Inventory) -> None:
        self.inventory = inventory
        if self.checker.truth is not None:
            self.checker.truth.inventory = inventory

    def _journals(self) -> list[WorldJournal]:
        return [daemon.journal for daemon in self.daemons.values()]

    def begin(self) -> None:
        """Let the machines send heartbeats, spread over their interval."""
        for number, machine in enumerate(self.machines.values()):
            offset = machine.interval * (number + 1) / (len(self.machines) + 1)
            virtual().call_later(offset, self._beat, machine)

    async def end(self) -> None:
        """Stop everything. Raises AssertionError with the checker's findings."""
        for daemon in self.daemons.values():
            if daemon.is_started:
                await daemon.crash()
        self._is_over = True
        self.sources.end_all()
        for sent in list(self.wires.sent.values()):
            sent.task.cancel()
        for proxy in self.proxies.values():
            await proxy.end()
        self.checker.look()
        assert not self.checker.violations, "\n".join(self.checker.violations)

    # -- the machines -------------------------------------------------------------------------------------------------

    def _happened(self, machine: Machine, text: str) -> None:
        self._told(machine.name, text)
        if text == "shuts down" and not machine.is_mute and not machine.is_cut_off:
            self.say(machine.name, e.HealthStatus.STOPPING)
        if text == "has power":
            self.checker.look()
            self.checker.power_came(machine)

    def _beat(self, machine: Machine) -> None:
        """Send a heartbeat now, and one every interval from now on."""
        if self._is_over:
            return
        virtual().call_later(machine.interval, self._beat, machine)
        if self.broker.is_heard:
            machine.beats += 1
            if machine.is_beating:
                self.say(machine.name)

    def measure_itself(self, lag_seconds: float, waited_seconds: float) -> None:
        """Let the daemon that acts find that its loop is so late, and that beats waited so long in its socket."""
        daemon = self.daemon
        if daemon.engine is not None:
            measured = e.OwnHealthMeasured(at=daemon.now(), lag_seconds=lag_seconds, waited_seconds=waited_seconds)
            daemon.engine.reactor.deliver(measured)
            self.checker.call("measured", daemon.name, measured)

    def poll(self, name: str, interval: float, *, named: float = 0.0) -> None:
        """Let a collector, a second reporter, report the machine every interval from now on; 0: no more.

        It asks the machine over the network, so it goes on where the machine's own reporter is dead. `named`: the
        interval that its beats name, if that is another one.
        """
        machine = self.machines[HostName(name)]
        machine.polled_every, machine.polls_name = interval, named or interval
        self._poll(machine, interval)

    def _poll(self, machine: Machine, interval: float) -> None:
        if self._is_over or not interval or machine.polled_every != interval:
            return
        virtual().call_later(interval, self._poll, machine, interval)
        if self.broker.is_heard:
            machine.polls += 1
            if machine.is_answering and not machine.is_cut_off:
                self.say(machine.name, reporter=COLLECTOR)

    def _spell(self, event: BusEvent) -> tuple[BusEvent, BusEvent | None]:
        """Format a message in its host's manner."""
        if not isinstance(event, e.Health) or self.machines[event.host].manner is Manner.PLAINLY:
            return event, event
        manner = self.machines[event.host].manner
        return meant(event, manner), spelled(event, manner)

    def say(
        self, name: str, status: e.HealthStatus = e.HealthStatus.OK, *, boot: int | None = None, reporter: str = ""
    ) -> None:
        """Send one health message of a machine, as it would send it now (or, with `boot`, in that run)."""
        machine = self.machines[HostName(name)]
        boot_id = machine.boot if boot is None else type(machine.boot)(f"{name}#{boot}")
        self.post.send(
            e.Health(
                host=machine.name,
                received=self.clock.now(),
                is_retained=False,
                boot=boot_id,
                reporter=reporter,
                sequence=machine.polls if reporter else machine.beats,
                status=status,
                workloads=None if reporter else machine.workloads,
                interval_seconds=machine.polls_name if reporter else machine.interval,
                reason="" if status is e.HealthStatus.OK else f"says {status.value}",
            )
        )

    def machine(self, name: str) -> Machine:
        return self.machines[HostName(name)]

    def plug(self, host: str, device: str) -> Plug:
        return self.machine(host).plug(DeviceName(device))

    def proxy(self, name: str) -> WorldProxy:
        return self.proxies[ProxyName(name)]

    def path(self, name: str) -> Path:
        return self.paths[ProxyName(name)]

    # -- the daemon ---------------------------------------------------------------------------------------------------

    @property
    def daemon(self) -> Daemon:
        """The daemon that may act: of the running ones, that with the newest epoch."""
        running = [daemon for daemon in self.daemons.values() if daemon.engine is not None]
        return max(running, key=lambda daemon: daemon.engine.fleet.epoch if daemon.engine else 0, default=self._first)

    @property
    def active(self) -> Daemon:
        """The daemon that holds or last held the lease."""
        return self.daemons.get(self.disk.row.name, self._first)

    @property
    def standby(self) -> Daemon:
        """Another daemon, one that runs if there is any."""
        others = [it for it in self.daemons.values() if it is not self.active]
        return next((it for it in others if it.is_running), others[0] if others else self._first)

    @property
    def _first(self) -> Daemon:
        return next(iter(self.daemons.values()))

    @property
    def engine(self) -> Engine:
        engine = self.daemon.engine
        assert engine is not None, "no daemon runs"
        return engine

    @property
    def control(self) -> EngineControl:
        return self.engine.control

    @property
    def journal(self) -> WorldJournal:
        """The store connection of the daemon that may act."""
        return self.daemon.journal

    async def start(self) -> None:
        await self._first.start()

    async def crash(self) -> None:
        await self._first.crash()

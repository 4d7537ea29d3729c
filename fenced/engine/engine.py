"""Runs the engine: reactor, effects, outbox, lease and housekeeping in one task group; start, drain, stop.

`app` passes in the ports. When one part fails that the others need, all end, and the next start resumes from the
journal.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from fenced.core import events as e
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.engine.batch import Collected
from fenced.engine.checking import PathChecks
from fenced.engine.control import EngineControl
from fenced.engine.effects import EngineEffects
from fenced.engine.housekeeping import Housekeeping
from fenced.engine.lease import LeaseKeeper
from fenced.engine.misnamed import Misnamed
from fenced.engine.observer import Observer
from fenced.engine.outbox import Outbox
from fenced.engine.race import PathMemory
from fenced.engine.reactor import Reactor
from fenced.engine.retired import Retired
from fenced.engine.workers import DeviceWorkers, Reach
from fenced.model.inventory import Inventory
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName, PlugId, ProxyName, Token
from fenced.ports.bus import Bus, BusConnected, BusDisconnected, BusEvent, BusRequest
from fenced.ports.clock import Clock
from fenced.ports.devices import Caller
from fenced.ports.journal import ClockAnchor, Journal, Loaded
from fenced.ports.liveness import Liveness
from fenced.ports.proxies import ProxyView
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

DRAIN_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The adapters that the engine uses."""

    bus: Bus
    journal: Journal
    local: Caller
    remote: Caller
    liveness: Liveness
    clock: Clock
    telemetry: Telemetry
    anchor: Callable[[], ClockAnchor | None] = lambda: None
    reach: Reach | None = None
    proxies: Callable[[], Sequence[ProxyView]] = tuple
    wall: Wall = as_steady
    remarks: Callable[[], tuple[str, ...]] = tuple
    """Further warnings for /readyz; the daemon is still ready."""
    retired: Retired | None = None


def replay(inventory: Inventory, loaded: Loaded, *, started: float) -> Fleet:
    """Return the fleet as the journal left it: snapshots, then the records since each."""
    fleet = Fleet(inventory, epoch=loaded.epoch, started=started)
    fleet.restore(loaded.hosts, loaded.fleet)
    for name, why in loaded.faults.items():
        _doubt(fleet, name, why)
    fleet.expected_store = loaded.expected_store
    doubt = ""
    if loaded.expected_store:
        doubt = f"store {loaded.store_id} is in the place of {loaded.expected_store}, which is gone"
    elif loaded.fleet_fault:
        doubt = f"the fleet's own records can't be read: {loaded.fleet_fault}"
    fleet.own = replace(fleet.own, store_doubt=doubt)
    for entry in loaded.tail:
        _fold(fleet, entry)
    return fleet


def _fold(fleet: Fleet, entry: Entry) -> None:
    if entry.host is not None and entry.host in fleet.faults:
        return
    try:
        fleet.apply(entry)
    except Exception as exc:  # border of the start: one host's bad records must not block all others
        why = f"{entry.record.kind} can't be folded: {type(exc).__name__}: {exc}"
        if entry.host is None:
            doubt = fleet.own.store_doubt or f"the fleet's own records can't be applied: {why}"
            fleet.own = replace(fleet.own, store_doubt=doubt)
        else:
            _doubt(fleet, entry.host, why)


def _doubt(fleet: Fleet, name: HostName, why: str) -> None:
    log.error("host_put_aside", host=name, reason=why)
    fleet.faults[name] = why
    if name not in fleet.hosts and name not in fleet.gone:
        fleet.gone[name] = HostState(name=name, since=fleet.started)


def highest_tokens(fleet: Fleet) -> dict[PlugId, Token]:
    """Return the highest token that each plug was ever sent, as far as it can still matter."""
    highest: dict[PlugId, Token] = {}
    for state in (*fleet.hosts.values(), *fleet.gone.values()):
        for command in state.commands:
            if command.plug_id not in highest or highest[command.plug_id] < command.token:
                highest[command.plug_id] = command.token
    return highest


def unfinished(fleet: Fleet) -> tuple[tuple[int, str], ...]:
    """Return (pid, start time) of programs that an earlier run started and that may still run (S16)."""
    return tuple(
        (command.pid, command.pid_started)
        for state in (*fleet.hosts.values(), *fleet.gone.values())
        for command in state.commands
        if not command.is_ended and command.pid is not None and command.pid_started is not None
    )


class Engine:
    """Builds and runs everything between the ports."""

    def __init__(self, *, fleet: Fleet, ports: Ports) -> None:
        daemon = fleet.inventory.daemon
        self.fleet, self.ports = fleet, ports
        self.observer = Observer(fleet=fleet, telemetry=ports.telemetry, clock=ports.clock)
        self.reactor = Reactor(
            fleet=fleet, journal=ports.journal, clock=ports.clock, telemetry=ports.telemetry,
            controller=daemon.name, observe=self._observe, heard=self.observer.heard, wall=ports.wall,
        )  # fmt: skip
        self.outbox = Outbox(
            fleet=fleet, journal=ports.journal, bus=ports.bus, clock=ports.clock, deliver=self.reactor.deliver,
            controller=daemon.name, wall=ports.wall, holds_lease=self.reactor.holds_lease, retired=ports.retired,
        )  # fmt: skip
        self.workers = DeviceWorkers(
            local=ports.local, remote=ports.remote, clock=ports.clock, telemetry=ports.telemetry,
            agent_processes=daemon.agent_processes, has_lease=self.reactor.has_lease,
            calls_max=fleet.calls_max, reach=ports.reach,
        )  # fmt: skip
        self.workers.remember(highest_tokens(fleet))
        memory = PathMemory()
        self.effects = EngineEffects(
            fleet=fleet, workers=self.workers, liveness=ports.liveness, clock=ports.clock, telemetry=ports.telemetry,
            memory=memory, deliver=self.reactor.deliver, ask=self.reactor.ask, reply=self.outbox.reply,
        )  # fmt: skip
        self.reactor.use(self.effects)
        self.checks = PathChecks(
            fleet=fleet, workers=self.workers, memory=memory, clock=ports.clock, deliver=self.reactor.deliver,
            spawn=self.effects.spawn, has_lease=self.reactor.has_lease,
        )  # fmt: skip
        self.lease = LeaseKeeper(
            journal=ports.journal,
            clock=ports.clock,
            ttl_seconds=daemon.lease_ttl_seconds,
            deliver=self.reactor.deliver,
            anchor=ports.anchor,
        )
        self.housekeeping = Housekeeping(
            journal=ports.journal, clock=ports.clock, keep_seconds=lambda: fleet.inventory.daemon.keep_seconds
        )
        self.misnamed = Misnamed(lambda: fleet.inventory, ports.clock)
        self.control = EngineControl(
            reactor=self.reactor, journal=ports.journal, clock=ports.clock,
            is_bus_connected=lambda: ports.bus.is_connected, not_ready=self._not_ready,
            warnings=self._warnings, proxies=ports.proxies,
            misnamed=self.misnamed,
        )  # fmt: skip
        self._is_replayed = False

    async def run(self, *, on_running: Callable[[], None] | None = None) -> None:
        """Run until cancelled. Raises EpochLost (in a group) when another controller took over."""
        await self.lease.renew()
        async with asyncio.TaskGroup() as group:
            self.effects.run_in(group)
            self.reactor.deliver(e.Started())
            group.create_task(self.reactor.run(), name="reactor")
            group.create_task(self.lease.run(), name="lease")
            group.create_task(self.outbox.run(), name="outbox")
            group.create_task(self.ports.bus.run(self.take), name="bus")
            group.create_task(self.housekeeping.run(), name="housekeeping")
            group.create_task(self.checks.run(), name="check")
            self._is_replayed = True
            if on_running is not None:
                on_running()

    def take(self, event: BusEvent) -> None:
        """Receive an event of the bus. A confirm_off first has the devices read."""
        if isinstance(event, BusConnected):
            self.outbox.connected()
        elif isinstance(event, BusDisconnected):
            self.outbox.disconnected()
        if isinstance(event, BusRequest) and self._is_confirmation(event):
            self.effects.spawn(self._confirm_from_bus(event), f"confirm {event.id}")
            return
        self.reactor.deliver(event)

    def bar(self, faults: Mapping[ProxyName, str]) -> None:
        """Set the proxies that can't be used, and why; all others can."""
        self.reactor.deliver(e.ProxiesSeen(faults=faults))

    def _is_confirmation(self, event: BusRequest) -> bool:
        """Return whether the core may accept this confirm_off. Any other is refused without reading the devices."""
        accepted = self.fleet.inventory.daemon.accept_requests
        is_wanted = event.action == "confirm_off" and event.action in accepted and not event.is_retained
        return is_wanted and event.host in self.fleet.hosts

    async def _confirm_from_bus(self, event: BusRequest) -> None:
        await self.control.read_devices(event.host, by=event.by)
        self.reactor.deliver(event)

    def _observe(self, collected: Collected) -> None:
        self.observer.take(collected)
        for name, state in collected.after.items():
            if state.operation is not None or state.reading is not None:
                self.checks.make_way(name)
        if collected.outbox:
            self.outbox.nudge()
        self.control.nudge(has_events=any(not message.is_retained for message in collected.outbox))

    def _not_ready(self) -> tuple[str, ...]:
        missing = []
        if not self._is_replayed:
            missing.append("the journal is being replayed")
        if not self.ports.bus.is_connected:
            missing.append("the bus is not connected")
        return tuple(missing)

    def _warnings(self) -> tuple[str, ...]:
        refusal = self.reactor.store_refusal
        of_store = (f"the store rejects records, so no host can be fenced: {refusal}",) if refusal else ()
        return (*of_store, *self.outbox.stuck_words(), *self.ports.remarks())

    async def drain(self) -> None:
        """Start nothing new and let running power steps reach a safe point, at most `shutdown_grace`."""
        self.reactor.deliver(e.DrainStarted())
        end = self.ports.clock.now() + self.fleet.inventory.daemon.shutdown_grace_seconds
        while self.effects.commands_in_flight and self.ports.clock.now() < end:  # noqa: ASYNC110 - bounded, once a life
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        await self.outbox.say_offline()

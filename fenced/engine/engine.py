"""Runs the engine: reactor, effects, outbox, lease and housekeeping in one task group; start, drain, stop.

`app` passes in the ports. When one part fails that the others need, all end, and the next start resumes from the
journal.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from fenced import __version__
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.taking import words_of
from fenced.engine.batch import Collected
from fenced.engine.checking import PathChecks
from fenced.engine.control import EngineControl
from fenced.engine.controllers import Controllers
from fenced.engine.effects import EngineEffects
from fenced.engine.housekeeping import Housekeeping
from fenced.engine.lease import LeaseKeeper
from fenced.engine.misnamed import Misnamed
from fenced.engine.observer import Observer
from fenced.engine.outbox import Outbox
from fenced.engine.race import PathMemory
from fenced.engine.reactor import Reactor
from fenced.engine.retired import Retired
from fenced.engine.shown import Shown
from fenced.engine.standby import Standby as Follower
from fenced.engine.takeover import Kept, Surroundings, Takeover
from fenced.engine.workers import DeviceWorkers, Reach
from fenced.model.moments import Wall, as_steady
from fenced.model.names import PlugId, ProxyName, Token
from fenced.ports.bus import Bus, BusConnected, BusDisconnected, BusEvent, BusRequest, StateSeen
from fenced.ports.clock import Clock
from fenced.ports.control import NotFound, Refused, Standby
from fenced.ports.devices import Caller
from fenced.ports.journal import ClockAnchor, ControllerReport, Journal, Loaded, StoreError, Taken
from fenced.ports.liveness import Liveness
from fenced.ports.proxies import ProxyView
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)

DRAIN_LOOK_SECONDS = 0.1
SHARD = "main"
"""The one shard of everything."""


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
    takeover: Surroundings = field(default_factory=Surroundings)
    address: str = ""
    """The URL of this controller's API for other controllers' clients."""


class HandedOver(Exception):
    """This controller gave up the lease at a safe point; its next life is a standby."""


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

    def __init__(self, *, fleet: Fleet, loaded: Loaded, ports: Ports) -> None:
        """`fleet`: replayed from `loaded`."""
        daemon = fleet.inventory.daemon
        self.fleet, self.ports = fleet, ports
        self.observer = Observer(fleet=fleet, telemetry=ports.telemetry, clock=ports.clock)
        self.reactor = Reactor(
            fleet=fleet, journal=ports.journal, clock=ports.clock, telemetry=ports.telemetry,
            controller=daemon.name, observe=self._observe, heard=self.observer.heard, wall=ports.wall,
            where_active=lambda: self.controllers.where_active(),
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
            renewed=lambda began: self.shown.renewed(began),
        )
        self.shown = Shown(
            fleet=fleet, clock=ports.clock, telemetry=ports.telemetry, controller=daemon.name,
            again=self.outbox.again, deliver=self.reactor.deliver, hurry=self.lease.hurry,
        )  # fmt: skip
        self.standby = Follower(
            fleet=fleet, journal=ports.journal, clock=ports.clock, position=loaded.sequence, tail=loaded.tail,
            patience=self._patience, followed=lambda: self.control.nudge(has_events=True),
            known_epoch=self.shown.known_epoch,
        )  # fmt: skip
        self.takeover = Takeover(
            fleet=fleet, journal=ports.journal, clock=ports.clock, standby=self.standby, lease=self.lease,
            around=ports.takeover, is_older=bool(loaded.went_back), words=loaded.words,
        )  # fmt: skip
        self.controllers = Controllers(
            journal=ports.journal, ttl_seconds=daemon.lease_ttl_seconds, report=self._report,
            words=lambda: words_of(fleet), seen=self._others_seen,
        )  # fmt: skip
        self._kept = Kept()
        self._unfit_since: float | None = None
        self._giving_over: asyncio.Task[None] | None = None
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
        self._group: asyncio.TaskGroup | None = None
        self._is_replayed = False

    async def run(self, *, on_running: Callable[[], None] | None = None) -> None:
        """Run until cancelled. Raises in a group: EpochLost when another controller took over, StoreWentBack,
        HandedOver, and StoreHeld if another living controller has this name."""
        taken = await self.standby.look()
        moved = await self.takeover.hold(taken) if taken is not None else 0.0
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.effects.run_in(group)
            if taken is not None:
                await self._begin(taken, moved)
            group.create_task(self.reactor.run(), name="reactor")
            if taken is not None:
                self._act()
            else:
                group.create_task(self._stand_by(), name="standby")
            group.create_task(self.ports.bus.run(self.take), name="bus")
            group.create_task(self.controllers.run(), name="controllers")
            self._is_replayed = True
            if on_running is not None:
                on_running()

    async def _stand_by(self) -> None:
        """Follow until the lease is taken, then act."""
        taken = await self.standby.until_taken()
        log.warning("lease_taken", before=taken.before, epoch=taken.epoch)
        await self._begin(taken, await self.takeover.hold(taken))
        self._act()
        for event in self._kept.give():
            self.reactor.deliver(event)
        self.shown.take_over()

    async def _begin(self, taken: Taken, moved_seconds: float) -> None:
        """Let the reactor decide, once the takeover is prepared."""
        assert self._group is not None
        keeping = self._group.create_task(self.lease.run(), name="lease")
        self.ports.telemetry.lease_taken(SHARD, taken.reason)
        epoch, started = await self.takeover.prepare(taken, moved_seconds=moved_seconds)
        assert not keeping.done(), "the group ends with it"
        self.workers.remember(highest_tokens(self.fleet))
        self.fleet.is_store_new = not self.standby.position and not self.fleet.own.is_store_older
        self.reactor.begin(started, epoch=epoch, lease_until=self.lease.until)

    def _act(self) -> None:
        assert self._group is not None
        self._group.create_task(self.outbox.run(), name="outbox")
        self._group.create_task(self.housekeeping.run(), name="housekeeping")
        self._group.create_task(self.checks.run(), name="check")

    def take(self, event: BusEvent) -> None:
        """Receive an event of the bus. A confirm_off first has the devices read."""
        if isinstance(event, BusConnected):
            self.outbox.connected()
        elif isinstance(event, BusDisconnected):
            self.outbox.disconnected()
        elif isinstance(event, StateSeen):
            self.shown.seen(event)
            return
        if self.fleet.is_standby:
            self._kept.keep(event)
            if isinstance(event, BusConnected):
                self.effects.spawn(self.outbox.say("standby"), "say standby")
        elif isinstance(event, BusRequest) and self._is_confirmation(event):
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

    # -- other controllers --------------------------------------------------------------------------------------------

    def unfit(self) -> tuple[str, ...]:
        """Return why another controller should hold the lease; empty if this one is fit."""
        why = []
        if not self.ports.bus.is_connected:
            why.append("the bus is not connected")
        if self.fleet.is_standby and self.standby.refusal:
            why.append(f"the journal can't be followed: {self.standby.refusal}")
        asked = [view for view in self.ports.proxies() if view.is_up is not None]
        if asked and not any(view.is_up for view in asked):
            why.append("no proxy answers")
        active = self.controllers.active()
        if active is not None and not active.is_self and active.report.configuration != self._configuration:
            why.append("config_differs: this controller has another configuration than the active one")
        return tuple(why)

    @property
    def _configuration(self) -> str:
        return self.fleet.durable_inventory.digest

    def _patience(self) -> float:
        """Return how much longer than the lease an unfit controller waits, so that a fit one takes it first."""
        return self.fleet.inventory.daemon.lease_ttl_seconds if self.unfit() else 0.0

    def _report(self) -> ControllerReport:
        return ControllerReport(
            name=self.fleet.inventory.daemon.name, address=self.ports.address, version=__version__,
            unfit=self.unfit(), lag=self.standby.lag, configuration=self._configuration,
        )  # fmt: skip

    def _others_seen(self) -> None:
        """Give over to a fit controller once this one has been unfit for a whole lease."""
        now = self.ports.clock.now()
        unfit = self.unfit()
        if not unfit or self.fleet.is_standby:
            self._unfit_since = None
            return
        if self._unfit_since is None:
            self._unfit_since = now
        is_long = now - self._unfit_since >= self.fleet.inventory.daemon.lease_ttl_seconds
        if is_long and self._giving_over is None and (others := self.controllers.fit_others()):
            log.warning("giving_over", why=list(unfit), fit=[view.report.name for view in others])
            self._begin_to_give_over("")

    async def hand_over(self, *, to: str, by: str, reason: str) -> None:
        """Give the lease over at a safe point: `to` is a controller's name, or "" for any.

        Returns once that is journalled; this life ends with HandedOver. Raises Standby, Refused, NotFound, Unavailable.
        """
        if self.fleet.is_standby:
            raise Standby(self.controllers.where_active())
        await self.controllers.look()
        others = {view.report.name: view for view in self.controllers.views if not view.is_self}
        if to and to not in others:
            raise NotFound(f"no other controller {to}; known: {', '.join(sorted(others)) or 'none'}")
        fit = [view.report.name for view in self.controllers.fit_others()]
        if to and to not in fit:
            view = others[to]
            why = "; ".join(view.report.unfit) if view.is_alive else "it does not report"
            raise Refused("unfit", f"{to} can't take over: {why}")
        if not fit:
            raise Refused("alone", "no other fit controller could take over")
        await self.reactor.ask(e.HandOverAsked(to=to, by=by, reason=reason))
        self._begin_to_give_over(to)

    def _begin_to_give_over(self, to: str) -> None:
        assert self._group is not None
        if self._giving_over is None:
            self._giving_over = self._group.create_task(self._give_over(to), name="give over")

    async def _give_over(self, to: str) -> None:
        await self.stop_acting()
        self.reactor.deliver(e.LeaseLost(why="handed over"))
        await self.outbox.settle()
        try:
            await self.ports.journal.release(to=to)
        except StoreError as exc:
            log.error("lease_not_released", error=str(exc), advice="it ends by itself")
        raise HandedOver(f"the lease was given to {to or 'another controller'}")

    async def stop_acting(self) -> None:
        """Start nothing new and let running power steps reach a safe point, at most `shutdown_grace`."""
        self.reactor.deliver(e.DrainStarted())
        end = self.ports.clock.now() + self.fleet.inventory.daemon.shutdown_grace_seconds
        while self.effects.commands_in_flight and self.ports.clock.now() < end:  # noqa: ASYNC110 - bounded, once a life
            await asyncio.sleep(DRAIN_LOOK_SECONDS)

    async def drain(self) -> None:
        """Stop acting, and say so on the bus."""
        await self.stop_acting()
        await self.outbox.say("offline")

"""Runs the engine: reactor, effects, outbox, lease and housekeeping in one task group; start, drain, stop.

`app` passes in the ports. When one part fails that the others need, all end, and the next start resumes from the
journal.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from fenced.core import events as e
from fenced.core import storms
from fenced.core.fleet import Fleet
from fenced.core.heard import own_health
from fenced.core.suspected import evidence
from fenced.core.taking import words_of
from fenced.engine import shortcomings
from fenced.engine.batch import Collected
from fenced.engine.beside import Beside, HeldHere
from fenced.engine.checking import PathChecks
from fenced.engine.control import EngineControl
from fenced.engine.controllers import Controllers
from fenced.engine.effects import EngineEffects
from fenced.engine.giving_over import GivingOver, HandedOver
from fenced.engine.housekeeping import Housekeeping
from fenced.engine.lease import LeaseKeeper
from fenced.engine.looking import AskProxy, Looking
from fenced.engine.misnamed import Misnamed
from fenced.engine.observer import Observer
from fenced.engine.ordering import order_shutdown
from fenced.engine.others import OtherShards
from fenced.engine.outbox import Outbox
from fenced.engine.race import PathMemory
from fenced.engine.reactor import Reactor
from fenced.engine.restricting import Restricting
from fenced.engine.retired import Retired
from fenced.engine.shown import Shown
from fenced.engine.standby import Standby as Follower
from fenced.engine.takeover import Kept, Surroundings, Takeover
from fenced.engine.trials import TrialLooks
from fenced.engine.workers import DeviceWorkers, Reach
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName, PlugId, ProxyName, Token
from fenced.ports.bus import Bus, BusConnected, BusDisconnected, BusEvent, BusRequest, StateSeen, WakeRequest
from fenced.ports.clock import Clock
from fenced.ports.devices import Caller
from fenced.ports.journal import ClockAnchor, EpochLost, Journal, Loaded, StoreWentBack, Taken, Words
from fenced.ports.liveness import Liveness
from fenced.ports.proxies import ProxyView
from fenced.ports.telemetry import Telemetry

log = structlog.get_logger(__name__)


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
    ask_proxy: AskProxy | None = None
    proxies: Callable[[], Sequence[ProxyView]] = tuple
    wall: Wall = as_steady
    remarks: Callable[[], tuple[str, ...]] = tuple
    """Further warnings for /readyz; the daemon is still ready."""
    retired: Retired | None = None
    takeover: Surroundings = field(default_factory=Surroundings)
    shown: Mapping[HostName, StateSeen] = field(default_factory=dict)
    """What the life before this one left (HandedOver)."""
    beside: Beside = field(default_factory=Beside)


def highest_tokens(fleet: Fleet) -> dict[PlugId, Token]:
    """Return the highest token that each plug was ever sent, as far as it can still matter."""
    highest: dict[PlugId, Token] = {}
    for state in fleet.states():
        for command in state.commands:
            if command.plug_id not in highest or highest[command.plug_id] < command.token:
                highest[command.plug_id] = command.token
    return highest


def unfinished(fleet: Fleet) -> tuple[tuple[int, str], ...]:
    """Return (pid, start time) of programs that an earlier run started and that may still run (S16)."""
    return tuple(
        (command.pid, command.pid_started)
        for state in fleet.states()
        for command in state.commands
        if not command.is_ended and command.pid is not None and command.pid_started is not None
    )


def _looking(fleet: Fleet, ports: Ports) -> Looking:
    return Looking(
        fleet=fleet, liveness=ports.liveness, clock=ports.clock, telemetry=ports.telemetry, ask_proxy=ports.ask_proxy
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
            beside=ports.beside,
        )  # fmt: skip
        self.workers = DeviceWorkers(
            local=ports.local, remote=ports.remote, clock=ports.clock, telemetry=ports.telemetry,
            agent_processes=daemon.agent_processes, has_lease=self.reactor.has_lease,
            calls_max=lambda name: fleet.inventory.calls_max(name), reach=ports.reach,
        )  # fmt: skip
        memory, looking = PathMemory(), _looking(fleet, ports)
        self.effects = EngineEffects(
            fleet=fleet, workers=self.workers, looking=looking, clock=ports.clock,
            telemetry=ports.telemetry, memory=memory, deliver=self.reactor.deliver, ask=self.reactor.ask,
            reply=self.outbox.reply, order=partial(order_shutdown, ports.bus),
        )  # fmt: skip
        self.reactor.use(self.effects)
        self.checks = PathChecks(
            fleet=fleet, workers=self.workers, memory=memory, clock=ports.clock, deliver=self.reactor.deliver,
            spawn=self.effects.spawn, has_lease=self.reactor.has_lease,
        )  # fmt: skip
        self.trials = self._trials(looking)
        self.lease = LeaseKeeper(
            journal=ports.journal, clock=ports.clock, ttl_seconds=daemon.lease_ttl_seconds,
            deliver=self.reactor.deliver, anchor=ports.anchor, epoch=lambda: fleet.epoch,
            renewed=lambda began: self.shown.renewed(began), is_given_up=lambda: self.reactor.is_resting,
        )  # fmt: skip
        self.shown = Shown(
            fleet=fleet, clock=ports.clock, telemetry=ports.telemetry, controller=daemon.name,
            again=self.outbox.again, deliver=self.reactor.deliver, hurry=self.lease.hurry,
            begin_anew=lambda: self.giving_over.begin_anew(self.shown.left), before=ports.shown,
        )  # fmt: skip
        self._join_others(loaded)
        self.housekeeping = Housekeeping(
            journal=ports.journal, clock=ports.clock, keep_seconds=lambda: fleet.inventory.daemon.keep_seconds
        )
        self.misnamed = Misnamed(lambda: fleet.inventory, ports.clock)
        self.control = EngineControl(
            reactor=self.reactor, journal=ports.journal, clock=ports.clock,
            is_bus_connected=lambda: ports.bus.is_connected, not_ready=self._not_ready,
            warnings=self._warnings, proxies=ports.proxies,
            misnamed=self.misnamed, controllers=self.controllers, unfit=self.giving_over.unfit,
            hand_over=self.hand_over, restricting=self.restricting, shard=ports.beside.shard,
        )  # fmt: skip
        self._group: asyncio.TaskGroup | None = None
        self._is_replayed = False

    def _trials(self, looking: Looking) -> TrialLooks:
        return TrialLooks(
            fleet=self.fleet, looking=looking, clock=self.ports.clock, deliver=self.reactor.deliver,
            spawn=self.effects.spawn, has_lease=self.reactor.has_lease,
        )  # fmt: skip

    def _join_others(self, loaded: Loaded) -> None:
        """Build what several controllers of one store need."""
        fleet, ports = self.fleet, self.ports
        self.standby = Follower(
            fleet=fleet, journal=ports.journal, clock=ports.clock, position=loaded.sequence, tail=loaded.tail,
            patience=lambda: self.giving_over.patience_seconds(), followed=lambda: self.control.nudge(has_events=True),
            known_epoch=self.shown.known_epoch, beside=ports.beside,
        )  # fmt: skip
        self.takeover = Takeover(
            fleet=fleet, journal=ports.journal, clock=ports.clock, standby=self.standby, lease=self.lease,
            around=ports.takeover, is_older=bool(loaded.went_back), words=loaded.words, spawn=self.effects.spawn,
            ask_others=lambda: self.giving_over.doubts(),
        )  # fmt: skip
        self.restricting = Restricting(
            fleet=fleet, journal=ports.journal, clock=ports.clock, tell=self.reactor.look_at_words,
            where_active=lambda: self.controllers.where_active(), beside=ports.beside,
        )  # fmt: skip
        self.controllers = Controllers(
            journal=ports.journal, ttl_seconds=fleet.inventory.daemon.lease_ttl_seconds,
            report=lambda: self.giving_over.report(), words=self._words,
            seen=lambda: self.giving_over.look(), shard=self.shard, pause=ports.beside.pause,
        )  # fmt: skip
        self.giving_over = GivingOver(
            fleet=fleet, clock=ports.clock, journal=ports.journal, bus=ports.bus, proxies=ports.proxies,
            standby=self.standby, controllers=self.controllers, reactor=self.reactor, effects=self.effects,
            outbox=self.outbox, beside=ports.beside,
        )  # fmt: skip
        self.other_shards = OtherShards(
            fleet=fleet, journal=ports.journal, clock=ports.clock, deliver=self.reactor.deliver
        )
        if ports.takeover.floors is not None:
            ports.takeover.floors.report_higher_epoch_to(self._met_higher_epoch)
        self._kept = Kept()

    async def run(self, *, on_running: Callable[[], None] | None = None) -> None:
        """Run until cancelled. Raises in a group: EpochLost when another controller took over, StoreWentBack,
        HandedOver, and StoreHeld if another living controller has this name."""
        try:
            await self._run(on_running)
        except* StoreWentBack as group:
            await self.controllers.keep_words()  # the store may have lost the newest of them
            await self.controllers.say_unfit(self.giving_over.went_back(group))
            raise
        except* EpochLost as lost:
            if not self.giving_over.has_let_go:
                raise
            ended = HandedOver("the lease was given over while something was still to be written")
            raise ExceptionGroup("handed over", [ended]) from lost
        finally:
            self.reactor.end()

    async def _run(self, on_running: Callable[[], None] | None) -> None:
        taken = await self.standby.first_look()
        moved = await self.takeover.hold(taken) if taken is not None else 0.0
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.effects.run_in(group)
            self.giving_over.run_in(group)
            is_at_once = taken is not None and not self.takeover.must_wait(taken)
            if taken is not None and is_at_once:
                await self._begin(taken, moved)
            group.create_task(self.reactor.run(), name="reactor")
            if is_at_once:
                self._act()
                self.shown.take_over()
            elif taken is not None:  # a standby until no lost command can act: systemd does not wait that long
                group.create_task(self._take_over(taken, moved), name="standby")
            else:
                group.create_task(self._stand_by(), name="standby")
            group.create_task(self.ports.bus.run(self.take), name="bus")
            group.create_task(self.controllers.run(), name="controllers")
            group.create_task(self.other_shards.run(), name="other shards")
            group.create_task(self.restricting.run(), name="words")
            self._is_replayed = True
            if on_running is not None:
                on_running()

    async def _stand_by(self) -> None:
        """Follow until the lease is taken, then act."""
        assert self._group is not None
        saying = self._group.create_task(self.restricting.say_lost(lambda: self.takeover.words), name="lost words")
        taken = await self.standby.until_taken()
        saying.cancel()  # what it did not say comes with the takeover
        log.warning("lease_taken", before=taken.before, epoch=taken.epoch)
        await self._take_over(taken, await self.takeover.hold(taken))

    async def _take_over(self, taken: Taken, moved_seconds: float) -> None:
        """Act, and obey what came while this controller could not decide."""
        await self._begin(taken, moved_seconds)
        self._act()
        oldest = self.ports.clock.now() - self.fleet.inventory.daemon.request_max_age_seconds
        for event in self._kept.give(since=oldest):
            self.take(event)
        self.shown.take_over()

    async def _begin(self, taken: Taken, moved_seconds: float) -> None:
        """Let the reactor decide, once the takeover is prepared."""
        assert self._group is not None
        keeping = self._group.create_task(self.lease.run(), name="lease")
        self.ports.telemetry.lease_taken(self.shard, taken.reason)
        epoch, started = await self.takeover.prepare(taken, moved_seconds=moved_seconds)
        if keeping.done():  # after a standstill both may come at once; the group ends with it
            keeping.result()
        self.workers.remember(highest_tokens(self.fleet))
        self.fleet.is_store_new = not self.standby.position and not self.fleet.own.is_store_older
        self.reactor.begin(started, epoch=epoch, lease_until=self.lease.until, words=taken.words)

    def _act(self) -> None:
        assert self._group is not None
        self._group.create_task(self.outbox.run(), name="outbox")
        self._group.create_task(self.housekeeping.run(), name="housekeeping")
        self._group.create_task(self.checks.run(), name="check")
        self._group.create_task(self.trials.run(), name="trial looks")

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
            if isinstance(event, BusRequest | WakeRequest):  # given at the takeover, once its devices can be read
                return
        elif isinstance(event, BusRequest) and self._is_confirmation(event):
            self.effects.spawn(self._confirm_from_bus(event), f"confirm {event.id}")
            return
        self.reactor.deliver(event)

    def met(self, controller: str) -> None:
        """Hear that a controller's state on the bus changes now: another one may give a lease up."""
        if self.fleet.is_standby and controller != self.fleet.inventory.daemon.name:
            self.standby.hurry()

    def note_proxies(
        self, faults: Mapping[ProxyName, str], observers: frozenset[ProxyName], untold: frozenset[ProxyName]
    ) -> None:
        """Set the proxies that can't be used (all others can), those that look at hosts, and those that may do so."""
        self.reactor.deliver(e.ProxiesSeen(faults=faults, observers=observers, untold=untold))

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
        if self.fleet.is_standby and self.standby.refusal:
            missing.append(f"the journal can't be followed: {self.standby.refusal}")
        return tuple(missing)

    def _warnings(self) -> tuple[str, ...]:
        refusal = self.reactor.store_refusal
        of_store = (f"the store rejects records, so no host can be fenced: {refusal}",) if refusal else ()
        silent = evidence.warnings(self.fleet, self.ports.clock.now())
        return (
            *of_store,
            *storms.warnings(self.fleet),
            *silent,
            *shortcomings.warnings(self.fleet, self.ports.proxies(), self.ports.clock.now()),
            *self.restricting.warnings(),
            *self.outbox.stuck_words(),
            *self.ports.remarks(),
        )

    def _words(self) -> Words:
        """Return what operators said, as far as this controller knows: the store may have lost it."""
        lost = self.takeover.words if self.fleet.is_standby else None
        return self.restricting.added_to(lost if lost is not None else words_of(self.fleet))

    def _met_higher_epoch(self, epoch: int) -> None:
        """Ask the store at once whether the lease is lost: a proxy knows a later holder."""
        log.warning("higher_epoch_met", epoch=epoch, ours=self.fleet.epoch)
        self.lease.hurry(epoch)

    @property
    def own_health(self) -> float:
        """Return how badly this engine hears its hosts: 0 well .. 1."""
        return own_health.score(self.fleet.own.stretch_seconds(self.ports.clock.now()))

    @property
    def shard(self) -> str:
        return self.ports.beside.shard

    @property
    def held(self) -> HeldHere | None:
        """Return the shard if this engine decides for it."""
        if self.fleet.is_standby or not self.reactor.holds_lease():
            return None
        return HeldHere(shard=self.shard, epoch=self.fleet.epoch, since=self.fleet.started)

    # -- other controllers --------------------------------------------------------------------------------------------

    async def hand_over(self, *, to: str, by: str, reason: str) -> None:
        """As GivingOver.hand_over."""
        await self.giving_over.hand_over(to=to, by=by, reason=reason)

    async def drain(self) -> None:
        """Stop acting, give the lease up, and say so on the bus."""
        await self.giving_over.stop_acting()
        await self.giving_over.leave()
        await self.outbox.say("offline")

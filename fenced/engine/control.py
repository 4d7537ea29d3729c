"""Implements ports.control over the reactor: all that the API can read or request of the running engine.

Reads use the live fleet and never wait. Every change goes through the reactor as an event and returns when it is
durable.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from fenced.core import closed_gates
from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.records import Decided
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid
from fenced.core.durable.state import HostState, Operation
from fenced.core.explaining import summary
from fenced.core.fleet import Fleet
from fenced.core.idle import told
from fenced.core.idle.told import ClusterSaving, SavingTotals
from fenced.core.storms import silent_of
from fenced.core.suspected import evidence, freshness
from fenced.engine import auditing
from fenced.engine.controllers import Controllers
from fenced.engine.explained import plan_of
from fenced.engine.host_views import HostViews
from fenced.engine.known import known_of
from fenced.engine.misnamed import Misnamed
from fenced.engine.reactor import Reactor
from fenced.engine.readiness import Judge
from fenced.engine.restricting import Restricting
from fenced.engine.saving import of_clusters
from fenced.engine.watching import Events
from fenced.model.answers import Accepted as CoreAccepted
from fenced.model.answers import RefusedBy
from fenced.model.inventory import Inventory
from fenced.model.names import MAIN_SHARD, HostName, OperationId
from fenced.model.positions import Position
from fenced.model.power import Action, OperationState
from fenced.ports.clock import Clock
from fenced.ports.control import (
    Accepted,
    Audit,
    BadCursor,
    Explanation,
    FleetView,
    Happened,
    HostView,
    NotFound,
    Readiness,
    Refused,
    StormView,
    Unavailable,
)
from fenced.ports.decisions import DecisionPage
from fenced.ports.hosts import HostsLike, MappedHost, OperationsLike
from fenced.ports.journal import ControllerView, Journal, Page, StoreError
from fenced.ports.proxies import ProxyView

log = structlog.get_logger(__name__)

READ_WAIT_SECONDS = 60.0

T = TypeVar("T")


class HandOver(Protocol):
    """As `Control.hand_over`, for this shard."""

    async def __call__(self, *, to: str, by: str, reason: str) -> None: ...


class _Changed:
    """Wakes all that wait for the next durable batch."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def tell(self) -> None:
        self.event.set()
        self.event = asyncio.Event()


class EngineControl:
    """`not_ready` returns what /readyz lacks, `warnings` what is wrong although the daemon is ready, `unfit` why
    another controller should hold the lease."""

    def __init__(
        self, *, reactor: Reactor, journal: Journal, clock: Clock, is_bus_connected: Callable[[], bool],
        not_ready: Callable[[], tuple[str, ...]], warnings: Callable[[], tuple[str, ...]],
        proxies: Callable[[], Sequence[ProxyView]],
        misnamed: Misnamed, controllers: Controllers, unfit: Callable[[], tuple[str, ...]], hand_over: HandOver,
        restricting: Restricting, shard: str = MAIN_SHARD,
    ) -> None:  # fmt: skip
        self._shard = shard
        self._misnamed, self._restricting = misnamed, restricting
        self._controllers, self._unfit, self._hand_over = controllers, unfit, hand_over
        self._reactor, self._journal, self._clock = reactor, journal, clock
        self._is_bus_connected, self._not_ready = is_bus_connected, not_ready
        self._warnings, self._proxies = warnings, proxies
        self._judge = Judge(clock, misnamed.names)
        self._events = Events(journal)
        self._changed = _Changed()
        self._views = HostViews(
            fleet=lambda: self._fleet, pauses=self._pauses, misnamed=misnamed, now=clock.now
        )  # fmt: skip
        self._key: tuple[str, str] | None = None

    def keyed(self, key: str, content: str) -> "EngineControl":
        one = copy.copy(self)
        one._key = key, content
        return one

    def nudge(self, *, has_events: bool) -> None:
        """Wake all waiters after a durable batch, and event watchers if it has events."""
        self._changed.tell()
        if has_events:
            self._events.told()

    @property
    def _fleet(self) -> Fleet:
        return self._reactor.fleet

    @property
    def inventory(self) -> Inventory:
        return self._fleet.inventory

    # -- reads --------------------------------------------------------------------------------------------------------

    def fleet(self) -> FleetView:
        fleet, now, missing = self._fleet, self._clock.now(), self._not_ready()
        daemon = fleet.inventory.daemon
        return FleetView(
            name=daemon.name, site=daemon.site, shard=self._shard, now=now, epoch=fleet.epoch,
            is_armed=fleet.is_armed_durably and not self._restricting.is_disarmed,
            is_armed_by_file=daemon.is_armed_by_file, is_lease_held=self._reactor.has_lease(),
            is_standby=fleet.is_standby, unfit=self._unfit(), is_bus_connected=self._is_bus_connected(),
            is_ready=not missing, not_ready=missing, warnings=self._warnings(), is_quiet=now < fleet.quiet_until,
            pauses=self._pauses(), store_hold=fleet.durable_state.store_hold or None,
            storms=tuple(StormView(storm=it, silent=silent_of(fleet, it, now)) for it in fleet.durable_state.storms),
            gate_closed_seconds=closed_gates.closed_seconds(fleet, now),
        )  # fmt: skip

    def of_shard(self, shard: str) -> "EngineControl":
        if shard != self._shard:
            raise NotFound(f"no shard {shard}: every host is in {self._shard}")
        return self

    def controllers(self) -> Sequence[ControllerView]:
        return self._controllers.views

    async def look_at_controllers(self) -> Sequence[ControllerView]:
        return await self._controllers.now()

    def proxies(self) -> Sequence[ProxyView]:
        return self._proxies()

    def hosts(self, *, after: str | None = None, like: HostsLike | None = None) -> Iterator[HostView]:
        return self._views.hosts(after=after, like=like)

    def map(self) -> Iterator[MappedHost]:
        return self._views.map()

    def version(self) -> str:
        return self._views.version()

    def host(self, name: HostName) -> HostView:
        return self._views.view(self._state(name))

    def _state(self, name: HostName) -> HostState:
        if name not in self._fleet.hosts:
            raise NotFound(f"no host {name} in the inventory")
        return self._fleet.durable(name)

    def _pauses(self) -> tuple[Pause, ...]:
        return (*self._fleet.durable_state.pauses, *self._restricting.pauses())

    async def explain(self, name: HostName) -> Explanation:
        fleet, now = self._fleet, self._clock.now()
        view = self.host(name)
        host = fleet.host(name)
        verdicts = gates.all_gates(fleet, name, now)
        warning, misnamed = freshness.warning(fleet, name, now), self._misnamed.sentences(name)
        remarks = (
            *misnamed,
            *filter(None, (warning, freshness.late_reporters(fleet, name, now))),
            *evidence.remarks(fleet, name, now),
        )
        entries = await _stored(self._journal.entries(host=name, limit=50))
        said = summary(fleet, name, now, verdicts, remarks)
        known = known_of(fleet, view, now, warning=warning, misnamed=misnamed)
        last = (await self.decisions(name, before=None, limit=1, after=None)).items
        return Explanation(
            view=view, gates=verdicts, summary=said, known=known, plan=plan_of(fleet, host),
            entries=[one for one in entries if not isinstance(one[1].record, Decided)],
            decision=last[0].record.id if last else None,
        )  # fmt: skip

    async def decisions(self, name: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        self._state(name)
        try:
            return await _stored(self._journal.decisions(name, before=before, limit=limit, after=after))
        except ValueError as exc:
            raise BadCursor from exc

    async def audit(self, *, limit: int, after: str | None) -> Audit:
        return await _stored(auditing.page_of(self._journal, shard=self._shard, limit=limit, after=after))

    async def readiness(self, *, match: str, is_all: bool, limit: int, after: str | None) -> Readiness:
        return await self._judge.readiness(self._fleet, match=match, is_all=is_all, limit=limit, after=after)

    async def saving(self, *, cluster: str | None = None) -> Sequence[ClusterSaving]:
        return await of_clusters(self._fleet, self._clock, cluster)

    def saving_totals(self) -> SavingTotals:
        return told.totals(self._fleet, self._clock.now())

    async def operation(self, operation: OperationId) -> Operation:
        for state in map(self._fleet.durable, self._fleet.hosts):
            for live in (state.operation, state.reading, state.waiting):
                if live is not None and live.id == operation:
                    return live
        stored = await _stored(self._journal.operation(operation))
        if stored is None:
            raise NotFound(f"no operation {operation}")
        return stored

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        try:
            page = await _stored(self._journal.operations(like, limit=limit, after=after))
        except ValueError as exc:
            raise BadCursor from exc
        return replace(page, items=tuple(self._live(operation) for operation in page.items))

    def _live(self, operation: Operation) -> Operation:
        if operation.host not in self._fleet.hosts or operation.state is not OperationState.RUNNING:
            return operation
        state = self._fleet.durable(operation.host)
        for live in (state.operation, state.reading, state.waiting):
            if live is not None and live.id == operation.id:
                return live
        return operation

    async def newest(self) -> Position:
        return Position(numbers={self._shard: await _stored(self._events.newest())})

    async def watch(self, *, after: Position | None) -> AsyncIterator[Happened]:
        named = None if after is None else after.numbers.get(self._shard)
        number = named if named is not None else await _stored(self._events.newest())
        while True:
            for message in await _stored(self._events.after(number)):
                number = message.sequence if message.sequence is not None else number
                yield Happened(message=message, position=Position(numbers={self._shard: number}))

    # -- requests -----------------------------------------------------------------------------------------------------

    async def refuse_at_standby(self, host: HostName | None = None) -> None:
        if self._fleet.is_standby:
            raise await self._controllers.standby()

    async def _ask(self, event: e.Event, *, is_keyed: bool = True) -> Accepted:
        if is_keyed and self._key is not None:
            event = e.Keyed(key=self._key[0], content=self._key[1], event=event)
        answer = await self._reactor.ask(event)
        match answer:
            case RefusedBy():
                if answer.rule == "unknown":
                    raise NotFound(answer.why)
                raise Refused(answer.rule, answer.why)
            case CoreAccepted():
                return Accepted(
                    operation=answer.operation, warnings=answer.warnings, hosts=answer.hosts, short=answer.short
                )
            case None:
                return Accepted(operation=OperationId(""))

    async def act(self, name: HostName, action: Action, *, by: str, reason: str, is_forced: bool) -> Accepted:
        self._state(name)
        return await self._ask(e.ActionAsked(host=name, action=action, by=by, reason=reason, is_forced=is_forced))

    async def wake(self, cluster: str, hosts: int, *, by: str, reason: str) -> Accepted:
        if cluster not in self._fleet.by_cluster:
            raise NotFound(f"no cluster {cluster} in the inventory; `fencectl saving` lists them")
        return await self._ask(e.WakeAsked(cluster=cluster, hosts=hosts, by=by, reason=reason))

    async def drill(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        self._state(name)
        return await self._ask(e.DrillAsked(host=name, by=by, reason=reason, is_forced=is_forced))

    async def confirm_off(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        self._state(name)
        read = await self.read_devices(name, by=by)
        return await self._ask(e.ConfirmOffAsked(host=name, by=by, reason=reason, is_forced=is_forced, read=read))

    async def read_devices(self, name: HostName, *, by: str) -> OperationId | None:
        """Read all devices of a host and wait for the end: confirm-off is compared with what they read now."""
        if not self._fleet.host(name).devices:
            return None
        event = e.ActionAsked(host=name, action=Action.STATUS, by=by, reason="before confirm-off")
        try:
            accepted = await self._ask(event, is_keyed=False)
        except Refused:
            return None
        end = self._clock.now() + READ_WAIT_SECONDS
        while self._clock.now() < end:
            reading = self._state(name).reading
            if reading is None or reading.id != accepted.operation:
                break
            changed = self._changed.event
            try:
                async with asyncio.timeout(1.0):
                    await changed.wait()
            except TimeoutError:
                continue
        return accepted.operation

    async def cancel(self, operation: OperationId, *, by: str, reason: str) -> None:
        found = await self.operation(operation)
        if found.state is not OperationState.RUNNING and self._key is None:
            raise Refused("ended", f"operation {operation} has ended ({found.state.value})")
        await self._ask(e.CancelAsked(host=found.host, operation=operation, by=by, reason=reason))

    async def set_maintenance(self, name: HostName, *, by: str, reason: str, until: float | None) -> None:
        self._state(name)
        if self._fleet.is_standby:
            said = MaintenanceSaid(host=name, by=by, reason=reason, seconds=self._seconds(until))
            await self._restricting.say(said, key=self._key)
            return
        await self._ask(e.MaintenanceAsked(host=name, is_on=True, by=by, reason=reason, until=until))

    async def end_maintenance(self, name: HostName, *, by: str, reason: str) -> None:
        self._state(name)
        await self._ask(e.MaintenanceAsked(host=name, is_on=False, by=by, reason=reason))

    async def pause(self, *, match: str, by: str, reason: str, until: float | None, pause_id: str = "") -> Pause:
        if self._fleet.is_standby:
            said = PauseSaid(match=match, by=by, reason=reason, seconds=self._seconds(until), id=pause_id)
            return await self._restricting.pause(said, key=self._key)
        accepted = await self._ask(e.PauseAsked(match=match, by=by, reason=reason, until=until, id=pause_id))
        for pause in self._fleet.durable_state.pauses:
            if pause.id == accepted.operation:
                return pause
        raise NotFound(f"pause {accepted.operation} ended already")

    async def end_pause(self, pause_id: str, *, by: str) -> None:
        await self._ask(e.PauseEndAsked(id=pause_id, by=by))

    async def arm(self, *, by: str, reason: str) -> None:
        await self._ask(e.ArmAsked(is_on=True, by=by, reason=reason))

    async def disarm(self, *, by: str, reason: str) -> None:
        if self._fleet.is_standby:
            await self._restricting.say(DisarmSaid(by=by, reason=reason), key=self._key)
            return
        await self._ask(e.ArmAsked(is_on=False, by=by, reason=reason))

    def _seconds(self, until: float | None) -> float | None:
        """Return for how long: another controller's clock need not agree."""
        return None if until is None else max(until - self._clock.now(), 0.0)

    async def release_storm(self, storm_id: str, *, by: str, reason: str) -> None:
        await self._ask(e.StormReleaseAsked(id=storm_id, by=by, reason=reason))

    async def release_store(self, *, by: str, reason: str) -> None:
        """Journal the release, then accept the store beside the lock; a start in between completes it."""
        await self._ask(e.StoreReleaseAsked(by=by, reason=reason))
        try:
            await self._journal.accept_store()
        except StoreError as exc:
            log.error("store_not_accepted", error=str(exc), advice="the next start retries it")

    async def hand_over(self, *, shard: str, to: str, by: str, reason: str) -> None:
        self.of_shard(shard)
        await self._hand_over(to=to, by=by, reason=reason)

    async def report_health(self, health: e.Health) -> None:
        self._state(health.host)
        await self._ask(health, is_keyed=False)


async def _stored(read: Awaitable[T]) -> T:
    """Await a read of the store. Raises Unavailable when the store does not answer or is overloaded: retry later."""
    try:
        return await read
    except StoreError as exc:
        raise Unavailable(str(exc)) from exc

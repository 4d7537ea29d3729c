"""The whole control port in memory: a small fleet, operations that a test advances by hand, events
that a test emits.
"""

from collections.abc import Sequence
from dataclasses import replace

from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.records import Entry, HostHeard, OperationStarted
from fenced.core.durable.state import (
    DeviceRun,
    Drill,
    DrillResult,
    DrillStep,
    Fenceable,
    FenceableLevel,
    GateVerdict,
    HostState,
    Maintenance,
    Operation,
    RaceEntry,
    Reason,
    Slot,
    Step,
)
from fenced.core.heard.trials import Trial
from fenced.engine.readiness import Judge
from fenced.model.inventory import Inventory, Secret
from fenced.model.names import (
    ENGINE,
    MAIN_SHARD,
    BootId,
    ClusterName,
    DatacenterName,
    HostName,
    OperationId,
    ProxyName,
)
from fenced.model.power import (
    Action,
    Cause,
    Kind,
    OperationState,
    Outcome,
    Power,
    State,
    Verdict,
    What,
)
from fenced.ports.bus import Health
from fenced.ports.control import (
    Accepted,
    Explanation,
    FleetView,
    HostView,
    NotFound,
    Readiness,
    Refused,
    StormView,
)
from fenced.ports.decisions import DecisionPage, RecordedDecision
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import Page
from fenced.ports.proxies import ProxyView
from tests.fakes.clock import FakeClock as FakeClock
from tests.fakes.controllers import FakeControllers
from tests.fakes.decisions import page_of, samples
from tests.fakes.events import FakeEvents
from tests.fakes.hosts import FakeHosts
from tests.fakes.samples import PDU_A, PDU_B, START, finished_restart, make_host
from tests.fakes.saving import FakeSaving

DEGRADED = Fenceable(
    level=FenceableLevel.DEGRADED,
    since=START,
    why=(Reason(device=PDU_B, kind="unreadable", text="through engine: no route to host"),),
)


class FakeControl(FakeHosts, FakeControllers, FakeEvents, FakeSaving):
    """Implements ports.control.Control. `calls` records the requests, `viewed` the hosts of lists, in order."""

    def proxies(self) -> Sequence[ProxyView]:
        return self.proxy_views

    def __init__(self) -> None:
        px1 = ProxyView(
            name=ProxyName("px1"), url="https://px1:8471", is_up=True, version="1.0", in_flight=2, capacity=32,
            looks_at=("10.0.0.0/8", "fd00::/64"), look_ports=(22,),
        )  # fmt: skip
        away = "proxy px2: can't be reached"
        self.proxy_views = [px1, ProxyView(name=ProxyName("px2"), url="https://px2:8471", is_up=False, error=away)]
        self.viewed = []
        self.trials: dict[HostName, Trial] = {}
        self.keys: list[tuple[str, str]] = []
        names = {"node-1": "c1", "node-2": "c1", "node-3": "c2", "node-4": "c2"}
        self.inventory = Inventory(
            hosts={HostName(name): make_host(name, cluster) for name, cluster in names.items()},
            clusters={ClusterName(name): DatacenterName("dc1") for name in ("c1", "c2")},
            datacenters={DatacenterName("dc1"): MAIN_SHARD},
        )
        powers = ((PDU_A, Power.ON), (PDU_B, Power.ON))
        self.states: dict[HostName, HostState] = {
            HostName("node-1"): HostState(
                name=HostName("node-1"), state=State.HEALTHY, since=START - 60, last_heard=START - 1, power=powers
            ),
            HostName("node-2"): HostState(
                name=HostName("node-2"),
                fenceable=DEGRADED,
                state=State.RESTORING,
                since=START,
                last_operation=OperationId("1-7"),
            ),
            HostName("node-3"): HostState(
                name=HostName("node-3"),
                state=State.SUSPECT,
                since=START,
                held_by=(GateVerdict(gate="armed", is_open=False, why="the file says armed = false"),),
            ),
            HostName("node-4"): HostState(name=HostName("node-4")),
        }
        self.all_operations: list[Operation] = [finished_restart()]
        self.all_decisions: list[RecordedDecision] = [*samples()]
        self.requests: list[Entry] = []
        self.pauses: list[Pause] = []
        self.storms: list[StormView] = []
        self.begin_saving()
        self.is_armed = self.is_armed_by_file = True
        self.disarm_failure: Exception | None = None
        self.epoch = 1
        self.store_hold = ""
        self.is_ready = True
        self.warnings: tuple[str, ...] = ("the broker does not take the messages of node-2",)
        self.healths: list[Health] = []
        self.begin_events()
        self.finish_at_once: OperationState | None = None
        self.be_alone()

    # -- views --

    def fleet(self) -> FleetView:
        return FleetView(
            name=self.name,
            site="site-1",
            is_armed=self.is_armed,
            is_armed_by_file=self.is_armed_by_file,
            is_lease_held=self.standby is None,
            epoch=self.epoch if self.standby is None else 0,
            is_bus_connected=True,
            is_ready=self.is_ready,
            not_ready=() if self.is_ready else ("bus not connected",),
            warnings=self.warnings,
            is_quiet=False,
            shard=self.shard,
            pauses=tuple(self.pauses),
            storms=tuple(self.storms),
            store_hold=self.store_hold or None,
            now=START,
            is_standby=self.standby is not None,
            unfit=self.unfit,
        )

    def host(self, name: HostName) -> HostView:
        if self.failure is not None:
            raise self.failure
        if name not in self.states:
            raise NotFound(f"there is no host {name}")
        state = self.states[name]
        return HostView(
            state=state,
            cluster=str(self.inventory.hosts[name].cluster),
            datacenter="dc1",
            last_heard=state.last_heard,
            held_by=tuple(verdict.gate for verdict in state.held_by),
            is_paused=False,
            fenceable=state.fenceable,
            is_drill=name == "node-1",
        )

    async def explain(self, name: HostName) -> Explanation:
        view = self.host(name)
        heard = HostHeard(boot=BootId("b1"), before="unknown", why="first")
        started = OperationStarted(operation=finished_restart(), slot=Slot.RUNNING)
        return Explanation(
            view=view,
            gates=(
                GateVerdict(gate="armed", is_open=not view.held_by, why="the file says armed = false"),
                GateVerdict(gate="lease", is_open=True, why="held for 12 s more"),
            ),
            summary=("node-1 is healthy: heard 1.0 s ago, its grace is 15 s.", "If it died now: it would be fenced."),
            known={"boot": BootId("b1"), "silence_seconds": 21.0, "secret": Secret("hunter2-hunter2")},
            plan=[{"level": 1, "devices": ["pdu-a", "pdu-b"]}],
            entries=[
                (12, Entry(at=START, host=name, record=started)),
                (11, Entry(at=START - 5, host=name, record=heard)),
            ],
        )

    async def decisions(self, name: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        self.host(name)
        return page_of(self.all_decisions, name, before=before, limit=limit, after=after)

    # -- requests --

    def of_shard(self, shard: str) -> "FakeControl":
        if shard != self.shard:
            raise NotFound(f"no shard {shard}")
        return self

    def keyed(self, key: str, content: str) -> "FakeControl":
        self.keys.append((key, content))
        return self

    async def act(self, name: HostName, action: Action, *, by: str, reason: str, is_forced: bool) -> Accepted:
        view = self.host(name)
        self.calls.append(("act", name, action, by, reason, is_forced))
        for running in self.all_operations:
            is_same = (running.host, running.action) == (name, action)
            if is_same and running.state is OperationState.RUNNING:
                return Accepted(operation=running.id)
        is_switching_off = action in (Action.OFF, Action.RESTART)
        if is_switching_off and view.state.state is State.HEALTHY and not is_forced:
            raise Refused("alive", f"{name} is alive: heard 1 s ago; force it if you mean it")
        operation = Operation(
            id=OperationId(f"2-{len(self.all_operations)}"),
            host=name,
            action=action,
            cause=Cause.REQUEST,
            by=by,
            reason=reason,
            started=START,
            deadline=START + 300,
            devices=(
                DeviceRun(device=PDU_A, level=1, kind=Kind.OUTLET),
                DeviceRun(device=PDU_B, level=1, kind=Kind.OUTLET),
            ),
        )
        self.all_operations.append(operation)
        if self.finish_at_once is not None:
            self.finish(operation.id, self.finish_at_once)
        return Accepted(operation=operation.id, warnings=())

    async def drill(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """Only node-1 is a host for drills; `end_drill` ends it."""
        self.calls.append(("drill", name, by, reason, is_forced))
        if not self.host(name).is_drill:
            raise Refused("drill", f"{name} is no host for drills")
        accepted = await self.act(name, Action.RESTART, by=by, reason=reason, is_forced=True)
        begun = Drill(operation=accepted.operation, by=by, reason=reason, started=START, boot=BootId("b1"))
        self.states[name] = replace(self.states[name], drill=begun)
        return accepted

    def end_drill(self, name: str, result: DrillResult, *, step: DrillStep | None = None, why: str = "") -> None:
        """End the drill of that host: what is before the step was proven, one second each."""
        state = self.states[HostName(name)]
        assert state.drill is not None
        steps = list(DrillStep)
        reached = steps[: len(steps) if step is None else steps.index(step)]
        moments = {f"{one.value}_at": START + number for number, one in enumerate(reached, start=1)}
        ended = replace(state.drill, **moments, ended=START + 9, result=result, failed_step=step, why=why)  # type: ignore[arg-type]
        drilled_at = START + 9 if result is DrillResult.SUCCEEDED else state.drilled_at
        self.states[state.name] = replace(state, drill=None, last_drill=ended, drilled_at=drilled_at)

    async def confirm_off(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        self.host(name)
        self.calls.append(("confirm_off", name, by, reason, is_forced))
        if name == "node-1" and not is_forced:
            raise Refused("alive", "node-1 was heard 1 s ago")
        return Accepted(operation=OperationId("1-7"))

    async def cancel(self, operation: OperationId, *, by: str, reason: str) -> None:
        found = await self.operation(operation)
        if found.state is not OperationState.RUNNING:
            raise Refused("ended", f"operation {operation} has ended already")
        self.calls.append(("cancel", operation, by, reason))
        self.finish(operation, OperationState.CANCELLED)

    async def set_maintenance(self, name: HostName, *, by: str, reason: str, until: float | None) -> None:
        await self._refuse_words()
        self.host(name)
        self.calls.append(("set_maintenance", name, by, reason, until))
        upkeep = Maintenance(by=by, reason=reason, since=START, until=until)
        self.states[name] = replace(self.states[name], maintenance=upkeep, state=State.MAINTENANCE)

    async def end_maintenance(self, name: HostName, *, by: str, reason: str) -> None:
        self.host(name)
        self.calls.append(("end_maintenance", name, by, reason))
        self.states[name] = replace(self.states[name], maintenance=None, state=State.UNKNOWN)

    async def pause(self, *, match: str, by: str, reason: str, until: float | None, pause_id: str = "") -> Pause:
        await self._refuse_words()
        if match == "cluster=nowhere":
            raise Refused("match", "cluster=nowhere selects nobody")
        made = Pause(
            id=pause_id or f"p{len(self.pauses) + 1}", match=match, by=by, reason=reason, since=START, until=until
        )
        self.pauses.append(made)
        return made

    async def end_pause(self, pause_id: str, *, by: str) -> None:
        await self.refuse_at_standby()
        left = [pause for pause in self.pauses if pause.id != pause_id]
        if len(left) == len(self.pauses):
            raise NotFound(f"there is no pause {pause_id}")
        self.pauses = left

    async def readiness(self, *, match: str, is_all: bool, limit: int, after: str | None) -> Readiness:
        """Judge a real fleet of these states."""
        fleet = self.as_fleet()
        for name, trial in self.trials.items():
            fleet.see(name, trial=trial)
        judge = Judge(FakeClock(), lambda _: ())
        return await judge.readiness(fleet, match=match, is_all=is_all, limit=limit, after=after)

    async def arm(self, *, by: str, reason: str) -> None:
        await self.refuse_at_standby()
        if not self.is_armed_by_file:
            raise Refused("armed", "the file says armed = false")
        self.calls.append(("arm", by, reason))
        self.is_armed = True

    async def disarm(self, *, by: str, reason: str) -> None:
        await self._refuse_words()
        if self.disarm_failure is not None:
            raise self.disarm_failure
        self.calls.append(("disarm", by, reason))
        self.is_armed = False

    async def release_store(self, *, by: str, reason: str) -> None:
        await self.refuse_at_standby()
        if not self.store_hold:
            raise Refused("store", "nothing is in doubt about the store")
        self.calls.append(("release_store", by, reason))
        self.store_hold = ""

    async def release_storm(self, storm_id: str, *, by: str, reason: str) -> None:
        await self.refuse_at_standby()
        if all(view.storm.id != storm_id or view.storm.end is not None for view in self.storms):
            raise Refused("storm", f"no storm {storm_id} lasts")
        self.calls.append(("release_storm", storm_id, by, reason))

    # -- operations --

    async def operation(self, operation: OperationId) -> Operation:
        for found in self.all_operations:
            if found.id == operation:
                return found
        raise NotFound(f"there is no operation {operation}")

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        numbered = [*enumerate(self.all_operations)]
        chosen = [
            (number, found)
            for number, found in reversed(numbered)
            if like.chooses(found) and (after is None or number < int(after))
        ]
        page = chosen[:limit]
        is_more = len(chosen) > limit
        return Page(items=tuple(found for _, found in page), next=str(page[-1][0]) if is_more else None)

    async def report_health(self, health: Health) -> None:
        self.host(health.host)
        self.healths.append(health)

    # -- for tests --

    def update(self, name: str, operation: Operation) -> None:
        """Replace an operation by another version."""
        self.all_operations = [operation if found.id == name else found for found in self.all_operations]

    def finish(self, name: str, state: OperationState, *, power: Power = Power.OFF, is_fenced: bool = True) -> None:
        """End an operation: its devices read `power`."""
        found = next(found for found in self.all_operations if found.id == name)
        step = Step(
            number=1, what=What.STATUS, proxy=ENGINE, started=START + 0.1, ended=START + 0.2,
            outcome=Outcome(power.value),
        )  # fmt: skip
        race = (RaceEntry(proxy=ENGINE, tier=1, verdict=Verdict.WON, started_ms=0, ended_ms=50, power=Power.OFF),)
        devices = tuple(replace(run, power=power, steps=(step,), race=race) for run in found.devices)
        is_done = state is OperationState.DONE
        self.update(
            name,
            replace(
                found,
                state=state,
                ended=START + 1,
                devices=devices,
                power=power,
                is_fenced=is_fenced and is_done and found.action in (Action.OFF, Action.RESTART),
            ),
        )

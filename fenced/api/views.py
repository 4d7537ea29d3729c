"""Converts the core's values into the API's shapes. Pure functions, without HTTP.

Step times are milliseconds from the operation's start; moments stay `Moment`s. Show what was recorded; infer nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from pydantic import JsonValue

from fenced.api import shapes
from fenced.core.allowed.catalogue import opens_when
from fenced.core.allowed.verdict import margin_of
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.records import Entry
from fenced.core.durable.state import (
    DeviceRun,
    Drill,
    DrillStep,
    Fenceable,
    GateVerdict,
    HostState,
    Operation,
    RaceEntry,
    Step,
)
from fenced.model.inventory import Inventory, Secret
from fenced.model.moments import Moment, moment
from fenced.model.names import HostName, Token
from fenced.model.power import Action, Power
from fenced.ports.control import Accepted, Explanation, FleetView, HostView
from fenced.ports.journal import ControllerView
from fenced.ports.proxies import ProxyView

MOMENTS: Final = frozenset(
    {
        "at",
        "until",
        "last_heard",
        "deadline",
        "again_at",
        "wait_until",
        "not_after",
        "cooldown_until",
        "next_attempt_at",
    }
)
"""Fields of records that hold moments; answers show them as times."""


def operation(given: Operation) -> shapes.Operation:
    """Return the whole story of one operation."""
    return shapes.Operation(
        id=given.id,
        host=given.host,
        action=given.action,
        state=given.state,
        cause=given.cause,
        by=given.by,
        reason=given.reason,
        joined=list(given.joined),
        started=Moment(given.started),
        ended=moment(given.ended),
        token=None if given.token is None else str(given.token),
        result=shapes.Result(
            power=given.power,
            fenced=given.is_fenced,
            proof=given.proof,
            level=given.proof_level,
            restored=given.restored,
        ),
        devices=[_device(run, given) for run in given.devices],
        phase=given.phase,
        deadline=Moment(given.deadline),
        level=given.level,
        error=given.error or given.ending_why or None,
        known=list(given.explanation),
        gates=[_gate(verdict) for verdict in given.gates],
        drill=given.is_drill,
    )


def _device(run: DeviceRun, of: Operation) -> shapes.Device:
    return shapes.Device(
        name=run.device,
        level=run.level,
        power=run.says,
        already=_was_already(run, of.action),
        cuts_power=run.is_vouched,
        race=[_race_entry(entry) for entry in run.race],
        excluded=[shapes.Excluded(proxy=left_out.proxy, why=left_out.why) for left_out in run.excluded],
        steps=[_step(step, of.started) for step in _all_steps(run)],
    )


def _was_already(run: DeviceRun, action: Action) -> bool:
    """Return whether the device had the requested power without a command of this operation.

    A later ON of this operation does not change that the device was off before.
    """
    if action in (Action.OFF, Action.RESTART):
        is_sent = run.is_switched_off or run.off_attempts > 0
        return not is_sent and (run.says is Power.OFF or run.is_switched_on)
    if action is Action.ON:
        return run.says is Power.ON and not run.is_switched_on and run.on_attempts == 0
    return False


def _all_steps(run: DeviceRun) -> tuple[Step, ...]:
    """Return the finished steps and the running one, in order, each once."""
    if run.step is None or any(step.number == run.step.number for step in run.steps):
        return run.steps
    return (*run.steps, run.step)


def _race_entry(entry: RaceEntry) -> shapes.RaceEntry:
    return shapes.RaceEntry(
        proxy=entry.proxy,
        tier=entry.tier,
        verdict=entry.verdict,
        started_ms=entry.started_ms,
        ended_ms=entry.ended_ms,
        error=entry.error,
        power=entry.power,
    )


def _step(step: Step, origin: float) -> shapes.Step:
    return shapes.Step(
        what=step.what,
        proxy=step.proxy,
        started_ms=round((step.started - origin) * 1000),
        ended_ms=None if step.ended is None else round((step.ended - origin) * 1000),
        outcome=step.outcome,
        error=step.error,
    )


def host(given: HostView) -> shapes.Host:
    """Return a host as interface.md#http shows it."""
    state = given.state
    upkeep = state.maintenance
    return shapes.Host(
        name=state.name,
        cluster=given.cluster,
        datacenter=given.datacenter,
        state=state.state,
        since=moment(state.since) if state.since > 0 else None,
        power={str(device): power for device, power in state.power},
        last_heard=moment(given.last_heard),
        operation=_operation_id(state),
        held_by=list(given.held_by),
        maintenance=None
        if upkeep is None
        else shapes.Maintenance(
            by=upkeep.by, reason=upkeep.reason, since=Moment(upkeep.since), until=moment(upkeep.until)
        ),
        paused=given.is_paused,
        stay_off=state.is_stay_off,
        fenceable=_fenceable(given.fenceable),
        misnamed=list(given.misnamed),
        drill=given.is_drill,
        last_drill=_drill(state.drill or state.last_drill),
        drilled=moment(state.drilled_at),
    )


def _drill(given: Drill | None) -> shapes.Drill | None:
    if given is None:
        return None
    return shapes.Drill(
        operation=given.operation,
        by=given.by,
        reason=given.reason,
        started=Moment(given.started),
        ended=moment(given.ended),
        result=given.result,
        step=given.failed_step,
        why=given.why,
        steps=shapes.DrillSteps(**{step.value: given.milliseconds(step) for step in DrillStep}),
    )


def _fenceable(given: Fenceable | None) -> shapes.Fenceable | None:
    if given is None:
        return None
    why = [shapes.Missing(device=reason.device, reason=reason.kind, text=reason.text) for reason in given.why]
    return shapes.Fenceable(level=given.level, since=Moment(given.since), why=why)


def _operation_id(state: HostState) -> str | None:
    if state.operation is not None:
        return state.operation.id
    return state.last_operation


def explanation(given: Explanation, inventory: Inventory) -> shapes.Explanation:
    """Return why a host is as it is."""
    return shapes.Explanation(
        host=host(given.view),
        decision=given.decision,
        summary=list(given.summary),
        gates=[_gate(verdict) for verdict in given.gates],
        known={str(key): value if isinstance(value, Moment) else plain(value) for key, value in given.known.items()},
        plan=[{str(key): plain(value) for key, value in line.items()} for line in given.plan],
        devices=_configured(given.view.state.name, inventory),
        records=[_record(sequence, entry) for sequence, entry in given.entries],
    )


def _gate(given: GateVerdict) -> shapes.Gate:
    return shapes.Gate(
        gate=given.gate, open=given.is_open, why=given.why, margin=margin_of(given) or None,
        opens_when=opens_when(given.gate),
    )  # fmt: skip


def _configured(name: HostName, inventory: Inventory) -> list[shapes.ConfiguredDevice]:
    known = inventory.hosts.get(name)
    if known is None:
        return []
    return [
        shapes.ConfiguredDevice(
            name=device.name,
            kind=device.kind,
            level=device.level,
            driver=device.spec.driver,
            address=device.spec.address,
            proxies=list(device.proxies),
        )
        for device in known.devices
    ]


def _record(sequence: int, entry: Entry) -> shapes.JournalRecord:
    recorded = plain(entry.record)
    assert isinstance(recorded, dict)
    facts: dict[str, Moment | JsonValue] = {**recorded}
    for name in MOMENTS & facts.keys():
        value = facts[name]
        facts[name] = Moment(value) if isinstance(value, float) and value > 0 else None
    kind = facts.pop("kind", type(entry.record).__name__)
    return shapes.JournalRecord(sequence=sequence, at=Moment(entry.at), kind=str(kind), facts=facts)


def plain(value: object) -> JsonValue:
    """Return any value of the core as JSON. An operation becomes its id, because it has a path of its own."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Operation):
        return value.id
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, bytes):
        return [plain(part) for part in value]
    if dataclasses.is_dataclass(value):
        return {part.name: plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    return str(value)


def accepted(given: Accepted, *, warnings: tuple[str, ...] = ()) -> shapes.Accepted:
    """Return the answer to a request, with the API's own warnings after the engine's."""
    return shapes.Accepted(operation=given.operation, warnings=[*given.warnings, *warnings])


def proxy(given: ProxyView) -> shapes.Proxy:
    """Return a proxy with its last answer."""
    return shapes.Proxy(
        name=given.name,
        url=given.url,
        up=given.is_up,
        answered=moment(given.answered_at),
        round_trip_seconds=given.round_trip_seconds,
        version=given.version,
        in_flight=given.in_flight,
        capacity=given.capacity,
        drivers=list(given.drivers),
        error=given.error or None,
        barred=given.why_barred,
        looks_at=list(given.looks_at),
        look_ports=list(given.look_ports),
        reload_refused=given.reload_refused or None,
    )


def pause(given: Pause) -> shapes.Pause:
    """Return one pause."""
    return shapes.Pause(
        id=given.id,
        match=given.match,
        by=given.by,
        reason=given.reason,
        since=Moment(given.since),
        until=moment(given.until),
    )


def fleet(given: FleetView, controllers: Sequence[ControllerView]) -> shapes.Fleet:
    """Return the daemon's state, and who acts."""
    return shapes.Fleet(
        name=given.name,
        site=given.site,
        armed=given.is_armed,
        armed_by_file=given.is_armed_by_file,
        active=given.is_lease_held,
        epoch=given.epoch,
        bus_connected=given.is_bus_connected,
        quiet=given.is_quiet,
        store_held=given.store_hold,
        standby=given.is_standby,
        fit=given.is_fit,
        unfit=list(given.unfit),
        shards=[_shard(part) for part in given.shards or (given,)],
        holders={held.shard: view.report.name for view in controllers for held in view.shards},
    )


def _shard(given: FleetView) -> shapes.FleetShard:
    return shapes.FleetShard(
        shard=given.shard,
        armed=given.is_armed,
        active=given.is_lease_held,
        standby=given.is_standby,
        epoch=given.epoch,
        quiet=given.is_quiet,
        store_held=given.store_hold,
    )

"""From records to what is told on the bus: event types and their data (INTERFACE section 3). Pure; order is the journal's.

The retained state is told before the events of its batch: who reads `fenced` finds the same token there.
"""

from dataclasses import dataclass, field
from typing import Any

from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, FenceableLevel, GateVerdict, HostState, Operation
from fenced.model.moments import Moment, moment
from fenced.model.names import HostName, OperationId
from fenced.model.power import OperationState, State, What

HOST = "io.fenced.host."
OPERATION = "io.fenced.operation."
FLEET = "io.fenced.fleet."

PROVEN = frozenset({State.FENCED, State.RESTORING})
"""States in which the proof speaks of now; later it is kept for old messages of the run that it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One CloudEvent to be; times in `data` are `Moment`s. `acknowledge`: the operation that waits for the broker to have it."""

    type: str
    host: HostName | None
    at: float
    data: dict[str, Any] = field(default_factory=dict)
    acknowledge: OperationId | None = None


def announce(entry: r.Entry, before: HostState | None, after: HostState | None) -> list[Announcement]:
    """What one record makes known. `before` and `after`: the host's state around it; None for the fleet's records."""
    if entry.host is None or before is None or after is None:
        return _of_fleet(entry)
    told = _of_host(entry, before, after)
    return [_announcement(entry, after, type_, data) for type_, data in told]


def _announcement(entry: r.Entry, after: HostState, type_: str, data: dict[str, Any]) -> Announcement:
    operation = after.operation or after.reading
    base: dict[str, Any] = {
        "host": str(after.name),
        "operation": str(operation.id) if operation is not None else None,
        "token": str(after.token) if after.token is not None else None,
        "cause": _cause(after),
        "by": operation.by if operation is not None else None,
        "reason": operation.reason if operation is not None else after.suspicion_reason or None,
    }
    acknowledge = None
    if isinstance(entry.record, r.HostFenced):
        acknowledge = entry.record.operation
    return Announcement(type=type_, host=after.name, at=entry.at, data=base | data, acknowledge=acknowledge)


def _cause(after: HostState) -> str | None:
    if after.operation is not None:
        return after.operation.cause.value
    return after.suspicion.value if after.suspicion is not None else None


Told = list[tuple[str, dict[str, Any]]]


def _of_host(entry: r.Entry, before: HostState, after: HostState) -> Told:
    match entry.record:
        case r.HostHeard() as record:
            return _heard(record)
        case r.HostSuspected() as record:
            return [
                (
                    HOST + "suspected",
                    {"cause": record.cause.value, "reason": record.reason, "last_heard": moment(record.last_heard)},
                )
            ]
        case r.HostHeld() as record:
            return [(HOST + "held", {"gates": [_gate(gate) for gate in record.gates], "would": record.would})]
        case r.HostLeft() as record:
            return [(HOST + "left", {"reason": record.reason, "overdue": record.is_overdue})]
        case r.HostFenced() as record:
            return [(HOST + "fenced", _fenced(record, entry.at, before.operation))]
        case r.HostRevoked() as record:
            data = {"reason": record.why, "alive": record.is_alive, "distrusted": list(record.distrusted)}
            return [(HOST + "revoked", data)]
        case r.Contradicted() as record:
            return [(HOST + "contradiction", {"reason": record.why, "device": record.device})]
        case r.WrongMachineFound() as record:
            return [(HOST + "wrong_machine", {"device": str(record.device), "reason": record.why})]
        case r.LeftOff() as record:
            orphans = [str(orphan.device) for orphan in after.orphans]
            devices = dict.fromkeys([*(str(device) for device in record.devices or after.owed), *orphans])
            return [(HOST + "left_off", {"reason": record.why, "devices": list(devices)})]
        case r.HostPutAside() as record:
            gate = {"gate": "record", "open": False, "why": record.why}
            return [(HOST + "held", {"gates": [gate], "would": None})]
        case r.MaintenanceSet() as record:
            return [
                (
                    HOST + "maintenance",
                    {"on": True, "by": record.by, "reason": record.reason, "until": moment(record.until)},
                )
            ]
        case r.MaintenanceEnded() as record:
            return [(HOST + "maintenance", {"on": False, "by": record.by, "reason": record.reason, "until": None})]
        case r.HostRestored() as record:
            lost: Told = [(HOST + "redundancy_lost", {"devices": list(record.missing)})] if record.missing else []
            return [] if _is_told_before(before, record) else lost or [(HOST + "restored", {})]
        case r.RestoreFailed() as record:
            failed = (HOST + "restore_failed", {"devices": list(record.missing), "reason": record.why})
            return [] if _is_told_before(before, record) else [failed]
        case r.FenceFailed() as record:
            return [(HOST + "fence_failed", {"reason": record.why, "next_attempt": moment(record.next_attempt_at)})]
        case r.RequestRefused() as record:
            return [(OPERATION + "refused", _refused(record))]
        case r.OperationStarted() as record:
            return _started(record)
        case r.WaitingOperationStarted():
            return _begun(after.operation)
        case r.StepEnded() as record:
            return _step(record, after)
        case r.OperationEnded() as record:
            return _ended(record, before)
        case record:
            return _believed(record, before)


def _is_told_before(before: HostState, record: r.HostRestored | r.RestoreFailed) -> bool:
    """What we try again and again to give back is told once, and again when it changes."""
    word = before.redundancy_lost if isinstance(record, r.HostRestored) else before.restore_failed
    is_ours = before.operation is not None and before.operation.is_giving_back
    return is_ours and bool(record.missing) and set(record.missing) <= set(word)


def _believed(record: r.Record, before: HostState) -> Told:
    """A host that is found whole at the first look is no news."""
    match record:
        case r.DevicesDistrusted():
            return [(HOST + "distrusted", {"devices": list(record.devices), "reason": record.why})]
        case r.DevicesTrusted():
            return [(HOST + "trusted", {"devices": list(record.devices)})]
        case r.FenceableChanged():
            was = before.fenceable
            if was is None and record.level is FenceableLevel.FULL:
                return []
            why = [{"device": reason.device, "reason": reason.kind, "text": reason.text} for reason in record.why]
            data = {"level": record.level.value, "before": was.level.value if was is not None else None, "why": why}
            return [(HOST + "fenceable_changed", data)]
        case _:
            return []


def _heard(record: r.HostHeard) -> Told:
    words = {"cleared": ("cleared", "healthy"), "rebooted": ("rebooted",)}
    data = {"boot": record.boot, "before": record.before, "why": record.why}
    return [(HOST + word, data) for word in words.get(record.why, ("healthy",))]


def _gate(gate: GateVerdict) -> dict[str, Any]:
    return {"gate": gate.gate, "open": gate.is_open, "why": gate.why}


def _fenced(record: r.HostFenced, at: float, operation: Operation | None) -> dict[str, Any]:
    runs = operation.devices if operation is not None and operation.id == record.operation else ()
    return {
        "operation": str(record.operation) if record.operation is not None else None,
        "token": str(record.token),
        "cause": record.cause.value,
        "by": record.by,
        "reason": record.reason,
        "proof": record.proof.value,
        "level": record.level,
        "boot": record.boot,
        "at": Moment(at),
        "stay_off": record.is_stay_off,
        "vouched": [str(device) for device in record.vouched],
        "devices": [_device(run) for run in runs if run.device in record.devices],
    }


def _device(run: DeviceRun) -> dict[str, Any]:
    began = min((step.started for step in run.steps), default=None)
    ended = run.read_at
    return {
        "name": str(run.device),
        "proxy": str(run.last_proxy) if run.last_proxy is not None else None,
        "power": run.power.value,
        "already": not run.is_switched_off,
        "milliseconds": round((ended - began) * 1000) if began is not None and ended is not None else None,
        "cuts_power": run.is_vouched,
    }


def _refused(record: r.RequestRefused) -> dict[str, Any]:
    return {
        "action": record.action,
        "by": record.by,
        "reason": record.reason,
        "rule": record.rule,
        "why": record.why,
    }


def _started(record: r.OperationStarted) -> Told:
    operation = record.operation
    data = {
        "operation": str(operation.id),
        "action": operation.action.value,
        "cause": operation.cause.value,
        "by": operation.by,
        "reason": operation.reason,
        "slot": record.slot,
        "gates": [_gate(gate) for gate in operation.gates],
    }
    told: Told = [(OPERATION + "started", data)]
    if record.slot == "running":
        told += _begun(operation)
    return told


def _begun(operation: Operation | None) -> Told:
    if operation is None or operation.action.value not in {"off", "restart"}:
        return []
    return [(HOST + "fencing", {"operation": str(operation.id), "action": operation.action.value})]


def _step(record: r.StepEnded, after: HostState) -> Told:
    """Commands and changed readings; a repeated equal reading is no news."""
    operation = (
        after.operation if after.operation is not None and after.operation.id == record.operation else after.reading
    )
    if operation is None:
        return []
    run = operation.run(record.device)
    step = next((step for step in reversed(run.steps) if step.number == record.number), None)
    if step is None or (step.what is What.STATUS and run.same_reads > 1):
        return []
    data = {
        "operation": str(operation.id),
        "device": str(record.device),
        "what": step.what.value,
        "proxy": str(step.proxy),
        "outcome": record.outcome.value,
        "error": record.error,
        "step_token": str(step.token) if step.token is not None else None,
    }
    return [(OPERATION + "step", data)]


def _ended(record: r.OperationEnded, before: HostState) -> Told:
    operation = next(
        (o for o in (before.operation, before.reading, before.waiting) if o is not None and o.id == record.operation),
        None,
    )
    word = "cancelled" if record.state is OperationState.CANCELLED else "finished"
    data = {
        "operation": str(record.operation),
        "action": operation.action.value if operation is not None else None,
        "cause": operation.cause.value if operation is not None else None,
        "by": operation.by if operation is not None else None,
        "reason": operation.reason if operation is not None else None,
        "state": record.state.value,
        "power": record.power.value,
        "fenced": record.is_fenced,
        "restored": record.restored.value,
        "why": record.why,
    }
    return [(OPERATION + word, data)]


def _of_fleet(entry: r.Entry) -> list[Announcement]:
    match entry.record:
        case r.Armed() as record:
            return [Announcement(type=FLEET + "armed", host=None, at=entry.at, data={"by": record.by})]
        case r.Disarmed() as record:
            data = {"by": record.by, "reason": record.reason}
            return [Announcement(type=FLEET + "disarmed", host=None, at=entry.at, data=data)]
        case r.StoreDoubted() as record:
            return [Announcement(type=FLEET + "store_held", host=None, at=entry.at, data={"why": record.why})]
        case r.StoreReleased() as record:
            data = {"by": record.by, "reason": record.reason}
            return [Announcement(type=FLEET + "store_released", host=None, at=entry.at, data=data)]
        case r.BusLost() as record:
            return [Announcement(type=FLEET + "bus_lost", host=None, at=entry.at, data={"why": record.why})]
        case r.BusBack():
            return [Announcement(type=FLEET + "bus_back", host=None, at=entry.at)]
        case r.GateStayedClosed() as record:
            closed = record.closed
            stuck: dict[str, Any] = {
                "gate": closed.gate,
                "cluster": closed.cluster or None,
                "since": moment(closed.since),
            }
            stuck |= {"why": record.why, "hosts": list(record.hosts)}
            return [Announcement(type=FLEET + "gate_closed", host=None, at=entry.at, data=stuck)]
        case r.GateOpened() as record:
            opened = {"gate": record.gate, "cluster": record.cluster or None}
            return [Announcement(type=FLEET + "gate_open", host=None, at=entry.at, data=opened)]
        case r.ReloadRefused() as record:
            return [Announcement(type=FLEET + "reload_refused", host=None, at=entry.at, data={"why": record.why})]
        case r.Reloaded():
            return [Announcement(type=FLEET + "reloaded", host=None, at=entry.at)]
        case _:
            return []


def state_message(state: HostState, controller: str) -> dict[str, Any]:
    """The retained state of one host; times are `Moment`s."""
    return {
        "host": str(state.name),
        "state": state.state.value,
        "since": Moment(state.since),
        "operation": state.operation.id if state.operation is not None else state.last_operation,
        "token": str(state.token) if state.token is not None else None,
        "proof": state.proof.kind.value if state.proof is not None and state.state in PROVEN else None,
        "power": {str(device): power.value for device, power in state.power},
        "stay_off": state.is_stay_off,
        "held_by": [verdict.gate for verdict in state.held_by],
        "controller": controller,
    }

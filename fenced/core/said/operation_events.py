"""Events of an operation: it starts, a step ends, it ends."""

from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, HostState, Operation, Slot, Step
from fenced.core.said.cloud_events import DRILL, HOST, OPERATION, CloudEvents, Data, gate
from fenced.model.power import Action, OperationState, What


def of(record: r.OperationRecord | r.RunRecord, before: HostState, after: HostState) -> CloudEvents:
    """Return the events of one record; most records of an operation have none."""
    match record:
        case r.OperationStarted():
            return _started(record)
        case r.WaitingOperationStarted():
            return _begun(after.operation)
        case r.StepEnded():
            return _step(record, after)
        case r.OperationEnded():
            return _ended(record, before.find(record.operation))
        case _:
            return []


def _started(record: r.OperationStarted) -> CloudEvents:
    operation = record.operation
    data = {
        "operation": str(operation.id),
        "action": operation.action.value,
        "cause": operation.cause.value,
        "by": operation.by,
        "reason": operation.reason,
        "slot": record.slot.value,
        "gates": [gate(verdict) for verdict in operation.gates],
    }
    begun = _begun(operation) if record.slot is Slot.RUNNING else []
    drill = [(DRILL + "started", {"operation": str(operation.id)})] if operation.is_drill else []
    return [(OPERATION + "started", data), *drill, *begun]


def _begun(operation: Operation | None) -> CloudEvents:
    if operation is not None and operation.action is Action.WAKE:
        return [(HOST + "waking", {"operation": str(operation.id)})]
    if operation is None or operation.action not in {Action.OFF, Action.RESTART}:
        return []
    data = {"operation": str(operation.id), "action": operation.action.value, "drill": operation.is_drilling}
    return [(HOST + "fencing", data)]


def _step(record: r.StepEnded, after: HostState) -> CloudEvents:
    """Report commands and changed readings; a repeated equal reading has no event."""
    operation = after.find(record.operation)
    if operation is None:
        return []
    run = operation.run(record.device)
    step = next((step for step in reversed(run.steps) if step.number == record.number), None)
    if step is None or _is_repeated(run, step):
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


def _is_repeated(run: DeviceRun, step: Step) -> bool:
    return step.what is What.STATUS and run.same_reads > 1


def _ended(record: r.OperationEnded, operation: Operation | None) -> CloudEvents:
    word = "cancelled" if record.state is OperationState.CANCELLED else "finished"
    data = {
        "operation": str(record.operation),
        **_request(operation),
        "state": record.state.value,
        "power": record.power.value,
        "fenced": record.is_fenced,
        "restored": record.restored.value,
        "why": record.why,
    }
    return [(OPERATION + word, data)]


def _request(operation: Operation | None) -> Data:
    if operation is None:
        return dict.fromkeys(("action", "cause", "by", "reason"))
    return {
        "action": operation.action.value,
        "cause": operation.cause.value,
        "by": operation.by,
        "reason": operation.reason,
    }

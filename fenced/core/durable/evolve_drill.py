"""Folds what a drill proves, from the records of its operation and of its host, and its end."""

from fenced.core.durable import records as r
from fenced.core.durable.drill_state import Drill, DrillResult
from fenced.core.durable.outcome import dark_since
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState, Operation
from fenced.model.power import OperationState, Proof


def drilled(before: HostState, after: HostState, at: float, record: r.Record) -> HostState:
    """Return the state after the record, with the drill as it is then. `after`: without what the drill takes of it."""
    if isinstance(record, r.OperationStarted) and record.operation.is_drill:
        return replace(after, drill=_begun(record.operation))
    drill = before.drill
    if drill is None:
        return _judged(after, record)
    if isinstance(record, r.DrillEnded):
        return _ended(after, drill, at, record) if record.operation == drill.operation else after
    return replace(after, drill=_changed(before, drill, at, record))


def _begun(operation: Operation) -> Drill:
    return Drill(
        operation=operation.id,
        by=operation.by,
        reason=operation.reason,
        started=operation.started,
        boot=operation.boot,
    )


def _changed(before: HostState, drill: Drill, at: float, record: r.Record) -> Drill:
    match record:
        case r.EndingDecided() if record.operation == drill.operation:
            return _dark(before, drill)
        case r.HostFenced() if _is_proof(record, drill):
            return replace(drill, is_fenced=True, off_at=_dark_since(before), silent_at=at)
        case r.AnnouncementAcknowledged() if record.operation == drill.operation:
            return replace(drill, announced_at=at)
        case r.HostRestored() if record.operation == drill.operation and not record.missing:
            return replace(drill, on_at=at)
        case r.OperationJoined() if record.operation == drill.operation:
            return replace(drill, is_called_off=True, why=f"{record.by} asked for {record.action.value} meanwhile")
        case r.OperationEnded() if record.operation == drill.operation and not drill.is_called_off:
            is_unsent = before.operation is not None and not before.operation.is_off_sent
            is_called_off = is_unsent and record.state is OperationState.CANCELLED
            return replace(drill, is_called_off=is_called_off, why=record.why or "")
        case r.HostHeard() if drill.is_fenced and drill.heard_at is None:
            return replace(drill, heard_at=at, heard_boot=record.boot)
        case r.HostRevoked():
            return replace(drill, is_fenced=False, why=f"revoked: {record.why}")
        case _:
            return drill


def _is_proof(record: r.HostFenced, drill: Drill) -> bool:
    """Return whether its operation proves the host off. What an operator states proves nothing of the devices."""
    is_ours = record.operation == drill.operation and not drill.is_fenced
    return is_ours and record.proof is Proof.DEVICE_VERIFIED


def _dark(before: HostState, drill: Drill) -> Drill:
    """Keep what read OFF when the drill was stopped before the announcement."""
    off_at = _dark_since(before)
    if drill.is_fenced or off_at is None or before.operation is None:
        return drill
    return replace(drill, off_at=off_at, unproven=tuple(run.device for run in before.operation.of_level))


def _judged(after: HostState, record: r.Record) -> HostState:
    """Clear what the last drill left unproven: another run was heard, the devices are distrusted, or people look."""
    last = after.last_drill
    if last is None or not last.unproven:
        return after
    is_other_run = isinstance(record, r.HostHeard) and record.boot not in {None, last.boot}
    if is_other_run or isinstance(record, r.DevicesDistrusted | r.MaintenanceSet):
        return replace(after, last_drill=replace(last, unproven=()))
    return after


def _dark_since(before: HostState) -> float | None:
    return None if before.operation is None else dark_since(before.operation)


def _ended(after: HostState, drill: Drill, at: float, record: r.DrillEnded) -> HostState:
    ended = replace(drill, ended=at, result=record.result, failed_step=record.failed_step, why=record.why)
    is_success = record.result is DrillResult.SUCCEEDED
    return replace(after, drill=None, last_drill=ended, drilled_at=at if is_success else after.drilled_at)

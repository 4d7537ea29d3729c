"""Folds the records of an operation as a whole: it starts, joins, changes its phase, is stopped or resumed, ends."""

from typing import assert_never

from fenced.core.durable import evolve_owed as owing
from fenced.core.durable import records as r
from fenced.core.durable.changing import change_operation, put, to_state
from fenced.core.durable.evolve_owed import KEPT_OFF
from fenced.core.durable.evolve_run import drop_reads, forget_path
from fenced.core.durable.machine import FIRST_PHASE
from fenced.core.durable.outcome import given_back, host_power
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState, Operation, Phase, Slot
from fenced.model.power import Action, OperationState, State

JOINED_KEPT_MAX = 100

_OFF = frozenset({State.FENCED, State.FAILED, State.SLEEPING})
"""States in which an ON begins to give power back."""

Change = (
    r.OperationJoined
    | r.LevelEntered
    | r.LifeChecked
    | r.GatesPassed
    | r.PhaseEntered
    | r.EndingDecided
    | r.OperationResumed
    | r.DevicesReplaced
    | r.AnnouncementAcknowledged
)


def evolve_operation(state: HostState, at: float, record: r.OperationRecord) -> HostState:
    """Return the host's state after a record about one of its operations."""
    match record:
        case r.OperationStarted():
            return _started(state, at, record)
        case r.WaitingOperationStarted():
            return _waiting_started(state, at, record)
        case r.OperationEnded():
            return _ended(state, at, record)
        case _:
            operation = state.find(record.operation)
            return state if operation is None else _changed(state, at, operation, record)


def _started(state: HostState, at: float, record: r.OperationStarted) -> HostState:
    if record.slot is Slot.RUNNING:
        return _runs(state, at, record.operation)
    return put(state, record.slot, record.operation)


def _waiting_started(state: HostState, at: float, record: r.WaitingOperationStarted) -> HostState:
    operation = state.waiting
    if operation is None or operation.id != record.operation:
        return state
    shift = at - operation.started
    operation = replace(operation, deadline=record.deadline, level_started=operation.level_started + shift)
    return _runs(replace(state, waiting=None), at, operation)


def _runs(state: HostState, at: float, operation: Operation) -> HostState:
    operation = replace(operation, before=state.state)
    changes: dict[str, object] = {"operation": operation, "last_operation": operation.id, "held_by": ()}
    if not operation.is_automatic:  # an operator takes over, including the devices that were kept off
        changes["withheld"] = ()
        changes["record_fault"] = ""
        if operation.action is Action.RESTART:
            changes["is_on_forbidden"] = False
    if operation.action in {Action.OFF, Action.RESTART}:
        return to_state(state, State.FENCING, at, **changes)
    if operation.action is Action.SLEEP:
        return to_state(state, state.state, at, **changes)
    after = State.RESTORING if state.state in _OFF else state.state
    return to_state(state, after, at, is_stay_off=False, is_on_forbidden=False, is_left_off=False, **changes)


def _changed(state: HostState, at: float, operation: Operation, record: Change) -> HostState:
    match record:
        case r.OperationJoined():
            return _joined(state, operation, record)
        case r.LevelEntered():
            return _level_entered(state, at, operation, record)
        case r.LifeChecked():
            return change_operation(state, operation.id, life_checked_at=at)
        case r.GatesPassed():
            return change_operation(state, operation.id, gates=record.gates, is_permitted=True)
        case r.PhaseEntered():
            return _phase_entered(state, at, operation, record)
        case r.EndingDecided():
            return _ending_decided(state, operation, record)
        case r.OperationResumed():
            return _resumed(state, operation, record)
        case r.DevicesReplaced():
            levels = tuple(sorted({run.level for run in record.devices}))
            return change_operation(state, operation.id, devices=record.devices, levels=levels)
        case r.AnnouncementAcknowledged():
            return change_operation(state, operation.id, is_announcement_acknowledged=True)
        case _:
            assert_never(record)


def _joined(state: HostState, operation: Operation, record: r.OperationJoined) -> HostState:
    is_left_off_now = operation.is_fenced and record.action is Action.OFF
    has_not_begun = state.slot_of(operation.id) is Slot.WAITING  # an OFF that joins an ON begins with the OFF
    return change_operation(
        replace(state, is_stay_off=state.is_stay_off or is_left_off_now),
        operation.id,
        joined=(*operation.joined, record.by)[-JOINED_KEPT_MAX:],
        action=record.action,
        phase=FIRST_PHASE[record.action] if has_not_begun else operation.phase,
    )


def _level_entered(state: HostState, at: float, operation: Operation, record: r.LevelEntered) -> HostState:
    return change_operation(
        state,
        operation.id,
        level=record.level,
        level_started=at,
        level_deadline=record.deadline,
        phase=Phase.PROVING,
        is_contradicted=False,
        is_permitted=False,
        devices=tuple(replace(run, is_given_up=False) for run in operation.devices),
    )


def _phase_entered(state: HostState, at: float, operation: Operation, record: r.PhaseEntered) -> HostState:
    changes: dict[str, object] = {"phase": record.phase}
    match record.phase:
        case Phase.RESTORING:
            changes |= _restore_began(state, at, operation, record)
            state = to_state(state, State.RESTORING, at) if state.state is State.FENCED else state
        case Phase.GOING_DOWN:
            changes["deadline"] = record.deadline or operation.deadline
        case Phase.INSPECTING:
            changes["devices"] = tuple(replace(run, is_inspected=False) for run in operation.devices)
        case Phase.CLOSING:  # a later restart of the daemon would forget what was read
            changes |= {"power": host_power(operation), "restored": given_back(operation, state.owed)}
        case _:
            pass
    return change_operation(state, operation.id, **changes)


def _restore_began(state: HostState, at: float, operation: Operation, record: r.PhaseEntered) -> dict[str, object]:
    runs = tuple(
        replace(drop_reads(run, at), is_given_up=False, wait_until=0.0, command_outcome=None)
        for run in operation.devices
    )
    return {
        "restore_started": at,
        "restore_deadline": record.deadline,
        "wanted": owing.wanted(state, operation),
        "devices": runs,
    }


def _ending_decided(state: HostState, operation: Operation, record: r.EndingDecided) -> HostState:
    return change_operation(
        replace(
            owing.withhold(state) if record.is_on_forbidden else state,
            is_on_forbidden=state.is_on_forbidden or (record.is_on_forbidden and state.state in KEPT_OFF),
            is_stay_off=state.is_stay_off or record.is_on_forbidden,
        ),
        operation.id,
        ending=record.ending,
        ending_why=record.why,
        is_stopped=True,
    )


def _resumed(state: HostState, operation: Operation, record: r.OperationResumed) -> HostState:
    return change_operation(
        owing.seen_on(state, operation),
        operation.id,
        is_resumed=True,
        is_permitted=False,
        resume_at=record.at,
        devices=tuple(forget_path(run, record.at) for run in operation.devices),
    )


def _ended(state: HostState, at: float, record: r.OperationEnded) -> HostState:
    slot, operation = state.slot_of(record.operation), state.find(record.operation)
    if slot is None or operation is None:
        return state
    if slot is not Slot.RUNNING:
        return put(state, slot, None)
    is_failure = record.state is OperationState.FAILED and not record.is_fenced
    if operation.is_drill and not operation.is_fenced and record.after is State.RESTORING:
        state = replace(state, is_off_by_person=True, in_hand_from=at)  # a drill that failed, and gave power back
    return to_state(
        owing.operation_over(state, operation, record),
        record.after,
        at,
        operation=None,
        commands=state.unsettled(at),
        cooldown_until=max(state.cooldown_until, record.cooldown_until),
        next_attempt_at=record.next_attempt_at,
        failures=_failures(state, operation, is_failure=is_failure),
        suspected_at=(state.suspected_at or at) if record.after is State.SUSPECT else None,
    )


def _failures(state: HostState, operation: Operation, *, is_failure: bool) -> int:
    """Return the number of failed fences in a row; giving power back neither counts nor ends the row."""
    if operation.is_giving_back or operation.is_saving:
        return state.failures
    return state.failures + 1 if is_failure else 0


def ended(operation: Operation, at: float, record: r.OperationEnded) -> Operation:
    """Return the operation as it is stored after its end."""
    return replace(
        operation,
        state=record.state,
        phase=Phase.ENDED,
        ended=at,
        power=record.power,
        is_fenced=record.is_fenced,
        restored=record.restored,
        error=record.why,
    )

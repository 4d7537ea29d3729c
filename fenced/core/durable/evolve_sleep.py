"""Folds the records of power saving, and what other records say of a host that sleeps or was woken (S24)."""

from typing import Final, assert_never

from fenced.core.durable import records as r
from fenced.core.durable.changing import change_operation, to_state, union, with_ended
from fenced.core.durable.replacing import replace
from fenced.core.durable.sleep_state import Asleep, Saving, SoftOff
from fenced.core.durable.state import HostState, Operation, Phase
from fenced.model.power import Action, Kind, OperationState, State, What

_MAY_FALL_ASLEEP: Final = frozenset({State.HEALTHY, State.LEFT, State.MAINTENANCE, State.UNKNOWN})
"""States of a host that was asked to shut down. It is unknown once maintenance ended that was set meanwhile."""
RETRY_SECONDS: Final = 300.0
"""For so long others are woken first after a sleeper could not be given power."""


def evolve_sleep(state: HostState, at: float, record: r.SleepRecord) -> HostState:
    """Return the host's state after a record of saving."""
    saving = state.saving
    match record:
        case r.SleepAnnounced():
            return change_operation(state, record.operation, veto_until=record.at)
        case r.HostSlept():
            return _slept(state, at, record)
        case r.SleepFailed():
            soft_off = None if record.is_never_sent else saving.soft_off
            after = replace(saving, retry_at=record.retry_at, ended_at=at, soft_off=soft_off)
            return replace(state, saving=after, release_until=max(state.release_until, record.heard_by))
        case r.WakeWanted():
            if saving.asleep is None:
                return _wanted_once_off(state, record)
            asleep = replace(saving.asleep, waker=record.by, why=record.reason)
            return replace(state, saving=replace(saving, asleep=asleep))
        case r.WorkHeard():
            if saving.soft_off is None:
                return state
            soft_off = replace(saving.soft_off, workloads=record.workloads, busy_by=record.source)
            return replace(state, saving=replace(saving, soft_off=soft_off))
        case r.HostWoken():
            return _woken(state, at, record)
        case r.WakeFailed():
            return _wake_failed(state, at)
        case _:
            assert_never(record)


def _wanted_once_off(state: HostState, record: r.WakeWanted) -> HostState:
    soft_off = state.saving.soft_off
    if soft_off is None:
        return state
    return replace(state, saving=replace(state.saving, soft_off=replace(soft_off, waker=record.by, why=record.reason)))


def _slept(state: HostState, at: float, record: r.HostSlept) -> HostState:
    if state.state not in _MAY_FALL_ASLEEP:
        return state
    wish = state.saving.soft_off
    asleep = Asleep(
        at=at, boot=record.boot, token=record.token, devices=record.devices,
        waker=wish.waker if wish is not None else "", why=wish.why if wish is not None else "",
    )  # fmt: skip
    ended = state.ended_boots if record.boot is None else with_ended(state.ended_boots, record.boot)
    return to_state(
        state,
        State.SLEEPING,
        at,
        saving=replace(state.saving, asleep=asleep, soft_off=None, ended_at=at, is_switched_on=False, retry_at=0.0),
        token=record.token,
        ended_boots=ended,
        suspected_at=None,
        suspicion=None,
        held_by=(),
    )


def _wake_failed(state: HostState, at: float) -> HostState:
    """Let others be woken first, if it still sleeps."""
    saving = state.saving
    if state.state is not State.SLEEPING or saving.asleep is None:
        return state
    asleep = replace(saving.asleep, waker="", why="")
    return replace(state, saving=replace(saving, asleep=asleep, retry_at=at + RETRY_SECONDS))


def _woken(state: HostState, at: float, record: r.HostWoken) -> HostState:
    if not state.is_asleep:
        return state
    after = State.RESTORING
    if record.is_alive:
        after = State.HEALTHY if state.maintenance is None else State.MAINTENANCE
    elif state.operation is not None:
        after = state.state
    boot = record.boot if record.boot is not None else state.boot
    return to_state(
        replace(state, saving=awake(state.saving, at) if record.is_alive else _on_its_way(state.saving)),
        after,
        at,
        token=record.token,
        boot=boot,
        ended_boots=tuple(it for it in state.ended_boots if it != boot),
        distrusted=union(state.distrusted, record.distrusted),
        last_heard=at if record.is_alive else state.last_heard,
    )


def _on_its_way(saving: Saving) -> Saving:
    """Return what is known of a sleeper that came on without the daemon: it boots, so it counts as on its way."""
    asleep = saving.asleep
    return replace(saving, asleep=replace(asleep, waker=asleep.waker or "itself") if asleep is not None else None)


def awake(saving: Saving, at: float) -> Saving:
    """Return what is known of a host that was heard, or is no sleeper any more."""
    if saving.is_switched_on:
        saving = replace(saving, proven_at=at, is_switched_on=False)
    return saving if saving.asleep is None else replace(_no_sleeper(saving, at), woken_at=at)


def follow_saving(before: HostState, after: HostState, at: float, record: r.Record) -> HostState:
    """Return the state after any record, with what saving remembers of the host."""
    saving = after.saving
    match record:
        case r.HostHeard():
            is_other = saving.soft_off is not None and record.boot not in {None, saving.soft_off.boot}
            saving = awake(saving, at)
            saving = replace(saving, soft_off=None) if is_other else saving
        case r.HostFenced():
            saving = replace(_no_sleeper(saving, at), soft_off=None, is_switched_on=False)
        case r.HostRestored() if before.operation is not None and not record.missing:
            saving = _brought_back(after, before.operation, at)
        case r.HostSuspected() if before.state is State.RESTORING:
            saving = replace(saving, is_switched_on=False)  # it did not come back by that ON
        case r.PhaseEntered() if record.phase is Phase.GOING_DOWN and before.operation is not None:
            saving = replace(saving, soft_off=saving.soft_off or _begun(before.operation, at))
        case r.OperationStarted() if _takes_over(before, record.operation):
            saving = _no_sleeper(saving, at)
        case r.MaintenanceSet() if record.after is State.MAINTENANCE:
            saving = _no_sleeper(saving, at)
        case r.OperationEnded() if _is_called_off(before, record):
            saving = replace(saving, ended_at=at, woken_at=at)
        case r.HostPutAside():
            saving = replace(_no_sleeper(saving, at), soft_off=None)
        case _:
            pass
    return after if saving is after.saving else replace(after, saving=saving)


def _brought_back(after: HostState, operation: Operation, at: float) -> Saving:
    """Return what is known of a host whose devices are all ON again: one that was off is proven once it is heard since
    the ON, which may be before its devices were read ON."""
    lit_at = _lit_at(operation)
    was_off = operation.is_fenced or operation.before not in {State.HEALTHY, State.MAINTENANCE}
    if lit_at is None or not was_off:
        return after.saving
    saving = replace(after.saving, is_switched_on=True)
    is_heard = after.state in {State.HEALTHY, State.MAINTENANCE} and (after.last_heard or 0.0) > lit_at
    return awake(saving, at) if is_heard else saving


def _lit_at(operation: Operation) -> float | None:
    """Return when the first ON of the operation was sent; None: none was."""
    switched = (run for run in operation.devices if run.is_switched_on)
    steps = (step for run in switched for step in (*run.steps, *filter(None, (run.step,))))
    return min((step.started for step in steps if step.what is What.ON), default=None)


def _no_sleeper(saving: Saving, at: float) -> Saving:
    """Return what is known of a host that others switch now: it sleeps no longer, and nothing of it was proven."""
    if saving.asleep is None:
        return saving
    return replace(saving, asleep=None, slept_seconds=saving.slept_until(at))


def _is_called_off(before: HostState, record: r.OperationEnded) -> bool:
    """Return whether a sleep was stopped: somebody or something wants the host awake, for `awake_for` at least."""
    operation = before.operation
    is_its = operation is not None and operation.id == record.operation and operation.action is Action.SLEEP
    return is_its and record.state is OperationState.CANCELLED


def _takes_over(before: HostState, operation: Operation) -> bool:
    """Return whether a person acts on a host that did not come back from its sleep: nothing holds its fence then."""
    is_by_person = not operation.is_automatic and operation.is_power_changing
    return is_by_person and before.state not in {State.SLEEPING, State.RESTORING}


def _begun(operation: Operation, at: float) -> SoftOff:
    chassis = tuple(run.device for run in operation.devices if run.kind is Kind.CHASSIS)
    return SoftOff(at=at, boot=operation.boot, devices=chassis)

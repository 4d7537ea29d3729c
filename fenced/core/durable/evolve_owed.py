"""How what is owed changes: devices that we switched off, from their OFF until they are read ON (S9).

Each of them has one word at a time: `redundancy_lost`, `restore_failed`, or `left_off`. One rule: nothing but a reading of
ON, or a restore that had it among its devices, takes a device out of what is owed.
"""

from fenced.core.durable import records as r
from fenced.core.durable.outcome import reads_on, targets
from fenced.core.durable.replacing import replace
from fenced.core.durable.standing import SILENT_BEFORE_SECONDS
from fenced.core.durable.state import HostState, Operation, Restored
from fenced.model.names import DeviceName
from fenced.model.power import Action, Cause, State

KEPT_OFF = frozenset({State.FENCING, State.FENCED, State.RESTORING})
"""States of a host that was proven off: in these alone it can be one that stays off."""


def consistent(state: HostState) -> HostState:
    """A host that may run is none that stays off, and where nothing is owed nothing is left off but a host that is off."""
    if state.is_stay_off and state.state not in KEPT_OFF:
        state = replace(state, is_stay_off=False)
    if state.is_left_off and not state.owed and state.state not in KEPT_OFF:
        state = replace(state, is_left_off=False)
    if state.is_off_by_person and state.state not in KEPT_OFF:
        state = replace(state, is_off_by_person=False)
    return state


def settled(state: HostState, on: tuple[DeviceName, ...]) -> HostState:
    """These devices are on: nothing of them is owed, and no word about them holds."""
    if not on:
        return state
    return replace(
        state,
        owed=_without(state.owed, on),
        withheld=_without(state.withheld, on),
        redundancy_lost=_without(state.redundancy_lost, on),
        restore_failed=_without(state.restore_failed, on),
    )


def seen_on(state: HostState, operation: Operation) -> HostState:
    """What an operation last read ON is on."""
    return settled(state, tuple(run.device for run in operation.devices if reads_on(run)))


def still_off(state: HostState) -> tuple[DeviceName, ...]:
    """What is owed, less what the operation under way reads ON, and less what has another word already."""
    after = seen_on(state, state.operation) if state.operation is not None else state
    return _without(after.owed, after.redundancy_lost + after.restore_failed)


def withhold(state: HostState) -> HostState:
    """What is owed now is left to people."""
    return replace(state, withheld=(*state.withheld, *_without(state.owed, state.withheld)))


def ran_again(state: HostState) -> HostState:
    """The host lives or has power after it was off. What people kept off is not switched on by us because of that (S19)."""
    is_kept_off = state.is_on_forbidden or (state.is_stay_off and state.is_off_by_person)
    after = withhold(state) if is_kept_off else state
    return replace(after, is_left_off=state.is_left_off and bool(state.owed))


def wanted(state: HostState, operation: Operation) -> tuple[DeviceName, ...]:
    """What the restore that begins now must bring back. What is withheld comes back with a fence or a person's word."""
    owed = state.owed
    if operation.is_giving_back:
        owed = _without(owed, state.withheld)
    return tuple(run.device for run in targets(operation, owed))


def given_back(state: HostState, record: r.HostRestored) -> HostState:
    """All that the restore wanted is on but what is missing; another operation's devices stay owed."""
    operation = state.operation
    asked = operation.wanted if operation is not None and operation.wanted else state.owed
    after = settled(state, _without(asked, record.missing))
    return replace(
        after,
        redundancy_lost=record.missing,
        restore_failed=_without(after.restore_failed, record.missing),
        is_left_off=state.is_left_off and bool(after.withheld),
    )


def not_given_back(state: HostState, record: r.RestoreFailed) -> HostState:
    """The devices stay owed, and that is told."""
    return replace(
        state,
        owed=(*state.owed, *_without(record.missing, state.owed)),
        redundancy_lost=_without(state.redundancy_lost, record.missing),
        restore_failed=record.missing,
    )


def operation_over(state: HostState, operation: Operation, record: r.OperationEnded) -> HostState:
    """What it read ON, or brought back whole, is no longer owed."""
    after = seen_on(state, operation)
    if record.restored is Restored.ALL:
        after = settled(after, operation.wanted or after.owed)
    return after


def fenced(state: HostState, record: r.HostFenced, at: float) -> HostState:
    """Off anew: what was told of a running host's devices is over. Who switched it off, a person or we?"""
    operation = state.operation
    is_ours = operation is not None and operation.id == record.operation
    if operation is not None and is_ours and (operation.is_fenced or operation.action is Action.ON):
        return state  # no ON reached it: off as before
    was_overdue = operation is not None and operation.was_overdue
    was_living = operation is not None and operation.before is State.HEALTHY and not was_overdue
    is_by_person = record.cause is Cause.REQUEST and (record.is_stay_off or was_living)
    return replace(
        state,
        redundancy_lost=(),
        restore_failed=(),
        is_off_by_person=is_by_person,
        in_hand_from=at + (SILENT_BEFORE_SECONDS if was_overdue else 0.0),
    )


def _without(names: tuple[DeviceName, ...], gone: tuple[DeviceName, ...]) -> tuple[DeviceName, ...]:
    return tuple(name for name in names if name not in gone)

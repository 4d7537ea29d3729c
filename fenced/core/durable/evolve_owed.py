"""Folds debts: a device that the daemon switched off is owed until it is read ON (S9).

Only a reading of ON, or a restore that included the device, settles a debt. Each owed device has one report at a time:
`redundancy_lost`, `restore_failed` or `left_off`.
"""

from fenced.core.durable import records as r
from fenced.core.durable.changing import without
from fenced.core.durable.outcome import targets
from fenced.core.durable.replacing import replace
from fenced.core.durable.standing import SILENT_BEFORE_SECONDS
from fenced.core.durable.state import HostState, Operation, Restored
from fenced.model.names import DeviceName
from fenced.model.power import Action, Cause, State

KEPT_OFF = frozenset({State.FENCING, State.FENCED, State.RESTORING})
"""Only in these states can a host stay off."""


def consistent(state: HostState) -> HostState:
    """Clear flags that can't hold: a host that may run does not stay off; without debts none of it is left off."""
    if state.is_stay_off and state.state not in KEPT_OFF:
        state = replace(state, is_stay_off=False)
    if state.is_left_off and not state.owed and state.state not in KEPT_OFF:
        state = replace(state, is_left_off=False)
    if state.is_off_by_person and state.state not in KEPT_OFF:
        state = replace(state, is_off_by_person=False)
    return state


def settled(state: HostState, on: tuple[DeviceName, ...]) -> HostState:
    """Settle the debts of devices that are on, and withdraw the reports about them."""
    if not on:
        return state
    return replace(
        state,
        owed=without(state.owed, *on),
        withheld=without(state.withheld, *on),
        redundancy_lost=without(state.redundancy_lost, *on),
        restore_failed=without(state.restore_failed, *on),
    )


def seen_on(state: HostState, operation: Operation) -> HostState:
    """Settle the debts of what the operation read ON last."""
    return settled(state, tuple(run.device for run in operation.devices if run.reads_on))


def still_off(state: HostState) -> tuple[DeviceName, ...]:
    """Return what is owed, without what the running operation reads ON and what another report covers."""
    after = seen_on(state, state.operation) if state.operation is not None else state
    return without(after.owed, *after.redundancy_lost, *after.restore_failed)


def withhold(state: HostState) -> HostState:
    """Leave the present debts to operators: the daemon alone does not give them back."""
    return replace(state, withheld=(*state.withheld, *without(state.owed, *state.withheld)))


def ran_again(state: HostState) -> HostState:
    """Update the debts of a host that lives or has power after it was off.

    Only an operator switches on what operators keep off (S19).
    """
    is_kept_off = state.is_on_forbidden or (state.is_stay_off and state.is_off_by_person)
    after = withhold(state) if is_kept_off else state
    return replace(after, is_left_off=state.is_left_off and bool(state.owed))


def wanted(state: HostState, operation: Operation) -> tuple[DeviceName, ...]:
    """Return what the restore that begins now must bring back.

    Withheld devices need a fence or an operator's request.
    """
    owed = state.owed
    if operation.is_giving_back:
        owed = without(owed, *state.withheld)
    return tuple(run.device for run in targets(operation, owed))


def given_back(state: HostState, record: r.HostRestored) -> HostState:
    """Settle what the restore brought back: all that it wanted except `missing`.

    Devices of other operations stay owed.
    """
    operation = state.operation
    asked = operation.wanted if operation is not None and operation.wanted else state.owed
    after = settled(state, without(asked, *record.missing))
    return replace(
        after,
        redundancy_lost=record.missing,
        restore_failed=without(after.restore_failed, *record.missing),
        is_left_off=state.is_left_off and bool(after.withheld),
    )


def not_given_back(state: HostState, record: r.RestoreFailed) -> HostState:
    """Keep the missing devices owed and reported."""
    return replace(
        state,
        owed=(*state.owed, *without(record.missing, *state.owed)),
        redundancy_lost=without(state.redundancy_lost, *record.missing),
        restore_failed=record.missing,
    )


def operation_over(state: HostState, operation: Operation, record: r.OperationEnded) -> HostState:
    """Settle what the operation read ON, or gave back completely."""
    after = seen_on(state, operation)
    if record.restored is Restored.ALL:
        after = settled(after, operation.wanted or after.owed)
    return after


def fenced(state: HostState, record: r.HostFenced, at: float) -> HostState:
    """Drop the reports about a running host's devices, because the host is off, and keep who switched it off."""
    operation = state.operation
    is_ours = operation is not None and operation.id == record.operation
    if operation is not None and is_ours and (operation.is_fenced or operation.action is Action.ON):
        return state  # no ON was done: it is off as before
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


def sorted_out(state: HostState, record: r.DebtsSorted) -> HostState:
    """After an edit of the inventory, keep the plugs of the debts that it still has."""
    debts = (*((orphan.device, orphan.plug_id) for orphan in state.orphans), *state.owed_plugs)
    lost = {(orphan.device, orphan.plug_id) for orphan in record.orphans}
    found = {name: plug for name, plug in debts if name in record.owed and (name, plug) not in lost}
    kept = tuple((name, plug) for name, plug in found.items() if plug is not None)
    return replace(state, owed=record.owed, orphans=record.orphans, owed_plugs=kept)

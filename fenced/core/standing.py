"""Where a host stands: who has it in hand, and who looks at its devices. Knows states alone, decides nothing."""

from fenced.core.state import HostState
from fenced.model.power import State


def is_in_hand(state: HostState) -> bool:
    """People switched it off while it lived, keep it off, or asked to leave it alone: its silence says nothing of others."""
    if state.maintenance is not None or state.is_off_by_person:
        return True
    operation = state.operation
    is_asked = operation is not None and not operation.is_automatic and operation.before is State.HEALTHY
    return state.state is State.FENCING and is_asked


def is_watched_as_off(state: HostState) -> bool:
    """Fenced and failed hosts, and one whose restore was stopped after an ON: nothing else will tell what it is."""
    return state.state in {State.FENCED, State.FAILED} or (state.state is State.RESTORING and state.is_on_forbidden)

"""Where a host stands: who has it in hand, and who looks at its devices. Knows states alone, decides nothing."""

from typing import Final

from fenced.core.durable.state import HostState
from fenced.model.power import State

SILENT_BEFORE_SECONDS: Final = 600.0
"""How long the silence of a host counts on that was overdue already when a person had it switched off: if a link is cut, what
people do to those behind it must not make the silence of all look like that of one (S10)."""


def is_in_hand(state: HostState, now: float) -> bool:
    """People switched it off while it lived, keep it off, or asked to leave it alone: its silence says nothing of others."""
    if state.maintenance is not None:
        return True
    if state.is_off_by_person:
        return now >= state.in_hand_from
    operation = state.operation
    was_living = operation is not None and operation.before is State.HEALTHY and not operation.was_overdue
    return state.state is State.FENCING and was_living and operation is not None and not operation.is_automatic


def is_watched_as_off(state: HostState) -> bool:
    """Fenced and failed hosts, and one whose restore was stopped after an ON: nothing else will tell what it is."""
    return state.state in {State.FENCED, State.FAILED} or (state.state is State.RESTORING and state.is_on_forbidden)

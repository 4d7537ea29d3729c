"""What a host's state means to others: is it in an operator's hands, watched as off, monitored, fit to run a proxy?"""

from typing import Final

from fenced.core.durable.state import HostState
from fenced.model.power import State

SILENT_BEFORE_SECONDS: Final = 600.0
"""If a host was overdue when an operator switched it off, its silence counts for so long after that.
A cut link makes many hosts silent; operators who switch some of them off must not make it look like a single failure
(S10)."""

TROUBLED = frozenset({State.SUSPECT, State.DUMPING, State.FENCING, State.FENCED, State.RESTORING, State.FAILED})
"""States in which a host needs checks although nothing is heard of it."""

BARRED = {
    State.SUSPECT: "is suspect itself",
    State.DUMPING: "writes a crash dump",
    State.FENCING: "is being fenced",
    State.FENCED: "is fenced",
    State.RESTORING: "is being restored",
    State.FAILED: "could not be fenced and may be dead",
    State.LEFT: "reported that it goes down",
    State.MAINTENANCE: "is in maintenance",
    State.SLEEPING: "sleeps to save power",
}
"""States in which a machine can't serve as a proxy, and why (design.md#proxy-race)."""

NOT_MONITORED = frozenset({State.UNKNOWN, State.LEFT, State.MAINTENANCE, State.SLEEPING})
"""States that don't count in the share of the cluster (design.md#gates)."""


HEARD_OR_MISSED = frozenset({State.HEALTHY, State.SUSPECT, State.FENCING})
"""States in which a host should be heard."""

AWAY = frozenset({State.FENCING, State.FENCED, State.RESTORING, State.FAILED})
"""States of a host that was fenced, or could not be, and is not back."""


def is_in_hand(state: HostState, now: float) -> bool:
    """Return whether operators caused its silence: they switched it off alive, keep it off, or set maintenance."""
    if state.maintenance is not None:
        return True
    if state.is_off_by_person:
        return now >= state.in_hand_from
    operation = state.operation
    was_living = operation is not None and operation.before is State.HEALTHY and not operation.was_overdue
    return state.state is State.FENCING and was_living and operation is not None and not operation.is_automatic


def is_monitored(state: HostState, now: float) -> bool:
    """Return whether the host should send heartbeats: it is not switched off by an operator or in maintenance."""
    return state.state not in NOT_MONITORED and not state.is_asleep and not is_in_hand(state, now)


def is_expected(state: HostState, now: float) -> bool:
    """Return whether the host should be heard, and no known reason explains its silence."""
    return state.state in HEARD_OR_MISSED and not state.is_asleep and not is_in_hand(state, now)


def is_plain(state: HostState) -> bool:
    """Return whether it is healthy and nobody acts on it: then it is monitored and expected. Cheaper than those two."""
    return (
        state.state is State.HEALTHY
        and state.operation is None
        and state.maintenance is None
        and not state.is_off_by_person
    )


def is_unrecovered(state: HostState, now: float) -> bool:
    """Return whether the host was fenced, or could not be, and is not back. One that an operator switched off is not
    meant."""
    return state.state in AWAY and not state.is_asleep and not is_in_hand(state, now)


def counted_as(state: HostState, now: float, *, is_heard: bool) -> tuple[object, ...]:
    """Return what counts depend on. `is_heard`: since the start; else the records say when it fell silent."""
    counts = (is_monitored(state, now), is_expected(state, now), is_unrecovered(state, now))
    return counts if is_heard else (*counts, state.state is State.HEALTHY, state.suspected_at, state.last_heard)


def is_watched_as_off(state: HostState) -> bool:
    """Return whether only the watch reads its power: it is fenced, failed, or its restore was stopped after an ON."""
    return state.state in {State.FENCED, State.FAILED} or (state.state is State.RESTORING and state.is_on_forbidden)


def is_watched_asleep(state: HostState) -> bool:
    """Return whether the watch reads it because of saving: it sleeps, or may go down late after it was asked to."""
    return state.state is State.SLEEPING or (state.state is State.LEFT and state.saving.soft_off is not None)

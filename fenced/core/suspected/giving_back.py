"""A host that is heard and still has devices off by an OFF of ours: they are switched on again, or a person is told (S9).

Looked at whenever the host is looked at, so it does not matter by which way it became healthy. An ON runs as an operation of
its own; one that does not bring all back is tried again ever more rarely. What people keep off is left to them (S19).
"""

from fenced.core.allowed import gates
from fenced.core.durable.evolve_owed import still_off
from fenced.core.operation import requests
from fenced.core.operation.ending import tell_left_off
from fenced.core.work import HostWork
from fenced.model.power import State


def look(work: HostWork) -> None:
    """Give back what is owed, or tell once why not. Harmless at any time, as often as you like."""
    state = work.state
    if not state.owed or state.operation is not None or not work.fleet.is_heard(work.name, work.now):
        return
    if state.state not in {State.HEALTHY, State.MAINTENANCE} or gates.closed((gates.lease(work.fleet, work.now),)):
        return
    why = _why_not(work)
    if why is not None:
        _tell_once(work, why)
    elif work.now < work.sight.give_back_at:
        work.wake(work.sight.give_back_at)
    else:
        requests.give_back(work)


def _why_not(work: HostWork) -> str | None:
    state = work.state
    if state.maintenance is not None:
        return f"the host is in maintenance by {state.maintenance.by}"
    if state.record_fault:
        return "its records could not be taken up; a person has it in hand first"
    if work.host.is_own_machine:
        return f"the host is {work.host.own_words} (S18)"
    shut = gates.closed(gates.owner_gates(work.fleet, work.now))
    if shut:
        return shut[0].why
    return "a person keeps them off" if set(state.owed) <= set(state.withheld) else None


def _tell_once(work: HostWork, why: str) -> None:
    if not work.state.is_left_off and still_off(work.state):
        tell_left_off(work, None, f"devices of a host that runs are still off: {why}")

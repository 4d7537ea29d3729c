"""Switches a host's owed devices on again once it is heard, or reports why not (S9).

`look` runs at every check of the host, so it does not matter how the host became healthy. The ON runs as an operation.
If some devices stay off, it is retried with growing pauses. Devices that an operator keeps off stay off (S19).
"""

from fenced.core.allowed import gates, of_daemon
from fenced.core.durable.evolve_owed import still_off
from fenced.core.operation.automatic import give_back
from fenced.core.operation.endings import report_left_off
from fenced.core.work import HostWork
from fenced.model.power import State


def look(work: HostWork) -> None:
    """Give back what is owed, or report once why not. Harmless at any time and repeatedly."""
    state = work.state
    if not state.owed or state.operation is not None or not work.fleet.is_heard(work.name, work.now):
        return
    if state.state not in {State.HEALTHY, State.MAINTENANCE} or gates.closed((of_daemon.lease(work.fleet, work.now),)):
        return
    why = _why_not(work)
    if why is not None:
        _tell_once(work, why)
    elif work.now < work.sight.give_back_at:
        work.wake(work.sight.give_back_at)
    else:
        give_back(work)


def _why_not(work: HostWork) -> str | None:
    state = work.state
    if state.maintenance is not None:
        return f"the host is in maintenance by {state.maintenance.by}"
    if state.record_fault:
        return "its records could not be restored; an operator must handle it first"
    if work.host.is_own_machine:
        return f"the host is {work.host.own_words} (S18)"
    shut = gates.closed((*gates.owner_gates(work.fleet, work.now), of_daemon.store(work.fleet)))
    if shut:
        return shut[0].why
    return "an operator keeps them off" if set(state.owed) <= set(state.withheld) else None


def _tell_once(work: HostWork, why: str) -> None:
    if not work.state.is_left_off and still_off(work.state):
        report_left_off(work, None, f"the host runs and devices of it are still off: {why}")

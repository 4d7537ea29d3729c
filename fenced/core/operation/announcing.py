"""Phase ANNOUNCING: wait until others can know that the host was off; then power may be given back (S8)."""

from typing import Final

from fenced.core.durable.state import Operation
from fenced.core.operation import phases
from fenced.core.work import HostWork
from fenced.model.power import Action, OperationState

GIVES_BACK: Final = frozenset({Action.RESTART, Action.SLEEP})
"""A sleep is announced as `fenced` only if the host had work."""


def advance(work: HostWork, operation: Operation) -> None:
    """Go on once the broker has acknowledged, or `announce_wait` is over: restore, or finish an `off`."""
    state = work.state
    if operation.action not in GIVES_BACK or state.is_stay_off or state.is_on_forbidden:
        phases.finish(work, OperationState.DONE, None)
        return
    assert operation.announced_at is not None
    until = operation.announced_at + work.fleet.inventory.daemon.announce_wait_seconds
    if not operation.is_announcement_acknowledged and work.now < until:
        work.wake(until)
        return
    phases.enter_restore(work, operation)

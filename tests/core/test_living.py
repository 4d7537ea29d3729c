"""Nobody switches a living host off without force, also not right after a start, when it was not heard yet."""

import pytest

from fenced.core import events as e
from fenced.model.power import Action
from tests.core.desk import FOR_EVER, NODE, Desk


def started_again() -> Desk:
    """Return a desk after a restart: the host was healthy, and nothing was heard yet."""
    before = Desk()
    desk = Desk(is_calm=False)
    desk.fleet.restore({state.name: state for state in before.fleet.states()}, before.fleet.state)
    desk.do(e.LeaseRenewed(until=FOR_EVER))
    desk.do(e.Started())
    desk.do(e.BusConnected(at=desk.now))
    return desk


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_a_healthy_host_that_was_not_heard_yet_needs_force(action: Action) -> None:
    assert started_again().ask(action, force=False) == "refused alive"
    assert started_again().ask(action).startswith("accepted")


def test_once_it_is_silent_for_its_grace_it_needs_none() -> None:
    desk = started_again()
    desk.go(120.0, silent=[NODE])
    assert desk.ask(Action.OFF, force=False).startswith("accepted")


def test_a_host_in_maintenance_needs_none() -> None:
    desk = started_again()
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="p", reason="disks"))
    assert desk.ask(Action.OFF, force=False).startswith("accepted")

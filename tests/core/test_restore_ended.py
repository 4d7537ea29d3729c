"""Restores that life, maintenance or an operator ends: what is given back, and what is reported as left off (S9)."""

from fenced.core import events as e
from fenced.model.power import Action, Outcome, State
from tests.core.desk import NODE, Desk
from tests.core.moves import started, until_sent


def test_what_life_ends_the_restore_of_is_given_back_by_an_operation_of_its_own() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    at.go(31.0, silent=[NODE])
    at.beat_on()
    at.serve(silent=(), seconds=120.0)
    assert at.state().state is State.HEALTHY
    assert [operation.action for operation in started(at)] == [Action.RESTART, Action.ON]
    assert at.state().owed == ()
    assert at.told.count("host.left_off") == 0 and at.told.count("host.restored") == 1


def test_what_stays_off_is_announced_when_maintenance_stops_the_restore_of_a_living_host() -> None:
    at = Desk()
    at.fence()
    until_sent(at)
    at.beat()
    at.go(1.0)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.maintain()
    at.go(60.0)
    assert at.state().state is State.MAINTENANCE
    assert "pdu-a" in at.state().owed
    assert at.told.count("host.left_off") == 1


def test_a_host_that_was_never_heard_stays_unknown_after_a_restart_by_hand() -> None:
    at = Desk(is_calm=False)
    at.do(e.LeaseRenewed(until=1e12))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    at.go(90.0, silent=[NODE])
    at.ask(Action.RESTART)
    at.serve(until="operation_ended")
    assert at.state().state is State.UNKNOWN
    at.go(1000.0, silent=[NODE])
    assert at.state().state is State.UNKNOWN

"""The next read or the watch revokes a fenced host that has power, and not one that is off (S17)."""

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.power import Action, Power, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.core.moves import FAILS_SOON, fail, off_and_fenced, until_sent
from tests.world.rack import Rack


def test_a_fenced_host_that_the_next_operation_reads_on_is_revoked() -> None:
    at = off_and_fenced(Rack(settings=FAILS_SOON))
    at.set_power(Power.ON, "pdu-a", "pdu-b")
    at.ask(Action.OFF)
    fail(at)
    assert [revoked.is_alive for revoked in at.records(r.HostRevoked)] == [False]
    assert at.state().proof is None
    assert at.state().state is State.FAILED


def test_a_restore_that_was_stopped_too_late_is_found_out_by_the_watch() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    at.cancel()
    for device in ("pdu-a", "pdu-b"):
        at.switched(device)
    at.serve(until="operation_ended")
    assert at.state().state is State.RESTORING
    at.serve(seconds=150.0, until="host_revoked")
    assert at.records(r.HostRevoked)
    assert not at.state().is_stay_off


def test_a_stopped_restore_of_a_host_that_was_never_heard_is_found_out_by_the_watch() -> None:
    at = Desk(is_calm=False)
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    at.go(80.0, silent=[NODE])
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    at.ask(Action.ON)
    until_sent(at)
    at.cancel()
    at.switched("pdu-a")
    at.switched("pdu-b")
    at.serve(seconds=150.0, until="host_revoked")
    assert len(at.records(r.HostRevoked)) == 1


def test_a_bad_watch_does_not_revoke_a_stopped_restore_that_is_off() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.cancel()
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    at.go(61.0, silent=[NODE])
    assert at.waiting(c.WatchHost)
    at.watched(("pdu-a", Power.UNKNOWN), ("pdu-b", Power.OFF))
    assert at.state().state is State.FENCED


def test_a_host_in_maintenance_that_lied_stays_in_maintenance() -> None:
    at = off_and_fenced()
    at.maintain()
    at.go(40.0, silent=[NODE])
    at.beat_on()
    assert at.records(r.HostRevoked)
    assert at.state().state is State.MAINTENANCE

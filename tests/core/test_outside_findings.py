"""What an outside tester found against INTERFACE, each as the scenario that failed first."""

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.said.announce import state_message
from fenced.model.names import OperationId
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import NODE, Desk, said


def off_and_fenced() -> Desk:
    at = Desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    return at


def confirm(at: Desk, *, read: str | None = None) -> str:
    asked = e.ConfirmOffAsked(
        host=NODE, by="person", reason="seen", is_forced=True, read=OperationId(read) if read is not None else None
    )
    return said(at.do(asked).answer)


def test_nobody_confirms_off_while_the_devices_are_still_being_read() -> None:
    at = Desk()
    at.ask(Action.PROBE)
    assert confirm(at) == "refused busy"
    at.race("pdu-a", Power.ON)
    at.race("pdu-b", Power.ON)
    assert confirm(at) == "refused reads_on"
    assert not at.records(r.HostFenced)


def test_confirm_off_answers_with_an_operation_that_exists() -> None:
    at = Desk()
    at.go(30.0, silent=[NODE])
    at.fence()
    at.cancel()
    at.serve(until="operation_ended")
    read = at.ask(Action.STATUS).removeprefix("accepted ")
    at.race("pdu-a", winner=None)
    at.race("pdu-b", winner=None)
    assert confirm(at, read=read) == f"accepted {read}"


def test_nobody_confirms_off_while_a_device_was_switched_on_and_not_read_since() -> None:
    """What it read last is from before the ON."""
    at = Desk()
    at.fence()
    at.serve(until="phase_entered")
    while not at.waiting(c.SwitchDevice, "pdu-a") or at.waiting(c.SwitchDevice, "pdu-a")[0].what is What.OFF:
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    assert confirm(at) == "refused busy"
    at.serve(until="operation_ended")
    assert confirm(at) == "refused reads_on"


def test_stopping_with_a_new_boot_revokes_as_any_life_does() -> None:
    at = off_and_fenced()
    at.beat(boot="b2", status=e.HealthStatus.STOPPING)
    assert at.records(r.HostRevoked)
    assert at.state().state is State.LEFT


def test_a_late_stopping_of_the_old_boot_changes_nothing() -> None:
    at = off_and_fenced()
    at.beat(boot=None, status=e.HealthStatus.STOPPING)
    assert at.state().state is State.FENCED


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


def test_the_proof_is_told_only_while_it_speaks_of_now() -> None:
    at = off_and_fenced()
    assert state_message(at.state(), "a")["proof"] == "device_verified"
    at.ask(Action.RESTART)
    assert at.state().state is State.FENCING
    assert state_message(at.state(), "a")["proof"] is None


def test_the_story_of_every_race_is_kept() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.race("pdu-a", winner=None)
    at.go(5.0, silent=[NODE])
    at.race("pdu-a")
    assert [entry.verdict.value for entry in at.operation().devices[0].race] == ["failed", "won"]


def test_a_status_joins_a_probe() -> None:
    at = Desk()
    probe = at.ask(Action.PROBE)
    assert at.ask(Action.STATUS) == probe
    reading = at.state().reading
    assert reading is not None
    assert reading.action is Action.PROBE


def test_a_fenced_host_needs_no_force() -> None:
    at = off_and_fenced()
    assert at.ask(Action.RESTART, force=False).startswith("accepted")


def test_off_of_a_host_that_is_off_announces_no_second_run() -> None:
    at = off_and_fenced()
    token = at.state().token
    again = at.ask(Action.OFF).removeprefix("accepted ")
    at.serve(until="operation_ended")
    ended = at.ended(again)
    assert (ended.state, ended.is_fenced, ended.power) == (OperationState.DONE, True, Power.OFF)
    assert at.state().state is State.FENCED
    assert at.state().is_stay_off
    assert at.state().token == token
    assert len(at.records(r.HostFenced)) == 1


def test_a_host_in_maintenance_that_lied_stays_in_maintenance() -> None:
    at = off_and_fenced()
    at.maintain()
    at.go(40.0, silent=[NODE])
    at.beat_on()
    assert at.records(r.HostRevoked)
    assert at.state().state is State.MAINTENANCE


def test_the_end_of_a_maintenance_trusts_the_devices_again() -> None:
    at = off_and_fenced()
    at.go(40.0, silent=[NODE])
    at.beat_on()
    assert at.state().distrusted == ("pdu-a", "pdu-b")
    at.maintain()
    at.maintain(is_on=False)
    assert at.state().distrusted == ()


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

"""After a crash at any moment: replay, wait, read, then decide (S13, S16)."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Phase, Restored
from fenced.core.fleet import Fleet
from fenced.model.power import Action, OperationState, Outcome, Power, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.core.test_edited_inventory import EDITS, at_phase, restarted
from tests.world.rack import Rack


def next_life(at: Desk, *, down: float, started: e.Started | None = None) -> Desk:
    """Return a new desk over the old one's journal, `down` seconds later: with the lease, the bus not yet connected."""
    again = Desk(is_calm=False)
    again.inventory = at.inventory
    again.now = at.now + down
    again.fleet = Fleet(at.inventory, epoch=at.fleet.epoch + 1, started=again.now)
    for entry in at.entries:
        again.fleet.apply(entry)
    again.powers = dict(at.powers)
    again.do(e.LeaseRenewed(until=FOR_EVER))
    again.do(started or e.Started())
    return again


def states(fleet: Fleet) -> dict[str, HostState]:
    return {str(name): state for name, state in fleet.hosts.items()}


def commands(at: Desk) -> list[str]:
    return [f"{step.what.value} {step.device}" for step in at.records(r.StepStarted) if step.token is not None]


def fencing() -> Desk:
    at = Desk()
    at.fence()
    at.race("pdu-a")
    at.race("pdu-b")
    return at


def fenced() -> Desk:
    at = Desk()
    at.fence()
    at.serve(until="host_fenced")
    return at


def test_replaying_the_records_gives_the_live_state() -> None:
    at = fencing()
    at.serve(until="operation_ended")
    at.beat(boot="b2")
    fleet = Fleet(at.inventory, epoch=1, started=at.fleet.started)
    for entry in at.entries:
        fleet.apply(entry)
    assert states(fleet) == states(at.fleet)
    assert fleet.state == at.fleet.state


def test_no_off_recorded_is_cancelled() -> None:
    at = Desk()
    at.fence()
    again = next_life(at, down=5.0)
    assert again.state().operation is None
    assert again.records(r.OperationEnded)[0].state is OperationState.CANCELLED
    assert commands(again) == []


def test_an_off_recorded_goes_on_after_its_last_moment_and_a_read() -> None:
    at = fencing()
    not_after = max(command.not_after for command in at.state().commands)
    again = next_life(at, down=5.0)
    assert not again.waiting(c.RunRace) and not again.waiting(c.SwitchDevice)
    again.go(not_after - again.now - 0.5, silent=list(at.inventory.hosts))
    assert not again.waiting(c.RunRace)
    again.go(1.0, silent=list(at.inventory.hosts))
    assert len(again.waiting(c.RunRace)) == 2
    again.set_power(Power.OFF, "pdu-a", "pdu-b")
    again.serve(silent=tuple(at.inventory.hosts), until="host_fenced")
    assert commands(again) == [], "what reads OFF gets no second OFF"


def test_it_goes_on_without_quiet_time_and_asks_the_host_once_more() -> None:
    again = next_life(fencing(), down=5.0)
    again.serve(silent=tuple(again.inventory.hosts), until="gates_passed", seconds=90.0)
    assert again.now < again.fleet.quiet_until
    assert "off pdu-a" in commands(again) or "off pdu-b" in commands(again)
    assert again.records(r.LifeChecked)[0].answered is None


def test_a_host_that_answers_after_the_restart_gets_no_further_off() -> None:
    again = next_life(fencing(), down=5.0)
    again.life[NODE] = "tcp 22"
    again.serve(silent=tuple(again.inventory.hosts), until="operation_ended", seconds=120.0)
    assert not [word for word in commands(again) if word.startswith("off")]
    assert again.records(r.OperationEnded)[0].state is OperationState.CANCELLED


def test_a_new_boot_id_heard_after_the_restart_gets_no_further_off() -> None:
    again = next_life(fencing(), down=5.0)
    again.do(e.BusConnected(at=again.now))
    again.beat(boot="b2")
    again.serve(silent=(), until="operation_ended", seconds=120.0)
    assert not [word for word in commands(again) if word.startswith("off")]


@pytest.mark.parametrize("cause", ["time", "maintenance"])
def test_too_late_or_in_maintenance_it_reads_and_fails_with_what_was_seen(cause: str) -> None:
    at = fencing()
    if cause == "maintenance":
        at.maintain()
    again = next_life(at, down=2 * 86400.0 if cause == "time" else 60.0)
    again.set_power(Power.OFF, "pdu-a", "pdu-b")
    again.serve(silent=tuple(again.inventory.hosts), until="operation_ended", seconds=120.0)
    ended = again.records(r.OperationEnded)[0]
    assert (ended.state, ended.power, ended.after) == (OperationState.FAILED, Power.OFF, State.FAILED)
    assert commands(again) == []
    assert not again.records(r.HostFenced)


def test_an_expired_operation_whose_devices_can_not_be_read_still_ends() -> None:
    again = next_life(fencing(), down=86400.0)
    again.race("pdu-a", winner=None)
    again.race("pdu-b", winner=None)
    assert again.records(r.OperationEnded)[0].power is Power.UNKNOWN


def test_a_second_crash_while_it_reads_reads_again() -> None:
    again = next_life(next_life(fencing(), down=86400.0), down=5.0)
    assert again.state().operation is None or again.operation().phase is Phase.READ_AND_END


def test_fenced_and_not_yet_on_gives_power_back_after_a_read() -> None:
    again = next_life(fenced(), down=30.0)
    again.go(1.0, silent=[NODE])
    assert again.waiting(c.RunRace) and not again.waiting(c.SwitchDevice)
    again.serve(until="operation_ended")
    assert again.records(r.OperationEnded)[0].restored is Restored.ALL
    assert not again.records(r.HostFenced), "nothing is announced twice as new"


def test_on_only_inside_restore_timeout_later_it_is_left_off() -> None:
    again = next_life(fenced(), down=601.0)
    again.serve(seconds=120.0)
    assert commands(again) == []
    assert again.records(r.LeftOff)
    assert (again.state().state, again.state().is_stay_off, again.state().is_left_off) == (State.FENCED, True, True)
    assert again.ask(Action.ON).startswith("accepted")


@pytest.mark.parametrize("cause", ["cancel", "maintenance"])
def test_what_a_person_requested_before_the_crash_still_holds(cause: str) -> None:
    at = fenced()
    if cause == "cancel":
        at.cancel()
    else:
        at.maintain()
    again = next_life(at, down=5.0)
    again.serve(seconds=120.0)
    assert commands(again) == []
    assert (again.state().state, again.state().is_stay_off) == (State.FENCED, True)


def test_an_on_on_its_way_is_waited_for_and_read_not_repeated() -> None:
    at = fenced()
    at.go(11.0, silent=[NODE])
    not_after = max(command.not_after for command in at.state().commands)
    again = next_life(at, down=2.0)
    again.set_power(Power.ON, "pdu-a", "pdu-b")
    again.go(not_after - again.now - 0.5, silent=[NODE])
    assert not again.waiting(c.RunRace)
    again.serve(until="operation_ended", seconds=120.0)
    assert commands(again) == []
    assert again.records(r.HostRestored)[0].missing == ()


def test_disarm_pause_maintenance_and_budget_survive() -> None:
    at = Desk()
    at.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    at.do(e.PauseAsked(match="*", by="person", reason="told", until=at.now + 3600.0))
    at.maintain()
    again = next_life(at, down=60.0)
    assert not again.fleet.is_armed_durably
    assert len(again.fleet.state.pauses) == 1
    assert again.state().state is State.MAINTENANCE


def test_a_reading_is_dropped_and_a_waiting_request_runs() -> None:
    at = fenced()
    at.go(11.0, silent=[NODE])
    at.ask(Action.STATUS)
    second = at.ask(Action.OFF)
    at.switched("pdu-a")
    at.switched("pdu-b")
    again = next_life(at, down=5.0)
    assert again.state().reading is None
    again.serve(until="operation_ended", seconds=120.0)
    again.serve(until="operation_ended", seconds=120.0)
    assert again.ended(second.split()[1]).is_fenced


def test_an_operation_that_only_waits_for_its_commands_ends_as_it_was_decided() -> None:
    at = Desk(Rack(devices=("pdu-a:1",)))
    at.ask(Action.ON)
    at.race("pdu-a", Power.OFF)
    at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    at.cancel()
    assert at.operation().phase is Phase.CLOSING
    again = next_life(at, down=1.0)
    again.go(60.0)
    assert again.records(r.OperationEnded)[0].state is OperationState.CANCELLED
    assert commands(again) == []


def test_what_was_given_back_is_announced_though_the_daemon_died_before_the_end() -> None:
    at = fenced()
    at.go(11.0, silent=[NODE])
    at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    at.set_power(Power.ON, "pdu-a")
    at.serve(until="host_restored")
    assert at.operation().phase is Phase.CLOSING
    again = next_life(at, down=1.0)
    again.go(60.0)
    ended = again.records(r.OperationEnded)[0]
    assert (ended.state, ended.power, ended.restored) == (OperationState.DONE, Power.ON, Restored.ALL)


def test_started_twice_is_harmless() -> None:
    again = next_life(fenced(), down=30.0)
    again.do(e.Started())
    again.serve(until="operation_ended")
    assert commands(again).count("on pdu-a") == 1


def test_tokens_of_a_new_life_are_above_all_of_the_old_one() -> None:
    at = fencing()
    old = max(step.token for step in at.records(r.StepStarted) if step.token is not None)
    again = next_life(at, down=5.0)
    assert again.fleet.next_token() > old


def test_a_persons_off_is_not_resumed_against_another_run_of_the_host() -> None:
    at = Desk()
    operation = at.ask(Action.OFF).removeprefix("accepted ")
    at.race("pdu-a")
    at.race("pdu-b")
    assert commands(at) == ["off pdu-b", "off pdu-a"] or commands(at) == ["off pdu-a", "off pdu-b"]
    again = next_life(at, down=5.0)
    again.do(e.BusConnected(at=again.now))
    again.beat(boot="b2")
    again.serve(seconds=120.0, until="operation_ended")
    assert again.ended(operation).state is OperationState.FAILED
    assert not [command for command in commands(again) if command.startswith("off")]


def test_an_edit_of_one_device_forgets_nothing_of_the_others() -> None:
    again = restarted(at_phase("proving"), EDITS["added"])
    attempts = {run.device: run.off_attempts for run in again.operation().devices}
    assert attempts == {"pdu-a": 1, "pdu-b": 1, "bmc": 0, "pdu-c": 0}

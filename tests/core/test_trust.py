"""Distrust (S17): a device that reads OFF while its host is healthy proves nothing until it followed the host once."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core import records as r
from fenced.core.fleet import Fleet
from fenced.core.state import Followed, Trial
from fenced.model.names import DeviceName
from fenced.model.power import Action, OperationState, Power, State, What
from tests.core.checked import check, check_off, desk, distrusts, told
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

MISLABELLED = ("bmc:1", "pdu-a:2", "pdu-b:2")


def mislabelled() -> Desk:
    """A BMC that read OFF while the host was heard, and outlets that are good."""
    at = desk(*MISLABELLED)
    check_off(at, "bmc")
    assert distrusts(at) == {"bmc"}
    return at


def cycle(at: Desk, *, bmc: Power, boot: str = "b2") -> None:
    """Silence, a fence by the outlets with the BMC reading so meanwhile, and a new run of the host."""
    at.fence()
    for _ in range(200):
        if at.records(r.HostFenced):
            break
        if at.waiting(c.RunRace, "bmc"):
            at.race("bmc", bmc)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.serve(until="operation_ended")
    at.go(60.0, silent=[NODE])
    at.beat(boot=boot)


# -- distrusting ------------------------------------------------------------------------------------------------------


def test_a_chassis_that_reads_off_beside_life_is_distrusted() -> None:
    at = mislabelled()
    assert told(at) == ["distrusted"]
    [record] = at.records(r.DevicesDistrusted)
    assert record.devices == ("bmc",)
    check_off(at, "bmc")
    assert len(at.records(r.DevicesDistrusted)) == 1, "told once"


def test_one_reading_is_not_stable() -> None:
    at = desk()
    check_off(at, "bmc", reads=1, apart=120.0)
    assert not distrusts(at)


def test_a_reading_of_on_between_begins_anew() -> None:
    at = desk()
    for _ in range(6):
        check_off(at, "bmc", reads=1, apart=40.0)
        check(at, "bmc", Power.ON)
    assert not distrusts(at)


def test_readings_before_late_messages_are_excluded_prove_no_lie() -> None:
    """The host may have lost its power just now: what is heard may have been sent before."""
    at = desk()
    check_off(at, "bmc", reads=6, apart=4.0)
    assert not distrusts(at)
    at.go(10.0)
    check(at, "bmc", Power.OFF)
    assert distrusts(at) == {"bmc"}


def test_a_host_that_falls_silent_lost_its_power_honestly() -> None:
    at = desk()
    check(at, "bmc", Power.OFF)
    for _ in range(4):
        at.go(4.0, silent=[NODE])
        check(at, "bmc", Power.OFF)
    at.go(60.0, silent=[NODE])
    check(at, "bmc", Power.OFF)
    assert not distrusts(at)


def test_another_run_of_the_host_proves_no_lie() -> None:
    """It was off, honestly, and came back: life before and after is not the same life."""
    at = desk()
    check_off(at, "bmc", reads=2, apart=2.0)
    at.go(35.0, silent=[NODE])
    at.beat(boot="b2")
    for _ in range(3):
        at.go(1.0, silent=[NODE])
        at.beat(boot="b2")
    check(at, "bmc", Power.OFF)
    assert not distrusts(at)


def test_what_happens_in_maintenance_is_a_persons_business() -> None:
    at = desk()
    at.maintain()
    check_off(at, "bmc", reads=5)
    assert not distrusts(at)


def test_a_host_that_stops_may_be_off() -> None:
    at = desk()
    check_off(at, "bmc", reads=1)
    at.beat(status=e.HealthStatus.STOPPING)
    for _ in range(4):
        at.go(20.0, silent=[NODE])
        check(at, "bmc", Power.OFF)
    assert not distrusts(at)


def test_an_outlet_that_was_off_in_an_earlier_run_is_no_witness() -> None:
    """Both were off, honestly. The host came back on pdu-b, which nobody read since."""
    at = desk("pdu-a:1", "pdu-b:1")
    check_off(at, "pdu-a", "pdu-b", reads=2, apart=2.0)
    at.go(40.0, silent=[NODE])
    for _ in range(5):
        check(at, "pdu-a", Power.OFF)
        for _ in range(20):
            at.go(1.0, silent=[NODE])
            at.beat(boot="b2")
    assert not distrusts(at)


def test_an_operation_of_ours_disturbs() -> None:
    at = desk()
    at.ask(Action.RESTART)
    at.race("bmc")
    at.take(c.SwitchDevice, "bmc")
    for _ in range(4):
        check(at, "bmc", Power.OFF)
        at.go(5.0)
    assert not distrusts(at)


def test_one_outlet_off_is_redundancy_lost_and_no_lie() -> None:
    at = desk("pdu-a:1", "pdu-b:1")
    check(at, "pdu-b")
    check_off(at, "pdu-a", reads=5)
    assert not distrusts(at)


def test_an_unknown_other_outlet_is_no_proof_either() -> None:
    at = desk("pdu-a:1", "pdu-b:1")
    check(at, "pdu-b", error="no route")
    check_off(at, "pdu-a", reads=5)
    assert not distrusts(at)


def test_all_outlets_off_beside_life_are_all_distrusted() -> None:
    at = desk("pdu-a:1", "pdu-b:1")
    check_off(at, "pdu-a", "pdu-b", reads=4)
    assert distrusts(at) == {"pdu-a", "pdu-b"}


def test_outlets_of_two_levels_are_judged_together() -> None:
    at = desk("pdu-a:1", "pdu-b:2")
    check(at, "pdu-b")
    check_off(at, "pdu-a", reads=4)
    assert not distrusts(at), "the host runs on the outlet of the other level"


def test_a_status_that_people_ask_for_counts_without_the_check() -> None:
    at = Desk(Rack(devices=("bmc:1",)))
    at.set_power(Power.OFF, "bmc")
    for _ in range(4):
        at.ask(Action.STATUS)
        at.race("bmc")
        at.go(20.0)
    assert distrusts(at) == {"bmc"}
    assert not at.fleet.checks


def test_the_same_reading_twice_counts_once() -> None:
    at = desk()
    check(at, "bmc", Power.OFF)
    started = at.now
    at.go(60.0)
    for _ in range(3):
        check(at, "bmc", Power.OFF, started=started)
    assert not distrusts(at)


# -- what distrust forbids --------------------------------------------------------------------------------------------


def test_the_level_of_a_distrusted_device_gets_no_off() -> None:
    at = mislabelled()
    at.set_power(Power.OFF, "bmc")
    at.fence()
    assert at.operation().level == 2
    at.serve(until="host_fenced")
    sent = {record.device for record in at.records(r.StepStarted) if record.what is What.OFF}
    assert sent == {"pdu-a", "pdu-b"}
    assert at.records(r.HostFenced)[0].level == 2


def test_without_another_level_it_fails_and_nothing_is_sent() -> None:
    at = desk()
    check_off(at, "bmc")
    at.set_power(Power.OFF, "bmc")
    at.serve(seconds=120.0)
    assert not at.records(r.HostFenced)
    assert not [record for record in at.records(r.StepStarted) if record.what is What.OFF]
    assert at.records(r.OperationEnded)[0].state is OperationState.FAILED


def test_a_person_may_still_try_the_only_level() -> None:
    at = desk()
    check_off(at, "bmc")
    at.ask(Action.OFF)
    at.serve(until="operation_ended", seconds=400.0)
    assert [record.device for record in at.records(r.StepStarted) if record.what is What.OFF] == ["bmc"]
    assert not at.records(r.HostFenced), "its OFF proves nothing"


def test_a_distrusted_chassis_that_reads_on_still_contradicts() -> None:
    at = mislabelled()
    at.set_power(Power.ON, "bmc")
    at.fence()
    at.serve(seconds=400.0)
    assert at.records(r.Contradicted) and not at.records(r.HostFenced)


# -- trusting again ---------------------------------------------------------------------------------------------------


def test_on_dark_and_on_again_with_its_host_is_trusted() -> None:
    at = mislabelled()
    check(at, "bmc")
    cycle(at, bmc=Power.OFF)
    assert distrusts(at) == {"bmc"}, "not before it is read ON with the new run"
    check(at, "bmc")
    assert not distrusts(at) and "trusted" in told(at)


def test_dark_without_having_been_on_shows_nothing() -> None:
    at = mislabelled()
    cycle(at, bmc=Power.OFF)
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_unreadable_is_not_dark() -> None:
    at = mislabelled()
    check(at, "bmc")
    cycle(at, bmc=Power.UNKNOWN)
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_a_new_lie_begins_anew() -> None:
    at = mislabelled()
    check(at, "bmc")
    check_off(at, "bmc")
    assert len(at.records(r.DevicesDistrusted)) == 2
    cycle(at, bmc=Power.OFF)
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_on_by_our_own_command_shows_nothing() -> None:
    """Switched by us between dark and ON: it shows our will, not the host's power."""
    at = mislabelled()
    check(at, "bmc")
    cycle(at, bmc=Power.OFF)
    at.ask(Action.ON)
    for _ in range(40):
        if at.waiting(c.RunRace, "bmc"):
            at.race("bmc", Power.OFF)
        elif not at.serve_one():
            at.go(0.25)
    assert any(record.what is What.ON and record.device == "bmc" for record in at.records(r.StepStarted))
    at.go(5.0)
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def switched_by_a_person(*, is_heard: bool, boot: str) -> Desk:
    """The only device, seen ON; a person switches it off, later on again."""
    at = desk("bmc:1", settings={"power.operation_timeout_seconds": 60.0})
    check_off(at, "bmc")
    check(at, "bmc")
    at.ask(Action.OFF)
    at.serve(silent=() if is_heard else (NODE,), until="operation_ended", seconds=120.0)
    at.ask(Action.ON)
    at.serve(silent=() if is_heard else (NODE,), until="operation_ended", seconds=120.0)
    at.go(40.0, silent=() if is_heard else (NODE,))
    at.beat(boot=boot)
    at.go(1.0, silent=[NODE])
    check(at, "bmc")
    return at


def test_a_host_that_a_persons_off_silenced_and_on_started_anew_trusts_its_device() -> None:
    assert not distrusts(switched_by_a_person(is_heard=False, boot="b2"))


def test_a_host_that_lived_through_it_does_not() -> None:
    assert distrusts(switched_by_a_person(is_heard=True, boot="b1")) == {"bmc"}


def test_a_host_that_lived_through_it_and_started_anew_later_does_not() -> None:
    assert distrusts(switched_by_a_person(is_heard=True, boot="b2")) == {"bmc"}


def test_a_host_that_was_silent_before_shows_nothing() -> None:
    """It was dead already: that it is silent after the OFF is no wonder."""
    at = desk("bmc:1", settings={"power.operation_timeout_seconds": 60.0})
    check_off(at, "bmc")
    check(at, "bmc")
    at.go(18.0, silent=[NODE])
    while at.state().state is State.HEALTHY:
        at.go(0.5, silent=[NODE])
    at.ask(Action.OFF)
    at.serve(until="operation_ended", seconds=120.0)
    assert [record.device for record in at.records(r.StepStarted) if record.what is What.OFF] == ["bmc"]
    at.ask(Action.ON)
    at.serve(until="operation_ended", seconds=120.0)
    at.beat(boot="b2")
    at.go(1.0, silent=[NODE])
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_two_levels_that_were_both_switched_off_show_nothing() -> None:
    """One of them silenced the host, and nobody knows which."""
    at = desk("bmc:1", "pdu-a:2", settings={"power.operation_timeout_seconds": 60.0})
    check_off(at, "bmc", "pdu-a", reads=4)
    assert distrusts(at) == {"bmc", "pdu-a"}
    for device in ("bmc", "pdu-a"):
        check(at, device)
    at.ask(Action.OFF)
    at.serve(until="operation_ended", seconds=120.0)
    assert {record.device for record in at.records(r.StepStarted) if record.what is What.OFF} == {"bmc", "pdu-a"}
    at.ask(Action.ON)
    at.serve(until="operation_ended", seconds=120.0)
    at.beat(boot="b2")
    at.go(1.0, silent=[NODE])
    for device in ("bmc", "pdu-a"):
        check(at, device)
    assert distrusts(at) == {"bmc", "pdu-a"}


def test_a_device_that_an_earlier_off_of_ours_made_dark_shows_nothing() -> None:
    at = mislabelled()
    check(at, "bmc")
    at.fleet.put(replace(at.state(), owed=(DeviceName("bmc"),)))
    cycle(at, bmc=Power.OFF)
    assert [record.trial.followed for record in at.records(r.TrustAdvanced)] == [Followed.LIT]
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_a_host_that_comes_back_with_the_same_run_does_not() -> None:
    assert distrusts(switched_by_a_person(is_heard=False, boot="b1")) == {"bmc"}


@pytest.mark.parametrize("is_switched", [False, True])
def test_without_boot_ids_only_a_proof_by_other_devices_counts(is_switched: bool) -> None:
    at = mislabelled()
    trial = Trial(device=DeviceName("bmc"), followed=Followed.DARK, is_switched=is_switched)
    at.fleet.put(replace(at.state(), trials=(trial,)))
    check(at, "bmc")
    assert ("bmc" in distrusts(at)) is is_switched


def test_the_end_of_a_maintenance_trusts_everything() -> None:
    at = mislabelled()
    at.maintain()
    at.maintain(is_on=False)
    assert not distrusts(at) and "trusted" in told(at)


def test_how_far_it_came_survives_a_restart() -> None:
    at = mislabelled()
    check(at, "bmc")
    cycle(at, bmc=Power.OFF)
    again = Fleet(at.inventory, epoch=2, started=at.now)
    for entry in at.entries:
        again.apply(entry)
    assert again.hosts[NODE].trials == at.state().trials and again.hosts[NODE].trials
    assert again.hosts[NODE].distrusted == ("bmc",)


def test_life_of_the_old_run_after_the_proof_takes_everything_back() -> None:
    at = mislabelled()
    check(at, "bmc")
    at.fence()
    for _ in range(60):
        if at.records(r.HostFenced):
            break
        if at.waiting(c.RunRace, "bmc"):
            at.race("bmc", Power.OFF)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.go(40.0, silent=[NODE])
    at.beat(boot="b1")
    assert at.state().trials == ()
    assert distrusts(at) == {"bmc", "pdu-a", "pdu-b"}

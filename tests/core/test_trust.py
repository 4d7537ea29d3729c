"""Distrust (S17): a device that reads OFF while its host is healthy proves nothing until it once followed the host."""

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Power, What
from tests.core.checked import check, check_off, desk, distrusts, mislabelled, told
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

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


def test_a_reading_of_on_between_starts_the_trial_again() -> None:
    at = desk()
    for _ in range(6):
        check_off(at, "bmc", reads=1, apart=40.0)
        check(at, "bmc", Power.ON)
    assert not distrusts(at)


def test_readings_before_late_messages_are_excluded_prove_no_lie() -> None:
    """The host may just have lost its power: the beats may have been sent before."""
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
    """It was really off and came back: life before and life after are different runs."""
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
    """Both were really off. The host came back on pdu-b, which was not read since."""
    at = desk("pdu-a:1", "pdu-b:1")
    check_off(at, "pdu-a", "pdu-b", reads=2, apart=2.0)
    at.go(40.0, silent=[NODE])
    for _ in range(5):
        check(at, "pdu-a", Power.OFF)
        for _ in range(20):
            at.go(1.0, silent=[NODE])
            at.beat(boot="b2")
    assert not distrusts(at)


def test_an_operation_of_the_daemon_disturbs_the_trial() -> None:
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
    assert not at.fleet.state.draws, "nor is the budget of others spent on it"


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

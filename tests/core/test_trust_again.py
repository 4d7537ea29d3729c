"""Trust returns when a distrusted device once followed its host: on, dark, and on again (ADR 18)."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import Followed, Trial
from fenced.core.fleet import Fleet
from fenced.model.names import DeviceName
from fenced.model.power import Action, Power, State, What
from tests.core.checked import check, check_off, cycle, desk, distrusts, mislabelled, told
from tests.core.desk import NODE, Desk


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


def test_a_new_lie_starts_the_trial_again() -> None:
    at = mislabelled()
    check(at, "bmc")
    check_off(at, "bmc")
    assert len(at.records(r.DevicesDistrusted)) == 2
    cycle(at, bmc=Power.OFF)
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_on_by_our_own_command_shows_nothing() -> None:
    """The daemon switched it between dark and ON, so the ON proves nothing about the host's power."""
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
    """The only device, seen ON; an operator switches it off and later on again."""
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


def test_a_host_that_a_persons_off_silenced_and_on_started_again_trusts_its_device() -> None:
    assert not distrusts(switched_by_a_person(is_heard=False, boot="b2"))


def test_a_host_that_lived_through_the_off_restores_no_trust() -> None:
    assert distrusts(switched_by_a_person(is_heard=True, boot="b1")) == {"bmc"}


def test_a_host_that_lived_through_the_off_and_rebooted_later_restores_no_trust() -> None:
    assert distrusts(switched_by_a_person(is_heard=True, boot="b2")) == {"bmc"}


def test_a_host_that_was_silent_before_the_off_restores_no_trust() -> None:
    """It was dead already, so its silence after the OFF proves nothing."""
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
    """One of them silenced the host, and which one is unknown."""
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


def test_a_device_that_is_dark_from_an_earlier_off_shows_nothing() -> None:
    at = mislabelled()
    check(at, "bmc")
    at.fleet.put(replace(at.state(), owed=(DeviceName("bmc"),), withheld=(DeviceName("bmc"),)))
    cycle(at, bmc=Power.OFF)
    assert [record.trial.followed for record in at.records(r.TrustAdvanced)] == [Followed.LIT]
    check(at, "bmc")
    assert distrusts(at) == {"bmc"}


def test_a_host_that_comes_back_with_the_same_boot_restores_no_trust() -> None:
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
    at.beat_on()
    assert at.state().trials == ()
    assert distrusts(at) == {"bmc", "pdu-a", "pdu-b"}

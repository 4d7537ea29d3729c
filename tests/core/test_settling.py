"""An OFF reading that does not count yet: OFF is still sent, but nothing is proven or given up before it counts."""

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

QUICK: dict[str, Setting] = {"power.verify_timeout_seconds": 5.0, "power.attempts": 1}


def desk(settle: float = 60.0, **settings: Setting) -> Desk:
    rack = Rack(devices=("bmc:1",), settings=QUICK | settings, settle_after_return_seconds=settle)
    at = Desk(rack)
    at.set_power(Power.OFF, "bmc")
    return at


def sent(at: Desk, what: What) -> int:
    return sum(1 for step in at.records(r.StepStarted) if step.what is what)


def settle(at: Desk, until: float) -> None:
    """Every read before `until` returns an OFF that does not count."""
    while at.now < until:
        if at.waiting(c.ReadDevice):
            at.read("bmc", settling=until - at.now)
        elif at.waiting(c.SwitchDevice):
            at.switched("bmc")
        else:
            at.go(0.5, silent=[NODE])


def test_off_is_sent_at_once_and_proven_when_the_settle_time_is_over() -> None:
    at = desk()
    at.ask(Action.OFF)
    until = at.now + 60.0
    at.race("bmc", settling=60.0)
    assert at.waiting(c.SwitchDevice), "the path is proven"
    settle(at, until)
    assert not at.records(r.HostFenced)
    assert sent(at, What.OFF) == 1, "longer than verify_timeout: an OFF that does not count yet costs no attempt"
    at.serve(until="operation_ended", seconds=10.0)
    assert at.state().state is State.FENCED


def test_no_attempt_that_failed_gives_a_settling_device_up() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("bmc", settling=60.0)
    until = at.now + 60.0
    at.switched("bmc", Outcome.FAILED)
    settle(at, until)
    assert not at.records(r.DeviceGivenUp)
    at.serve(until="operation_ended", seconds=10.0)
    assert at.state().state is State.FENCED


def test_a_device_that_reads_on_after_all_is_sent_another_off() -> None:
    at = desk(**{"power.attempts": 2})
    at.ask(Action.OFF)
    at.race("bmc", settling=30.0)
    settle(at, at.now + 10.0)
    at.set_power(Power.ON, "bmc")
    at.serve(until="host_fenced", seconds=30.0)
    assert sent(at, What.OFF) == 2


def test_a_settle_time_longer_than_the_operation_ends_it_as_failed() -> None:
    at = desk(1000.0, **{"power.operation_timeout_seconds": 60.0})
    operation = at.ask(Action.OFF).removeprefix("accepted ")
    at.race("bmc", settling=1000.0)
    settle(at, at.now + 70.0)
    ended = at.ended(operation)
    assert (ended.state, ended.after) == (OperationState.FAILED, State.FAILED)
    assert at.state().owed == ("bmc",)


def test_why_an_off_does_not_count_is_in_the_story_and_costs_no_path() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("bmc", settling=60.0)
    at.switched("bmc")
    at.go(2.0, silent=[NODE])
    at.read("bmc", settling=50.0)
    assert not at.records(r.PathLost)
    [run] = at.operation().devices
    assert run.steps[-1].error and run.power is Power.UNKNOWN


def test_a_status_of_a_settling_device_is_unknown() -> None:
    at = desk()
    operation = at.ask(Action.STATUS).removeprefix("accepted ")
    at.race("bmc", settling=60.0)
    ended = at.ended(operation)
    assert (ended.state, ended.power) == (OperationState.FAILED, Power.UNKNOWN)
    assert dict(at.state().power) == {"bmc": Power.UNKNOWN}


def test_a_restored_bmc_has_its_settle_time_beside_its_time_to_boot() -> None:
    boot, settle_seconds = 20.0, 30.0
    at = desk(settle_seconds, **{"power.chassis_boot_timeout_seconds": boot, "power.attempts": 3})
    at.ask(Action.ON)
    at.race("bmc", settling=settle_seconds)
    at.switched("bmc")
    before = sent(at, What.ON)
    settle(at, at.now + boot + settle_seconds - 3.0)
    assert sent(at, What.ON) == before
    at.set_power(Power.ON, "bmc")
    at.serve(until="operation_ended", seconds=10.0)
    assert at.records(r.HostRestored)[0].missing == ()

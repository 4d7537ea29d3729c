"""A device belongs to another machine: the operation stops, that is reported, nothing is switched on automatically."""

import itertools

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import WRONG_MACHINE, RaceEntry
from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Action, OperationState, Outcome, Power, State, Verdict, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

BMC, PDU = DeviceName("bmc"), DeviceName("pdu-a")
ALERT = "host.wrong_machine"


def commands(at: Desk, operation: str) -> list[What]:
    """Return the commands of that operation, without those of a later one."""
    steps = [step for step in at.records(r.StepStarted) if step.operation == operation]
    return [step.what for step in steps if step.what is not What.STATUS]


def end(at: Desk, operation: str) -> r.OperationEnded:
    """Honest devices answer until the operation ends."""
    if at.state().operation is not None:
        at.serve(seconds=60.0, until="operation_ended")
    return at.ended(operation)


def off_on_its_way(*devices: str) -> tuple[Desk, str]:
    at = Desk(Rack(devices=devices))
    operation = at.ask(Action.RESTART).removeprefix("accepted ")
    for device in devices:
        if device.endswith(":1"):
            at.race(device.partition(":")[0])
    return at, operation


@pytest.mark.parametrize("winner", [None, "engine"])
def test_a_race_that_meets_another_machine_stops_before_the_first_off(winner: str | None) -> None:
    at = Desk(Rack(devices=("bmc:1",)))
    operation = at.ask(Action.OFF).removeprefix("accepted ")
    at.race("bmc", wrong="px1", winner=winner)
    assert end(at, operation).state is OperationState.FAILED
    assert commands(at, operation) == []
    assert at.told.count(ALERT) == 1


@pytest.mark.parametrize("step", ["command", "read"])
def test_a_command_or_a_reading_that_meets_another_machine_stops_it(step: str) -> None:
    at, operation = off_on_its_way("bmc:1", "pdu-a:2")
    if step == "command":
        at.switched("bmc", Outcome.REFUSED, kind=WRONG_MACHINE)
    else:
        at.switched("bmc")
        at.read("bmc", error="another", kind=WRONG_MACHINE)
    ended = end(at, operation)
    assert (ended.state, ended.after) == (OperationState.FAILED, State.FAILED)
    assert commands(at, operation) == [What.OFF], "neither another OFF nor another level"
    assert at.state().owed == (BMC,)
    assert ended.why and "bmc" in ended.why
    assert at.told.count(ALERT) == 1 and "host.fence_failed" in at.told


def test_it_ends_when_the_other_devices_commands_can_act_no_more() -> None:
    at, operation = off_on_its_way("bmc:1", "bmc-b:1")
    at.switched("bmc", Outcome.REFUSED, kind=WRONG_MACHINE)
    assert at.state().operation is not None, "an OFF of the other device is on its way"
    at.switched("bmc-b")
    assert end(at, operation).state is OperationState.FAILED
    assert at.state().owed == (BMC, "bmc-b")
    at.go(60.0, silent=[NODE])
    assert not [step for step in at.records(r.StepStarted) if step.what is What.ON]


def test_another_machine_found_while_power_is_given_back_stops_that_too() -> None:
    at, operation = off_on_its_way("bmc:1")
    at.serve(until="host_fenced")
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    at.switched("bmc", Outcome.REFUSED, kind=WRONG_MACHINE)
    ended = end(at, operation)
    assert (ended.state, ended.is_fenced) == (OperationState.FAILED, True)
    assert commands(at, operation) == [What.OFF, What.ON]
    assert at.records(r.RestoreFailed)[0].missing == (BMC,)
    assert at.state().owed == (BMC,)


def test_automatic_attempts_back_off_and_cost_no_attempt() -> None:
    at = Desk(Rack(devices=("bmc:1",), settings={"gates.cooldown_seconds": 0, "gates.budget_hosts": 4,
                                                 "gates.attempts_count": 1}))  # fmt: skip
    begun: list[float] = []
    for _ in range(4):
        at.fence()
        begun.append(at.now)
        at.race("bmc", winner=None, wrong="px1")
    waits = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert waits == sorted(waits) and waits[-1] > 15.0
    assert at.state().attempts == ()


@pytest.mark.parametrize("action", [Action.STATUS, Action.PROBE])
def test_a_reading_operation_announces_a_mismatch_once_and_stops_nothing(action: Action) -> None:
    at = Desk(Rack(devices=("bmc:1", "pdu-a:2")))
    for _ in range(2):
        operation = at.ask(action).removeprefix("accepted ")
        at.race("bmc", winner=None, wrong="px1")
        at.race("pdu-a")
        assert at.ended(operation).power is Power.UNKNOWN
    assert at.told.count(ALERT) == 1
    at.ask(action)
    at.race("bmc")
    at.race("pdu-a")
    at.ask(action)
    at.race("bmc", winner=None, wrong="px1")
    assert at.told.count(ALERT) == 2, "it was the host's own in between"


def test_the_watch_announces_a_mismatch_once_and_revokes_nothing() -> None:
    at = Desk(Rack(devices=("bmc:1",)))
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.go(40.0, silent=[NODE])
    for power in (Power.UNKNOWN, Power.OFF):
        watch(at, (BMC, power), wrong=True)
    assert at.state().state is State.FENCED
    assert at.told.count(ALERT) == 1
    watch(at, (BMC, Power.OFF), wrong=False)
    watch(at, (BMC, Power.UNKNOWN), wrong=True)
    assert at.told.count(ALERT) == 2


def test_an_off_beside_another_machine_proves_no_failed_host_off() -> None:
    at = Desk(Rack(devices=("bmc:1",), settings={"gates.attempts_count": 0, "power.already_off_hold_seconds": 1.0}))
    at.go(30.0, silent=[NODE])
    at.ask(Action.OFF)
    at.race("bmc", winner=None, wrong="px1")
    assert at.state().state is State.FAILED
    for _ in range(4):
        watch(at, (BMC, Power.OFF), wrong=True)
    assert not at.records(r.HostFenced)


def watch(at: Desk, *powers: tuple[DeviceName, Power], wrong: bool) -> None:
    """The next watch round; `wrong`: another machine answered on one path."""
    for _ in range(200):
        if at.waiting(c.WatchHost):
            break
        at.go(1.0, silent=[NODE])
    command = at.take(c.WatchHost)
    another = RaceEntry(proxy=ProxyName("px1"), tier=1, verdict=Verdict.FAILED, error="another", kind=WRONG_MACHINE)
    races = tuple((device, (another,)) for device, _ in powers) if wrong else ()
    at.do(e.WatchEnded(host=command.host, started=at.now, powers=powers, races=races))

"""The power plan: what is sent when, what counts as a reading, and how an operation ends (design.md#power-model)."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Phase
from fenced.model.names import DeviceName, PlugId
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

BOTH = ("pdu-a", "pdu-b")


def desk(*devices: str, **settings: Setting) -> Desk:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return Desk(Rack(devices=devices or ("pdu-a:1", "pdu-b:1"), settings=given))


def commands(at: Desk) -> list[str]:
    """Return every power command so far, as `off pdu-a`."""
    return [f"{step.what.value} {step.device}" for step in at.records(r.StepStarted) if step.token is not None]


def off_on_its_way(at: Desk) -> None:
    at.fence()
    for device in BOTH:
        at.race(device)


# -- proving off ------------------------------------------------------------------------------------------------------


def test_all_devices_of_a_level_are_switched_at_once() -> None:
    at = desk()
    off_on_its_way(at)
    assert {command.device for command in at.waiting(c.SwitchDevice)} == set(BOTH)


def test_unknown_is_not_off() -> None:
    at = desk()
    off_on_its_way(at)
    for device in BOTH:
        at.switched(device)
    at.go(0.1, silent=[NODE])
    at.read("pdu-a")
    at.read("pdu-b", Power.UNKNOWN)
    for _ in range(10):
        at.go(1.1, silent=[NODE])
        at.read("pdu-b", Power.UNKNOWN)
        if at.waiting(c.ReadDevice, "pdu-a"):
            at.read("pdu-a")
    assert not at.records(r.HostFenced)


def test_off_must_be_read_stably() -> None:
    at = desk()
    off_on_its_way(at)
    for device in BOTH:
        at.switched(device)
        at.read(device)
    assert not at.records(r.HostFenced)
    at.go(1.1, silent=[NODE])
    at.read("pdu-a", Power.ON)
    at.read("pdu-b")
    assert not at.records(r.HostFenced)
    at.go(1.1, silent=[NODE])
    at.read("pdu-a")
    assert not at.records(r.HostFenced)
    at.go(1.1, silent=[NODE])
    at.read("pdu-a")
    assert at.records(r.HostFenced)


def test_a_device_that_no_path_reads_gets_no_command_and_its_race_runs_again() -> None:
    at = desk()
    at.fence()
    at.race("pdu-a")
    at.race("pdu-b", winner=None)
    assert [command.device for command in at.waiting(c.SwitchDevice)] == ["pdu-a"]
    at.go(3.0, silent=[NODE])
    at.race("pdu-b")
    assert "off pdu-b" in commands(at)


def test_a_command_that_failed_is_followed_by_a_read() -> None:
    at = desk()
    off_on_its_way(at)
    at.switched("pdu-b")
    at.switched("pdu-a", Outcome.FAILED)
    at.go(2.0, silent=[NODE])
    assert not at.waiting(c.SwitchDevice, "pdu-a")
    at.read("pdu-a", Power.OFF)
    at.go(2.0, silent=[NODE])
    assert commands(at).count("off pdu-a") == 1


@pytest.mark.parametrize(
    ("kind", "asked"), [("refused", ["px1"]), ("proxy_refused", ["px2"])], ids=["the token", "the proxy"]
)
def test_a_refusal_costs_the_path_only_where_it_is_the_proxys_own(kind: str, asked: list[str]) -> None:
    """A token that one proxy rejects as too old is not tried at another."""
    at = Desk(Rack(devices=("pdu-a:1",), proxies=("px1", "px2"), reach=("px1", "px2")))
    at.fence()
    at.race("pdu-a", winner="px1")
    at.switched("pdu-a", Outcome.REFUSED, kind=kind)
    at.go(2.0, silent=[NODE])
    races = [str(name) for race in at.waiting(c.RunRace) for tier in race.tiers for name in tier]
    assert races + [str(read.proxy) for read in at.waiting(c.ReadDevice)] == asked
    assert not at.waiting(c.SwitchDevice)


def test_proxies_that_take_no_command_are_asked_again_where_no_other_answers() -> None:
    at = Desk(Rack(devices=("pdu-a:1",), proxies=("px1", "px2"), reach=("px1", "px2")))
    at.fence()
    at.race("pdu-a", winner="px1")
    at.switched("pdu-a", Outcome.REFUSED, kind="proxy_refused")
    at.go(2.0, silent=[NODE])
    at.race("pdu-a", winner=None)
    at.go(3.0, silent=[NODE])
    assert [tier for race in at.waiting(c.RunRace) for tier in race.tiers] == [("px1",), ("px2",)]


def test_a_failing_device_gets_its_attempts_and_no_more() -> None:
    at = desk(power__attempts=2)
    off_on_its_way(at)
    at.switched("pdu-b")
    for _ in range(200):
        if at.waiting(c.SwitchDevice, "pdu-a"):
            at.switched("pdu-a", Outcome.FAILED)
        for device in BOTH:
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
        if at.records(r.OperationEnded):
            break
    assert commands(at).count("off pdu-a") == 2
    assert at.records(r.OperationEnded)[0].state is OperationState.FAILED
    assert at.state().state is State.FAILED
    assert at.state().owed == ("pdu-b",), "pdu-a was read ON since its OFF failed"


def test_every_command_has_a_higher_token_than_all_before() -> None:
    at = desk()
    at.fence()
    at.serve(until="operation_ended")
    at.beat(boot="b2")
    tokens = [step.token for step in at.records(r.StepStarted) if step.token is not None]
    assert len(tokens) == 4 and tokens == sorted(set(tokens))


def test_no_command_without_the_lease() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a")
    at.do(e.LeaseLost(why="told"))
    assert at.waiting(c.KillOns)  # type: ignore[type-var]
    at.race("pdu-b")
    at.go(5.0, silent=[NODE])
    assert "off pdu-b" not in commands(at)


def test_already_off_needs_its_hold_and_no_sign_of_life() -> None:
    at = desk()
    at.set_power(Power.OFF, *BOTH)
    at.fence()
    begun = at.now
    at.serve(until="host_fenced", seconds=60.0)
    assert at.now - begun >= 10.0
    assert commands(at) == []


def test_already_off_with_a_sign_of_life_in_between_is_not_announced() -> None:
    at = desk()
    at.set_power(Power.OFF, *BOTH)
    at.ask(Action.OFF)
    for _ in range(15):
        at.serve(seconds=5.0)
        at.beat()
    assert not at.records(r.HostFenced)


def test_already_off_is_not_announced_while_the_host_sends_old_words() -> None:
    """The outlet may feed another machine; a beat with an old sequence is no proof of life, but its sender runs."""
    at = desk("pdu-a:1")
    at.beat(sequence=10_000_000)
    at.set_power(Power.OFF, "pdu-a")
    at.ask(Action.OFF)
    for _ in range(15):
        at.serve(seconds=5.0)
        at.beat(sequence=1)
    assert not at.records(r.HostFenced)


def test_life_during_the_inspection_of_the_others_takes_the_proof_back_and_the_operation_still_ends() -> None:
    at = desk("pdu-a:1", "pdu-b:1", "bmc:2")
    at.set_power(Power.OFF, *BOTH, "bmc")
    at.ask(Action.OFF)
    while not at.waiting(c.RunRace, "bmc"):
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.beat()
    at.race("bmc")
    assert not at.records(r.HostFenced)
    at.serve(until="host_fenced", seconds=60.0)
    assert at.records(r.HostFenced)


def test_the_levels_share_the_time() -> None:
    at = desk("pdu-a:1", "pdu-b:1", "bmc:2")
    at.fence()
    begun = at.now
    assert at.operation().level_deadline == pytest.approx(begun + 150.0, abs=1.0)
    for _ in range(1400):
        at.go(0.25, silent=[NODE])
        for device in (*BOTH, "bmc"):
            if at.waiting(c.RunRace, device):
                at.race(device, winner=None)
        if at.records(r.OperationEnded):
            break
    assert [level.level for level in at.records(r.LevelEntered)] == [1, 2]
    assert at.now == pytest.approx(begun + 300.0, abs=2.0)
    assert at.state().state is State.FAILED and at.state().attempts == ()


def test_a_contradiction_goes_to_the_next_level() -> None:
    at = desk("pdu-a:1", "pdu-b:1", "bmc:2")
    off_on_its_way(at)
    at.serve(until="contradicted")
    assert at.operation().level == 2
    assert not at.records(r.HostFenced)
    at.serve(until="host_fenced")
    assert at.records(r.HostFenced)[0].level == 2


# -- S5 ---------------------------------------------------------------------------------------------------------------


def test_a_read_off_does_not_count_while_an_old_on_may_still_act() -> None:
    at = desk("pdu-a:1", power__verify_timeout_seconds=300)
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.ask(Action.ON)
    at.race("pdu-a")
    at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    not_after = at.records(r.StepStarted)[-1].not_after
    assert not_after is not None
    at.race("pdu-a", Power.OFF)
    for _ in range(5):
        at.go(1.0, silent=[NODE])
        if at.waiting(c.ReadDevice):
            at.read("pdu-a", Power.OFF)
    assert at.operation().run(DeviceName("pdu-a")).same_reads == 0
    at.go(not_after - at.now + 1.0, silent=[NODE])
    while not at.operation().run(DeviceName("pdu-a")).same_reads:
        at.go(1.0, silent=[NODE])
        if at.waiting(c.ReadDevice):
            at.read("pdu-a", Power.OFF)
    assert at.now > not_after


def test_an_on_waits_until_an_old_off_can_act_no_more() -> None:
    at = desk()
    at.fence()
    for device in BOTH:
        at.race(device)
    at.switched("pdu-b")
    at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    not_after = next(step.not_after for step in at.records(r.StepStarted) if step.device == "pdu-a" and step.token)
    assert not_after is not None
    at.set_power(Power.OFF, "pdu-a")
    at.serve(until="phase_entered")
    while "on pdu-a" not in commands(at):
        at.serve(seconds=0.5)
        assert at.now < not_after + 5.0
    assert at.now >= not_after - 0.5
    assert "on pdu-b" in commands(at)


def test_an_operation_ends_only_when_none_of_its_commands_can_act() -> None:
    at = desk("pdu-a:1")
    at.ask(Action.ON)
    at.race("pdu-a", Power.OFF)
    command = at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    at.cancel()
    at.go(command.not_after - at.now - 1.0)
    assert at.operation().phase is Phase.CLOSING
    at.go(6.0)
    assert at.state().operation is None


# -- late and repeated events -----------------------------------------------------------------------------------------


def test_events_of_an_operation_that_ended_change_nothing() -> None:
    at = desk()
    at.fence()
    at.race("pdu-a")
    race = at.take(c.RunRace, "pdu-b")
    command = at.switched("pdu-a")
    at.beat()
    at.serve(silent=(), until="operation_ended")
    before = at.state()
    at.do(
        e.RaceFinished(host=NODE, operation=race.operation, device=race.device, number=race.number, winner=None,
                       reserves=(), entries=(), power=Power.UNKNOWN)
    )  # fmt: skip
    for outcome in Outcome:
        at.do(e.StepFinished(host=NODE, operation=command.operation, device=command.device, number=command.number,
                             outcome=outcome))  # fmt: skip
    at.do(e.AgentSeen(host=NODE, operation=command.operation, device=command.device, number=1, pid=7, pid_started="1"))
    at.do(e.AnnouncementDelivered(host=NODE, operation=command.operation))
    assert at.state() == before


def test_a_late_result_of_an_earlier_race_is_not_taken_for_the_present_one() -> None:
    at = desk("bmc:1")
    at.ask(Action.OFF)
    first = at.waiting(c.RunRace)[0]
    at.race("bmc", winner=None)
    at.go(3.0, silent=[NODE])
    assert at.waiting(c.RunRace)
    late = e.RaceFinished(
        host=NODE, operation=first.operation, device=first.device, number=first.number, winner=None, reserves=(),
        entries=(), power=Power.UNKNOWN,
    )  # fmt: skip
    before = at.state()
    at.do(late)
    assert at.state() == before
    at.race("bmc")
    assert at.operation().devices[0].is_path_proven


def test_a_step_that_ends_twice_counts_once() -> None:
    at = desk()
    off_on_its_way(at)
    command = at.switched("pdu-a", Outcome.TIMED_OUT)
    before = at.state()
    at.do(e.StepFinished(host=NODE, operation=command.operation, device=command.device, number=command.number,
                         outcome=Outcome.DONE))  # fmt: skip
    assert at.state() == before


def test_the_agents_process_is_kept_with_its_command() -> None:
    at = desk("pdu-a:1")
    at.ask(Action.OFF)
    at.race("pdu-a")
    command = at.waiting(c.SwitchDevice)[0]
    at.do(e.AgentSeen(host=NODE, operation=command.operation, device=command.device, number=command.number, pid=42,
                      pid_started="77"))  # fmt: skip
    [issued] = at.state().commands
    assert (issued.pid, issued.pid_started, issued.what, issued.plug_id) == (42, "77", What.OFF, PlugId("node-2/pdu-a"))

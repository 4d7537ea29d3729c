"""Two paths to one device read different powers: they may lead to two units, so no OFF counts until they agree."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

PDU, BMC = DeviceName("pdu-a"), DeviceName("bmc")
ALERT = "host.contradiction"
WAYS = {"proxies": ("px1", "px2"), "reach": ("px1", "px2", "engine")}


def desk(*devices: str) -> Desk:
    settings = {"check.interval_seconds": 600.0}
    return Desk(Rack(devices=devices or ("pdu-a:1",), settings=settings, **WAYS))  # type: ignore[arg-type]


def commands(at: Desk) -> list[What]:
    return [step.what for step in at.records(r.StepStarted) if step.what is not What.STATUS]


def answer(at: Desk, seconds: float, *, silent: bool = True, until: str = "", **units: Power) -> None:
    """Each path answers for its own unit; a power command changes the unit that its path leads to."""
    end, begun = at.now + seconds, len(at.entries)
    while at.now < end and not any(entry.record.kind == until for entry in at.entries[begun:]):
        if at.waiting(c.ReadDevice):
            command = at.waiting(c.ReadDevice)[0]
            power = units.get(str(command.proxy), Power.UNKNOWN)
            error = None if power is not Power.UNKNOWN else "gone"
            at.read(command.device, power, error=error, kind="proxy_unreachable" if error else "")
        elif at.waiting(c.SwitchDevice):
            sent = at.switched(at.waiting(c.SwitchDevice)[0].device)
            units[str(sent.proxy)] = Power.OFF if sent.what is What.OFF else Power.ON
        elif at.waiting(c.RunRace):
            winner = next(
                (proxy for proxy in ("px1", "px2") if units.get(proxy, Power.UNKNOWN) is not Power.UNKNOWN), None
            )
            at.race(at.waiting(c.RunRace)[0].device, units.get(winner or ""), winner=winner, kind="proxy_unreachable")
        else:
            at.go(0.25, silent=[NODE] if silent else [])


# -- paths that disagree ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "lower"), [(Power.OFF, Power.ON), (Power.ON, Power.OFF)])
def test_paths_that_disagree_are_reported_and_neither_switched_nor_believed(better: Power, lower: Power) -> None:
    at = desk()
    operation = at.ask(Action.OFF).removeprefix("accepted ")
    at.race("pdu-a", better, winner="px1", others={"px2": lower})
    assert at.told.count(ALERT) == 1
    assert dict(at.state().power)[PDU] is Power.UNKNOWN
    answer(at, 120.0, until="operation_ended", px1=better, px2=lower)
    ended = at.ended(operation)
    assert ended.state is OperationState.FAILED and ended.why is not None and "px2" in ended.why
    assert commands(at) == [] and not at.records(r.HostFenced)
    assert at.told.count(ALERT) == 1, "told once, however often it is read"


def test_the_next_level_is_tried_when_the_paths_never_agree() -> None:
    at = desk("pdu-a:1", "bmc:2")
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    answer(at, 120.0, until="level_entered", px1=Power.OFF, px2=Power.ON)
    assert at.operation().level == 2


def test_paths_that_agree_again_prove_it() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    answer(at, 60.0, until="host_fenced", px1=Power.OFF, px2=Power.OFF)
    assert at.state().state is State.FENCED and at.state().disputes == ()
    assert at.records(r.PathsAgreed)


def test_paths_that_agree_on_on_are_switched_off() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    answer(at, 5.0, px1=Power.ON, px2=Power.ON)
    assert commands(at) == [What.OFF]


def test_two_paths_that_read_on_are_both_read_after_the_off() -> None:
    """Both read ON before the OFF, which hid that they lead to two units; only one was switched off."""
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1", others={"px2": Power.ON})
    answer(at, 120.0, until="operation_ended", px1=Power.ON, px2=Power.ON)
    assert commands(at) == [What.OFF], "the second unit may be another machine's"
    assert at.records(r.FenceFailed) and at.told.count(ALERT) == 1
    assert not at.records(r.HostFenced)


def test_the_second_path_costs_no_time() -> None:
    def seconds(*others: str) -> float:
        at = desk()
        at.ask(Action.OFF)
        begun = at.now
        at.race("pdu-a", Power.ON, winner="px1", others=dict.fromkeys(others, Power.ON))
        at.switched("pdu-a")
        answer(at, 60.0, until="host_fenced", px1=Power.OFF, px2=Power.OFF)
        assert at.records(r.HostFenced)
        return at.now - begun

    assert seconds("px2") == seconds()


def test_a_second_path_that_died_meanwhile_holds_up_no_proof() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1", others={"px2": Power.ON})
    at.switched("pdu-a")
    answer(at, 60.0, until="host_fenced", px1=Power.OFF, px2=Power.UNKNOWN)
    assert at.records(r.HostFenced)


def test_a_path_that_read_on_beside_an_off_and_died_is_not_forgotten() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    answer(at, 200.0, until="operation_ended", px1=Power.OFF, px2=Power.UNKNOWN)
    assert not at.records(r.HostFenced)
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1")
    answer(at, 200.0, until="operation_ended", px1=Power.OFF, px2=Power.UNKNOWN)
    assert not at.records(r.HostFenced), "nor in the next operation, which did not ask it in its race"
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF, winner="px1")
    answer(at, 200.0, until="host_fenced", px1=Power.OFF, px2=Power.OFF)
    assert at.records(r.HostFenced)


def test_another_path_that_takes_over_and_reads_off_after_the_first_read_on() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1")
    at.switched("pdu-a")
    at.read("pdu-a", Power.ON)
    at.go(2.0, silent=[NODE])
    at.read("pdu-a", error="gone", kind="proxy_unreachable")
    at.go(2.0, silent=[NODE])
    at.race("pdu-a", Power.OFF, winner="px2")
    answer(at, 200.0, until="operation_ended", px1=Power.UNKNOWN, px2=Power.OFF)
    assert not at.records(r.HostFenced)


def test_an_on_that_did_nothing_proves_nothing_while_paths_of_before_disagree() -> None:
    """A probe read ON through a path that the `on` does not use: the path of the `on` alone makes no new proof."""
    at = desk()
    at.ask(Action.OFF)
    answer(at, 60.0, until="operation_ended", px1=Power.ON)
    assert at.state().state is State.FENCED
    at.ask(Action.PROBE)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    asked = at.ask(Action.ON).removeprefix("accepted ")
    end = at.now + 300.0
    while at.now < end and not any(it.operation == asked for it in at.records(r.OperationEnded)):
        if at.waiting(c.RunRace):
            at.race("pdu-a", Power.OFF, winner="px1")
        elif at.waiting(c.SwitchDevice):
            at.switched("pdu-a", Outcome.FAILED)
        elif at.waiting(c.ReadDevice):
            at.read("pdu-a", Power.OFF)
        else:
            at.go(0.25, silent=[NODE])
    assert at.ended(asked).state is OperationState.FAILED
    assert len(at.records(r.HostFenced)) == 1
    assert at.state().state is State.RESTORING


def test_an_off_that_ends_the_restore_is_no_proof_while_another_path_reads_on() -> None:
    at = desk()
    at.ask(Action.RESTART)
    at.race("pdu-a", Power.ON, winner="px1", others={"px2": Power.ON})
    answer(at, 300.0, until="operation_ended", px1=Power.ON, px2=Power.ON)
    answer(at, 300.0, px1=Power.OFF, px2=Power.ON)
    assert not at.records(r.HostFenced)


# -- a crash ----------------------------------------------------------------------------------------------------------


def test_a_restart_of_the_daemon_forgets_no_path_that_read_on() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1", others={"px2": Power.ON})
    at.switched("pdu-a")
    at.read("pdu-a", Power.OFF)
    at.read("pdu-a", Power.ON)
    assert at.told.count(ALERT) == 1
    at.pending.clear()
    at.do(e.Started())
    answer(at, 300.0, until="operation_ended", px1=Power.OFF, px2=Power.UNKNOWN)
    assert not at.records(r.HostFenced)


@pytest.mark.parametrize("is_crashed", [False, True])
def test_after_a_restart_of_the_daemon_paths_that_read_on_before_its_off_are_read_again(is_crashed: bool) -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1", others={"px2": Power.ON})
    at.switched("pdu-a")
    if is_crashed:
        at.pending.clear()
        at.do(e.Started())
    answer(at, 300.0, until="operation_ended", px1=Power.OFF, px2=Power.ON)
    assert not at.records(r.HostFenced) and at.records(r.Contradicted)


# -- reading operations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.STATUS, Action.PROBE])
def test_a_reading_operation_shows_it_and_says_unknown(action: Action) -> None:
    at = desk()
    operation = at.ask(action).removeprefix("accepted ")
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    ended = at.ended(operation)
    assert (ended.state, ended.power) == (OperationState.FAILED, Power.UNKNOWN)
    assert ended.why is not None and "px2" in ended.why
    assert at.told.count(ALERT) == 1
    [kept] = [record.entries for record in at.records(r.RaceEnded)]
    assert [entry.power for entry in kept] == [Power.OFF, Power.ON]


def test_confirm_off_is_refused_while_one_path_reads_on() -> None:
    at = desk()
    at.ask(Action.STATUS)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    told = e.ConfirmOffAsked(host=NODE, by="person", reason="told", is_forced=True, read=None)
    assert getattr(at.do(told).answer, "rule", None) == "reads_on"
    at.maintain()
    at.maintain(is_on=False)
    assert getattr(at.do(told).answer, "rule", None) is None, "a person had it in hand"


def test_a_status_asks_every_path_of_a_device_whose_paths_disagreed() -> None:
    at = desk()
    at.ask(Action.STATUS)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    at.ask(Action.STATUS)
    assert at.waiting(c.RunRace)[0].is_exhaustive


def test_a_status_beside_an_operation_speaks_against_its_proof() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1")
    at.switched("pdu-a")
    at.read("pdu-a", Power.OFF)
    at.go(0.25, silent=[NODE])
    at.ask(Action.PROBE)
    at.race("pdu-a", Power.OFF, winner="px1", others={"px2": Power.ON})
    answer(at, 200.0, until="operation_ended", px1=Power.OFF, px2=Power.ON)
    assert not at.records(r.HostFenced)


# -- the other devices ------------------------------------------------------------------------------------------------


def inspecting(at: Desk) -> None:
    """Level 1 (the BMC) accepted no OFF, level 2 (the outlet) reads OFF stably: the BMC is read once more."""
    at.ask(Action.OFF)
    at.race("bmc", Power.ON, winner="px1")
    for _ in range(300):
        if at.waiting(c.SwitchDevice, "bmc"):
            at.switched("bmc", Outcome.FAILED)
        elif at.waiting(c.ReadDevice, "bmc"):
            at.read("bmc", Power.ON)
        elif at.waiting(c.RunRace, "pdu-a"):
            break
        else:
            at.go(0.5, silent=[NODE])
    at.race("pdu-a", Power.ON, winner="px1")
    at.switched("pdu-a")
    for _ in range(20):
        if at.waiting(c.ReadDevice, "bmc"):
            return
        if at.waiting(c.ReadDevice, "pdu-a"):
            at.read("pdu-a", Power.OFF)
        at.go(0.5, silent=[NODE])
    raise AssertionError(f"nothing is inspected: {at.pending}")


def test_a_chassis_whose_proxy_died_is_read_by_the_remaining_proxies() -> None:
    at = desk("bmc:1", "pdu-a:2")
    inspecting(at)
    at.read("bmc", error="gone", kind="proxy_unreachable")
    at.race("bmc", Power.ON, winner="px2")
    assert not at.records(r.HostFenced) and ALERT in at.told


def test_a_chassis_that_read_on_is_not_mute_because_no_proxy_can_ask_it() -> None:
    at = desk("bmc:1", "pdu-a:2")
    inspecting(at)
    at.read("bmc", error="gone", kind="proxy_unreachable")
    at.race("bmc", winner=None, kind="proxy_timed_out")
    assert not at.records(r.HostFenced) and ALERT in at.told


def test_a_chassis_that_the_outlets_feed_may_die_with_them() -> None:
    at = desk("bmc:1", "pdu-a:2")
    inspecting(at)
    at.read("bmc", error="no answer", kind="timed_out")
    at.race("bmc", winner=None, kind="timed_out")
    assert at.records(r.HostFenced)


def test_a_chassis_that_reads_off_by_another_path_contradicts_nothing() -> None:
    at = desk("bmc:1", "pdu-a:2")
    inspecting(at)
    at.read("bmc", error="gone", kind="proxy_unreachable")
    at.race("bmc", Power.OFF, winner="px2")
    answer(at, 5.0, px1=Power.UNKNOWN, px2=Power.OFF)
    assert at.records(r.HostFenced) and ALERT not in at.told


def test_a_chassis_of_which_one_path_reads_on_contradicts_the_outlets() -> None:
    at = desk("pdu-a:1", "bmc:2")
    at.ask(Action.OFF)
    at.race("pdu-a", Power.ON, winner="px1")
    at.switched("pdu-a")
    while not at.waiting(c.RunRace, "bmc"):
        if at.waiting(c.ReadDevice, "pdu-a"):
            at.read("pdu-a", Power.OFF)
        at.go(0.5, silent=[NODE])
    at.race("bmc", Power.OFF, winner="px1", others={"px2": Power.ON})
    assert not at.records(r.HostFenced) and at.operation().level == 2


# -- the check --------------------------------------------------------------------------------------------------------


def check(at: Desk, proxy: str, power: Power) -> None:
    at.go(1.0)
    at.do(e.PathChecked(host=NODE, device=PDU, proxy=ProxyName(proxy), started=at.now - 0.5, ended=at.now, power=power))


def test_the_check_keeps_what_each_path_read_and_reports_that_they_disagree() -> None:
    at = desk()
    check(at, "px2", Power.ON)
    check(at, "px1", Power.OFF)
    assert ALERT not in at.told, "it may have been switched off between the two"
    check(at, "px2", Power.ON)
    assert at.told.count(ALERT) == 1
    fenceable = at.state().fenceable
    assert fenceable is not None and fenceable.level.value == "none"
    assert [reason.kind for reason in fenceable.why] == ["disagree"]
    check(at, "px1", Power.ON)
    assert at.state().fenceable.why == ()  # type: ignore[union-attr]
    assert at.state().disputes, "that they agree on ON is no proof that they lead to one unit"


def test_a_device_that_was_switched_by_hand_is_no_disagreement() -> None:
    at = desk()
    for power in (Power.ON, Power.OFF, Power.ON):
        check(at, "px2", power)
        check(at, "px1", power)
    assert ALERT not in at.told and at.state().disputes == ()

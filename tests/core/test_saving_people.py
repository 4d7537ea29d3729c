"""What people ask for while a host is being put to sleep: `on` is remembered, `off` and `restart` wait for nothing."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.saving_desk import BMC, SavingDesk


def asked(*, is_answered: bool = True, **settings: object) -> tuple[SavingDesk, HostName]:
    """Return a desk and a host that was asked to shut down a moment ago."""
    desk = SavingDesk(**settings)  # type: ignore[arg-type]
    name = desk.until_asked().host
    if is_answered:
        desk.switched(BMC)
    return desk, name


def sent(desk: SavingDesk, name: HostName) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


# -- on ---------------------------------------------------------------------------------------------------------------


def test_an_on_whose_time_is_over_before_the_host_is_down_is_carried_out_then() -> None:
    desk, name = asked()
    assert desk.ask(Action.ON, name).startswith("accepted")
    desk.live(500.0)
    desk.obey(name)
    desk.live(60.0)
    assert sent(desk, name) == [What.SOFT_OFF, What.ON]


def test_an_on_outlives_a_restart_of_the_daemon_after_its_time() -> None:
    desk, name = asked()
    operation = desk.ask(Action.ON, name).removeprefix("accepted ")
    desk.obey(name)
    desk.crash(down=550.0)
    desk.live(60.0)
    assert sent(desk, name) == [What.SOFT_OFF, What.ON]
    assert desk.ended(operation).state is OperationState.DONE


@pytest.mark.parametrize("is_before", [True, False])
def test_an_on_is_remembered_if_the_host_goes_down_late(is_before: bool) -> None:
    desk, name = asked(soft_timeout_seconds=60.0, watch_interval_seconds=20.0)
    if is_before:
        desk.ask(Action.ON, name)
    desk.live(70.0)
    assert desk.is_now(name) == "healthy"
    if not is_before:
        desk.ask(Action.ON, name)
        desk.live(5.0)
    desk.stop(name)
    desk.live(120.0)
    assert sent(desk, name) == [What.SOFT_OFF, What.ON]
    desk.boot(name)
    desk.live(10.0)
    assert desk.is_now(name) == "healthy"


def test_an_on_is_remembered_although_the_daemon_is_disarmed_when_the_host_is_down() -> None:
    desk, name = asked()
    desk.ask(Action.ON, name)
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    desk.obey(name)
    desk.live(60.0)
    assert sent(desk, name) == [What.SOFT_OFF, What.ON], "waking passes disarm"


def test_an_on_that_is_cancelled_wakes_nobody() -> None:
    desk, name = asked()
    desk.ask(Action.ON, name)
    waiting = desk.state(name).waiting
    assert waiting is not None
    desk.do(e.CancelAsked(host=name, operation=waiting.id, by="person", reason="told"))
    desk.obey(name)
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping" and sent(desk, name) == [What.SOFT_OFF]


# -- off --------------------------------------------------------------------------------------------------------------


def until_off(desk: SavingDesk, name: HostName, seconds: float) -> None:
    """Let time pass until an OFF is sent; the answer to the soft off does not come."""
    end = desk.now + seconds
    while desk.now < end and What.OFF not in sent(desk, name):
        if not desk.serve_one():
            desk.go(0.5)


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_it_does_not_wait_for_the_answer_to_the_soft_off(action: Action) -> None:
    desk, name = asked(is_answered=False)
    at = desk.now
    assert desk.ask(action, name).startswith("accepted")
    until_off(desk, name, 60.0)
    assert What.OFF in sent(desk, name) and desk.now < at + 3.0
    desk.pending = [it for it in desk.pending if not (isinstance(it, c.SwitchDevice) and it.what is What.SOFT_OFF)]
    desk.asleep.add(name)
    desk.live(10.0)
    assert "host.fenced" in desk.told and desk.now < at + 20.0, "what it reads counts at once, too"


def test_the_on_of_a_restart_waits_until_the_soft_off_can_act_no_more() -> None:
    desk, name = asked(is_answered=False)
    until = desk.state(name).commands[-1].not_after
    desk.ask(Action.RESTART, name)
    until_off(desk, name, 60.0)
    desk.pending = [it for it in desk.pending if not (isinstance(it, c.SwitchDevice) and it.what is What.SOFT_OFF)]
    desk.asleep.add(name)
    desk.live(until - desk.now + 30.0)
    ons = [it.at for it in desk.entries if isinstance(it.record, r.StepStarted) and it.record.what is What.ON]
    assert ons and min(ons) >= until


def test_an_off_that_meets_a_sleep_that_is_ending_does_not_wait_either() -> None:
    desk, name = asked(is_answered=False)
    desk.boots[name] = "b2"
    desk.beat(name, boot="b2")
    desk.live(6.0)
    assert desk.operation(name).is_stopped
    at = desk.now
    assert desk.ask(Action.OFF, name).startswith("accepted")
    until_off(desk, name, 60.0)
    assert What.OFF in sent(desk, name) and desk.now < at + 3.0


def test_a_reading_of_off_counts_although_the_answer_to_the_soft_off_is_lost() -> None:
    desk, name = asked(is_answered=False)
    desk.switched(BMC, Outcome.TIMED_OUT, is_end_known=False)
    desk.obey(name)
    at = desk.now
    desk.live(20.0)
    assert desk.state(name).state is State.SLEEPING and desk.now < at + 21.0
    assert desk.power(name, desk.inventory.hosts[name].devices[0].name) is Power.OFF


@pytest.mark.parametrize("is_lit", [True, False])
def test_it_is_not_lost_while_power_is_given_back_after_work_was_cut(is_lit: bool) -> None:
    desk, name = asked()
    desk.work[name] = 2
    desk.beat(name)
    desk.obey(name)
    end = desk.now + 120.0
    while desk.now < end and not [it for it in desk.waiting(c.SwitchDevice) if it.what is What.ON]:
        if not is_lit and desk.records(r.HostFenced):
            break
        if not desk.serve_one():
            desk.go(0.5)
    assert desk.ask(Action.OFF, name).startswith("accepted")
    desk.live(120.0)
    assert desk.power(name, desk.inventory.hosts[name].devices[0].name) is Power.OFF
    assert desk.state(name).state is State.FENCED and desk.state(name).is_stay_off

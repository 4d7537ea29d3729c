"""`busy` that is heard after the soft off counts as work: the host is left alone, or its OFF is told (S24)."""

import pytest

from fenced.core.durable import records as r
from fenced.core.idle import fit
from fenced.model.names import HostName
from fenced.model.power import What
from tests.core.saving_desk import BMC, SOFT_SECONDS, SavingDesk


def asked(**settings: object) -> tuple[SavingDesk, HostName]:
    desk = SavingDesk(**settings)  # type: ignore[arg-type]
    name = desk.until_asked().host
    desk.switched(BMC)
    return desk, name


def sent(desk: SavingDesk, name: HostName) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


@pytest.mark.parametrize("source", ["beat", "scheduler"])
def test_one_that_is_busy_and_stays_on_is_left_alone_and_told(source: str) -> None:
    desk, name = asked()
    desk.say(name, "busy", source=source)
    desk.live(SOFT_SECONDS + 10.0)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told
    assert "retry_after" in {bar.rule for bar in fit.bars(desk.fleet, name, desk.now, is_asked=True)}
    assert sent(desk, name) == [What.SOFT_OFF]


@pytest.mark.parametrize("is_taken_back", [False, True])
def test_one_that_is_busy_and_goes_down_is_announced_as_fenced_and_gets_its_power_back(is_taken_back: bool) -> None:
    desk, name = asked()
    desk.say(name, "busy")
    if is_taken_back:
        desk.say(name, "busy", is_alive=False)
    desk.live(10.0)
    desk.obey(name)
    desk.live(90.0)
    fenced = [it.record for it in desk.entries if isinstance(it.record, r.HostFenced) and it.host == name]
    assert len(fenced) == 1 and fenced[0].reason == "scheduler said that it is busy after it was asked to shut down"
    assert "host.sleeping" not in desk.told and sent(desk, name) == [What.SOFT_OFF, What.ON]


def test_it_is_not_forgotten_in_a_crash() -> None:
    desk, name = asked()
    desk.say(name, "busy")
    desk.obey(name)
    desk.crash()
    desk.live(150.0)
    assert "host.fenced" in desk.told and "host.sleeping" not in desk.told


def test_one_that_is_busy_and_goes_down_late_is_announced() -> None:
    desk, name = asked(soft_timeout_seconds=60.0)
    desk.live(70.0)
    desk.say(name, "busy")
    desk.stop(name)
    desk.live(200.0)
    assert desk.records(r.HostFenced) and "host.sleeping" not in desk.told


def test_busy_that_was_heard_before_the_command_only_keeps_it_awake() -> None:
    desk = SavingDesk()
    name = desk.until_announced()
    desk.say(name, "busy")
    assert not desk.going() and not desk.records(r.WorkHeard)

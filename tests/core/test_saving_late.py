"""A host that goes down only after `soft_timeout` falls asleep late, and comes back when it is wanted (S24).

If it had work, others must learn that this is gone. If it goes down much later, somebody else wanted that.
"""

from collections.abc import Callable

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action, Power, What
from tests.core.saving_desk import BMC, SavingDesk


def test_a_host_that_goes_down_late_sleeps_once_its_chassis_reads_off_twice() -> None:
    desk = SavingDesk(watch_interval_seconds=20.0, soft_timeout_seconds=60.0)
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.live(70.0)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told
    desk.beat(name, status=e.HealthStatus.STOPPING)
    desk.asleep.add(HostName(name))
    desk.live(45.0)
    assert desk.is_now(name) == "left", "its chassis still reads ON"
    desk.set_power(Power.OFF, BMC, name=name)
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping"
    desk.wanted(8)
    desk.live(5.0)
    assert desk.is_now(name) == "restoring"
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy"


def too_late(work: int = 0, **settings: float) -> tuple[SavingDesk, HostName]:
    """Return a desk, and a host that was asked to shut down and did not within a minute."""
    desk = SavingDesk(**({"watch_interval_seconds": 20.0, "soft_timeout_seconds": 60.0} | settings))  # type: ignore[arg-type]
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.work[name] = work
    desk.live(70.0)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told
    return desk, name


def until(desk: SavingDesk, is_so: Callable[[], bool]) -> None:
    end = desk.now + 300.0
    while not is_so() and desk.now < end:
        if not desk.serve_one():
            desk.go(0.5)


def sent(desk: SavingDesk, name: HostName) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


def test_work_that_is_lost_late_is_announced_as_fenced_and_power_is_given_back() -> None:
    desk, name = too_late(work=2)
    desk.stop(name)
    desk.live(300.0)
    fenced = [it for it in desk.entries if isinstance(it.record, r.HostFenced)]
    assert [it.host for it in fenced] == [name] and "host.sleeping" not in desk.told
    assert sent(desk, name) == [What.SOFT_OFF, What.ON]
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy" and desk.state(name).saving.soft_off is None


def test_its_off_is_proven_as_any_off_that_is_not_ours() -> None:
    desk, name = too_late(work=2)
    desk.stop(name)
    silent_since = desk.now
    until(desk, lambda: bool(desk.records(r.HostFenced)))
    assert desk.now - silent_since > desk.fleet.grace_seconds(name, desk.now)
    assert all(it.is_stably_off(desk.inventory.hosts[name]) for it in desk.operation(name).devices)


def test_a_crash_while_it_is_proven_sends_nothing_and_announces_it() -> None:
    desk, name = too_late(work=2)
    desk.stop(name)
    until(desk, lambda: str(name) in desk.going())
    desk.crash()
    desk.live(120.0)
    assert "host.fenced" in desk.told and sent(desk, name) == [What.SOFT_OFF, What.ON]


def test_nothing_is_announced_while_the_daemon_is_disarmed() -> None:
    desk, name = too_late(work=2)
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    desk.stop(name)
    desk.live(300.0)
    assert not desk.records(r.HostFenced) and desk.is_now(name) == "left"


@pytest.mark.parametrize("work", [0, 2])
def test_one_that_a_person_switches_off_hours_later_stays_off(work: int) -> None:
    desk, name = too_late(work=work, retry_after_seconds=90000.0)
    desk.live(3600.0)
    desk.stop(name)
    desk.live(600.0)
    assert desk.is_now(name) == "left" and not desk.records(r.HostFenced)
    assert not desk.state(name).is_asleep
    desk.wanted(8)
    desk.live(60.0)
    assert sent(desk, name) == [What.SOFT_OFF], "nobody gives power to what a person switched off"


def test_one_that_a_person_switched_off_hours_later_is_switched_on_by_a_person() -> None:
    desk, name = too_late(retry_after_seconds=90000.0)
    desk.live(3600.0)
    desk.stop(name)
    desk.live(60.0)
    assert desk.ask(Action.ON, name).startswith("accepted")
    desk.live(60.0)
    assert sent(desk, name) == [What.SOFT_OFF, What.ON]
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy" and desk.state(name).saving.soft_off is None

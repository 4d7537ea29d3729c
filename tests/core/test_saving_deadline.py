"""A host that went down within `soft_timeout` sleeps, although nobody could look in time, or not for long enough."""

import pytest

from fenced.core.durable import records as r
from fenced.core.events import HealthStatus
from fenced.model.names import HostName
from fenced.model.power import Power, What
from tests.core.saving_desk import BMC, SOFT_SECONDS, SavingDesk


def asked(**settings: float) -> tuple[SavingDesk, HostName, float]:
    """Return a desk, a host that was asked to shut down a moment ago, and until when it may take."""
    desk = SavingDesk(**settings)  # type: ignore[arg-type]
    name = desk.until_asked().host
    desk.switched(BMC)
    return desk, name, desk.operation(name).deadline


def sent(desk: SavingDesk, name: HostName) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


@pytest.mark.parametrize("down", [SOFT_SECONDS, 5 * SOFT_SECONDS])
def test_one_that_obeyed_while_the_daemon_was_down_sleeps(down: float) -> None:
    desk, name, _ = asked()
    desk.obey(name)
    desk.crash(down=down)
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping" and sent(desk, name) == [What.SOFT_OFF]


def test_one_that_obeyed_while_the_daemon_was_down_sleeps_although_its_bmc_is_slow() -> None:
    desk, name, _ = asked()
    desk.obey(name)
    desk.set_power(Power.UNKNOWN, BMC, name=name)
    desk.crash(down=2 * SOFT_SECONDS)
    desk.live(20.0)
    desk.set_power(Power.OFF, BMC, name=name)
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping" and "host.suspected" not in desk.told


def test_one_that_did_not_obey_while_the_daemon_was_down_is_left_alone_at_once() -> None:
    desk, name, _ = asked()
    desk.crash(down=2 * SOFT_SECONDS)
    desk.live(10.0)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told


def test_one_that_nobody_can_read_after_the_deadline_is_not_waited_for_long() -> None:
    desk, name, _ = asked()
    desk.obey(name)
    desk.set_power(Power.UNKNOWN, BMC, name=name)
    desk.crash(down=2 * SOFT_SECONDS)
    desk.live(120.0)
    assert "host.sleep_failed" in desk.told and desk.is_now(name) in {"healthy", "suspect", "fencing"}


@pytest.mark.parametrize("before", [4.5, 1.0, 0.2])
def test_one_that_goes_down_right_before_the_deadline_sleeps(before: float) -> None:
    desk, name, deadline = asked()
    desk.beat(name, status=HealthStatus.STOPPING)
    desk.asleep.add(name)
    desk.live(deadline - before - desk.now)
    desk.obey(name)
    desk.live(30.0)
    assert desk.is_now(name) == "sleeping" and "host.sleep_failed" not in desk.told


def test_a_late_beat_right_before_the_deadline_does_not_keep_one_that_is_off_from_its_sleep() -> None:
    desk, name, deadline = asked()
    desk.live(deadline - 1.0 - desk.now)
    desk.obey(name)
    desk.live(0.8)
    desk.beat(name)
    desk.live(2.5)
    desk.beat(name)
    desk.live(40.0)
    assert desk.is_now(name) == "sleeping" and not desk.state(name).distrusted


def test_one_that_had_work_and_goes_down_right_before_the_deadline_is_announced() -> None:
    desk, name, deadline = asked()
    desk.work[name] = 4
    desk.live(deadline - 5.0 - desk.now)
    desk.obey(name)
    desk.live(60.0)
    assert desk.records(r.HostFenced) and What.OFF not in sent(desk, name)
    assert "host.sleep_failed" not in desk.told and What.ON in sent(desk, name)


def test_one_that_reads_on_at_the_deadline_fails_at_once() -> None:
    desk, name, deadline = asked()
    desk.live(deadline + 3.0 - desk.now)
    assert desk.is_now(name) == "healthy" and "host.sleep_failed" in desk.told

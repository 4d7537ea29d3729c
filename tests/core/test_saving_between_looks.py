"""What is heard between two looks at the conditions of a sleep, and taken back before the next one, counts (S24)."""

from collections.abc import Callable

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.events import HealthStatus
from fenced.model.names import HostName
from fenced.model.power import OperationState, Outcome, What
from tests.core.saving_desk import BMC, HOSTS, SavingDesk

FIRST, OTHER = HostName(HOSTS[0]), HostName(HOSTS[5])


def work(desk: SavingDesk) -> None:
    desk.beat(FIRST, workloads=2)
    desk.beat(FIRST, workloads=0)


def nothing_said_of_work(desk: SavingDesk) -> None:
    desk.beat(FIRST, workloads=None)
    desk.beat(FIRST, workloads=0)


def stopping(desk: SavingDesk) -> None:
    desk.beat(FIRST, status=HealthStatus.STOPPING)
    desk.beat(FIRST)


def failing(desk: SavingDesk) -> None:
    desk.beat(FIRST, status=HealthStatus.FAILING)
    desk.beat(FIRST)


def last_will(desk: SavingDesk) -> None:
    desk.do(e.Presence(host=FIRST, received=desk.now, is_retained=False, is_online=False))
    desk.beat(FIRST)


def busy(desk: SavingDesk) -> None:
    desk.say(FIRST, "busy")
    desk.say(FIRST, "busy", is_alive=False)


def new_boot(desk: SavingDesk) -> None:
    desk.boots[FIRST] = "b2"
    desk.beat(FIRST, boot="b2")


def trouble(desk: SavingDesk) -> None:
    desk.beat(OTHER, status=HealthStatus.FAILING)
    desk.beat(OTHER)


@pytest.mark.parametrize("happens", [work, nothing_said_of_work, stopping, failing, last_will, busy, new_boot, trouble])
def test_it_ends_the_sleep_at_once_during_the_veto(happens: Callable[[SavingDesk], None]) -> None:
    desk = SavingDesk(idle_for_seconds=100.0)
    assert desk.until_announced() == FIRST
    at = desk.now
    happens(desk)
    assert not desk.going() and desk.now == at
    ended = [it.record for it in desk.entries if it.host == FIRST and isinstance(it.record, r.OperationEnded)]
    assert ended[-1].state is OperationState.CANCELLED
    sent = [it.what for it in desk.records(r.StepStarted) if it.what is not What.STATUS]
    assert sent == []


def test_a_host_that_stops_during_the_veto_has_left_as_any_other() -> None:
    desk = SavingDesk()
    name = desk.until_announced()
    desk.beat(name, status=HealthStatus.STOPPING)
    assert desk.is_now(name) == "left"
    desk.go(60.0, silent=[name])
    assert desk.is_now(name) == "left"


@pytest.mark.parametrize("happens", [failing, last_will])
def test_a_report_during_the_veto_is_judged_as_of_any_host(happens: Callable[[SavingDesk], None]) -> None:
    desk = SavingDesk()
    assert desk.until_announced() == FIRST
    happens(desk)
    assert "host.suspected" in desk.told


@pytest.mark.parametrize("happens", [work, nothing_said_of_work, busy])
def test_it_begins_the_time_of_being_idle_anew(happens: Callable[[SavingDesk], None]) -> None:
    desk = SavingDesk(min_on=99)
    desk.live(100.0)
    assert desk.fleet.sights[FIRST].idle_since is not None
    happens(desk)
    assert desk.fleet.sights[FIRST].idle_since is None
    desk.live(5.0)
    since = desk.fleet.sights[FIRST].idle_since
    assert since is not None and since >= desk.now - 5.0


def test_a_host_that_stops_by_itself_while_nothing_could_ask_it_has_left_as_any_other() -> None:
    desk = SavingDesk()
    name = desk.until_asked().host
    desk.beat(name, status=HealthStatus.STOPPING)
    desk.asleep.add(name)
    desk.go(6.0)
    desk.switched(BMC, Outcome.REFUSED)
    desk.live(120.0)
    assert desk.is_now(name) == "left" and "host.suspected" not in desk.told


def test_a_host_that_falls_silent_while_nothing_could_ask_it_is_suspected() -> None:
    desk = SavingDesk()
    name = desk.until_asked().host
    desk.asleep.add(name)
    desk.go(10.0)
    desk.switched(BMC, Outcome.REFUSED)
    desk.live(120.0)
    assert "host.suspected" in desk.told

"""Crashes, takeovers and maintenance in each phase of a sleep (S24), on the core alone."""

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.idle import counts, fit
from fenced.core.operation import edited
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Action, Power, State, What
from tests.core.saving_desk import BMC, HOSTS, SOFT_SECONDS, SavingDesk

FIRST = HostName(HOSTS[0])


def sent(desk: SavingDesk, name: str = FIRST) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


def asked() -> SavingDesk:
    desk = SavingDesk()
    desk.until_asked()
    desk.switched(BMC)
    return desk


def announced() -> SavingDesk:
    desk = SavingDesk()
    while "host.sleep_announced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5)
    return desk


def test_a_crash_during_the_veto_ends_it() -> None:
    desk = announced()
    desk.crash()
    desk.live(20.0)
    assert not desk.going() and sent(desk) == []
    ended = [it.record for it in desk.entries if isinstance(it.record, r.OperationEnded) and it.host == FIRST]
    assert ended[-1].state.value == "cancelled"
    assert "warm_up" in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=True)}
    since = desk.fleet.sights[FIRST].idle_since
    assert since is None or since >= desk.now - 20.0


def test_a_crash_after_the_command_sends_no_second_one_and_the_deadline_stays() -> None:
    desk = asked()
    until = desk.operation(FIRST).deadline
    desk.live(100.0)
    desk.crash()
    assert desk.operation(FIRST).deadline == until
    desk.live(20.0)
    desk.obey(FIRST)
    desk.live(60.0)
    assert desk.is_now(FIRST) == "sleeping" and sent(desk) == [What.SOFT_OFF]


def test_a_crash_before_the_answer_sends_no_second_command() -> None:
    desk = SavingDesk()
    desk.until_asked()
    desk.crash()
    desk.live(40.0)
    desk.obey(FIRST)
    desk.live(90.0)
    assert desk.is_now(FIRST) == "sleeping" and sent(desk) == [What.SOFT_OFF]


def test_the_deadline_ends_it_after_a_crash_too() -> None:
    desk = asked()
    desk.crash()
    desk.live(SOFT_SECONDS + 20.0)
    assert not desk.going() and desk.is_now(FIRST) == "healthy" and sent(desk) == [What.SOFT_OFF]


def test_work_that_was_heard_after_the_command_is_not_forgotten_in_a_crash() -> None:
    desk = asked()
    desk.work[FIRST] = 4
    desk.live(10.0)
    desk.obey(FIRST)
    desk.crash()
    desk.live(150.0)
    assert "host.fenced" in desk.told and "host.sleeping" not in desk.told
    assert What.ON in sent(desk) and What.OFF not in sent(desk)


def test_work_that_ends_as_the_host_shuts_down_is_not_forgotten() -> None:
    desk = asked()
    desk.work[FIRST] = 4
    desk.live(6.0)
    desk.work[FIRST] = 0
    desk.live(6.0)
    desk.obey(FIRST)
    desk.live(90.0)
    assert "host.fenced" in desk.told and "host.sleeping" not in desk.told


def test_a_sleeper_sleeps_on_through_a_crash_and_is_woken_by_the_successor() -> None:
    desk = SavingDesk()
    desk.put_to_sleep()
    desk.crash()
    desk.live(20.0)
    assert desk.is_now(FIRST) == "sleeping"
    desk.wanted()
    desk.live(10.0)
    desk.crash()
    desk.live(60.0)
    desk.boot(FIRST)
    desk.live(30.0)
    assert desk.is_now(FIRST) == "healthy" and desk.fleet.hosts[FIRST].saving.proven_at is not None


def test_a_deaf_daemon_wakes_no_reserve() -> None:
    desk = SavingDesk()
    desk.put_to_sleep()
    desk.crash()
    desk.do(e.BusDisconnected(at=desk.now, why="told"))
    for _ in range(120):
        desk.now += 1.0
        desk.do(e.GatesDue())
    assert desk.is_now(FIRST) == "sleeping" and not desk.fleet.hosts[FIRST].saving.asleep.is_wanted  # type: ignore[union-attr]
    assert "fleet.capacity_short" not in desk.told


def test_maintenance_pause_and_disarm_after_the_command_end_nothing() -> None:
    desk = asked()
    desk.do(e.PauseAsked(match="all", by="person", reason="told", until=None))
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    desk.maintain(FIRST)
    desk.live(20.0)
    assert desk.going() == [FIRST]
    desk.obey(FIRST)
    desk.live(60.0)
    state = desk.fleet.hosts[FIRST]
    assert state.state is State.SLEEPING and state.is_asleep and state.maintenance is not None
    desk.busy()
    desk.live(30.0)
    assert What.ON not in sent(desk)
    desk.maintain(FIRST, is_on=False)
    desk.live(20.0)
    assert What.ON in sent(desk), "it is still the daemon's to give back"


def test_stopping_after_the_command_ends_nothing_and_it_is_left() -> None:
    desk = asked()
    desk.beat(FIRST, status=e.HealthStatus.STOPPING)
    desk.asleep.add(FIRST)
    desk.live(6.0)
    assert desk.going() == [FIRST] and desk.is_now(FIRST) == "left"
    desk.set_power(Power.OFF, BMC, name=FIRST)
    desk.live(40.0)
    assert desk.is_now(FIRST) == "sleeping"


def test_another_boot_after_the_command_is_no_sleep() -> None:
    desk = asked()
    desk.boot(FIRST)
    desk.live(20.0)
    assert not desk.going() and desk.is_now(FIRST) == "healthy"
    assert desk.fleet.hosts[FIRST].saving.soft_off is None
    failed = desk.records(r.SleepFailed)[-1]
    assert "restarted" in failed.why


def test_a_late_beat_after_the_off_was_read_still_lets_it_sleep() -> None:
    desk = asked()
    desk.asleep.add(FIRST)
    desk.set_power(Power.OFF, BMC, name=FIRST)
    while desk.operation(FIRST).run(DeviceName(BMC)).power is not Power.OFF:
        if not desk.serve_one():
            desk.go(0.25)
    desk.go(0.5)
    desk.beat(FIRST)
    desk.live(20.0)
    assert desk.is_now(FIRST) != "sleeping", "a beat after the reading may be a sign of life"
    desk.live(60.0)
    assert desk.is_now(FIRST) == "sleeping"


def test_a_host_that_is_heard_while_its_chassis_reads_off_is_no_sleeper_and_its_chassis_is_believed_no_more() -> None:
    desk = asked()
    desk.set_power(Power.OFF, BMC, name=FIRST)
    desk.live(SOFT_SECONDS + 20.0)
    state = desk.fleet.hosts[FIRST]
    assert "host.sleeping" not in desk.told and state.state is State.HEALTHY
    assert BMC in state.distrusted


def test_nobody_counts_on_a_host_that_was_asked_to_shut_down() -> None:
    desk = asked()
    desk.live(SOFT_SECONDS + 20.0)
    assert desk.is_now(FIRST) == "healthy" and desk.fleet.hosts[FIRST].saving.soft_off is not None
    count = counts.of_cluster(desk.fleet, desk.inventory.hosts[FIRST].cluster, desk.now)
    assert FIRST not in count.idle and count.on == len(HOSTS) - 1
    assert "soft_off" in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=True)}


def test_restart_takes_over_and_is_proven() -> None:
    desk = asked()
    assert desk.ask(Action.RESTART, FIRST).startswith("accepted")
    desk.asleep.add(FIRST)
    desk.live(60.0)
    assert sent(desk)[0] is What.SOFT_OFF and What.OFF in sent(desk) and "host.fenced" in desk.told
    assert desk.fleet.hosts[FIRST].saving.soft_off is None


def test_a_reload_refuses_to_remove_a_sleeper() -> None:
    desk = SavingDesk()
    desk.put_to_sleep()
    before = desk.fleet.hosts[FIRST]
    assert "wake it first" in (edited.spoilt(before, desk.inventory.hosts[FIRST], None, desk.now) or "")


def test_an_on_of_an_earlier_fence_proves_nothing_of_a_host_that_a_person_started() -> None:
    desk = SavingDesk()
    desk.live(5.0)
    before = desk.fleet.hosts[FIRST]
    assert before.saving.proven_at is None
    desk.ask(Action.RESTART, FIRST)
    desk.asleep.add(FIRST)
    desk.live(60.0)
    assert desk.fleet.hosts[FIRST].saving.is_switched_on
    desk.ask(Action.OFF, FIRST)
    desk.live(60.0)
    assert not desk.fleet.hosts[FIRST].saving.is_switched_on

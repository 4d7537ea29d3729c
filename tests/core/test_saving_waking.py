"""Sleepers and how they come back (S24), on the core alone."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.allowed import counting, gates
from fenced.core.durable import records as r
from fenced.core.durable.standing import is_monitored
from fenced.core.durable.state import HostState
from fenced.model.answers import RefusedBy
from fenced.model.names import ClusterName, HostName
from fenced.model.power import Action, Power, State, What
from tests.core.saving_desk import BMC, HOSTS, SavingDesk

BOOT_GRACE = 600.0


def sleeper(**settings: object) -> tuple[SavingDesk, HostName]:
    """Return a desk with one host asleep, on which no other one follows."""
    desk = SavingDesk(**({"pause_seconds": 9000.0} | settings))  # type: ignore[arg-type]
    return desk, desk.put_to_sleep()


def whats(desk: SavingDesk, name: HostName) -> list[What]:
    found = [it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted)]
    return [it.what for it in found if it.what is not What.STATUS]


def test_a_sleeper_counts_in_no_gate_and_is_never_suspect() -> None:
    desk, name = sleeper()
    before = counting.of_cluster(desk.fleet, ClusterName("c1"), desk.now)
    desk.live(1300.0)
    assert desk.is_now(name) == "sleeping" and "host.suspected" not in desk.told
    assert before.monitored == len(HOSTS) - 1 and before.overdue == 0
    assert name not in counting.away(desk.fleet, desk.now)
    assert whats(desk, name) == [What.SOFT_OFF]


def test_a_sleeper_is_not_missed_even_by_its_state_alone() -> None:
    state = replace(HostState(name=HostName(HOSTS[0])), state=State.SLEEPING)
    assert not is_monitored(state, 0.0)


def test_a_waking_host_is_not_counted_as_unrecovered() -> None:
    desk, name = sleeper()
    desk.wanted(1)
    desk.live(10.0)
    assert desk.is_now(name) == "restoring"
    assert name not in counting.away(desk.fleet, desk.now)
    assert counting.of_cluster(desk.fleet, ClusterName("c1"), desk.now).monitored == len(HOSTS) - 1


def test_a_request_wakes_it_although_disarmed_and_paused() -> None:
    desk, name = sleeper()
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    desk.do(e.PauseAsked(match=f"host={name}", by="person", reason="told", until=None))
    assert desk.wanted(1) == "accepted 1 short 0"
    desk.live(5.0)
    assert desk.is_now(name) == "restoring" and "host.waking" in desk.told
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy" and "host.woken" in desk.told
    assert desk.fleet.hosts[name].saving.proven_at is not None


def test_without_the_lease_nothing_is_woken() -> None:
    desk, name = sleeper()
    desk.do(e.LeaseLost(why="told"))
    desk.wanted(1)
    desk.live(20.0)
    assert What.ON not in whats(desk, name)


def test_more_are_asked_for_than_sleep() -> None:
    desk, _ = sleeper()
    assert desk.wanted(3) == "accepted 1 short 2"
    answer = desk.do(e.WakeAsked(cluster="c9", hosts=1, by="person", reason="told")).answer
    assert isinstance(answer, RefusedBy) and answer.rule == "cluster"


def test_work_on_all_wakes_a_reserve_and_tells_what_is_short() -> None:
    desk, name = sleeper(reserve=2)
    desk.busy()
    desk.live(20.0)
    assert desk.is_now(name) == "restoring"
    assert desk.told.count("fleet.capacity_short") == 1
    desk.live(40.0)
    assert desk.told.count("fleet.capacity_short") == 1
    desk.busy(*HOSTS)
    desk.boot(name)
    desk.live(30.0)
    assert desk.told.count("fleet.capacity_short") == 2 and not desk.fleet.state.short_of


def test_a_fence_wakes_a_spare_while_it_runs() -> None:
    desk, name = sleeper()
    other = HostName(HOSTS[7])
    desk.busy(HOSTS[1])
    desk.live(20.0)
    assert desk.is_now(name) == "sleeping"
    for _ in range(120):
        desk.live(1.0, silent=[other])
        if desk.is_now(name) == "restoring":
            break
    assert desk.is_now(other) in {"fencing", "fenced", "restoring"} and desk.is_now(name) == "restoring"


def test_pacing_bounds_who_is_on_the_way() -> None:
    desk = SavingDesk(pause_seconds=0.0, waking_cluster=1)
    first, second = desk.put_to_sleep(), desk.put_to_sleep()
    assert desk.wanted(2) == "accepted 2 short 0"
    desk.live(30.0)
    assert sorted([desk.is_now(first), desk.is_now(second)]) == ["restoring", "sleeping"]
    up = first if desk.is_now(first) == "restoring" else second
    desk.boot(up)
    desk.live(30.0)
    assert {desk.is_now(first), desk.is_now(second)} == {"healthy", "restoring"}


def test_one_that_does_not_come_back_is_told_and_held_and_the_next_is_woken() -> None:
    desk = SavingDesk(pause_seconds=0.0)
    first, second = desk.put_to_sleep(), desk.put_to_sleep()
    desk.wanted(1)
    desk.live(10.0)
    up, other = (first, second) if desk.is_now(first) == "restoring" else (second, first)
    desk.busy()
    desk.live(BOOT_GRACE + 30.0)
    assert desk.is_now(up) == "suspect" and "host.wake_failed" in desk.told
    shut = {it.gate for it in gates.closed(gates.all_gates(desk.fleet, up, desk.now))}
    assert "woken" in shut
    assert desk.is_now(other) != "sleeping"
    assert What.OFF not in whats(desk, up)
    desk.boot(up)
    desk.live(20.0)
    assert desk.is_now(up) == "healthy"


def test_it_comes_up_by_itself() -> None:
    desk, name = sleeper()
    desk.set_power(Power.ON, BMC, name=name)
    desk.live(700.0)
    assert "host.woken" in desk.told and desk.is_now(name) in {"restoring", "suspect"}
    assert What.ON not in whats(desk, name)
    desk.boot(name)
    desk.live(20.0)
    assert desk.is_now(name) == "healthy"


def test_a_new_boot_ends_the_sleep_at_once() -> None:
    desk, name = sleeper()
    desk.boot(name)
    desk.beat(name, boot="b2")
    assert desk.is_now(name) == "healthy" and not desk.fleet.hosts[name].distrusted


def test_the_old_run_is_no_news_at_first_and_later_the_chassis_is_distrusted() -> None:
    desk, name = sleeper()
    desk.now += 1.0
    desk.beat(name, boot="b1")
    assert desk.is_now(name) == "sleeping"
    desk.live(100.0)
    for _ in range(4):
        desk.beat(name, boot="b1")
        desk.live(5.0)
    assert desk.is_now(name) == "healthy" and desk.fleet.hosts[name].distrusted == (BMC,)


def test_off_on_a_sleeper_is_proven_and_stays_off() -> None:
    desk, name = sleeper()
    assert desk.ask(Action.OFF, name, force=False).startswith("accepted")
    desk.live(40.0)
    state = desk.fleet.hosts[name]
    assert state.state is State.FENCED and state.is_stay_off and not state.is_asleep
    assert desk.wanted(1) == "accepted 0 short 1"


def test_an_off_that_reads_nothing_leaves_it_asleep() -> None:
    desk, name = sleeper()
    desk.ask(Action.OFF, name, force=False)
    desk.cancel(name)
    desk.live(10.0)
    assert desk.is_now(name) == "sleeping"


def test_maintenance_keeps_it_asleep_and_forbids_the_on() -> None:
    desk, name = sleeper()
    desk.maintain(name)
    assert desk.is_now(name) == "sleeping"
    assert desk.wanted(1) == "accepted 0 short 1"
    desk.busy()
    desk.live(30.0)
    assert desk.is_now(name) == "sleeping"
    desk.maintain(name, is_on=False)
    desk.live(30.0)
    assert desk.is_now(name) == "restoring"


def test_a_reload_that_turns_saving_off_wakes_all_and_none_may_remove_a_sleeper() -> None:
    desk, name = sleeper()
    without = {it: host for it, host in desk.inventory.hosts.items() if it != name}
    refused = desk.do(e.InventoryRead(inventory=replace(desk.inventory, hosts=without))).answer
    assert isinstance(refused, RefusedBy)
    hosts = {
        it: replace(
            host,
            settings=replace(host.settings, saving=replace(host.settings.saving, is_enabled=False)),
        )
        for it, host in desk.inventory.hosts.items()
    }
    desk.do(e.InventoryRead(inventory=replace(desk.inventory, hosts=hosts)))
    desk.live(20.0)
    assert desk.is_now(name) == "restoring"


@pytest.mark.parametrize("is_obeying", [True, False])
def test_a_restart_after_the_command_sends_no_second_one(is_obeying: bool) -> None:
    desk = SavingDesk()
    name = desk.until_asked().host
    desk.switched(BMC)
    desk.do(e.Started())
    if is_obeying:
        desk.obey(name)
    desk.live(100.0)
    assert whats(desk, name) == [What.SOFT_OFF]
    assert desk.is_now(name) == ("sleeping" if is_obeying else "healthy")


def test_a_restart_during_the_veto_ends_it() -> None:
    desk = SavingDesk()
    while "host.sleep_announced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5)
    (name,) = desk.going()
    desk.do(e.Started())
    assert not desk.going() and whats(desk, HostName(name)) == []

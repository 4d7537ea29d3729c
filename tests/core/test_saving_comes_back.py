"""Who is woken, when, and what happens to sleepers that do not come back (S24), on the core alone."""

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.idle import fit
from fenced.model.names import HostName
from fenced.model.power import Action, Outcome, Power, State, What
from tests.core.saving_desk import BMC, HOSTS, SavingDesk

FIRST = HostName(HOSTS[0])
BOOT_GRACE = 600.0


def slept(hosts: int = 1, **settings: object) -> SavingDesk:
    """Return a desk on which so many hosts sleep, and one more idle host is on: all others have work."""
    desk = SavingDesk(**({"pause_seconds": 0.0} | settings))  # type: ignore[arg-type]
    desk.busy(*HOSTS[: hosts + 1])
    for _ in range(hosts):
        desk.put_to_sleep()
    return desk


def sent(desk: SavingDesk, name: str = FIRST) -> list[What]:
    steps = (it.record for it in desk.entries if it.host == name and isinstance(it.record, r.StepStarted))
    return [it.what for it in steps if it.what is not What.STATUS]


def asleep(desk: SavingDesk) -> list[str]:
    return [name for name in HOSTS if desk.is_now(name) == "sleeping"]


def coming(desk: SavingDesk) -> list[str]:
    return [name for name in HOSTS if desk.is_now(name) == "restoring"]


def test_a_sleeper_has_a_new_token_no_proof_and_is_counted_by_no_gate() -> None:
    desk = slept()
    state = desk.fleet.hosts[FIRST]
    assert state.proof is None and state.token is not None and not state.owed and not state.is_left_off
    assert state.saving.asleep is not None and state.saving.asleep.token == state.token
    assert not state.attempts and state.cooldown_until == 0.0 and not desk.fleet.state.draws
    desk.now += 30.0 * 86400.0
    desk.wanted()
    desk.live(10.0)
    assert What.ON in sent(desk), "it is given back whenever it is wanted"


def test_the_reserve_wakes_a_sleeper_once_others_have_work() -> None:
    desk = slept()
    desk.busy()
    desk.live(10.0)
    assert desk.is_now(FIRST) == "restoring" and "host.waking" in desk.told
    desk.boot(FIRST)
    desk.live(10.0)
    saving = desk.fleet.hosts[FIRST].saving
    assert desk.is_now(FIRST) == "healthy" and saving.proven_at is not None and saving.asleep is None
    assert desk.told.count("host.woken") == 1


def test_a_lost_host_wakes_another_one_and_keeps_more_awake() -> None:
    desk = slept(reserve=1)
    desk.live(5.0)
    assert desk.is_now(FIRST) == "sleeping"
    silent = [HostName(HOSTS[7])]
    desk.live(120.0, silent=silent)
    assert "host.fenced" in desk.told
    assert desk.is_now(FIRST) != "sleeping"


def test_a_lost_host_keeps_one_more_awake() -> None:
    desk = SavingDesk(min_on=1, reserve=1, awake_for_seconds=0.0, pause_seconds=9000.0)
    desk.busy(HOSTS[0], HOSTS[1])
    desk.live(5.0)
    dead = HostName(HOSTS[7])
    while desk.is_now(dead) != "fenced":
        if not desk.serve_one():
            desk.go(0.5, silent=[dead])
    assert "reserve" in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=True)}
    desk.busy(*HOSTS[:3])
    desk.go(1.0, silent=[dead])
    assert "reserve" not in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=True)}


@pytest.mark.parametrize("what", ["disarmed", "paused"])
def test_waking_passes_armed_and_pauses(what: str) -> None:
    desk = slept()
    if what == "disarmed":
        desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    else:
        desk.do(e.PauseAsked(match="all", by="person", reason="told", until=None))
    assert desk.wanted() == "accepted 1 short 0"
    desk.live(10.0)
    assert sent(desk) == [What.SOFT_OFF, What.ON]
    desk.boot(FIRST)
    desk.live(10.0)
    assert desk.is_now(FIRST) == "healthy"


def test_disarm_during_a_wake_does_not_stop_it() -> None:
    desk = slept()
    desk.wanted()
    desk.go(1.0)
    desk.do(e.ArmAsked(is_on=False, by="person", reason="told"))
    desk.live(20.0)
    assert What.ON in sent(desk)


def test_without_the_lease_nobody_is_woken() -> None:
    desk = slept()
    desk.do(e.LeaseLost(why="told"))
    desk.wanted()
    desk.live(20.0)
    assert desk.is_now(FIRST) == "sleeping" and What.ON not in sent(desk)
    desk.do(e.LeaseRenewed(until=1e12))
    desk.live(10.0)
    assert What.ON in sent(desk)


def test_maintenance_keeps_it_asleep_and_forbids_the_on() -> None:
    desk = slept()
    desk.maintain(FIRST)
    assert desk.is_now(FIRST) == "sleeping"
    assert desk.wanted() == "accepted 0 short 1"
    desk.busy()
    desk.live(30.0)
    assert desk.is_now(FIRST) == "sleeping" and What.ON not in sent(desk)
    assert desk.told.count("fleet.capacity_short") == 1
    desk.maintain(FIRST, is_on=False)
    desk.live(20.0)
    assert What.ON in sent(desk)


def test_maintenance_while_it_is_woken_stops_the_on_and_it_sleeps_on() -> None:
    desk = slept()
    desk.wanted()
    desk.go(1.0)
    desk.maintain(FIRST)
    desk.live(60.0)
    assert desk.is_now(FIRST) == "sleeping" and What.ON not in sent(desk)
    assert "host.wake_failed" not in desk.told
    desk.maintain(FIRST, is_on=False)
    desk.live(20.0)
    assert What.ON in sent(desk), "the wish was only put off"


def test_saving_that_is_not_enabled_any_more_wakes_all_paced() -> None:
    desk = slept(3, min_on=1, asleep_at_most_percent=100.0, waking_cluster=2)
    inventory = SavingDesk(is_enabled=False).inventory
    for name in HOSTS:
        assert not inventory.hosts[HostName(name)].settings.saving.is_enabled
    desk.do(e.InventoryRead(inventory=inventory))
    desk.inventory = inventory
    desk.live(5.0)
    assert len(coming(desk)) == 4 - 1 and not asleep(desk)


@pytest.mark.parametrize(
    ("settings", "at_once"), [({"waking_cluster": 2}, 2), ({"waking_fleet": 1}, 1), ({"waking_cluster": 4}, 4)]
)
def test_wakes_are_paced(settings: dict[str, object], at_once: int) -> None:
    desk = slept(4, min_on=1, asleep_at_most_percent=100.0, reserve=0, **settings)
    assert desk.wanted(4) == "accepted 4 short 0"
    desk.live(20.0)
    assert len(coming(desk)) == at_once
    for name in coming(desk):
        desk.boot(name)
    desk.live(20.0)
    assert len(coming(desk)) == min(at_once, 4 - at_once)


def test_too_few_sleepers_are_told_once() -> None:
    desk = slept()
    assert desk.wanted(3) == "accepted 1 short 2"
    desk.busy()
    desk.live(60.0)
    desk.boot(FIRST)
    desk.live(60.0)
    desk.work[FIRST] = 3
    desk.live(60.0)
    assert desk.told.count("fleet.capacity_short") == 1
    desk.work[FIRST] = 0
    desk.live(60.0)
    short = [it.record.short for it in desk.entries if isinstance(it.record, r.CapacityChanged)]
    assert short == [1, 0]


def test_an_unknown_cluster_is_refused() -> None:
    assert slept().wanted(cluster="nowhere") == "refused cluster"


# -- those that do not come back --------------------------------------------------------------------------------------


def failed() -> SavingDesk:
    """Return a desk with two sleepers of which the first was woken and did not come."""
    desk = slept(2, reserve=1)
    desk.busy()
    desk.live(BOOT_GRACE + 30.0)
    assert "host.wake_failed" in desk.told
    return desk


def test_a_sleeper_that_does_not_come_is_held_by_woken_and_the_next_is_woken() -> None:
    desk = failed()
    state = desk.fleet.hosts[FIRST]
    assert state.state is State.SUSPECT and "woken" in {gate.gate for gate in state.held_by}
    assert desk.is_now(HOSTS[1]) == "restoring"
    desk.boot(HOSTS[1])
    desk.live(7200.0)
    assert What.OFF not in sent(desk) and desk.is_now(FIRST) == "suspect"
    assert "trouble" in {bar.rule for bar in fit.bars(desk.fleet, HostName(HOSTS[1]), desk.now, is_asked=True)}


def test_it_is_healthy_once_it_is_heard() -> None:
    desk = failed()
    desk.boot(FIRST)
    desk.live(30.0)
    assert desk.is_now(FIRST) == "healthy" and not desk.fleet.hosts[FIRST].is_asleep


def test_a_person_that_acts_ends_the_hold() -> None:
    desk = failed()
    assert desk.ask(Action.RESTART, FIRST, force=False).startswith("accepted")
    desk.live(60.0)
    assert What.OFF in sent(desk) or "host.fenced" in desk.told
    assert not desk.fleet.hosts[FIRST].is_asleep


def test_a_sleeper_that_gets_no_power_sleeps_on_and_others_are_woken_first() -> None:
    desk = slept(2, reserve=1)
    desk.busy()
    end = desk.now + 2000.0
    while desk.now < end and "host.wake_failed" not in desk.told:
        from_bmc = [it for it in desk.pending if getattr(it, "what", None) is What.ON and it.host == FIRST]  # type: ignore[union-attr]
        if from_bmc:
            desk.pending.remove(from_bmc[0])
            desk.pending.insert(0, from_bmc[0])
            desk.switched(BMC, Outcome.FAILED)
        elif not desk.serve_one():
            desk.go(0.5)
    assert "host.wake_failed" in desk.told and desk.is_now(FIRST) == "sleeping"
    desk.live(10.0)
    assert desk.is_now(HOSTS[1]) == "restoring" and desk.is_now(FIRST) == "sleeping"


def test_a_person_that_cancels_a_wake_is_obeyed() -> None:
    desk = slept(1, reserve=0)
    desk.wanted()
    desk.go(1.0)
    assert desk.cancel(FIRST).startswith("accepted")
    desk.live(120.0)
    assert desk.is_now(FIRST) == "sleeping" and What.ON not in sent(desk)


# -- life and power without the daemon --------------------------------------------------------------------------------


def test_a_sleeper_that_comes_up_by_itself_is_awake() -> None:
    desk = slept()
    desk.boot(FIRST)
    desk.live(15.0)
    assert desk.is_now(FIRST) == "healthy" and What.ON not in sent(desk)
    woken = desk.records(r.HostWoken)[-1]
    assert not woken.is_ours and not woken.distrusted
    assert desk.fleet.hosts[FIRST].saving.proven_at is None
    assert "awake_for" in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=False)}


def test_a_chassis_that_reads_on_by_itself_may_boot() -> None:
    desk = slept(watch_interval_seconds=30.0)
    desk.set_power(Power.ON, BMC, name=FIRST)
    desk.live(60.0)
    assert desk.is_now(FIRST) == "restoring" and What.ON not in sent(desk)
    desk.live(BOOT_GRACE + 10.0)
    assert desk.is_now(FIRST) == "suspect" and "woken" in {gate.gate for gate in desk.fleet.hosts[FIRST].held_by}


def test_the_run_that_was_shut_down_is_still_heard_so_its_device_is_distrusted() -> None:
    desk = slept()
    desk.beat(FIRST)
    desk.go(10.0)
    assert desk.is_now(FIRST) == "sleeping", "a message may be late"
    desk.live(40.0)
    for _ in range(4):
        desk.beat(FIRST)
        desk.go(5.0)
    state = desk.fleet.hosts[FIRST]
    assert state.state is State.HEALTHY and state.distrusted == (BMC,)
    assert "distrusted" in {bar.rule for bar in fit.bars(desk.fleet, FIRST, desk.now, is_asked=True)}


# -- requests of people -----------------------------------------------------------------------------------------------


def test_who_needs_proof_asks_off_and_is_never_told_that_it_lives() -> None:
    desk = slept()
    assert desk.ask(Action.OFF, FIRST, force=False).startswith("accepted")
    desk.live(60.0)
    state = desk.fleet.hosts[FIRST]
    assert state.state is State.FENCED and state.is_stay_off and state.proof is not None and not state.is_asleep
    desk.busy()
    desk.live(60.0)
    assert What.ON not in sent(desk), "a person keeps it off"


def test_a_persons_on_gives_it_power() -> None:
    desk = slept()
    assert desk.ask(Action.ON, FIRST).startswith("accepted")
    desk.live(20.0)
    assert sent(desk) == [What.SOFT_OFF, What.ON]
    desk.boot(FIRST)
    desk.live(10.0)
    assert desk.is_now(FIRST) == "healthy" and desk.fleet.hosts[FIRST].saving.proven_at is not None


def test_a_wake_that_finds_only_a_host_on_its_way_down_waits_until_it_is_off() -> None:
    desk = SavingDesk()
    desk.until_asked()
    desk.switched(BMC)
    assert desk.wanted() == "accepted 1 short 0"
    assert desk.wanted() == "accepted 0 short 1"
    desk.live(20.0)
    assert sent(desk) == [What.SOFT_OFF]
    desk.obey(FIRST)
    desk.live(60.0)
    assert sent(desk) == [What.SOFT_OFF, What.ON] and "host.sleeping" in desk.told


def test_a_person_can_put_a_host_to_sleep_that_never_proved_itself() -> None:
    desk = SavingDesk(proven_on_seconds=86400.0, idle_for_seconds=9000.0)
    desk.live(20.0)
    assert desk.ask(Action.SLEEP, HostName(HOSTS[3])).startswith("accepted")
    assert desk.ask(Action.SLEEP, HostName(HOSTS[4])) == "refused one_at_a_time"
    assert desk.until_asked().host == HOSTS[3]


# -- fences -----------------------------------------------------------------------------------------------------------


def fenced_after(desk: SavingDesk, name: str) -> float:
    """Return how long after its last beat the host is fenced."""
    began = desk.now
    while "host.fenced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5, silent=[HostName(name)])
        assert desk.now < began + 300.0
    return desk.now - began


def test_sleepers_delay_no_fence() -> None:
    calm = SavingDesk(is_enabled=False)
    calm.live(20.0)
    plain = fenced_after(calm, HOSTS[6])
    desk = slept(3, min_on=1, asleep_at_most_percent=100.0)
    assert fenced_after(desk, HOSTS[6]) <= plain + 2.0


def test_a_host_that_dies_during_the_veto_is_fenced_as_soon_as_any() -> None:
    calm = SavingDesk(is_enabled=False)
    calm.live(20.0)
    plain = fenced_after(calm, FIRST)
    desk = SavingDesk()
    while "host.sleep_announced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5)
    assert fenced_after(desk, FIRST) <= plain + 2.0
    assert What.SOFT_OFF not in sent(desk)

"""What counts as life, when silence becomes a suspicion, and which time is no silence (design.md#detection, S11)."""

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import BootId
from fenced.model.power import Action, Cause, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.world.rack import Rack, Setting

STOPPING, FAILING = e.HealthStatus.STOPPING, e.HealthStatus.FAILING


def desk(**settings: Setting) -> Desk:
    return Desk(Rack(settings={name.replace("__", "."): value for name, value in settings.items()}))


def silent_until_suspect(at: Desk, *, limit: float = 600.0) -> float:
    """Return the seconds of silence until the host is suspect."""
    start = at.now
    while at.state().state is not State.SUSPECT:
        at.go(0.5, silent=[NODE])
        assert at.now - start < limit, "never suspect"
    return at.now - start


# -- what counts ------------------------------------------------------------------------------------------------------


def test_a_lower_sequence_of_the_same_boot_is_no_life_and_an_equal_one_is() -> None:
    at = desk()
    at.beat(sequence=10_000)
    at.go(10.0, silent=[NODE])
    assert not at.beat(sequence=9_999).is_news
    assert at.beat(sequence=10_000).is_news


def test_a_new_boot_starts_a_new_sequence_and_ends_the_old_boot() -> None:
    at = desk()
    at.beat(sequence=10_000)
    assert at.beat(boot="b2", sequence=1).is_news
    assert at.state().boot == "b2"
    assert at.records(r.HostHeard)[-1].why == "rebooted"
    assert not at.beat(boot="b1", sequence=10_001).is_news
    assert at.state().boot == "b2"


def test_a_retained_message_is_no_life() -> None:
    at = Desk(is_calm=False)
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.BusConnected(at=at.now))
    assert not at.beat(is_retained=True).is_news
    assert at.state().state is State.UNKNOWN


def test_a_message_without_boot_and_sequence_is_life() -> None:
    at = desk()
    at.suspect()
    assert at.state().state is State.SUSPECT
    at.beat(boot=None, sequence=None)
    assert at.state().state is State.HEALTHY


def test_the_same_message_twice_is_announced_once() -> None:
    at = desk()
    told = len(at.told)
    at.beat(sequence=10_000)
    at.beat(sequence=10_000)
    assert len(at.told) == told


@pytest.mark.parametrize("kind", ["retained online", "online"])
def test_presence_online_is_no_life(kind: str) -> None:
    at = desk()
    at.suspect()
    at.do(e.Presence(host=NODE, received=at.now, is_retained="retained" in kind, is_online=True))
    assert at.state().state is State.SUSPECT


def test_a_retained_will_starts_no_suspicion() -> None:
    at = desk()
    at.do(e.Presence(host=NODE, received=at.now, is_retained=True, is_online=False))
    assert at.state().state is State.HEALTHY


def test_an_unknown_host_is_dropped() -> None:
    at = desk()
    decision = at.beat(type(NODE)("node-99"))
    assert not decision.is_news and not decision.entries


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_stopping_ends_a_suspicion_and_expects_silence() -> None:
    at = desk()
    at.suspect()
    at.beat(status=STOPPING)
    assert at.state().state is State.LEFT
    at.go(500.0, silent=[NODE])
    assert at.state().state is State.LEFT and at.state().operation is None


def test_stopping_longer_than_stopping_max_is_announced_once() -> None:
    at = desk()
    at.beat(status=STOPPING)
    at.go(1500.0, silent=[NODE])
    assert [record.is_overdue for record in at.records(r.HostLeft)] == [False, True]
    assert at.state().state is State.LEFT


def test_stopping_while_its_proxies_are_raced_cancels_and_leaves() -> None:
    at = desk()
    at.fence()
    at.beat(status=STOPPING)
    at.go(0.1, silent=[NODE])
    assert at.state().operation is None
    assert at.state().state is State.LEFT
    at.go(300.0, silent=[NODE])
    assert at.state().state is State.LEFT


def test_a_late_ok_of_before_the_stop_does_not_bring_it_back() -> None:
    at = desk()
    at.beat(status=STOPPING, sequence=10_000)
    assert not at.beat(sequence=9_999).is_news
    assert at.state().state is State.LEFT


# -- reports ----------------------------------------------------------------------------------------------------------


def test_failing_with_a_boot_id_is_heard_and_suspects() -> None:
    at = desk()
    at.beat(status=FAILING)
    assert at.state().state is State.SUSPECT and at.state().suspicion is Cause.REPORT
    for _ in range(100):
        at.go(1.0, silent=[NODE])
        at.beat(status=FAILING)
    assert at.state().state is State.SUSPECT and at.state().operation is None


def test_failing_never_ends_a_suspicion() -> None:
    at = desk()
    at.suspect()
    at.beat(status=FAILING)
    assert at.state().state is State.SUSPECT


def test_failing_without_a_boot_id_raises_a_suspicion_and_is_no_sign_of_life() -> None:
    """It raises a suspicion and is no life: the silence goes on."""
    at = desk()
    at.go(10.0, silent=[NODE])
    at.beat(status=FAILING, boot=None)
    assert at.state().state is State.SUSPECT
    at.go(9.0, silent=[NODE])
    assert at.state().operation is None
    at.go(3.0, silent=[NODE])
    assert at.state().operation is not None


@pytest.mark.parametrize("boot", [None, BootId("b1")])
@pytest.mark.parametrize(("reason", "kept"), [("disk died", "disk died"), ("", "reported failing")])
def test_a_suspicion_keeps_why_the_host_was_reported(boot: BootId | None, reason: str, kept: str) -> None:
    at = desk()
    at.do(e.Health(host=NODE, received=at.now, is_retained=False, boot=boot, status=FAILING, reason=reason))
    assert at.state().suspicion_reason == kept


def test_the_next_ok_ends_a_report() -> None:
    at = desk()
    at.beat(status=FAILING)
    at.beat()
    assert at.state().state is State.HEALTHY


# -- grace ------------------------------------------------------------------------------------------------------------


def test_grace_is_the_longer_of_grace_and_missed_intervals() -> None:
    assert silent_until_suspect(desk()) == pytest.approx(20.0, abs=1.5)
    at = desk(detection__missed_heartbeats=8)
    assert silent_until_suspect(at) == pytest.approx(40.0, abs=1.5)


def test_a_messages_own_interval_counts_up_to_four_times_the_configured_one() -> None:
    at = desk()
    at.beat(interval=12.0)
    assert silent_until_suspect(at) == pytest.approx(36.0, abs=1.5)
    at = desk()
    at.beat(interval=1000.0)
    assert silent_until_suspect(at) == pytest.approx(60.0, abs=1.5)


def test_grace_grows_with_workloads_and_roles_up_to_its_most() -> None:
    at = desk(detection__grace_per_workload_seconds=5.0)
    at.beat(workloads=4)
    assert silent_until_suspect(at) == pytest.approx(40.0, abs=1.5)
    at = desk(detection__grace_per_workload_seconds=5.0)
    at.beat(workloads=1000)
    assert silent_until_suspect(at) == pytest.approx(120.0, abs=1.5)
    settings: dict[str, Setting] = {"detection.grace_per_role_seconds": (("spm", 20.0), ("other", 7.0))}  # type: ignore[dict-item]
    at = Desk(Rack(settings=settings))
    at.beat(roles=("spm",))
    assert silent_until_suspect(at) == pytest.approx(40.0, abs=1.5)


def test_never_heard_is_never_suspect() -> None:
    at = Desk(is_calm=False)
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    at.go(3600.0, silent=[NODE])
    assert at.state().state is State.UNKNOWN
    assert not at.state().is_known


# -- what time does not count (S11) ----------------------------------------------------------------------------------


def test_silence_does_not_run_while_the_bus_is_lost_and_starts_again_after_settle() -> None:
    """An outage shorter than an interval: no host counts as silent through it, and the silence before it still
    counts. The young connection gets five seconds more."""
    at = desk()
    at.go(10.0, silent=[NODE])
    at.do(e.BusDisconnected(at=at.now, why="gone"))
    at.go(3.0, silent=list(at.inventory.hosts))
    at.do(e.BusConnected(at=at.now))
    assert silent_until_suspect(at) == pytest.approx(25.0, abs=1.5)


def test_an_outage_gives_release_grace_to_those_silent_through_it() -> None:
    at = desk()
    at.do(e.BusDisconnected(at=at.now, why="gone"))
    at.go(3600.0, silent=list(at.inventory.hosts))
    assert all(state.state is State.HEALTHY for state in at.fleet.hosts.values())
    at.do(e.BusConnected(at=at.now))
    assert silent_until_suspect(at, limit=1000) == pytest.approx(610.0, abs=3.0)


def test_a_host_heard_after_an_outage_is_looked_at_after_its_grace_again() -> None:
    """Its next check was ten minutes ahead; the first beat reschedules it."""
    at = desk()
    at.do(e.BusDisconnected(at=at.now, why="gone"))
    at.go(300.0, silent=list(at.inventory.hosts))
    at.do(e.BusConnected(at=at.now))
    at.go(61.0)  # the connection is young no more
    assert silent_until_suspect(at) == pytest.approx(20.0, abs=1.5)


def test_a_host_heard_after_our_start_is_looked_at_after_its_grace() -> None:
    first = desk()
    at = Desk(is_calm=False)
    at.fleet.restore(first.fleet.hosts, first.fleet.state)
    at.calm()
    assert silent_until_suspect(at) == pytest.approx(20.0, abs=1.5)


def test_known_hosts_get_startup_quiet_and_then_release_grace() -> None:
    first = desk()
    at = Desk(is_calm=False)
    at.fleet.restore(first.fleet.hosts, first.fleet.state)
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    assert silent_until_suspect(at, limit=1000) == pytest.approx(660.0, abs=3.0)


def test_a_stall_of_the_daemon_does_not_count_as_silence() -> None:
    at = desk()
    at.go(15.0, silent=[NODE])
    at.now += 30.0
    at.do(e.Stalled(seconds=30.0, at=at.now))
    at.do(e.TimerFired(host=NODE))
    assert at.state().state is State.HEALTHY
    assert at.fleet.silence_seconds(NODE, at.now) == pytest.approx(15.0, abs=1.1)


def test_time_for_which_beats_still_wait_in_the_inbox_is_not_silence() -> None:
    """The daemon is four seconds behind, and the beats of that time wait in the inbox."""
    at = desk()
    at.go(18.0, silent=[NODE])
    at.fleet.heard_until = at.now
    at.now += 4.0
    at.do(e.TimerFired(host=NODE))
    assert at.state().state is State.HEALTHY
    at.fleet.heard_until = at.now
    at.do(e.TimerFired(host=NODE))
    assert at.state().state is State.SUSPECT


def test_grace_is_stretched_after_a_stall() -> None:
    at = desk()
    at.do(e.Stalled(seconds=8.0, at=at.now))
    assert at.fleet.grace_seconds(NODE, at.now) == pytest.approx(28.0)
    at.go(61.0)
    assert at.fleet.grace_seconds(NODE, at.now) == pytest.approx(20.0)


def test_the_check_does_not_wait_for_a_stretched_grace_that_has_ended() -> None:
    """A machine that slept for an hour, or a clock that went forward by one at a takeover, delays no fence by one."""
    at = desk()
    at.go(5.0, silent=[NODE])
    at.now += 3600.0
    at.do(e.Stalled(seconds=3600.0, at=at.now))
    at.do(e.TimerFired(host=NODE))
    at.go(59.0, silent=[NODE])
    assert at.state().state is State.HEALTHY
    at.go(5.0, silent=[NODE])
    assert at.state().state in {State.SUSPECT, State.FENCING}


def test_a_second_connection_without_a_loss_keeps_what_was_listened_to() -> None:
    at = desk()
    at.go(15.0, silent=[NODE])
    at.do(e.BusConnected(at=at.now))
    assert at.fleet.silence_seconds(NODE, at.now) == pytest.approx(15.0, abs=1.1)
    at.go(10.0, silent=[NODE])
    assert at.fleet.silence_seconds(NODE, at.now) == pytest.approx(15.0, abs=1.1)


# -- where suspicion starts ------------------------------------------------------------------------------------------


def test_restoring_is_suspect_only_past_its_boot_grace() -> None:
    at = desk(detection__boot_grace_seconds=300.0)
    at.fence()
    at.serve(until="operation_ended")
    assert at.state().state is State.RESTORING
    at.beat(boot="b1")
    at.do(e.Presence(host=NODE, received=at.now, is_retained=False, is_online=False))
    at.go(250.0, silent=[NODE])
    assert at.state().state is State.RESTORING
    at.go(60.0, silent=[NODE])
    assert at.state().state in {State.SUSPECT, State.FENCING}


@pytest.mark.parametrize("trouble", ["stall", "bus"])
def test_boot_grace_does_not_run_while_we_are_deaf(trouble: str) -> None:
    """A restored host boots and sends beats while the daemon is stalled or has no bus: that time is not of its boot
    grace (S11)."""
    at = desk(detection__boot_grace_seconds=300.0, detection__release_grace_seconds=0.0)
    at.fence()
    at.serve(until="operation_ended")
    at.go(30.0, silent=[NODE])
    if trouble == "bus":
        at.do(e.BusDisconnected(at=at.now, why="lost"))
    at.now += 400.0
    if trouble == "bus":
        at.do(e.BusConnected(at=at.now))
    else:
        at.do(e.Stalled(seconds=400.0, at=at.now))
    at.do(e.TimerFired(host=NODE))
    at.go(240.0, silent=[NODE])
    assert at.state().state is State.RESTORING
    at.go(60.0, silent=[NODE])
    assert at.state().state in {State.SUSPECT, State.FENCING}


def test_a_host_in_maintenance_is_not_suspected_and_stays_in_maintenance_when_it_is_heard() -> None:
    at = desk()
    at.maintain()
    at.go(120.0, silent=[NODE])
    assert at.state().state is State.MAINTENANCE
    at.beat(boot="b2")
    assert at.state().state is State.MAINTENANCE
    at.maintain(is_on=False)
    assert at.state().state is State.UNKNOWN
    at.beat(boot="b2")
    assert at.state().state is State.HEALTHY


def test_a_host_given_power_in_maintenance_comes_back_into_maintenance() -> None:
    at = desk()
    at.maintain()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.ask(Action.ON)
    at.serve(until="operation_ended")
    at.beat(boot="b2")
    assert at.state().state is State.MAINTENANCE
    at.go(300.0, silent=[NODE])
    assert at.state().state is State.MAINTENANCE


def test_records_of_a_host_are_announced_in_the_journals_order() -> None:
    at = desk()
    at.suspect()
    at.beat()
    assert [word for word in at.told if "suspected" in word or "cleared" in word] == ["host.suspected", "host.cleared"]

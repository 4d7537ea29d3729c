"""What an armed daemon would have done, and what became of the host: the figures that say whether it is safe to arm."""

import json
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.evolve_fleet import evolve_fleet
from fenced.core.durable.evolve_suspicions import KEPT_MAX
from fenced.core.durable.fleet_state import FleetState, Listening
from fenced.core.durable.held_suspicion import HeldSuspicion, SuspicionEnd
from fenced.core.fleet import Fleet
from fenced.core.listening import RECORD_SECONDS, observed_seconds
from fenced.core.readiness.values import WEEK_SECONDS
from fenced.journal import codec
from fenced.model.answers import Accepted
from fenced.model.power import Action, State
from tests.core.desk import CALM_PACE_SECONDS, NODE, Desk
from tests.world.rack import Rack

HOUR, DAY = 3600.0, 86400.0


def desk(*, is_armed: bool = False, is_automatic: bool = True) -> Desk:
    """A rack whose daemon would fence `node-2` if it were armed."""
    return Desk(Rack(settings={"daemon.is_armed_by_file": is_armed, "host.automatic": is_automatic}))


def pause(at: Desk) -> str:
    answer = at.do(e.PauseAsked(match="*", by="person", reason="switch work", until=None)).answer
    assert isinstance(answer, Accepted)
    return str(answer.operation)


def silence(at: Desk, seconds: float = 60.0) -> HeldSuspicion:
    at.go(seconds, silent=[NODE])
    assert at.state(NODE).state is State.SUSPECT
    return last(at)


def last(at: Desk) -> HeldSuspicion:
    return at.state(NODE).suspicions[-1]


def ends(at: Desk) -> list[SuspicionEnd | None]:
    return [one.end for one in at.state(NODE).suspicions]


def test_a_silent_host_that_only_arming_would_fence_is_a_would_be_fence() -> None:
    at = desk()
    found = silence(at)
    assert found.would_at is not None
    assert found.at <= found.would_at <= at.now
    assert (found.gates, found.end) == (("armed",), None)


def test_a_host_that_is_heard_again_in_the_same_run_would_have_been_fenced_falsely() -> None:
    at = desk()
    silence(at)
    at.beat()
    found = last(at)
    assert (found.end, found.ended_at) == (SuspicionEnd.HEARD, at.now)
    assert found.last_heard is not None
    assert at.now - found.last_heard == pytest.approx(60.0, abs=2.0)


@pytest.mark.parametrize("boot", [None, "b1"])
def test_a_beat_that_shows_no_new_boot_counts_as_the_same_run(boot: str | None) -> None:
    at = desk()
    silence(at)
    at.beat(boot=boot)
    assert ends(at) == [SuspicionEnd.HEARD]


def test_a_host_that_says_it_stops_lived() -> None:
    at = desk()
    silence(at)
    at.beat(status=e.HealthStatus.STOPPING)
    assert ends(at) == [SuspicionEnd.HEARD]


def test_a_host_that_comes_back_with_a_new_boot_had_gone_down() -> None:
    at = desk()
    silence(at)
    at.beat(boot="b2")
    assert ends(at) == [SuspicionEnd.REBOOTED]


def test_what_another_gate_holds_is_no_would_be_fence() -> None:
    at = desk()
    name = pause(at)
    found = silence(at)
    assert (found.would_at, found.gates) == (None, ("paused",))
    at.do(e.PauseEndAsked(id=name, by="person"))
    at.go(10.0, silent=[NODE])
    again = last(at)
    assert (again.gates, again.would_at is not None) == (("armed",), True)
    assert len(at.state(NODE).suspicions) == 1


def test_a_gate_that_closes_later_changes_nothing() -> None:
    at = desk()
    would_at = silence(at).would_at
    pause(at)
    at.go(10.0, silent=[NODE])
    assert (last(at).would_at, last(at).gates) == (would_at, ("armed",))


def test_automatic_false_is_a_gate_that_arming_opens() -> None:
    at = desk(is_armed=True, is_automatic=False)
    assert silence(at).gates == ("automatic",)


def test_a_host_that_an_operator_confirms_off_is_no_false_fence() -> None:
    at = desk(is_armed=True, is_automatic=False)
    silence(at)
    at.do(e.ConfirmOffAsked(host=NODE, by="person", reason="unplugged", is_forced=False, read=None))
    assert ends(at) == [SuspicionEnd.CONFIRMED]


def test_a_host_in_maintenance_that_is_heard_in_its_old_run_lived_all_the_time() -> None:
    at = desk()
    silence(at)
    at.maintain(NODE)
    assert ends(at) == [SuspicionEnd.OPERATOR]
    at.maintain(NODE, is_on=False)
    at.beat()
    assert ends(at) == [SuspicionEnd.HEARD]


def test_a_host_that_left_the_inventory_and_came_back_in_its_old_run_lived_all_the_time() -> None:
    at = desk()
    silence(at)
    whole = at.fleet.inventory
    at.do(e.InventoryRead(inventory=replace(whole, hosts={n: h for n, h in whole.hosts.items() if n != NODE})))
    at.do(e.InventoryRead(inventory=whole))
    assert ends(at) == [SuspicionEnd.REMOVED]
    at.beat()
    assert ends(at) == [SuspicionEnd.HEARD]


@pytest.mark.parametrize("end", [SuspicionEnd.OFF, SuspicionEnd.CONFIRMED])
def test_a_host_that_was_off_and_is_heard_in_its_old_run_lived_all_the_time(end: SuspicionEnd) -> None:
    at = desk()
    found = silence(at)
    at.fleet.put(replace(at.state(NODE), suspicions=(replace(found, end=end, ended_at=at.now),)))
    at.beat()
    assert ends(at) == [SuspicionEnd.HEARD]


def test_an_operator_takes_over_a_silent_host() -> None:
    at = desk(is_armed=True, is_automatic=False)
    silence(at)
    assert at.ask(Action.OFF, NODE).startswith("accepted")
    assert ends(at) == [SuspicionEnd.OPERATOR]


def test_the_history_is_bounded_and_says_so() -> None:
    at = desk()
    for _ in range(KEPT_MAX + 2):
        silence(at)
        at.beat()
    state = at.state(NODE)
    assert ends(at) == [SuspicionEnd.HEARD] * KEPT_MAX
    assert 0.0 < state.suspicions_cut_at < state.suspicions[0].at


def test_the_history_survives_a_restart() -> None:
    at = desk()
    silence(at)
    at.beat()
    state = at.state(NODE)
    assert codec.load_host(codec.dump_host(state)) == state


def test_an_older_snapshot_has_no_history() -> None:
    at = desk()
    stored = json.loads(codec.dump_host(at.state(NODE)))
    for name in ("suspicions", "suspicions_cut_at", "known_since"):
        del stored[name]
    assert codec.load_host(json.dumps(stored)).suspicions == ()


def test_a_suspicion_that_becomes_a_would_be_fence_leaves_the_older_ones_alone() -> None:
    at = desk()
    silence(at)
    at.beat()
    at.go(HOUR, pace=CALM_PACE_SECONDS)
    paused = pause(at)
    assert silence(at).gates == ("paused",)
    at.do(e.PauseEndAsked(id=paused, by="person"))
    assert silence(at).gates == ("armed",)
    assert ends(at) == [SuspicionEnd.HEARD, None]


# -- how long the fleet was observed ----------------------------------------------------------------------------------


def test_only_time_in_which_the_daemon_listens_is_observed() -> None:
    at = desk()
    before = observed_seconds(at.fleet, at.now)
    at.go(2 * HOUR, pace=CALM_PACE_SECONDS)
    heard = observed_seconds(at.fleet, at.now)
    assert heard - before == pytest.approx(2 * HOUR, abs=1.0)
    at.do(e.BusDisconnected(at=at.now, why="broker gone"))
    at.go(2 * HOUR, pace=60.0, silent=[*at.inventory.hosts])
    assert observed_seconds(at.fleet, at.now) == pytest.approx(heard, abs=1.0)


def test_without_the_lease_listening_is_not_recorded() -> None:
    at = desk()
    at.do(e.LeaseRenewed(until=at.now))
    kept = at.fleet.state.listened
    at.do(e.BusConnected(at=at.now))
    at.go(HOUR, pace=CALM_PACE_SECONDS)
    assert at.fleet.state.listened == kept
    assert observed_seconds(at.fleet, at.now) >= HOUR


def test_what_was_observed_survives_a_restart_but_for_the_last_quarter_of_an_hour() -> None:
    at = desk()
    at.go(2 * HOUR, pace=CALM_PACE_SECONDS)
    after = Fleet(at.inventory, epoch=2, started=at.now)
    after.restore(dict(at.fleet.hosts), codec.load_fleet(codec.dump_fleet(at.fleet.state)))
    lost = observed_seconds(at.fleet, at.now) - observed_seconds(after, at.now)
    assert 0.0 <= lost <= RECORD_SECONDS + 20.0
    assert observed_seconds(after, at.now + 9 * DAY) == 0.0  # a daemon that was away for long knows nothing of now


def test_listening_longer_ago_than_eight_days_is_forgotten_and_the_rest_is_a_week() -> None:
    state = FleetState()
    for hour in range(24 * 30):
        listening = Listening(since=hour * HOUR, seconds=HOUR)
        record = r.Listened(listening=listening)
        state = evolve_fleet(state, r.Entry(at=(hour + 1) * HOUR, host=None, record=record))
    total = sum(part.seconds for part in state.listened)
    assert WEEK_SECONDS <= total <= 8.5 * DAY
    assert len(state.listened) < 40

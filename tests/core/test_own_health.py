"""The daemon's own illness: it stretches every grace, is told, ends by itself, and never keeps a dead host unfenced."""

import pytest

from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.durable import records as r
from fenced.core.explaining import summary
from fenced.core.following import hear
from fenced.core.heard import own_health
from fenced.model.names import HostName
from fenced.model.power import State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting


def desk(hosts: int = 6, **settings: Setting) -> Desk:
    at = Desk(
        Rack(
            hosts=tuple(f"node-{number}" for number in range(1, hosts + 1)), devices=("bmc:1",),
            settings={name.replace("__", "."): value for name, value in settings.items()},
        )
    )  # fmt: skip
    at.go(60.0)
    return at


def measure(at: Desk, *, lag: float = 0.0, waited: float = 0.0) -> None:
    at.do(e.OwnHealthMeasured(at=at.now, lag_seconds=lag, waited_seconds=waited))


def grace(at: Desk) -> float:
    return at.fleet.grace_seconds(NODE, at.now)


@pytest.mark.parametrize(
    ("lag", "waited", "expected"),
    [(0.0, 0.0, 20.0), (0.2, 0.9, 20.0), (0.5, 0.0, 22.0), (0.0, 4.0, 28.0), (2.0, 3.0, 34.0), (1e6, 1e6, 120.0)],
)
def test_what_is_measured_stretches_the_grace_up_to_grace_max(lag: float, waited: float, expected: float) -> None:
    at = desk()
    measure(at, lag=lag, waited=waited)
    assert grace(at) == pytest.approx(expected)


@pytest.mark.parametrize("most", [5.0, 20.0])
def test_it_never_shortens_a_grace(most: float) -> None:
    at = desk(detection__grace_max_seconds=most)
    measure(at, lag=100.0, waited=100.0)
    assert grace(at) == 20.0


def test_it_ends_by_itself() -> None:
    at = desk()
    measure(at, waited=10.0)
    at.go(31.0)
    assert grace(at) == 20.0


def test_a_newer_measurement_replaces_an_older_one() -> None:
    at = desk()
    measure(at, waited=10.0)
    measure(at, lag=0.5)
    assert grace(at) == pytest.approx(22.0)
    measure(at)
    assert grace(at) == 20.0


def test_a_daemon_that_is_slow_for_ever_still_fences() -> None:
    at = desk()
    begun = at.now
    while at.state().operation is None:
        measure(at, lag=100.0, waited=100.0)
        at.go(1.0, silent=[NODE])
        assert at.now - begun < 150.0
    assert at.now - begun > 120.0
    assert "stretched because the daemon's loop turns 100.0 s late" in " ".join(at.operation().explanation)


def test_the_check_does_not_wait_longer_than_the_illness() -> None:
    at = desk()
    measure(at, waited=50.0)
    begun = at.now
    while at.state().state is State.HEALTHY:
        at.go(0.5, silent=[NODE])
        assert at.now - begun < 40.0
    assert at.now - begun >= own_health.LASTS_SECONDS


def test_it_is_told_in_the_record_and_in_explain() -> None:
    at = desk()
    measure(at, waited=4.0)
    lines = summary(at.fleet, NODE, at.now, gates.all_gates(at.fleet, NODE, at.now))
    words = "its grace is 28 s, 8 s longer because heartbeats are read 4.0 s after they came"
    assert words in lines[0]
    at.go(29.0, silent=[NODE])
    assert words in at.records(r.HostSuspected)[-1].reason


def test_a_young_connection_to_the_bus_is_given_a_moment() -> None:
    at = desk()
    at.do(e.BusDisconnected(at=at.now, why="lost"))
    at.now += 1.0
    at.do(e.BusConnected(at=at.now))
    assert grace(at) == 25.0 and "the bus has just come back" in at.fleet.own.illness(at.now)
    at.go(61.0)
    assert grace(at) == 20.0


def test_many_hosts_that_are_late_at_once_stretch_the_grace() -> None:
    at = desk(12)
    late = [HostName(f"node-{number}") for number in range(1, 7)]
    at.go(15.0, silent=late)
    assert grace(at) == pytest.approx(40.0) and "6 of 12 healthy hosts are late at once" in at.fleet.own.illness(at.now)
    at.go(40.0)
    assert grace(at) == 20.0, "they were heard"


def test_a_few_hosts_that_are_late_are_their_own_fault() -> None:
    at = desk(12)
    at.go(15.0, silent=[HostName(f"node-{number}") for number in range(1, 5)])
    assert grace(at) == 20.0


def test_a_standby_measures_itself_too() -> None:
    at = desk()
    assert hear(at.fleet, e.OwnHealthMeasured(at=at.now, lag_seconds=0.0, waited_seconds=4.0), at.now)
    assert grace(at) == pytest.approx(28.0)


def test_the_score_is_0_for_a_daemon_that_is_well_and_at_most_1() -> None:
    assert own_health.score(0.0) == 0.0
    assert own_health.score(30.0) == 0.5
    assert own_health.score(1e9) == 1.0

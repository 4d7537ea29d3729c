"""The reactor's measurements of itself: told when they change noticeably, and repeated while they last."""

from fenced.core import events as e
from fenced.engine.asked import Asked
from fenced.engine.pulse import Pulse
from fenced.model.names import HostName


def beat(waited: float) -> Asked:
    return Asked(e.Health(host=HostName("node-1"), received=0.0, is_retained=False, waited_seconds=waited), 0.0)


def test_a_daemon_that_is_well_says_nothing() -> None:
    pulse = Pulse()
    assert [pulse.tick(0.01, tick * 0.5) for tick in range(100)] == [None] * 100


def test_a_late_turn_is_told_once_and_its_end_too() -> None:
    pulse = Pulse()
    first = pulse.tick(2.0, 100.0)
    assert first is not None and first.lag_seconds == 2.0
    told = [found for tick in range(1, 100) if (found := pulse.tick(0.0, 100.0 + tick * 0.5)) is not None]
    assert 0 < len(told) < 15 and told[-1].lag_seconds < 0.25


def test_what_lasts_is_repeated() -> None:
    pulse = Pulse()
    told = [pulse.tick(2.0, 100.0 + tick * 0.5) for tick in range(100)]
    assert 4 <= sum(found is not None for found in told) <= 6


def test_beats_that_waited_are_noticed() -> None:
    pulse = Pulse()
    pulse.read([beat(0.0)] * 50 + [beat(5.0)] * 50)
    found = pulse.tick(0.0, 100.0)
    assert found is not None and found.waited_seconds == 5.0

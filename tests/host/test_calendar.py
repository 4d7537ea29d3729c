"""Steady moments are shown as a right wall clock would have shown them, even if the wall clock was wrong."""

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.app.clocks import Clocks
from fenced.host.calendar import SPANS_MAX, Calendar
from fenced.ports.journal import ClockAnchor

YEARS = 365 * 86400.0


def test_nothing_measured_changes_nothing() -> None:
    assert Calendar().wall(5.0) == 5.0 and Calendar.of("").wall(5.0) == 5.0


def test_a_boot_in_2099_is_shown_right_once_its_clock_is_corrected() -> None:
    calendar = Calendar()
    calendar.begin(1000.0)
    calendar.measure(0.2)
    far = 1000.0 + 73 * YEARS
    calendar.begin(far)  # the steady clock starts at this boot's wall clock, which is wrong
    calendar.measure(0.0)
    assert calendar.wall(far + 5.0) == far + 5.0
    ahead = far - 2000.0
    calendar.measure(ahead)  # the time service has corrected it
    assert calendar.wall(far + 5.0) == 2005.0 and calendar.wall(1500.0) == 1500.0
    calendar.begin(far + 100.0)  # a boot with a right clock, an hour later; the steady clock never goes back
    calendar.measure(ahead - 3600.0)
    calendar = Calendar.of(calendar.text)
    assert [calendar.wall(at) for at in (1500.0, far + 5.0, far + 100.0)] == [1500.0, 2005.0, 5700.0]


def test_a_clock_set_wrong_and_corrected_leaves_no_trace() -> None:
    calendar = Calendar()
    calendar.begin(0.0)
    calendar.measure(-50 * YEARS)
    calendar.measure(0.3)
    assert calendar.wall(7.0) == 7.0


@given(st.lists(st.tuples(st.floats(1.0, 1e6), st.floats(-1e9, 1e9)), max_size=2 * SPANS_MAX))
def test_it_is_bounded_and_survives_a_restart(boots: list[tuple[float, float]]) -> None:
    calendar, since = Calendar(), 0.0
    for seconds, ahead in boots:
        since += seconds
        calendar.begin(since)
        calendar.measure(ahead)
        kept = Calendar.of(calendar.text)
        shown = since if abs(ahead) < 1.0 else since - ahead
        assert math.isclose(kept.wall(since + 0.001), shown + 0.001, abs_tol=1.1)
    assert calendar.text.count("[") <= SPANS_MAX + 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[[1]]",
        "[[2, 0], [1, 0]]",
        '[["x", 1]]',
        "[[NaN, 1]]",
        "7",
        "[[1, Infinity]]",
        "[[1, 1e300]]",
        "[[1, -1e18]]",
        "[[-1e300, 5]]",
        f"[[1, {10**400}]]",
        "[" * 100_000,
        "[[1, 2, 3]]",
    ],
)
def test_an_unreadable_calendar_is_empty(text: str) -> None:
    assert Calendar.of(text).wall(3.0) == 3.0


def test_a_daemon_after_a_boot_in_2099_shows_the_wall_clock() -> None:
    far = time.time() + 73 * YEARS
    before = Clocks(kept=None, last_at=None)
    kept = replace(before.anchor(), boot_id="another", steady=far)
    clocks = Clocks(kept=kept, last_at=far)
    assert clocks.steady.now() >= far  # the steady clock never goes back
    floor = time.time()
    shown = clocks.wall(clocks.steady.now())
    assert floor - 1.0 <= shown <= time.time() + 1.0
    again = Clocks(kept=clocks.anchor(), last_at=None)  # the same boot of the machine
    assert floor - 1.0 <= again.wall(again.steady.now()) <= time.time() + 1.0


def test_the_first_moment_of_a_boot_keeps_its_own_difference_after_a_restart() -> None:
    calendar = Calendar()
    calendar.begin(1000.0)
    first = 5000.0007
    calendar.begin(first)
    calendar.measure(3 * YEARS)
    assert Calendar.of(calendar.text).wall(first) == calendar.wall(first) == first - 3 * YEARS


def test_the_last_record_of_a_boot_belongs_to_that_boot() -> None:
    """The steady clock does not advance until the next boot, which is later by a right clock."""
    far = time.time() + 73 * YEARS
    wrong = Calendar()
    wrong.begin(far - 50.0)
    wrong.measure(75 * YEARS)
    kept = replace(Clocks(kept=None, last_at=None).anchor(), boot_id="another", steady=far, calendar=wrong.text)
    clocks = Clocks(kept=kept, last_at=far)
    assert clocks.wall(far) == far - 75 * YEARS
    assert clocks.wall(clocks.steady.now()) >= far - 74 * YEARS


def test_a_store_without_a_calendar_shows_steady_time() -> None:
    fresh = Clocks(kept=None, last_at=None).anchor()
    kept = ClockAnchor(boot_id=fresh.boot_id, boottime=fresh.boottime, steady=fresh.steady + 9 * YEARS)
    clocks = Clocks(kept=kept, last_at=None)
    floor = time.time()
    assert floor - 1.0 <= clocks.wall(clocks.steady.now()) <= time.time() + 1.0

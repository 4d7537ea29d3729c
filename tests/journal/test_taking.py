"""When a lease may be taken, row by row: the rules without a database. `test_leases` has them with one."""

import math

import pytest

from fenced.journal.leases import LeaseRow
from fenced.journal.taking import HAND_OVER_SECONDS, LEASE_SECONDS_MAX, LeaseWatch

LEASE = 15.0
OWN, OTHER = "own/boot", "other/boot"


def row(
    *, place: str = OTHER, epoch: int = 3, batch: int = 7, until: float = 100.0, by: str = "", to: str = "",
    is_over: bool = False, rest: float = LEASE, ttl: float = LEASE, released_seconds: float | None = None,
    timeline: int | None = 1, now_on: int | None = 1,
) -> LeaseRow:  # fmt: skip
    return LeaseRow(
        name="holder", place=place, epoch=epoch, batch=batch, until=until, released_by=by, released_to=to,
        is_over=is_over, rest_seconds=rest, ttl_seconds=ttl, released_seconds=released_seconds, timeline=timeline,
        server_timeline=now_on,
    )  # fmt: skip


def may_take(found: LeaseRow | None, *, after: float = 0.0, patience: float = 0.0) -> bool:
    """Look at a row, and again after some seconds in which it did not change."""
    watch = LeaseWatch(place=OWN, lease_seconds=LEASE)
    watch.saw(found, at=50.0)
    return watch.may_take(found, name="me", at=50.0 + after, patience_seconds=patience)


@pytest.mark.parametrize(
    ("found", "after", "is_free"),
    [
        (None, 0.0, True),
        (row(epoch=0), 0.0, True),
        (row(), 1e6, False),
        (row(is_over=True), LEASE - 0.1, False),
        (row(is_over=True), LEASE, True),
        (row(place=OWN), 0.0, True),
        (row(until=0.0), 0.0, True),
        (row(until=0.0, by=OTHER), 0.0, True),
        (row(until=0.0, by=OTHER, to="me"), 0.0, True),
        (row(until=0.0, by=OTHER, to="you", released_seconds=0.0), HAND_OVER_SECONDS - 0.1, False),
        (row(until=0.0, by=OTHER, to="you", released_seconds=0.0), HAND_OVER_SECONDS, True),
        (row(until=0.0, by=OTHER, to="you", released_seconds=HAND_OVER_SECONDS), 0.0, True),
        (row(until=0.0, by=OTHER, to="you", released_seconds=-1e6), HAND_OVER_SECONDS, True),
        (row(until=0.0, by=OWN, place=OWN, released_seconds=0.0), LEASE - 0.1, False),
        (row(until=0.0, by=OWN, place=OWN, released_seconds=-1e6), LEASE, True),
        (row(until=0.0, by=OWN, place=OWN, released_seconds=LEASE), 0.0, True),
        (row(until=0.0, by=OWN, place=OWN, to="me", released_seconds=0.0), 0.0, False),
        (row(until=0.0, now_on=2), LEASE - 0.1, False),
        (row(until=0.0, now_on=2, released_seconds=1e6), LEASE - 0.1, False),
        (row(until=0.0, now_on=2), LEASE, True),
        (row(place=OWN, now_on=2), LEASE - 0.1, False),
        (row(place=OWN, now_on=2), LEASE, True),
        (row(is_over=True, now_on=2), LEASE - 0.1, False),
        (row(is_over=False, now_on=2), LEASE, True),
        (row(until=0.0, now_on=None), 0.0, True),
        (row(until=0.0, timeline=None, now_on=2), 0.0, True),
    ],
)
def test_a_row_is_free_or_not(found: LeaseRow | None, after: float, is_free: bool) -> None:
    assert may_take(found, after=after) is is_free


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (row(rest=LEASE + 3600.0), LEASE),
        (row(rest=LEASE + 0.1), LEASE),
        (row(rest=3 * LEASE + 3600.0, ttl=3 * LEASE), 3 * LEASE),
        (row(rest=LEASE / 3 + 3600.0, ttl=LEASE / 3), LEASE),
        (row(rest=1e9, ttl=1e9), LEASE_SECONDS_MAX),
        (row(rest=math.inf, ttl=math.inf), LEASE_SECONDS_MAX),
        (row(rest=math.nan, ttl=math.nan), LEASE_SECONDS_MAX),
    ],
)
def test_a_lease_that_lasts_longer_than_it_was_given_for_is_over_by_the_takers_clock(
    found: LeaseRow, seconds: float
) -> None:
    """The database's clock went back, or somebody edited the row: nobody would act for as long as it says."""
    assert not may_take(found, after=seconds - 0.1)
    assert not may_take(found, after=seconds + LEASE - 0.1, patience=LEASE)
    assert may_take(found, after=seconds)


def test_patience_delays_a_lease_that_was_not_released() -> None:
    assert not may_take(row(is_over=True), after=2 * LEASE - 0.1, patience=LEASE)
    assert may_take(row(is_over=True), after=2 * LEASE, patience=LEASE)


def test_patience_delays_whoever_takes_a_released_lease_but_the_one_that_it_names() -> None:
    assert not may_take(row(until=0.0, by=OTHER), after=1.0, patience=LEASE)
    assert may_take(row(until=0.0, by=OTHER, to="me"), after=1.0, patience=LEASE)


def test_a_row_that_another_look_found_changed_counts_anew() -> None:
    watch = LeaseWatch(place=OWN, lease_seconds=LEASE)
    watch.saw(row(is_over=True), at=0.0)
    watch.saw(row(is_over=True, batch=8), at=LEASE)
    assert not watch.may_take(row(is_over=True, batch=8), name="me", at=2 * LEASE - 0.1, patience_seconds=0.0)
    assert not watch.may_take(row(is_over=True, batch=9), name="me", at=2 * LEASE, patience_seconds=0.0)
    assert watch.may_take(row(is_over=True, batch=8), name="me", at=2 * LEASE, patience_seconds=0.0)


def test_a_promotion_restarts_the_watch() -> None:
    watch = LeaseWatch(place=OWN, lease_seconds=LEASE)
    watch.saw(row(is_over=True), at=0.0)
    watch.saw(row(is_over=True, now_on=2), at=LEASE)
    assert not watch.may_take(row(is_over=True, now_on=2), name="me", at=2 * LEASE - 0.1, patience_seconds=0.0)
    assert not watch.may_take(row(is_over=True, now_on=3), name="me", at=2 * LEASE, patience_seconds=0.0)
    assert not watch.may_take(row(is_over=True, now_on=2), name="me", at=2 * LEASE, patience_seconds=1.0)
    assert watch.may_take(row(is_over=True, now_on=2), name="me", at=2 * LEASE, patience_seconds=0.0)


def test_a_look_whose_answer_was_slow_counts_from_the_answer() -> None:
    """The holder may have renewed after the request was sent, and before the row was read."""
    watch = LeaseWatch(place=OWN, lease_seconds=LEASE)
    watch.saw(row(is_over=True), at=4.0)
    assert not watch.may_take(row(is_over=True), name="me", at=LEASE, patience_seconds=0.0)
    assert watch.may_take(row(is_over=True), name="me", at=LEASE + 4.0, patience_seconds=0.0)

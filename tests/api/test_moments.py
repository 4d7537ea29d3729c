"""`--at` as people type it."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from fenced.cli.fencectl.moments import moment

NOW = datetime(2026, 11, 30, 4, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("10m", "10m"), ("10m ago", "10m"), ("10 minutes ago", "10m"), ("1h 30m", "1h30m"), ("2 hours ago", "2h"),
        ("0s", "0s"), ("03:12", "2026-11-30T03:12:00+01:00"), ("05:00", "2026-11-29T05:00:00+01:00"),
        ("yesterday 03:12:07", "2026-11-29T03:12:07+01:00"), ("2026-11-30 03:12", "2026-11-30T03:12:00+01:00"),
        ("2026-11-30t02:12:00z", "2026-11-30T02:12:00+00:00"), ("2026-11-30 02:12:00 UTC", "2026-11-30T02:12:00+00:00"),
        ("2026-11-30T03:12:00+02:00", "2026-11-30T03:12:00+02:00"),
    ],
)  # fmt: skip
def test_a_moment_is_what_a_person_means(said: str, meant: str) -> None:
    assert moment(said, NOW) == meant


@pytest.mark.parametrize("said", ["", "soon", "25:00", "3000-01-01 00:00", "10 lightyears ago", "-10m"])
def test_what_is_no_moment_says_what_to_write(said: str) -> None:
    with pytest.raises(click.BadParameter, match="write a time"):
        moment(said, NOW)


def test_a_time_without_an_offset_is_of_this_machines_zone() -> None:
    assert moment("03:12", NOW.astimezone(UTC)) == "2026-11-29T03:12:00+00:00"

"""Reads a moment as people type it at night, and makes of it what the API takes."""

import contextlib
import re
from datetime import datetime, timedelta
from typing import Final

import click

from fenced.config.durations import parse_duration

UNITS: Final = (
    (r"seconds?|secs?", "s"), (r"minutes?|mins?", "m"), (r"hours?|hrs?", "h"), (r"days?", "d"),
)  # fmt: skip
WRITE: Final = (
    'write a time ("2026-01-31 03:12", "03:12", "yesterday 03:12"; without an offset it is of this machine\'s zone) or '
    'how long ago ("10m", "1h30m", "10 minutes ago")'
)
_CLOCK: Final = re.compile(
    r"(?:(?P<day>today|yesterday)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
)


def moment(text: str, now: datetime) -> str:
    """Return a duration, or a time in RFC 3339. `now`: with the zone of this machine. Raises BadParameter."""
    said = text.strip().lower()
    ago = said.removesuffix("ago").strip()
    for words, unit in UNITS:
        ago = re.sub(rf"(?<=\d)\s*(?:{words})\b", unit, ago)
    ago = ago.replace(" ", "")
    with contextlib.suppress(ValueError):
        parse_duration(ago)
        return ago
    if (clock := _CLOCK.fullmatch(said)) is not None:
        return _of_clock(clock, now, text)
    try:
        given = datetime.fromisoformat(said.removesuffix(" utc").upper() + ("+00:00" if said.endswith(" utc") else ""))
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is no moment: {WRITE}") from exc
    if given.tzinfo is None:
        given = given.replace(tzinfo=now.tzinfo)
    if given > now + timedelta(days=1):
        raise click.BadParameter(f"{text!r} is in the future: {WRITE}")
    return given.isoformat()


def _of_clock(clock: re.Match[str], now: datetime, text: str) -> str:
    """Return the last time at which a clock showed that."""
    try:
        given = now.replace(
            hour=int(clock["hour"]), minute=int(clock["minute"]), second=int(clock["second"] or 0), microsecond=0
        )
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is no time of a day: {WRITE}") from exc
    is_yesterday = clock["day"] == "yesterday" or (clock["day"] is None and given > now)
    return (given - timedelta(days=1) if is_yesterday else given).isoformat()

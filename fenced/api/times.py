"""Times as operators give them: the end of a maintenance or pause, and a moment of the past.

Knows no clock: `now` is a parameter.
"""

import contextlib
from typing import Final

from fenced.config.durations import parse_duration
from fenced.model.moments import Wall, parse_rfc3339

UNTIL_MAX_SECONDS: Final = 366 * 86400.0
"""The longest maintenance or pause that has an end."""


def parse_until(text: str, now: float, ahead_seconds: float = 0.0) -> float:
    """Return the end: an RFC 3339 time, or a duration from `now`. Raises ValueError.

    `ahead_seconds`: how far `now` is ahead of the wall clock, which an operator's time refers to.
    """
    at = _from_duration(text, now)
    if at is None:
        try:
            at = parse_rfc3339(text) + ahead_seconds
        except ValueError as exc:
            raise ValueError(f"{exc}, nor a duration such as 2h") from exc
    if at <= now:
        raise ValueError("this time has already passed; give a later one")
    if at > now + UNTIL_MAX_SECONDS:
        raise ValueError("this is more than 366 days; leave it out to go on until an operator ends it")
    return at


def parse_past(text: str, now: float, ahead_seconds: float, wall: Wall) -> float:
    """Return a moment of the steady clock: an RFC 3339 time, or a duration before `now`. Raises ValueError.

    `wall` knows how far the clocks were apart at that moment, `ahead_seconds` only how far they are now.
    """
    with contextlib.suppress(ValueError):
        return now - parse_duration(text)
    try:
        meant = parse_rfc3339(text)
    except ValueError as exc:
        raise ValueError(f"{exc}, nor a duration such as 10m") from exc
    at = meant + ahead_seconds
    return at + meant - wall(at)


def _from_duration(text: str, now: float) -> float | None:
    try:
        return now + parse_duration(text)
    except ValueError:
        return None

"""Times and durations as text: RFC 3339 in UTC with milliseconds, and "1h30m".

It has no clock: the caller passes `now` in. A time without an offset is rejected, because its zone is unknown. Import
nothing but the standard library here: `fencectl` uses this module and must start fast.
"""

import re
from datetime import datetime
from typing import Final

UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION: Final = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ms|s|m|h|d))+", re.ASCII)
PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
UNTIL_MAX_SECONDS: Final = 366 * 86400.0
"""The longest maintenance or pause that has an end."""


def parse_stamp(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time with an offset. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"{text[:64]!r} is not an RFC 3339 time; write for example 2026-01-31T08:00:00Z") from exc
    if moment.tzinfo is None:
        raise ValueError(f"{text[:64]!r} has no offset; end it with Z or +01:00")
    return moment.timestamp()


def parse_duration(text: str) -> float:
    """Return the seconds of "250ms", "5s", "2m", "1h30m", "400d". Raises ValueError."""
    if DURATION.fullmatch(text) is None:
        raise ValueError(f"{text[:64]!r} is not a duration; write for example 30s, 5m or 1h30m")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in PART.findall(text))


def parse_until(text: str, now: float, ahead_seconds: float = 0.0) -> float:
    """Return the end of a maintenance or pause, given as an RFC 3339 time or a duration from `now`. Raises ValueError.

    `ahead_seconds`: how far `now` is ahead of the wall clock, which a person's time refers to.
    """
    is_duration = DURATION.fullmatch(text) is not None
    at = now + parse_duration(text) if is_duration else _stamp_or_hint(text) + ahead_seconds
    if at <= now:
        raise ValueError("this time has already passed; give a later one")
    if at > now + UNTIL_MAX_SECONDS:
        raise ValueError("this is more than 366 days; leave it out to go on until a person ends it")
    return at


def _stamp_or_hint(text: str) -> float:
    try:
        return parse_stamp(text)
    except ValueError as exc:
        raise ValueError(f"{exc}, or a duration such as 2h") from exc

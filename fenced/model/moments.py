"""Moments of the steady clock, and how people see them.

The core counts on a clock that never jumps, and a wall clock that was wrong for a while moves it apart from everybody
else's (docs/operations.md). A moment stays a `Moment` until it leaves the daemon, where a `Wall` says what a right wall
clock showed then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Wall = Callable[[float], float]
"""Seconds of the steady clock -> seconds since the epoch by a right wall clock."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds of the steady clock, on their way to somebody who reads times."""

    at: float


def moment(at: float | None) -> Moment | None:
    """None stays None."""
    return None if at is None else Moment(at)


def as_steady(at: float) -> float:
    """A `Wall` for where both clocks agree."""
    return at


def parse_rfc3339(text: str) -> float:
    """Return seconds since the epoch. Raises ValueError, also for a time without an offset: it could be any zone's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"{text[:64]!r} is not an RFC 3339 time such as 2026-01-31T08:00:00Z") from exc
    if at.tzinfo is None:
        raise ValueError(f"{text[:64]!r} has no offset; end it with Z or +01:00")
    return at.timestamp()


def rfc3339(at: float) -> str:
    """Seconds since the epoch as `2026-01-31T08:00:00.250Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

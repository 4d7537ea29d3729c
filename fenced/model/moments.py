"""Moments of the steady clock, and their conversion to wall-clock time for people.

The core uses a clock that never jumps, so a wall clock that was wrong for a while leaves an offset between the two
(docs/operations.md). A moment stays a `Moment` until it leaves the daemon, where a `Wall` converts it to correct
wall-clock time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Wall = Callable[[float], float]
"""Convert seconds of the steady clock to seconds since the epoch by a correct wall clock."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds of the steady clock that will be shown to an operator."""

    at: float


def moment(at: float | None) -> Moment | None:
    """Wrap the seconds; None stays None."""
    return None if at is None else Moment(at)


def as_steady(at: float) -> float:
    """A `Wall` for tests and tools in which both clocks agree."""
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
    """Format seconds since the epoch as `2026-01-31T08:00:00.250Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

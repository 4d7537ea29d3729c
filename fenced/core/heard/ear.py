"""Counts the time in which the daemon was able to listen. Silence is measured on this clock alone (S11)."""

from dataclasses import dataclass, replace
from typing import Final

GAPS_MAX: Final = 32
"""Remembered outages and stalls. Older ones count as listening time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """Listening time in seconds. `opened_at`: when the clock started to run (may lie ahead); None while the bus is
    away.

    `gaps`: (from, to) of past times without listening; `closed_at`: when the present one began.
    """

    total: float = 0.0
    opened_at: float | None = None
    gaps: tuple[tuple[float, float], ...] = ()
    closed_at: float | None = None

    def now(self, at: float) -> float:
        """Return the listening time up to `at`."""
        if self.opened_at is None or at <= self.opened_at:
            return self.total
        return self.total + at - self.opened_at

    def opened(self, at: float) -> "Ear":
        """Start the clock at `at`."""
        gaps = self.gaps if self.closed_at is None else _remember(self.gaps, self.closed_at, at)
        return replace(self, opened_at=at, gaps=gaps, closed_at=None)

    def closed(self, at: float) -> "Ear":
        """Stop the clock at `at`."""
        closed_at = at if self.opened_at is not None else self.closed_at
        return replace(self, total=self.now(at), opened_at=None, closed_at=closed_at)

    def lost(self, seconds: float, at: float) -> "Ear":
        """Exclude the `seconds` before `at`: the daemon did not run then, so no host was silent."""
        if self.opened_at is None:
            return self
        return replace(self, opened_at=self.opened_at + seconds, gaps=_remember(self.gaps, at - seconds, at))

    def deaf_seconds(self, since: float, at: float) -> float:
        """Return how long the daemon could not listen between `since` and `at`; time before it first listened is not
        counted."""
        open_gap = ((self.closed_at, at),) if self.closed_at is not None else ()
        return sum(max(min(to, at) - max(start, since), 0.0) for start, to in self.gaps + open_gap)


def _remember(gaps: tuple[tuple[float, float], ...], start: float, to: float) -> tuple[tuple[float, float], ...]:
    return (*gaps, (start, to))[-GAPS_MAX:]

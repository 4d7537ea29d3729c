"""Converts moments of the steady clock into the wall time of a right clock, even if the wall clock was wrong meanwhile.

The steady clock starts at a wall time that may be wrong, and never goes back. Within one boot both clocks advance
alike, so the difference measured last holds for the whole boot: once the wall clock is corrected, it shows how wrong it
was. The caller measures the difference. Never guess one: without a measurement the steady time is shown.
"""

import json
from dataclasses import dataclass
from typing import Final

MOMENT_MAX: Final = 1e11
AHEAD_SECONDS_MAX: Final = 1e10
"""Three centuries, more than any two clocks of Linux differ; a larger value is corrupt."""
AGREE_SECONDS: Final = 1.0
"""Clocks that differ by less than this agree."""
SPANS_MAX: Final = 64
"""Boots to remember that have a different offset; older moments use the oldest of these."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the steady moment `since` on, the steady clock is `ahead` seconds ahead of a right wall clock."""

    since: float
    ahead: float


class Calendar:
    """`spans`: in order of time, from an earlier run of the daemon."""

    def __init__(self, spans: tuple[Span, ...] = ()) -> None:
        self._spans = spans

    @classmethod
    def of(cls, text: str) -> "Calendar":
        """Parse `text`. An unreadable text yields no spans: times are then shown as they were counted."""
        try:
            spans = tuple(Span(float(since), float(ahead)) for since, ahead in json.loads(text or "[]"))
        except (ValueError, TypeError, OverflowError, RecursionError):
            return cls()
        is_sound = all(0.0 <= span.since <= MOMENT_MAX and abs(span.ahead) <= AHEAD_SECONDS_MAX for span in spans)
        return cls(spans) if is_sound and list(spans) == sorted(spans, key=lambda span: span.since) else cls()

    @property
    def is_begun(self) -> bool:
        return bool(self._spans)

    @property
    def text(self) -> str:
        """The spans as JSON. `since` is exact: rounded, it could assign a boot's first records to an earlier boot."""
        return json.dumps([[span.since, round(span.ahead, 3)] for span in self._spans])

    def begin(self, since: float) -> None:
        """Begin another boot of the machine; later measurements do not affect earlier boots."""
        *before, last = self._spans or (Span(since, 0.0),)
        if not before or abs(before[-1].ahead - last.ahead) >= AGREE_SECONDS:
            before.append(last)
        self._spans = (*before, Span(since, 0.0))[-SPANS_MAX:]

    def measure(self, ahead: float) -> None:
        """Set the difference of this whole boot."""
        if not self._spans:
            return
        *before, last = self._spans
        known = 0.0 if abs(ahead) < AGREE_SECONDS else ahead
        if abs(last.ahead - known) >= AGREE_SECONDS or known == 0.0:
            self._spans = (*before, Span(last.since, known))

    def wall(self, at: float) -> float:
        """Return what a right wall clock showed at a moment of the steady clock."""
        for span in reversed(self._spans):
            if at >= span.since:
                return at - span.ahead
        return at - self._spans[0].ahead if self._spans else at

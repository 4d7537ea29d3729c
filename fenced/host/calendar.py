"""What a right wall clock showed at each moment of the steady clock, also where the wall clock was wrong for a while.

The steady clock starts at a wall clock that may be wrong, and never goes back. In one boot of the machine both advance alike, so
the difference that is measured last holds for the whole boot: a clock that was set right since tells how wrong it was. Knows no
clock. One rule: a difference is measured, never guessed; without one the steady time is shown.
"""

import json
from dataclasses import dataclass
from typing import Final

MOMENT_MAX: Final = 1e11
AHEAD_SECONDS_MAX: Final = 1e10
"""Three centuries, more than any two clocks of Linux differ: what was told by such a calendar would be no time at all."""
AGREE_SECONDS: Final = 1.0
"""Clocks that are nearer than this agree."""
SPANS_MAX: Final = 64
"""Boots with a difference of their own that are remembered; older ones are shown as the oldest of these."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the steady moment `since` on the steady clock is `ahead` seconds ahead of a right wall clock."""

    since: float
    ahead: float


class Calendar:
    """`spans`: in the order of time, as kept by an earlier life of the daemon."""

    def __init__(self, spans: tuple[Span, ...] = ()) -> None:
        self._spans = spans

    @classmethod
    def of(cls, text: str) -> "Calendar":
        """From `text` of before. What can't be read says nothing: times are shown as they were counted."""
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
        """`since` is exact: a boot's first records would be an earlier boot's."""
        return json.dumps([[span.since, round(span.ahead, 3)] for span in self._spans])

    def begin(self, since: float) -> None:
        """Another boot of the machine: what is measured from now on says nothing of before."""
        *before, last = self._spans or (Span(since, 0.0),)
        if not before or abs(before[-1].ahead - last.ahead) >= AGREE_SECONDS:
            before.append(last)
        self._spans = (*before, Span(since, 0.0))[-SPANS_MAX:]

    def measure(self, ahead: float) -> None:
        """The difference now, which holds for the whole boot."""
        if not self._spans:
            return
        *before, last = self._spans
        known = 0.0 if abs(ahead) < AGREE_SECONDS else ahead
        if abs(last.ahead - known) >= AGREE_SECONDS or known == 0.0:
            self._spans = (*before, Span(last.since, known))

    def wall(self, at: float) -> float:
        """What a right wall clock showed at that moment of the steady clock."""
        for span in reversed(self._spans):
            if at >= span.since:
                return at - span.ahead
        return at - self._spans[0].ahead if self._spans else at

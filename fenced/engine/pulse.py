"""Measures how late the daemon's loop turns and how long messages wait for it, and says so when that changes.

It decides nothing: `core.heard.own_health` makes patience of it.
"""

from collections.abc import Sequence
from typing import Final

from fenced.core import events as e
from fenced.core.heard import own_health
from fenced.engine.asked import Asked

FADES: Final = 0.9
"""What is left of a measurement after each tick: one late turn is forgotten within seconds."""
REPEATED_SECONDS: Final = 10.0
"""An illness that lasts is said again, well before it would be forgotten."""
NOTICED_SECONDS: Final = 1.0
"""Of patience: a smaller change is not told."""
SAMPLE: Final = 8
"""Messages of a batch that are looked at: they waited together."""


class Pulse:
    """One for each reactor. `lag_seconds`, `waited_seconds`: the worst of the last seconds."""

    def __init__(self) -> None:
        self.lag_seconds = self.waited_seconds = 0.0
        self._told_at = self._told = 0.0

    def read(self, asked: Sequence[Asked]) -> None:
        """Look at some messages of a batch."""
        for entry in asked[:: max(len(asked) // SAMPLE, 1)]:
            if isinstance(entry.event, e.Health) and entry.event.waited_seconds > self.waited_seconds:
                self.waited_seconds = entry.event.waited_seconds

    def tick(self, lag_seconds: float, now: float) -> e.OwnHealthMeasured | None:
        """Note how late a tick came. Return what changed; None if nothing did."""
        self.lag_seconds = max(lag_seconds, FADES * self.lag_seconds)
        signs = (own_health.of_loop(self.lag_seconds, now), own_health.of_bus(self.waited_seconds, now))
        seconds = sum(ill.seconds for ill in signs if ill is not None)
        waited, self.waited_seconds = self.waited_seconds, FADES * self.waited_seconds
        is_due = seconds > 0.0 and now >= self._told_at + REPEATED_SECONDS
        if abs(seconds - self._told) < NOTICED_SECONDS and not is_due and (seconds > 0.0) is (self._told > 0.0):
            return None
        self._told, self._told_at = seconds, now
        return e.OwnHealthMeasured(at=now, lag_seconds=self.lag_seconds, waited_seconds=waited)

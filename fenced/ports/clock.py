"""Time. The steady clock is seconds since the epoch that never jump while we live and go on in suspend (S11).

It is anchored once, at the start (at the journal's last time where the machine did not reboot, else at the wall
clock but never before the journal's last time), and advances with CLOCK_BOOTTIME.
"""

from typing import Protocol


class Clock(Protocol):
    """Where every `now` comes from."""

    def now(self) -> float:
        """Steady seconds since the epoch, UTC."""
        ...

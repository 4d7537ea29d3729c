"""The steady clock: seconds since the epoch that never jump while the daemon runs, and go on in suspend (S11).

It is set once at the start: to the journal's last time plus the time since if the machine did not reboot, else to the
wall clock, but never before the journal's last time. Then it advances with CLOCK_BOOTTIME.
"""

from typing import Protocol


class Clock(Protocol):
    """The source of every `now`."""

    def now(self) -> float:
        """Steady seconds since the epoch, UTC."""
        ...

"""The machine's clocks: a steady one on which everything is counted, and the conversion of its moments to wall time.

The steady clock continues from the anchor in the journal. A change of the wall clock alters only what is shown, never
what is counted.
"""

import asyncio
import math
import time
from typing import Final

import structlog

from fenced.host import machine
from fenced.host.calendar import Calendar
from fenced.ports.journal import ClockAnchor

log = structlog.get_logger(__name__)

APART_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 10.0


class Clocks:
    """`kept`: the journal's anchor. `last_at`: the steady time of its newest record. `steady_at`: what the clock reads
    now by the store's clock, if it has one."""

    def __init__(self, *, kept: ClockAnchor | None, last_at: float | None, steady_at: float | None = None) -> None:
        self._boot = machine.boot_id()  # read once, so that renewing the lease opens no file
        start = machine.steady_start(
            wall_now=time.time(),
            boot=self._boot,
            boottime_now=machine.boottime(),
            kept=kept,
            last_at=last_at,
            steady_at=steady_at,
        )
        self.steady = machine.SteadyClock(start)
        self._calendar = Calendar.of(kept.calendar if kept is not None else "")
        if kept is None or kept.boot_id != self._boot or not self._calendar.is_begun:
            self._calendar.begin(math.nextafter(start, math.inf))  # the last record of the previous run is at `start`
        self._calendar.measure(self.steady.ahead_seconds())

    def anchor(self) -> ClockAnchor:
        """Return the anchor from which the next run continues."""
        return ClockAnchor(
            boot_id=self._boot, boottime=machine.boottime(), steady=self.steady.now(), calendar=self._calendar.text
        )

    def wall(self, at: float) -> float:
        """Return the wall time of a steady moment (see model.moments.Wall)."""
        return self._calendar.wall(at)

    async def watch(self) -> None:
        """Measure the difference of the clocks, and log when they come apart and when they agree again.

        Durations stay right all the time.
        """
        is_apart = False
        while True:
            ahead = self.steady.ahead_seconds()
            self._calendar.measure(ahead)
            if (abs(ahead) > APART_SECONDS) is not is_apart:
                is_apart = not is_apart
                if is_apart:
                    log.warning(
                        "clocks_apart", ahead_seconds=round(ahead, 1),
                        advice="this machine's clock is or was wrong; shown times follow it; check the time service",
                    )  # fmt: skip
                else:
                    log.info("clocks_agree")
            await asyncio.sleep(LOOK_SECONDS)

"""The proxy agent's clock, and the two ids that say how long its readings are comparable.

Moments are comparable only under the same id: `life` for daemons (new with each start of the agent, so commands for an
earlier run are refused), `machine_boot` for moments stored on disk.
"""

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from fenced.proxy.protocol import WireClock


def machine_boot_id() -> str:
    """Return the kernel's id of this boot, or a unique one if the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyClock:
    """Seconds since the machine's boot. It runs on in suspend, so a command from before a suspend is late after it."""

    life: str = field(default_factory=lambda: uuid.uuid4().hex)
    machine_boot: str = field(default_factory=machine_boot_id)

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wire(self) -> WireClock:
        return WireClock(boot=self.life, monotonic=self.now())

"""The proxy agent's clock and the two lives that it is told in.

Knows no daemon. One rule: a moment is compared only within the life it was told in: `life` for daemons (new with
every start of the agent, so that a command of before is refused), `machine_boot` for what is kept on disk.
"""

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from fenced.proxy.protocol import WireClock


def machine_boot_id() -> str:
    """The kernel's id of this boot; where there is none, one that equals no other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyClock:
    """Seconds since the machine's boot; goes on in suspend, so that a command of before a suspend is late after it."""

    life: str = field(default_factory=lambda: uuid.uuid4().hex)
    machine_boot: str = field(default_factory=machine_boot_id)

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wire(self) -> WireClock:
        return WireClock(boot=self.life, monotonic=self.now())

"""A host that may get an order to shut down: its clocks, its workloads file, and the order itself."""

import json
import os
from pathlib import Path
from typing import Any, Final

from fenced.beat import fenced_beat
from fenced.beat.fenced_beat import Order, Orders, Settings, Workloads

BODY: Final[dict[str, Any]] = {
    "id": "4-118", "token": "4-118", "boot": "b-1", "seq": 7, "within": 30, "do": "shutdown", "reason": "saving",
}  # fmt: skip


class Clock:
    """The clock since the boot, and the wall clock beside it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000.0

    def go(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


def order(**changes: object) -> Order:
    return Order(json.dumps(BODY | changes).encode())


class Host:
    """A host of boot b-1 with no workloads, whose heartbeat 7 was just sent."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock, self.file = clock, folder / "workloads"
        texts = {key: default for key, default, *_ in fenced_beat.KEYS if isinstance(default, str)}
        texts |= {"host": "node-1", "workloads_file": str(self.file)}
        self.settings = Settings("mqtts", "broker", 8883, texts)
        self.settings.boot, self.settings.obey = "b-1", ("shutdown",)
        self.write("0\n")
        self.begin()

    def begin(self) -> None:
        """Start the program, and send a heartbeat."""
        self.workloads = Workloads(self.settings)
        self.orders = Orders(self.settings, self.workloads)
        self.orders.sent(7)

    def write(self, text: str, age: float = 0.0) -> None:
        self.file.write_text(text)
        os.utime(self.file, (self.clock.wall - age, self.clock.wall - age))

    def why(self, **changes: object) -> str:
        return self.orders.why_not_new(order(**changes))

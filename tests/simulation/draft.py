"""A scenario in the making: lines with their times in any order, and the number of faults.

Knows the times of a scenario and its random source, not the faults. All draws come from one source, in a fixed order.
"""

import random
import re
from dataclasses import dataclass, field
from typing import Final

from tests.world.rack import Rack

WARM_SECONDS: Final = 18.0
"""Nothing happens before this: the daemon has to hear its hosts first."""
TROUBLE_SECONDS: Final = 42.0
MENDED: Final = WARM_SECONDS + TROUBLE_SECONDS
NUMBER: Final = re.compile(r"-?[\d.]+%?")


@dataclass(slots=True)
class Draft:
    """`faults`: the number of faults; `dead`: hosts that die for good."""

    dice: random.Random
    rack: Rack
    lines: list[tuple[float, str]] = field(default_factory=list)
    faults: int = 0
    dead: list[str] = field(default_factory=list)

    def at(self, seconds: float, words: str) -> None:
        self.lines.append((round(seconds, 1), words))

    def first(self, words: str) -> None:
        """Add a line before everything else, even the daemon's start."""
        self.lines.insert(0, (0.0, words))

    def moment(self) -> float:
        """Return some time during the trouble."""
        return WARM_SECONDS + self.dice.uniform(0.0, TROUBLE_SECONDS)

    def until(self, start: float, *, most: float = 120.0) -> float:
        """Return when a fault that begins at `start` is mended."""
        return min(start + self.dice.choice((1.0, 5.0, 20.0, 40.0, most)), MENDED)

    def host(self) -> str:
        return self.dice.choice(self.rack.hosts)

    def device(self) -> str:
        return self.dice.choice(self.rack.devices).partition(":")[0]

    def proxy(self) -> str | None:
        """Return a proxy; None if the rack has none."""
        return self.dice.choice(self.rack.proxies) if self.rack.proxies else None

    def once(self, words: str) -> None:
        """Add a momentary fault, or one that stays."""
        self.at(self.moment(), words)
        self.faults += 1

    def passing(self, begins: str, ends: str, *, most: float = 120.0) -> None:
        """Add a fault with an end."""
        start = self.moment()
        self.at(start, begins)
        self.at(self.until(start, most=most), ends)
        self.faults += 1


def kind_of(words: str, rack: Rack) -> str:
    """Return a script line without its names and numbers: its kind."""
    names = {
        "fenced-a",
        *rack.other_daemons,
        *rack.hosts,
        *rack.proxies,
        *(device.partition(":")[0] for device in rack.devices),
    }
    return " ".join(word for word in words.split() if word.rstrip(":") not in names and NUMBER.fullmatch(word) is None)

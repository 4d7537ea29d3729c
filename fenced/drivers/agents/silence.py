"""Which ways to a device were seen to answer ON: what a silent agent's exit status may say OFF by.

Knows digests, not agents. One rule: what is not remembered was never seen; nothing is kept over a restart, after which the
device reads UNKNOWN until the same call has answered ON once more (S2).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WAYS_MAX: Final = 50_000

Way = bytes
"""One program in one state with one set of parameters: the same plug, asked in the same way."""


def way_of(program: Path, stamp: tuple[int, ...], parameters: bytes) -> Way:
    """`stamp`: which state of the program's file. The parameters hold secrets: only their digest is kept."""
    return hashlib.sha256(f"{program}\0{stamp}\0".encode() + parameters).digest()


@dataclass(slots=True)
class SeenOn:
    """The ways that answered ON, the longest unused forgotten first."""

    _ways: OrderedDict[Way, None] = field(default_factory=OrderedDict)

    def note(self, way: Way) -> None:
        """It answered ON just now."""
        self._ways[way] = None
        self._ways.move_to_end(way)
        if len(self._ways) > WAYS_MAX:
            self._ways.popitem(last=False)

    def __contains__(self, way: object) -> bool:
        return way in self._ways

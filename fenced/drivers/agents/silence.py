"""Remembers which calls have answered ON, so that the exit status of an agent that prints nothing may mean OFF.

It stores digests. Nothing survives a restart: then the device reads UNKNOWN until the same call answers ON again (S2).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WAYS_MAX: Final = 50_000

Way = bytes
"""Digest of one state of a program and one set of parameters: the same call to the same plug."""


def way_of(program: Path, stamp: tuple[int, ...], parameters: bytes) -> Way:
    """Return the digest of a call. `stamp`: the state of the program's file. The parameters hold secrets."""
    return hashlib.sha256(f"{program}\0{stamp}\0".encode() + parameters).digest()


@dataclass(slots=True)
class SeenOn:
    """The calls that answered ON; the least recently noted is dropped first."""

    _ways: OrderedDict[Way, None] = field(default_factory=OrderedDict)

    def note(self, way: Way) -> None:
        """Record an answer of ON."""
        self._ways[way] = None
        self._ways.move_to_end(way)
        if len(self._ways) > WAYS_MAX:
            self._ways.popitem(last=False)

    def __contains__(self, way: object) -> bool:
        return way in self._ways

"""Identifiers, each with a type of its own so that a host's name is never passed for a proxy's.

Names match exactly and wholly, never by a short form (S12).
"""

import functools
from dataclasses import dataclass
from typing import Final, NewType

HostName = NewType("HostName", str)
ClusterName = NewType("ClusterName", str)
DatacenterName = NewType("DatacenterName", str)
DeviceName = NewType("DeviceName", str)
ProxyName = NewType("ProxyName", str)
OperationId = NewType("OperationId", str)
PlugId = NewType("PlugId", str)
"""One outlet or blade: driver, resolved address and plug. A worker and its token memory belong to it."""
UnitId = NewType("UnitId", str)
"""One physical unit (address) with a bound of sessions of its own."""
BootId = NewType("BootId", str)

ENGINE: Final = ProxyName("engine")
"""The daemon's own machine as a proxy."""


@functools.total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A fence token: rises with every power command; compared last before the device (S5)."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return (self.epoch, self.sequence) < (other.epoch, other.sequence)

    @classmethod
    def parse(cls, text: str) -> "Token":
        """The token that `str` wrote. Raises ValueError for anything else."""
        epoch, _, sequence = text.partition("-")
        return cls(epoch=int(epoch), sequence=int(sequence))

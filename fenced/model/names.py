"""Identifiers, each with a type, so that a host's name can't be passed as a proxy's.

Names match exactly and as a whole, never by a short form (S12).
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
"""One outlet or blade: driver, resolved address and plug. Each has one worker, which remembers its highest token."""
UnitId = NewType("UnitId", str)
"""One physical unit (address), with a limit on concurrent sessions."""
BootId = NewType("BootId", str)

ENGINE: Final = ProxyName("engine")
"""The daemon's machine as a proxy."""
MAIN_SHARD: Final = "main"
"""The shard of every data centre that names no other."""


@functools.total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A fence token. It rises with every power command and is compared last before the device (S5)."""

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
        """Parse a token that `str` wrote. Raises ValueError for anything else."""
        epoch, _, sequence = text.partition("-")
        return cls(epoch=int(epoch), sequence=int(sequence))

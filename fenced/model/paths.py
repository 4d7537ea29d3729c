"""The last reading of each path to a device, kept within an operation, and across operations where paths disagree."""

from dataclasses import dataclass

from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Power


@dataclass(frozen=True, slots=True, kw_only=True)
class PathWord:
    """The last reading through one path: ON or OFF, or UNKNOWN after a command, when the path must be read again.

    `asked_at`: when the path was last read, successfully or not; 0 if not since the command. `is_old`: a chassis
    read ON before the host's outlets were switched off.
    """

    proxy: ProxyName
    power: Power
    asked_at: float = 0.0
    is_old: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Paths to one device that read ON and OFF at the same time: they may lead to different units. No OFF of the device
    counts until every path has read OFF."""

    device: DeviceName
    words: tuple[PathWord, ...]

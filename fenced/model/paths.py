"""What paths to a device said, as it is kept: in an operation, and over operations where they did not agree."""

from dataclasses import dataclass

from fenced.model.names import DeviceName, ProxyName
from fenced.model.power import Power


@dataclass(frozen=True, slots=True, kw_only=True)
class PathWord:
    """What one path to a device said last: ON or OFF; UNKNOWN where it must be asked again, for a command of ours came since.

    `asked_at`: when it was asked last, whatever came of it; 0 where it was not asked since. `is_old`: a chassis
    read ON, and since then the host's outlets were switched off.
    """

    proxy: ProxyName
    power: Power
    asked_at: float = 0.0
    is_old: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Paths to a device that read ON and OFF side by side: they may lead to different units. Until each of them was read
    OFF, no OFF of the device counts."""

    device: DeviceName
    words: tuple[PathWord, ...]

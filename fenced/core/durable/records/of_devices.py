"""Records about what is known of a host's devices over operations: readings, disputes, trust."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.state import FenceableLevel, Reason, Trial
from fenced.model.names import DeviceName, OperationId, ProxyName
from fenced.model.paths import PathWord
from fenced.model.power import Power


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradicted:
    """Two readings exclude each other: all outlets OFF and a chassis ON; or, with `device`, ON and OFF
    of one device through different paths (`words`).
    """

    operation: OperationId | None
    why: str
    device: DeviceName | None = None
    words: tuple[PathWord, ...] = ()
    kind: Literal["contradicted"] = "contradicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongMachineFound:
    """A device reports that it belongs to another machine than its host; no command was sent to it."""

    operation: OperationId | None
    device: DeviceName
    why: str
    kind: Literal["wrong_machine_found"] = "wrong_machine_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSeen:
    """The watch, or a reading outside any operation, read a changed power state."""

    device: DeviceName
    power: Power
    kind: Literal["power_seen"] = "power_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRead:
    """The check or the watch read a disputed device, and this path reads differently than before."""

    device: DeviceName
    proxy: ProxyName
    power: Power
    kind: Literal["path_read"] = "path_read"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsAgreed:
    """A dispute is over: all its paths read OFF, or an operator ended the host's maintenance."""

    device: DeviceName
    kind: Literal["paths_agreed"] = "paths_agreed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesDistrusted:
    """The devices read OFF while the host was healthy. Their OFF proves nothing until they follow the host again."""

    devices: tuple[DeviceName, ...]
    why: str
    kind: Literal["devices_distrusted"] = "devices_distrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAdvanced:
    """A distrusted device was seen ON with its host heard, or after that OFF with its host off."""

    trial: Trial
    kind: Literal["trust_advanced"] = "trust_advanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesTrusted:
    """Distrusted devices followed the host again."""

    devices: tuple[DeviceName, ...]
    kind: Literal["devices_trusted"] = "devices_trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceableChanged:
    """The host can be fenced through more or fewer devices than before, or for other reasons."""

    level: FenceableLevel
    why: tuple[Reason, ...]
    kind: Literal["fenceable_changed"] = "fenceable_changed"


DeviceRecord = (
    Contradicted
    | WrongMachineFound
    | PowerSeen
    | PathRead
    | PathsAgreed
    | DevicesDistrusted
    | TrustAdvanced
    | DevicesTrusted
    | FenceableChanged
)

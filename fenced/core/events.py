"""What happened, in the past tense: everything the core decides upon. Any of them may be late, twice, out of order or lost.

Times are those of the steady clock. Requests of people and programs are events too: they say what was asked, not that
it will be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fenced.core.durable.state import RaceEntry
from fenced.core.heard.messages import BusRequest as BusRequest
from fenced.core.heard.messages import Evidence as Evidence
from fenced.core.heard.messages import Health as Health
from fenced.core.heard.messages import HealthStatus as HealthStatus
from fenced.core.heard.messages import Presence as Presence
from fenced.model.inventory import Inventory
from fenced.model.names import DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Action, Outcome, Power

# -- the bus ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConnected:
    """Connected and subscribed."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusDisconnected:
    """The connection is gone; it is tried again for ever."""

    at: float
    why: str


# -- time and ourselves -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A moment came at which the host must be looked at again."""

    host: HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class PausesDue:
    """The time of a pause is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesDue:
    """Once in a while the gates that hold the whole fleet or a cluster are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The daemon did not run for the `seconds` before `at`: that time is no host's silence (S11)."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRenewed:
    """We hold the lease until then."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """The lease is lost or in doubt: no power command is started, running ONs are killed."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted:
    """The daemon stops: running power steps reach a safe point, nothing else begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxiesSeen:
    """Proxies that can't be used whatever their machine does, and why: all of them, as they are now."""

    faults: Mapping[ProxyName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsListed:
    """The paths that are read from now on; what was read of any other is of no more use."""

    paths: frozenset[tuple[HostName, DeviceName, ProxyName]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The journal was replayed; operations in flight are taken up again (S13)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRead:
    """The configuration was read again, whole."""

    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadEnded:
    """Somebody asked for the configuration to be read again. `refused`: why it was not taken; "": it is in force."""

    refused: str


# -- effects that ended -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeAsked:
    """The host itself was asked; `answered` says who answered, None nobody. `was_asked`: there was something to ask."""

    host: HostName
    answered: str | None
    was_asked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceFinished:
    """A proxy race ended. `winner` None: no candidate could read the device. `number`: that of its RunRace; a late result of
    an earlier race is not taken for this one's. `settling_until`: the winner said OFF, which counts as UNKNOWN until then."""

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    winner: ProxyName | None
    reserves: tuple[ProxyName, ...]
    entries: tuple[RaceEntry, ...]
    power: Power
    settling_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A read or command ended. `kind`: that of its error (ports.devices). `note`: why an OFF that was read counts as
    UNKNOWN until `settling_until`."""

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    outcome: Outcome
    error: str | None = None
    is_end_known: bool = True
    kind: str = ""
    note: str | None = None
    settling_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSeen:
    """A command's own process exists and waits for its parameters (S16)."""

    host: HostName
    operation: OperationId
    device: DeviceName
    number: int
    pid: int
    pid_started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementDelivered:
    """The broker acknowledged the `fenced` event of an operation."""

    host: HostName
    operation: OperationId


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEnded:
    """S17's round of reading a fenced or failed host's devices ended; a device that could not be read is UNKNOWN.

    `races`: how each candidate fared."""

    host: HostName
    started: float
    powers: tuple[tuple[DeviceName, Power], ...]
    races: tuple[tuple[DeviceName, tuple[RaceEntry, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChecked:
    """The check read a device through one proxy. `error` None: `power` was read; else `failure` is the error's kind.

    `identities`: which machine the device said that it belongs to; empty: it told nothing, which says nothing."""

    host: HostName
    device: DeviceName
    proxy: ProxyName
    started: float
    ended: float
    power: Power
    error: str | None = None
    failure: str = ""
    identities: tuple[str, ...] = ()


# -- requests ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionAsked:
    """A person or program asks for off, on, restart, status or probe."""

    host: HostName
    action: Action
    by: str
    reason: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOffAsked:
    """A person states that the host is off; its devices were read just before (`read`: that operation)."""

    host: HostName
    by: str
    reason: str
    is_forced: bool
    read: OperationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """A person wants an operation to stop."""

    host: HostName
    operation: OperationId
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceAsked:
    """A person wants the host left alone (`is_on`), or looked after again."""

    host: HostName
    is_on: bool
    by: str
    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked:
    """A person wants automatic fencing paused for the hosts that `match` selects."""

    match: str
    by: str
    reason: str
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEndAsked:
    """A person ends a pause."""

    id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAsked:
    """A person arms (`is_on`) or disarms the daemon."""

    is_on: bool
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReleaseAsked:
    """A person looked, and lets the store that is in doubt decide."""

    by: str
    reason: str


BusEvent = Health | Presence | Evidence | BusRequest | BusConnected | BusDisconnected
Asked = (
    ActionAsked
    | ConfirmOffAsked
    | CancelAsked
    | MaintenanceAsked
    | PauseAsked
    | PauseEndAsked
    | ArmAsked
    | StoreReleaseAsked
)
Event = (
    BusEvent
    | TimerFired
    | PausesDue
    | GatesDue
    | Stalled
    | LeaseRenewed
    | LeaseLost
    | DrainStarted
    | ProxiesSeen
    | PathsListed
    | Started
    | InventoryRead
    | ReloadEnded
    | LifeAsked
    | RaceFinished
    | StepFinished
    | AgentSeen
    | AnnouncementDelivered
    | WatchEnded
    | PathChecked
    | Asked
)

"""What happened, in the past tense: everything the core decides upon. Any of them may be late, twice, out of order or lost.

Times are those of the steady clock. Requests of people and programs are events too: they say what was asked, not that
it will be done.
"""

from dataclasses import dataclass
from enum import Enum

from fenced.core.durable.state import RaceEntry
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Action, Outcome, Power

# -- the bus ----------------------------------------------------------------------------------------------------------


class HealthStatus(Enum):
    """What a heartbeat says of its host."""

    OK = "ok"
    FAILING = "failing"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One message of `health/HOST`, or of POST health/H. `received`: when we read it, on the steady clock.

    `waited_seconds`: how long it may have lain with us before that, at most (in our socket, while we were busy).
    `sequence` counts within one boot and one `reporter`. `unread`: fields that could not be read, and are as absent.
    """

    host: HostName
    received: float
    is_retained: bool
    waited_seconds: float = 0.0
    boot: BootId | None = None
    reporter: str = ""
    sequence: int | None = None
    status: HealthStatus = HealthStatus.OK
    interval_seconds: float | None = None
    workloads: int = 0
    roles: tuple[str, ...] = ()
    reason: str = ""
    unread: tuple[str, ...] = ()

    @property
    def reached(self) -> float:
        """The earliest moment at which it may have reached us: what waited with us is no newer for it."""
        return self.received - self.waited_seconds

    @property
    def is_boot_unread(self) -> bool:
        """It speaks of some run of the host, and nobody knows of which."""
        return "boot" in self.unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """`presence/HOST`: online, or offline (the reporter's last will: one weak sign)."""

    host: HostName
    received: float
    is_retained: bool
    is_online: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`evidence/HOST/SOURCE`: somebody else's word on whether the host lives, good for `ttl_seconds`."""

    host: HostName
    source: str
    received: float
    is_retained: bool
    evidence_kind: str
    is_alive: bool
    ttl_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRequest:
    """`request/HOST`, well-formed. `sent_at`: by our steady clock. `reply_topic` and `correlation`: MQTT 5, or None for
    `reply/ID`."""

    host: HostName
    received: float
    is_retained: bool
    id: str
    action: str
    reason: str
    by: str
    sent_at: float
    reply_topic: str | None
    correlation: bytes | None


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
class Ticked:
    """Another second went by; what ends by its time is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """We did not run for so many seconds: that time is nobody's silence (S11)."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRenewed:
    """We hold the lease until then."""

    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """The lease is lost or in doubt: no power command is started, running ONs are killed."""

    why: str


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
    | Ticked
    | Stalled
    | LeaseRenewed
    | LeaseLost
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

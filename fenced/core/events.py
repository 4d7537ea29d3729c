"""The events on which the core decides, in the past tense. Any of them may be late, duplicated, reordered or lost.

Times are on the steady clock. Requests of operators and programs are events too: they say what was requested, not that
it will be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fenced.core.durable.fleet_state import Words
from fenced.core.durable.restricting import Word
from fenced.core.durable.state import RaceEntry
from fenced.core.heard.checks import NOTHING
from fenced.core.heard.looks import Look
from fenced.core.heard.messages import BusRequest as BusRequest
from fenced.core.heard.messages import Evidence as Evidence
from fenced.core.heard.messages import Health as Health
from fenced.core.heard.messages import HealthStatus as HealthStatus
from fenced.core.heard.messages import Presence as Presence
from fenced.core.heard.messages import StateSeen as StateSeen
from fenced.core.heard.others import BudgetSeen as BudgetSeen
from fenced.core.heard.own import NEWEST_FORMAT
from fenced.core.heard.requests import ActionAsked as ActionAsked
from fenced.core.heard.requests import ArmAsked as ArmAsked
from fenced.core.heard.requests import Asked as Asked
from fenced.core.heard.requests import CancelAsked as CancelAsked
from fenced.core.heard.requests import ConfirmOffAsked as ConfirmOffAsked
from fenced.core.heard.requests import DrillAsked as DrillAsked
from fenced.core.heard.requests import MaintenanceAsked as MaintenanceAsked
from fenced.core.heard.requests import PauseAsked as PauseAsked
from fenced.core.heard.requests import PauseEndAsked as PauseEndAsked
from fenced.core.heard.requests import StoreReleaseAsked as StoreReleaseAsked
from fenced.core.heard.requests import StormReleaseAsked as StormReleaseAsked
from fenced.model.inventory import Inventory
from fenced.model.names import DeviceName, HostName, OperationId, ProxyName, Token
from fenced.model.power import Outcome, Power

# -- the bus ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConnected:
    """Connected and subscribed."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusDisconnected:
    """The connection is gone; the bus client retries for ever."""

    at: float
    why: str


# -- time and the daemon itself ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """The host's scheduled check is due."""

    host: HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class PausesDue:
    """At least one pause has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesDue:
    """The gates of the whole fleet and of clusters are due for a check; comes at intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The daemon did not run for the `seconds` before `at`: no host was silent then (S11)."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnHealthMeasured:
    """The daemon measured itself, and something changed: how late its loop turns, and how long beats waited for it."""

    at: float
    lag_seconds: float
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRenewed:
    """The daemon holds the lease until then. `format`: of the store's texts; an older one lacks the newest records."""

    until: float
    format: int = NEWEST_FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """The lease is lost or in doubt: no power command starts, running ONs are killed."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted:
    """The daemon stops: running power steps reach a safe point, nothing else begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxiesSeen:
    """All proxies that can't be used even if their machine is well, and why. Replaces the earlier set.

    `observers`: those whose own file lets them look at hosts, also while they can't be reached. `untold`: those that
    have not answered since the start, so that nobody knows whether they look.
    """

    faults: Mapping[ProxyName, str]
    observers: frozenset[ProxyName] = frozenset()
    untold: frozenset[ProxyName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsListed:
    """From now on the check reads these paths; results of any other path are dropped."""

    paths: frozenset[tuple[HostName, DeviceName, ProxyName]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The journal was replayed and the lease is held; operations in flight continue (S13).

    `before`: who held the lease, if that was another controller; else "". `outlast`: until when its commands may act,
    by host and token. `words`: what operators said, as kept beside a store that lost its newest records (S22).
    `doubts`: what other controllers saw that the store lacks. `said`: what they accepted and no record holds yet.
    """

    before: str = ""
    outlast: Mapping[HostName, tuple[tuple[Token, float], ...]] = field(default_factory=lambda: NOTHING)
    words: Words | None = None
    doubts: tuple[str, ...] = ()
    said: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtReported:
    """Another controller saw records that the store lacks now (S22)."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverAsked:
    """An operator wants another controller to hold the lease. `to`: its name, or "" for any."""

    to: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRead:
    """The whole configuration was read again. `is_trial`: only answer whether it would be taken."""

    inventory: Inventory
    is_trial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadEnded:
    """A requested reload ended. `refused`: why the new configuration was rejected; "": it is in force."""

    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A request that may come twice, as when its answer was lost at a takeover: the same key is obeyed once.

    `key`: of the caller and the key that it gave; `content`: a digest of what it requested.
    """

    key: str
    content: str
    event: "Event"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsRead:
    """Words wait in the store that other controllers accepted. The batch that holds this event removes them there."""

    words: tuple[Word, ...]


# -- effects that ended -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeAsked:
    """The probe of a host ended. `answered`: who answered, or None. `was_asked`: False: nothing to probe. `looks`: what
    each observer saw."""

    host: HostName
    answered: str | None
    was_asked: bool = True
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLooked:
    """A trial look at a host that was heard ended (`core.suspected.trials`)."""

    host: HostName
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceFinished:
    """A proxy race ended. `winner` None: no candidate could read the device.

    `number`: that of its RunRace, so that a late result of an earlier race is not mistaken for this one's.
    `settling_until`: the winner read OFF, which counts as UNKNOWN until then.
    """

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
    """A command's agent process exists and waits for its parameters (S16)."""

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
    """A watch round over a fenced or failed host's devices ended (S17); a device that could not be read is UNKNOWN.

    `races`: how each candidate fared.
    """

    host: HostName
    started: float
    powers: tuple[tuple[DeviceName, Power], ...]
    races: tuple[tuple[DeviceName, tuple[RaceEntry, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChecked:
    """The check read a device through one proxy. `error` None: `power` was read; else `failure` is the error's kind.

    `identities`: the machine that the device says it belongs to; empty: it reports none, which means nothing.
    """

    host: HostName
    device: DeviceName
    proxy: ProxyName
    started: float
    ended: float
    power: Power
    error: str | None = None
    failure: str = ""
    identities: tuple[str, ...] = ()


BusEvent = Health | Presence | Evidence | BusRequest | StateSeen | BusConnected | BusDisconnected
Event = (
    BusEvent
    | TimerFired
    | PausesDue
    | GatesDue
    | Stalled
    | OwnHealthMeasured
    | LeaseRenewed
    | LeaseLost
    | DrainStarted
    | BudgetSeen
    | ProxiesSeen
    | PathsListed
    | Started
    | DoubtReported
    | HandOverAsked
    | Keyed
    | WordsRead
    | InventoryRead
    | ReloadEnded
    | LifeAsked
    | TrialLooked
    | RaceFinished
    | StepFinished
    | AgentSeen
    | AnnouncementDelivered
    | WatchEnded
    | PathChecked
    | Asked
)

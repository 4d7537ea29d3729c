"""What operators and programs request. It says what was requested, not that it will be done."""

from dataclasses import dataclass

from fenced.model.names import HostName, OperationId
from fenced.model.power import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionAsked:
    """An operator or program requests off, on, restart, status, probe or sleep."""

    host: HostName
    action: Action
    by: str
    reason: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillAsked:
    """An operator requests a drill: a living spare host is fenced for real. `is_forced`: also in a fleet in trouble."""

    host: HostName
    by: str
    reason: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOffAsked:
    """An operator states that the host is off. `read`: the operation that read its devices just before."""

    host: HostName
    by: str
    reason: str
    is_forced: bool
    read: OperationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """An operator cancels an operation."""

    host: HostName
    operation: OperationId
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceAsked:
    """An operator starts (`is_on`) or ends a host's maintenance. `is_recovered` False: a takeover recovers the host's
    operations after it, so nothing goes on yet."""

    host: HostName
    is_on: bool
    by: str
    reason: str
    until: float | None = None
    is_recovered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked:
    """An operator pauses automatic fencing for the hosts that `match` selects.

    `id`: that of a pause of all shards, which need not select a host of this one; "": of this shard alone.
    `is_accepted`: another controller accepted it already, so it can't be refused any more.
    """

    match: str
    by: str
    reason: str
    until: float | None
    id: str = ""
    is_accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEndAsked:
    """An operator ends a pause."""

    id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAsked:
    """An operator arms (`is_on`) or disarms the daemon."""

    is_on: bool
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReleaseAsked:
    """An operator checked the store in doubt and lets the daemon act on it again."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StormReleaseAsked:
    """An operator looked at a storm's domain: its silent hosts may be fenced like any other."""

    id: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeAsked:
    """An operator or program wants `hosts` more hosts of a cluster awake (S24)."""

    cluster: str
    hosts: int
    by: str
    reason: str


Asked = (
    ActionAsked
    | DrillAsked
    | ConfirmOffAsked
    | CancelAsked
    | MaintenanceAsked
    | PauseAsked
    | PauseEndAsked
    | ArmAsked
    | StoreReleaseAsked
    | StormReleaseAsked
    | WakeAsked
)

"""Records about one host: its state, the proof of off, its debts, what operators requested."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.drill_state import DrillResult, DrillStep
from fenced.core.durable.operation_state import GateVerdict
from fenced.core.durable.state import Orphan
from fenced.model.names import BootId, DeviceName, OperationId, Token
from fenced.model.power import Cause, Proof, State


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHeard:
    """The host is healthy: its first heartbeat ever, a new boot, or life that ended another state (`before`)."""

    boot: BootId | None
    before: str
    why: Literal["first", "cleared", "rebooted", "restored", "back", "returned"]
    kind: Literal["host_heard"] = "host_heard"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSuspected:
    """The host is silent beyond its grace, or was reported failing."""

    cause: Cause
    reason: str
    last_heard: float | None
    kind: Literal["host_suspected"] = "host_suspected"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspicionReleased:
    """A hold, a bus outage or the daemon's start ended; a host that was silent meanwhile has until `until`."""

    until: float
    why: str
    kind: Literal["suspicion_released"] = "suspicion_released"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHeld:
    """The set of closed gates changed; empty: no gate holds the host. `would`: the action, if the daemon were armed."""

    gates: tuple[GateVerdict, ...]
    would: str | None = None
    kind: Literal["host_held"] = "host_held"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLeft:
    """The host announced that it stops, so silence is expected. `is_overdue`: it is away longer than `stopping_max`."""

    reason: str
    is_overdue: bool = False
    kind: Literal["host_left"] = "host_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFenced:
    """The host is verified off. Recovery elsewhere starts at the announcement of this record.

    `vouched`: devices for which only the configuration (`cuts_power`) claims that they cut power.
    """

    proof: Proof
    operation: OperationId | None
    level: int | None
    boot: BootId | None
    token: Token
    devices: tuple[DeviceName, ...]
    is_stay_off: bool
    by: str
    reason: str
    cause: Cause
    last_heard: float | None
    vouched: tuple[DeviceName, ...] = ()
    kind: Literal["host_fenced"] = "host_fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRevoked:
    """The announcement `fenced` no longer holds (S17). `distrusted`: devices that reported a wrong OFF."""

    why: str
    token: Token
    boot: BootId | None
    distrusted: tuple[DeviceName, ...]
    is_alive: bool
    kind: Literal["host_revoked"] = "host_revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRestored:
    """Everything that was switched off reads ON again, except `missing` (redundancy lost)."""

    operation: OperationId | None
    missing: tuple[DeviceName, ...]
    kind: Literal["host_restored"] = "host_restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFailed:
    """Restoring power failed. The devices stay owed and watched."""

    operation: OperationId
    missing: tuple[DeviceName, ...]
    why: str
    kind: Literal["restore_failed"] = "restore_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceFailed:
    """No level proved the host off; it may still run. `next_attempt_at` None: no automatic attempt is left."""

    operation: OperationId
    why: str
    next_attempt_at: float | None
    kind: Literal["fence_failed"] = "fence_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOff:
    """Devices that the daemon switched off stay off until an operator acts (last attempt, stopped restore).

    `devices`: those that are off. Old records lack the field: all devices owed then.
    """

    operation: OperationId | None
    why: str
    devices: tuple[DeviceName, ...] = ()
    kind: Literal["left_off"] = "left_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtsSorted:
    """The inventory was edited.

    `owed`: devices still configured; `orphans`: devices that are not, or on another outlet.
    """

    owed: tuple[DeviceName, ...]
    orphans: tuple[Orphan, ...]
    kind: Literal["debts_sorted"] = "debts_sorted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPutAside:
    """The host's records can't be restored, so its state is unknown until an operator acts.

    `token` is above every earlier one.
    """

    why: str
    token: Token
    kind: Literal["host_put_aside"] = "host_put_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRemoved:
    """The inventory no longer has the host. Its debts stay in its records, in case it comes back."""

    kind: Literal["host_removed"] = "host_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReturned:
    """A removed host is in the inventory again."""

    kind: Literal["host_returned"] = "host_returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSet:
    """An operator takes the host out of automatic fencing.

    `after`: the state from now on (a fenced host stays fenced).
    """

    by: str
    reason: str
    until: float | None
    after: State
    kind: Literal["maintenance_set"] = "maintenance_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEnded:
    """Maintenance ended; the host starts from `unknown` until it is heard."""

    by: str
    reason: str
    kind: Literal["maintenance_ended"] = "maintenance_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A rule refused a request. Kept so that operators can see later why nothing happened."""

    action: str
    by: str
    reason: str
    rule: str
    why: str
    kind: Literal["request_refused"] = "request_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnded:
    """A drill of the host ended. `failed_step`: the first step that is not proven; None: it succeeded."""

    operation: OperationId
    result: DrillResult
    failed_step: DrillStep | None
    why: str
    kind: Literal["drill_ended"] = "drill_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsOutlast:
    """Until when commands of another controller may act (S21): for their whole time from when this one learned of them,
    or no longer, where their proxy says that they ended.

    `until`: by token, in seconds of the steady clock.
    """

    until: tuple[tuple[Token, float], ...]
    kind: Literal["commands_outlast"] = "commands_outlast"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementLost:
    """The bus shows a token of this host that the journal does not know: the store lost the record (S22).

    `lost`: that token. `shown`: the state that the bus showed. `is_proven`: it rested on a proof of OFF that the
    journal does not know. `is_proof_kept`: it rested on the journal's proof, and only an ON after it was lost. `token`:
    the host's new token, above the lost one.
    """

    lost: Token
    shown: str
    is_proven: bool
    token: Token
    why: str
    is_proof_kept: bool = False
    kind: Literal["announcement_lost"] = "announcement_lost"


HostStateRecord = (
    HostHeard
    | HostSuspected
    | SuspicionReleased
    | HostHeld
    | HostLeft
    | HostFenced
    | HostRevoked
    | HostRestored
    | RestoreFailed
    | FenceFailed
    | LeftOff
    | DebtsSorted
    | HostPutAside
    | HostRemoved
    | HostReturned
    | MaintenanceSet
    | MaintenanceEnded
    | RequestRefused
    | DrillEnded
    | CommandsOutlast
    | AnnouncementLost
)

"""Durable facts, in the past tense: what the journal holds and `evolve` folds. Each says what became true, never what to do.

`kind` names the record in the journal; it is fixed for ever once released.
"""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.fleet_state import AnsweredRequest, ClosedGate, Pause
from fenced.core.durable.state import (
    DeviceRun,
    Exclusion,
    FenceableLevel,
    GateVerdict,
    Operation,
    Orphan,
    Phase,
    RaceEntry,
    Reason,
    Restored,
    Trial,
)
from fenced.model.names import BootId, DeviceName, HostName, OperationId, PlugId, ProxyName, Token
from fenced.model.paths import PathWord
from fenced.model.power import Action, Cause, OperationState, Outcome, Power, Proof, State, What

# -- the host ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHeard:
    """The host is healthy: first heartbeat ever, a new boot, or life that ended another state (`before`)."""

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
    """A hold, a bus outage or our own start ended; the host, silent through it, gets until `until`."""

    until: float
    why: str
    kind: Literal["suspicion_released"] = "suspicion_released"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHeld:
    """The set of closed gates changed; empty: nothing holds the host any more. `would`: what would be done, when disarmed."""

    gates: tuple[GateVerdict, ...]
    would: str | None = None
    kind: Literal["host_held"] = "host_held"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLeft:
    """The host said that it stops; silence is expected. `is_overdue`: it was longer away than `stopping_max`."""

    reason: str
    is_overdue: bool = False
    kind: Literal["host_left"] = "host_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFenced:
    """The host is verified off: the announcement that others start their recovery at.

    `vouched`: those of the devices of which a person's word alone says that they cut power.
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
    """What was announced as fenced is no longer true (S17). `distrusted`: devices that lied."""

    why: str
    token: Token
    boot: BootId | None
    distrusted: tuple[DeviceName, ...]
    is_alive: bool
    kind: Literal["host_revoked"] = "host_revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradicted:
    """Two things that can't both be true were read: all outlets OFF and a chassis ON, or, where `device` is given, ON and
    OFF of one device through different paths (`words`)."""

    operation: OperationId | None
    why: str
    device: DeviceName | None = None
    words: tuple[PathWord, ...] = ()
    kind: Literal["contradicted"] = "contradicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongMachineFound:
    """A device said that it belongs to another machine than its host; nothing was sent to it."""

    operation: OperationId | None
    device: DeviceName
    why: str
    kind: Literal["wrong_machine_found"] = "wrong_machine_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOff:
    """Devices that we switched off stay off until a person acts (the window's last attempt, a restore that was stopped).

    `devices`: those that are off; in records of before it was kept: all that were owed."""

    operation: OperationId | None
    why: str
    devices: tuple[DeviceName, ...] = ()
    kind: Literal["left_off"] = "left_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtsSorted:
    """The inventory was edited: which of the devices that we switched off it still has, and which not (`orphans`)."""

    owed: tuple[DeviceName, ...]
    orphans: tuple[Orphan, ...]
    kind: Literal["debts_sorted"] = "debts_sorted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPutAside:
    """Its records could not be taken up: nobody knows what it is, and it is left to a person. `token`: above all that
    was announced of it."""

    why: str
    token: Token
    kind: Literal["host_put_aside"] = "host_put_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRemoved:
    """The inventory has the host no more; what is owed to it stays in its records, should it come back."""

    kind: Literal["host_removed"] = "host_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReturned:
    """A host that had been removed is in the inventory again."""

    kind: Literal["host_returned"] = "host_returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSet:
    """A person asked to leave the host alone. `after`: the state from now on (a fenced host stays fenced)."""

    by: str
    reason: str
    until: float | None
    after: State
    kind: Literal["maintenance_set"] = "maintenance_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEnded:
    """The host is looked after again; it starts from `unknown` until it is heard."""

    by: str
    reason: str
    kind: Literal["maintenance_ended"] = "maintenance_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSeen:
    """The watch, or a reading without an operation, saw a device's power change."""

    device: DeviceName
    power: Power
    kind: Literal["power_seen"] = "power_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRead:
    """The check or the watch read a device whose paths had not agreed, and that path says something else than before."""

    device: DeviceName
    proxy: ProxyName
    power: Power
    kind: Literal["path_read"] = "path_read"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsAgreed:
    """Every path that had not agreed read OFF, or a person had the host in hand meanwhile."""

    device: DeviceName
    kind: Literal["paths_agreed"] = "paths_agreed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesDistrusted:
    """Devices read OFF while the host was healthy: their OFF proves nothing until they were seen to follow the host."""

    devices: tuple[DeviceName, ...]
    why: str
    kind: Literal["devices_distrusted"] = "devices_distrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAdvanced:
    """A distrusted device was seen ON with its host heard, or then dark with its host off."""

    trial: Trial
    kind: Literal["trust_advanced"] = "trust_advanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceableChanged:
    """The host can be fenced in more or fewer ways than before, or for other reasons."""

    level: FenceableLevel
    why: tuple[Reason, ...]
    kind: Literal["fenceable_changed"] = "fenceable_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesTrusted:
    """Distrusted devices were seen to follow the host again."""

    devices: tuple[DeviceName, ...]
    kind: Literal["devices_trusted"] = "devices_trusted"


# -- the operation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStarted:
    """An operation exists from now on, whole: plan, gates, cause. `slot` says whether it runs, waits or only reads."""

    operation: Operation
    slot: Literal["running", "waiting", "reading"]
    kind: Literal["operation_started"] = "operation_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOperationStarted:
    """The operation that waited runs from now on."""

    operation: OperationId
    deadline: float
    kind: Literal["waiting_operation_started"] = "waiting_operation_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationJoined:
    """An equal request joined, or a compatible one changed what the operation will do (section 4's table)."""

    operation: OperationId
    by: str
    reason: str
    action: Action
    cause: Cause
    kind: Literal["operation_joined"] = "operation_joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A request was refused by a rule; kept because people ask later why nothing happened."""

    action: str
    by: str
    reason: str
    rule: str
    why: str
    kind: Literal["request_refused"] = "request_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEntered:
    """The operation tries to prove the host off by this level, until the level's deadline."""

    operation: OperationId
    level: int
    deadline: float
    kind: Literal["level_entered"] = "level_entered"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeChecked:
    """The host's own ports and proxy agent were tried before power. `answered`: who answered, or None."""

    operation: OperationId
    answered: str | None
    kind: Literal["life_checked"] = "life_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesPassed:
    """The gates were looked at once more before the first OFF of a level, and were open."""

    operation: OperationId
    level: int
    gates: tuple[GateVerdict, ...]
    kind: Literal["gates_passed"] = "gates_passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEntered:
    """The operation goes on to another phase. `deadline`: that of the restore, where it begins."""

    operation: OperationId
    phase: Phase
    deadline: float | None = None
    kind: Literal["phase_entered"] = "phase_entered"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceStarted:
    """Candidates are being probed for a device. `disputed`: paths that did not agree; all must be read before an OFF counts."""

    operation: OperationId
    device: DeviceName
    excluded: tuple[Exclusion, ...]
    disputed: tuple[ProxyName, ...] = ()
    kind: Literal["race_started"] = "race_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEnded:
    """The race for a device ended; without a winner it runs again after `again_at`."""

    operation: OperationId
    device: DeviceName
    winner: ProxyName | None
    reserves: tuple[ProxyName, ...]
    entries: tuple[RaceEntry, ...]
    power: Power
    again_at: float
    settling_until: float = 0.0
    kind: Literal["race_ended"] = "race_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A read or a command is on its way. A command carries its token and the last moment at which it can still act."""

    operation: OperationId
    device: DeviceName
    number: int
    what: What
    proxy: ProxyName
    plug_id: PlugId
    token: Token | None = None
    not_after: float | None = None
    kind: Literal["step_started"] = "step_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStarted:
    """The program that carries out a command runs and waits for its parameters (S16)."""

    operation: OperationId
    device: DeviceName
    number: int
    pid: int
    pid_started: str
    kind: Literal["agent_started"] = "agent_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step ended. `is_end_known`: a command that timed out at a proxy may still act until its `not_after`.

    `settled_at`: the call ended, the device may still act until then (its `settle`). `error_kind`: that of ports.devices.
    `error` is also why an OFF counts as UNKNOWN until `settling_until`."""

    operation: OperationId
    device: DeviceName
    number: int
    outcome: Outcome
    error: str | None
    is_end_known: bool
    wait_until: float
    settled_at: float | None = None
    error_kind: str = ""
    settling_until: float = 0.0
    kind: Literal["step_ended"] = "step_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLost:
    """A device's proxy stopped working; the next reserve, or a new race, takes over. `proxy`: which; None: its own."""

    operation: OperationId
    device: DeviceName
    why: str
    proxy: ProxyName | None = None
    kind: Literal["path_lost"] = "path_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGivenUp:
    """No attempt at a device is left in this phase."""

    operation: OperationId
    device: DeviceName
    why: str
    kind: Literal["device_given_up"] = "device_given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStopped:
    """A person or life stopped the operation; it ends `ending` once its commands are settled."""

    operation: OperationId
    ending: OperationState
    why: str
    is_on_forbidden: bool
    kind: Literal["operation_stopped"] = "operation_stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResumed:
    """After a restart of ours: the operation goes on once `at` has passed and the devices were read again (S13)."""

    operation: OperationId
    at: float
    kind: Literal["operation_resumed"] = "operation_resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesReplaced:
    """After a restart of ours the host has other devices than the operation began with: it only reads these any more."""

    operation: OperationId
    devices: tuple[DeviceRun, ...]
    kind: Literal["devices_replaced"] = "devices_replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementAcknowledged:
    """The broker has the `fenced` event."""

    operation: OperationId
    kind: Literal["announcement_acknowledged"] = "announcement_acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRestored:
    """Everything that was switched off reads ON again. `missing`: what does not (redundancy lost)."""

    operation: OperationId | None
    missing: tuple[DeviceName, ...]
    kind: Literal["host_restored"] = "host_restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFailed:
    """Power could not be given back; the devices stay owed and in sight."""

    operation: OperationId
    missing: tuple[DeviceName, ...]
    why: str
    kind: Literal["restore_failed"] = "restore_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceFailed:
    """No level proved the host off; it may still run. `next_attempt_at`: None when no automatic attempt is left."""

    operation: OperationId
    why: str
    next_attempt_at: float | None
    kind: Literal["fence_failed"] = "fence_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEnded:
    """Terminal. Nothing of this operation is executed after it (S14)."""

    operation: OperationId
    state: OperationState
    power: Power
    is_fenced: bool
    restored: Restored
    why: str | None
    after: State
    cooldown_until: float
    next_attempt_at: float
    kind: Literal["operation_ended"] = "operation_ended"


# -- the fleet --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A person took back every earlier disarm."""

    by: str
    kind: Literal["armed"] = "armed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    """A person forbade every power command until the next `arm`."""

    by: str
    reason: str
    kind: Literal["disarmed"] = "disarmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSet:
    """Automatic fencing is paused for some hosts."""

    pause: Pause
    kind: Literal["pause_set"] = "pause_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEnded:
    """A pause was ended by a person or by its time."""

    id: str
    by: str
    kind: Literal["pause_ended"] = "pause_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDrawn:
    """An automatic operation was charged to its cluster's and the fleet's budget."""

    host: HostName
    cluster: str
    kind: Literal["budget_drawn"] = "budget_drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReturned:
    """The draw of then is given back: its operation ended without an OFF, and fenced nobody."""

    host: HostName
    drawn_at: float
    kind: Literal["budget_returned"] = "budget_returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered:
    """A request of the bus was answered; its id gets this answer again."""

    request: AnsweredRequest
    kind: Literal["request_answered"] = "request_answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDoubted:
    """The store is not the one that we had, or of the fleet's records some can't be read: what was disarmed, paused and in
    maintenance may be forgotten."""

    why: str
    kind: Literal["store_doubted"] = "store_doubted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReleased:
    """A person looked, and lets this store decide. `expected`: the id of the store in whose place it stands, or ""."""

    by: str
    reason: str
    expected: str
    kind: Literal["store_released"] = "store_released"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLost:
    """We hear nothing: time from here on is not the hosts' silence."""

    why: str
    kind: Literal["bus_lost"] = "bus_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusBack:
    """The bus is connected and subscribed again."""

    kind: Literal["bus_back"] = "bus_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStayedClosed:
    """A gate is closed for long, for the fleet or for a cluster: whoever dies there now is held. `hosts`: whom it is about."""

    closed: ClosedGate
    why: str
    hosts: tuple[HostName, ...] = ()
    kind: Literal["gate_stayed_closed"] = "gate_stayed_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOpened:
    """A gate that was told as closed for long is open again."""

    gate: str
    cluster: str
    kind: Literal["gate_opened"] = "gate_opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRefused:
    """The configuration was read again and not taken: what was in force stays in force."""

    why: str
    kind: Literal["reload_refused"] = "reload_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The configuration was read again and is in force."""

    kind: Literal["reloaded"] = "reloaded"


HostRecord = (
    HostHeard
    | HostSuspected
    | SuspicionReleased
    | HostHeld
    | HostLeft
    | HostFenced
    | HostRevoked
    | Contradicted
    | WrongMachineFound
    | LeftOff
    | MaintenanceSet
    | MaintenanceEnded
    | PowerSeen
    | PathRead
    | PathsAgreed
    | DevicesTrusted
    | DevicesDistrusted
    | TrustAdvanced
    | FenceableChanged
    | OperationStarted
    | WaitingOperationStarted
    | OperationJoined
    | RequestRefused
    | LevelEntered
    | LifeChecked
    | GatesPassed
    | PhaseEntered
    | RaceStarted
    | RaceEnded
    | StepStarted
    | AgentStarted
    | StepEnded
    | PathLost
    | DeviceGivenUp
    | OperationStopped
    | OperationResumed
    | DevicesReplaced
    | DebtsSorted
    | HostPutAside
    | HostRemoved
    | HostReturned
    | AnnouncementAcknowledged
    | HostRestored
    | RestoreFailed
    | FenceFailed
    | OperationEnded
)
FleetRecord = (
    Armed
    | Disarmed
    | PauseSet
    | PauseEnded
    | BudgetDrawn
    | BudgetReturned
    | RequestAnswered
    | GateStayedClosed
    | GateOpened
    | StoreDoubted
    | StoreReleased
    | BusLost
    | BusBack
    | ReloadRefused
    | Reloaded
)
Record = HostRecord | FleetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record in its place: `host` None for one of the fleet; `at` in seconds of the steady clock."""

    at: float
    host: HostName | None
    record: Record

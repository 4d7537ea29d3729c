"""Every record: durable facts in the past tense, stored in the journal and folded by `evolve`.

A record says what became true, never what to do. Import them all from here (`from fenced.core.durable import records as
r`). `kind` names a record in the journal; once released it never changes, nor do the names of stored fields and values.
"""

from dataclasses import dataclass

from fenced.core.durable.records.of_devices import (
    Contradicted,
    DeviceRecord,
    DevicesDistrusted,
    DevicesTrusted,
    FenceableChanged,
    PathRead,
    PathsAgreed,
    PowerSeen,
    TrustAdvanced,
    WrongMachineFound,
)
from fenced.core.durable.records.of_fleet import (
    Armed,
    BudgetDrawn,
    BudgetReturned,
    BusBack,
    BusLost,
    Disarmed,
    FleetRecord,
    GateOpened,
    GateStayedClosed,
    Listened,
    PauseEnded,
    PauseSet,
    Reloaded,
    ReloadRefused,
    RequestAnswered,
    StoreDoubted,
    StoreReleased,
)
from fenced.core.durable.records.of_host import (
    DebtsSorted,
    DrillEnded,
    FenceFailed,
    HostFenced,
    HostHeard,
    HostHeld,
    HostLeft,
    HostPutAside,
    HostRemoved,
    HostRestored,
    HostReturned,
    HostRevoked,
    HostStateRecord,
    HostSuspected,
    LeftOff,
    MaintenanceEnded,
    MaintenanceSet,
    RequestRefused,
    RestoreFailed,
    SuspicionReleased,
)
from fenced.core.durable.records.of_operation import (
    AnnouncementAcknowledged,
    DevicesReplaced,
    EndingDecided,
    GatesPassed,
    LevelEntered,
    LifeChecked,
    OperationEnded,
    OperationJoined,
    OperationRecord,
    OperationResumed,
    OperationStarted,
    PhaseEntered,
    WaitingOperationStarted,
)
from fenced.core.durable.records.of_run import (
    AgentStarted,
    DeviceGivenUp,
    PathLost,
    RaceEnded,
    RaceStarted,
    RunRecord,
    StepEnded,
    StepStarted,
)
from fenced.model.names import HostName

HostRecord = HostStateRecord | DeviceRecord | OperationRecord | RunRecord
Record = HostRecord | FleetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record in its place. `host` is None for a record of the fleet; `at` is in seconds of the steady clock."""

    at: float
    host: HostName | None
    record: Record


__all__ = [
    "AgentStarted",
    "AnnouncementAcknowledged",
    "Armed",
    "BudgetDrawn",
    "BudgetReturned",
    "BusBack",
    "BusLost",
    "Contradicted",
    "DebtsSorted",
    "DeviceGivenUp",
    "DeviceRecord",
    "DevicesDistrusted",
    "DevicesReplaced",
    "DevicesTrusted",
    "Disarmed",
    "DrillEnded",
    "EndingDecided",
    "Entry",
    "FenceFailed",
    "FenceableChanged",
    "FleetRecord",
    "GateOpened",
    "GateStayedClosed",
    "GatesPassed",
    "HostFenced",
    "HostHeard",
    "HostHeld",
    "HostLeft",
    "HostPutAside",
    "HostRecord",
    "HostRemoved",
    "HostRestored",
    "HostReturned",
    "HostRevoked",
    "HostStateRecord",
    "HostSuspected",
    "LeftOff",
    "LevelEntered",
    "LifeChecked",
    "Listened",
    "MaintenanceEnded",
    "MaintenanceSet",
    "OperationEnded",
    "OperationJoined",
    "OperationRecord",
    "OperationResumed",
    "OperationStarted",
    "PathLost",
    "PathRead",
    "PathsAgreed",
    "PauseEnded",
    "PauseSet",
    "PhaseEntered",
    "PowerSeen",
    "RaceEnded",
    "RaceStarted",
    "Record",
    "ReloadRefused",
    "Reloaded",
    "RequestAnswered",
    "RequestRefused",
    "RestoreFailed",
    "RunRecord",
    "StepEnded",
    "StepStarted",
    "StoreDoubted",
    "StoreReleased",
    "SuspicionReleased",
    "TrustAdvanced",
    "WaitingOperationStarted",
    "WrongMachineFound",
]

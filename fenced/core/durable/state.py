"""What is durably known of a host: frozen values that only `evolve` changes. Import those of an operation here, too.

Times are seconds since the epoch on the daemon's steady clock (ports.clock); it never jumps while the daemon runs.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from fenced.core.durable.drill_state import Drill, DrillResult, DrillStep
from fenced.core.durable.held_suspicion import HeldSuspicion
from fenced.core.durable.operation_state import (
    PROXY_REFUSED,
    WRONG_MACHINE,
    DeviceRun,
    Exclusion,
    GateVerdict,
    IssuedCommand,
    Operation,
    Phase,
    ProofOfOff,
    RaceEntry,
    Restored,
    Slot,
    Step,
)
from fenced.core.durable.sleep_state import NEVER, Asleep, Saving, SoftOff
from fenced.model.names import BootId, DeviceName, HostName, OperationId, PlugId, Token
from fenced.model.paths import Dispute
from fenced.model.power import Cause, Power, State, What

__all__ = [
    "PROXY_REFUSED",
    "SHARED_MACHINE",
    "WRONG_MACHINE",
    "Asleep",
    "DeviceRun",
    "Drill",
    "DrillResult",
    "DrillStep",
    "Exclusion",
    "Fenceable",
    "FenceableLevel",
    "Followed",
    "GateVerdict",
    "HostState",
    "IssuedCommand",
    "Maintenance",
    "Operation",
    "Orphan",
    "Phase",
    "ProofOfOff",
    "RaceEntry",
    "Reason",
    "Restored",
    "Saving",
    "Slot",
    "SoftOff",
    "Step",
    "Trial",
]

SHARED_MACHINE: Final = "shared_machine"
"""The kind of a `Reason`: a device of another host reports that it belongs to the same machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """An operator took the host out of automatic fencing; `until` None: until an operator ends it."""

    by: str
    reason: str
    since: float
    until: float | None = None


class FenceableLevel(Enum):
    """How well a host could be fenced. UNKNOWN is never recorded: nothing was read, or too long ago."""

    FULL = "full"
    DEGRADED = "degraded"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What is missing at one device (None: at the host). Only `kind` is compared; `text` names the proxy and the error.

    `beside`: the other device that reports the same machine (`shared_machine`)."""

    device: DeviceName | None
    kind: Literal[
        "unreadable", "distrusted", "wrong_machine", "shared_machine", "disagree", "redundancy", "no_proxy",
        "no_device", "not_read",
    ]  # fmt: skip
    text: str
    beside: tuple[HostName, DeviceName] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenceable:
    """Whether the host could be fenced now, since when, and what is missing for more."""

    level: FenceableLevel
    since: float
    why: tuple[Reason, ...] = ()


class Followed(Enum):
    """How far a distrusted device is: seen ON with the host heard, then OFF with the host off."""

    LIT = "lit"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A distrusted device on its way back to trust. `boot`: the boot of the host that ended while the device read OFF.

    `is_switched`: the daemon switched it OFF, so only a new boot of the host shows that the device is the host's.
    """

    device: DeviceName
    followed: Followed
    boot: BootId | None = None
    is_switched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A device that the daemon switched off and that the inventory no longer has, or has on another outlet."""

    device: DeviceName
    plug_id: PlugId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """All that is durably known of one host.

    `owed`: devices that the daemon switched off and that were not read ON since. `withheld`: those of them that only a
    person gives back. What was last reported of them is in `redundancy_lost`, `restore_failed` or, for all others,
    `is_left_off`. `owed_plugs`: the plug of each owed device when it was switched off; entries of others mean nothing.
    `is_off_by_person`: an operator or program requested the OFF; from `in_hand_from` on the host's silence does not
    count against its cluster. `record_fault`: why its records can't be restored, or "". `is_removed`: not in the
    inventory. `known_since`: when its first heartbeat was recorded; 0.0: by an older program. `suspicions`: those that
    gates held, the newest last; `suspicions_cut_at`: when the newest of those began that are kept no longer because
    there were too many. `drill`: the one under way; `drilled_at`: when one last succeeded. `lost_token`: the bus showed
    it, and the store had lost its record; kept until the next proof, which replaces it (S22). `saving`: what power
    saving remembers of it (S24).
    """

    name: HostName
    state: State = State.UNKNOWN
    since: float = 0.0
    is_known: bool = False
    boot: BootId | None = None
    ended_boots: tuple[BootId, ...] = ()
    suspected_at: float | None = None
    suspicion: Cause | None = None
    suspicion_reason: str = ""
    last_heard: float | None = None
    operation: Operation | None = None
    waiting: Operation | None = None
    reading: Operation | None = None
    last_operation: OperationId | None = None
    maintenance: Maintenance | None = None
    is_stay_off: bool = False
    is_on_forbidden: bool = False
    proof: ProofOfOff | None = None
    token: Token | None = None
    owed: tuple[DeviceName, ...] = ()
    commands: tuple[IssuedCommand, ...] = ()
    distrusted: tuple[DeviceName, ...] = ()
    wrong_machines: tuple[DeviceName, ...] = ()
    power: tuple[tuple[DeviceName, Power], ...] = ()
    attempts: tuple[float, ...] = ()
    failures: int = 0
    next_attempt_at: float = 0.0
    cooldown_until: float = 0.0
    held_by: tuple[GateVerdict, ...] = ()
    release_until: float = 0.0
    withheld: tuple[DeviceName, ...] = ()
    redundancy_lost: tuple[DeviceName, ...] = ()
    restore_failed: tuple[DeviceName, ...] = ()
    is_off_by_person: bool = False
    in_hand_from: float = 0.0
    is_left_off: bool = False
    is_away_told: bool = False
    fenceable: Fenceable | None = None
    trials: tuple[Trial, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    owed_plugs: tuple[tuple[DeviceName, PlugId], ...] = ()
    orphans: tuple[Orphan, ...] = ()
    record_fault: str = ""
    is_removed: bool = False
    known_since: float = 0.0
    suspicions: tuple[HeldSuspicion, ...] = ()
    suspicions_cut_at: float = 0.0
    drill: Drill | None = None
    last_drill: Drill | None = None
    drilled_at: float | None = None
    lost_token: Token | None = None
    saving: Saving = NEVER

    @property
    def is_asleep(self) -> bool:
        """Whether saving put it to sleep, and it was not heard since: no gate counts it."""
        return self.saving.asleep is not None

    def slot_of(self, operation: OperationId | None) -> Slot | None:
        """Return the slot of the operation with that id; None: the host does not have it, or no longer."""
        for slot in Slot:
            if (held := self.held(slot)) is not None and held.id == operation:
                return slot
        return None

    def held(self, slot: Slot) -> Operation | None:
        match slot:
            case Slot.RUNNING:
                return self.operation
            case Slot.WAITING:
                return self.waiting
            case Slot.READING:
                return self.reading

    def find(self, operation: OperationId | None) -> Operation | None:
        """Return the operation with that id, in any slot; None: the host does not have it, or no longer."""
        slot = self.slot_of(operation)
        return self.held(slot) if slot is not None else None

    @property
    def under_way(self) -> tuple[Operation, ...]:
        """Return every operation of the host, in the order of the slots."""
        return tuple(held for slot in Slot if (held := self.held(slot)) is not None)

    def unsettled(self, at: float) -> tuple[IssuedCommand, ...]:
        """Return the commands that may still act (S5)."""
        return tuple(command for command in self.commands if not command.is_settled(at))

    def acting_ons(self, at: float) -> tuple[IssuedCommand, ...]:
        """Return the ONs that may still act."""
        return tuple(command for command in self.unsettled(at) if command.what is What.ON)

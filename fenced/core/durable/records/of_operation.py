"""Records about one operation as a whole: start, phases, how it ends."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.operation_state import DeviceRun, GateVerdict, Operation, Phase, Restored, Slot
from fenced.model.names import OperationId
from fenced.model.power import Action, Cause, OperationState, Power, State


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStarted:
    """A new operation, complete with plan, gates and cause. `slot`: whether it runs, waits, or is a status or probe."""

    operation: Operation
    slot: Slot
    kind: Literal["operation_started"] = "operation_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOperationStarted:
    """The waiting operation starts to run."""

    operation: OperationId
    deadline: float
    kind: Literal["waiting_operation_started"] = "waiting_operation_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationJoined:
    """An equal request joined, or a compatible one changed the action (design.md#power-model, the table)."""

    operation: OperationId
    by: str
    reason: str
    action: Action
    cause: Cause
    kind: Literal["operation_joined"] = "operation_joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEntered:
    """The operation tries to prove the host off through this level, until the level's deadline."""

    operation: OperationId
    level: int
    deadline: float
    kind: Literal["level_entered"] = "level_entered"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeChecked:
    """The daemon probed the host's own ports and proxy agent before the first OFF.

    `answered`: which one replied, or None.
    """

    operation: OperationId
    answered: str | None
    kind: Literal["life_checked"] = "life_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesPassed:
    """The gates were evaluated again before the first OFF of a level, and were open."""

    operation: OperationId
    level: int
    gates: tuple[GateVerdict, ...]
    kind: Literal["gates_passed"] = "gates_passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEntered:
    """The operation enters a phase. `deadline`: of the restore, when that phase begins."""

    operation: OperationId
    phase: Phase
    deadline: float | None = None
    kind: Literal["phase_entered"] = "phase_entered"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementAcknowledged:
    """The broker acknowledged the `fenced` event."""

    operation: OperationId
    kind: Literal["announcement_acknowledged"] = "announcement_acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingDecided:
    """The ending of the operation is decided: by its own result, or because an operator or a sign of life stopped it.

    It ends as `ending` once its commands can no longer act. `is_on_forbidden`: no further ON may be sent.
    """

    operation: OperationId
    ending: OperationState
    why: str
    is_on_forbidden: bool
    kind: Literal["operation_stopped"] = "operation_stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResumed:
    """The daemon restarted: the operation continues after `at`, once its devices were read again (S13)."""

    operation: OperationId
    at: float
    kind: Literal["operation_resumed"] = "operation_resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesReplaced:
    """The daemon restarted and the host's devices changed: the operation now only reads `devices`."""

    operation: OperationId
    devices: tuple[DeviceRun, ...]
    kind: Literal["devices_replaced"] = "devices_replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEnded:
    """The operation is over; none of its steps is executed any more (S14). `after`: the host's state from now on."""

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


OperationRecord = (
    OperationStarted
    | WaitingOperationStarted
    | OperationJoined
    | LevelEntered
    | LifeChecked
    | GatesPassed
    | PhaseEntered
    | AnnouncementAcknowledged
    | EndingDecided
    | OperationResumed
    | DevicesReplaced
    | OperationEnded
)

"""What is durably known of a drill: an operator's request that fences a living spare host for real, and what it proved.

The fence itself is an ordinary `restart`. Times are seconds on the steady clock; None: that step was not reached.
"""

from dataclasses import dataclass
from enum import Enum

from fenced.model.names import BootId, DeviceName, OperationId


class DrillStep(Enum):
    """The steps of a drill, in order. Each is proven by what others see, not by what was sent."""

    OFF = "off"
    SILENT = "silent"
    ANNOUNCED = "announced"
    ON = "on"
    HEARD = "heard"


class DrillResult(Enum):
    """How a drill ended. CANCELLED: it was stopped or replaced, and says nothing about the host."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill. `boot`: the run that it ends. `ended` None: it is under way.

    `off_at`: every device of the level read OFF; `silent_at`: its silence was proven, too; `announced_at`: the
    broker had `fenced`; `on_at`: everything reads ON again; `heard_at`: the host was heard, in the run `heard_boot`.
    `is_fenced`: `fenced` was recorded. `failed_step`: the first step that is not proven. `why` also has the reason for
    which its operation ended. `is_called_off`: no OFF was sent, or another request took the operation over. `unproven`:
    devices that read OFF, and were not seen to silence the host: if that run is heard again, they do not cut its power.
    """

    operation: OperationId
    by: str
    reason: str
    started: float
    boot: BootId | None
    off_at: float | None = None
    silent_at: float | None = None
    is_fenced: bool = False
    announced_at: float | None = None
    on_at: float | None = None
    heard_at: float | None = None
    heard_boot: BootId | None = None
    is_called_off: bool = False
    unproven: tuple[DeviceName, ...] = ()
    ended: float | None = None
    result: DrillResult | None = None
    failed_step: DrillStep | None = None
    why: str = ""

    def milliseconds(self, step: DrillStep) -> int | None:
        """Return when the step was proven, since the start; None: it was not."""
        at = self.reached(step)
        return None if at is None else round((at - self.started) * 1000)

    def reached(self, step: DrillStep) -> float | None:
        """Return when the step was proven; None: it was not."""
        match step:
            case DrillStep.OFF:
                return self.off_at
            case DrillStep.SILENT:
                return self.silent_at
            case DrillStep.ANNOUNCED:
                return self.announced_at
            case DrillStep.ON:
                return self.on_at
            case DrillStep.HEARD:
                return self.heard_at

"""Records of power saving (S24): a host is put to sleep, is woken, or either fails."""

from dataclasses import dataclass
from typing import Literal

from fenced.model.names import BootId, DeviceName, OperationId, Token
from fenced.model.power import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepAnnounced:
    """Every device was read ON; unless somebody vetoes it, the host is asked to shut down at `at`."""

    operation: OperationId
    at: float
    kind: Literal["sleep_announced"] = "sleep_announced"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkHeard:
    """The host reported work after it was asked to shut down: others must know if its OFF cuts that. `source`: another
    system that said that it is busy; "": the host itself."""

    workloads: int
    source: str = ""
    kind: Literal["work_heard"] = "work_heard"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSlept:
    """Every chassis reads OFF stably after the soft off. No recovery starts on it: it is no proof for others."""

    operation: OperationId
    boot: BootId | None
    token: Token
    devices: tuple[DeviceName, ...]
    by: str
    reason: str
    cause: Cause
    kind: Literal["host_slept"] = "host_slept"


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepFailed:
    """The host did not go down. `retry_at`: saving leaves it alone until then. `heard_by`: its silence counts from
    then on. `is_never_sent`: nothing can have asked the host to shut down."""

    operation: OperationId
    why: str
    retry_at: float
    heard_by: float
    is_never_sent: bool = False
    kind: Literal["sleep_failed"] = "sleep_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeWanted:
    """Somebody wants the sleeper awake, or one that was asked to shut down once it is off. The daemon switches it on as
    soon as pacing allows it. `by` "": nobody wants that any more."""

    by: str
    reason: str
    cause: Cause
    kind: Literal["wake_wanted"] = "wake_wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWoken:
    """The sleep is over. `is_alive`: the host was heard; otherwise a chassis reads ON, and it may boot.

    `distrusted`: chassis that read OFF while the run that they should have ended went on (S17). `is_ours`: an ON of the
    daemon's woke it.
    """

    why: str
    token: Token
    boot: BootId | None
    is_alive: bool
    is_ours: bool
    distrusted: tuple[DeviceName, ...] = ()
    kind: Literal["host_woken"] = "host_woken"


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeFailed:
    """Power was given, and the host was not heard within `boot_grace`; or it got no power."""

    why: str
    kind: Literal["wake_failed"] = "wake_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityChanged:
    """A cluster lacks `short` idle hosts that can't be woken; 0: it has what it needs again."""

    cluster: str
    short: int
    why: str
    kind: Literal["capacity_changed"] = "capacity_changed"


SleepRecord = SleepAnnounced | WorkHeard | HostSlept | SleepFailed | WakeWanted | HostWoken | WakeFailed

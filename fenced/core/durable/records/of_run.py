"""Records about one device within one operation: races, steps, paths."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.operation_state import Exclusion, RaceEntry
from fenced.model.names import DeviceName, OperationId, PlugId, ProxyName, Token
from fenced.model.power import Outcome, Power, What


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceStarted:
    """Candidates are being probed for a device. `disputed`: paths that must all be read before an OFF counts."""

    operation: OperationId
    device: DeviceName
    excluded: tuple[Exclusion, ...]
    disputed: tuple[ProxyName, ...] = ()
    kind: Literal["race_started"] = "race_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEnded:
    """The race for a device ended. Without a winner, it runs again after `again_at`."""

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
    """A read or a command was started. A command has a token and the last moment at which it can still act."""

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
    """The process that carries out a command exists and waits for its parameters (S16)."""

    operation: OperationId
    device: DeviceName
    number: int
    pid: int
    pid_started: str
    kind: Literal["agent_started"] = "agent_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step ended. Not `is_end_known`: a command timed out at a proxy and may act until its `not_after`.

    `settled_at`: the call ended, but the device may act until then (its `settle`). `error_kind`: the kind from
    ports.devices. With `settling_until`, `error` says why an OFF counts as UNKNOWN until then.
    """

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
    """A device's proxy stopped working; the next reserve, or a new race, replaces it.

    `proxy` None: the device's current one.
    """

    operation: OperationId
    device: DeviceName
    why: str
    proxy: ProxyName | None = None
    kind: Literal["path_lost"] = "path_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGivenUp:
    """The device has no attempt left in this phase."""

    operation: OperationId
    device: DeviceName
    why: str
    kind: Literal["device_given_up"] = "device_given_up"


RunRecord = RaceStarted | RaceEnded | StepStarted | AgentStarted | StepEnded | PathLost | DeviceGivenUp

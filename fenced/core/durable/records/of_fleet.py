"""Records about the fleet as a whole: arming, pauses, budget, bus, store, configuration."""

from dataclasses import dataclass
from typing import Literal

from fenced.core.durable.fleet_state import AnsweredRequest, ClosedGate, Listening, Pause, Storm, StormEnd
from fenced.core.durable.records.of_sleep import CapacityChanged
from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """An operator armed the daemon: every earlier disarm is revoked. Old records have no reason."""

    by: str
    reason: str = ""
    kind: Literal["armed"] = "armed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    """An operator forbade every power command until the next `arm`."""

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
    """An operator ended a pause, or it expired."""

    id: str
    by: str
    kind: Literal["pause_ended"] = "pause_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDrawn:
    """An automatic operation was charged to the budgets of its cluster and of the fleet."""

    host: HostName
    cluster: str
    kind: Literal["budget_drawn"] = "budget_drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReturned:
    """The draw made at `drawn_at` is returned: the operation ended without an OFF and without a proof."""

    host: HostName
    drawn_at: float
    kind: Literal["budget_returned"] = "budget_returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered:
    """A bus request was answered; a repeated request with this id gets the same answer."""

    request: AnsweredRequest
    kind: Literal["request_answered"] = "request_answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStayedClosed:
    """A gate of the fleet or of a cluster is closed for long: every suspect there is held.

    `hosts`: the ones that cause it.
    """

    closed: ClosedGate
    why: str
    hosts: tuple[HostName, ...] = ()
    kind: Literal["gate_stayed_closed"] = "gate_stayed_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOpened:
    """A gate that was reported as closed for long is open again."""

    gate: str
    cluster: str
    kind: Literal["gate_opened"] = "gate_opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class StormBegan:
    """Too many hosts of a failure domain fell silent together: every suspect of it is held. `why`: the count."""

    storm: Storm
    why: str
    kind: Literal["storm_began"] = "storm_began"


@dataclass(frozen=True, slots=True, kw_only=True)
class StormEnded:
    """A storm ended: its hosts were heard, an operator released it, or its longest time is over."""

    id: str
    end: StormEnd
    kind: Literal["storm_ended"] = "storm_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """The daemon listened for some time; recorded every quarter of an hour, so that a restart loses little of it."""

    listening: Listening
    kind: Literal["listened"] = "listened"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDoubted:
    """The store may be the wrong one, or fleet records are unreadable: disarming, pauses, maintenance may be lost.

    `is_older`: it is the right one, and lacks what this controller saw in it (S22).
    """

    why: str
    is_older: bool = False
    kind: Literal["store_doubted"] = "store_doubted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReleased:
    """An operator checked the store and trusts it. `expected`: id of the store that it replaces, or ""."""

    by: str
    reason: str
    expected: str
    kind: Literal["store_released"] = "store_released"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLost:
    """The bus connection is lost; from here on, time does not count as silence of a host."""

    why: str
    kind: Literal["bus_lost"] = "bus_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusBack:
    """The bus is connected and subscribed again."""

    kind: Literal["bus_back"] = "bus_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRefused:
    """A reload was rejected; the previous configuration stays in force."""

    why: str
    kind: Literal["reload_refused"] = "reload_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The configuration was reloaded and is in force."""

    kind: Literal["reloaded"] = "reloaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTaken:
    """A controller took the lease that another one had held. `before`: that one's name. `epoch`: the new one."""

    controller: str
    before: str
    epoch: int
    kind: Literal["control_taken"] = "control_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlHandedOver:
    """A controller gave the lease up at a safe point. `to`: for whom, or "" for any other."""

    controller: str
    to: str
    by: str
    reason: str
    kind: Literal["control_handed_over"] = "control_handed_over"


FleetRecord = (
    Armed
    | Disarmed
    | PauseSet
    | PauseEnded
    | BudgetDrawn
    | BudgetReturned
    | ControlTaken
    | ControlHandedOver
    | RequestAnswered
    | GateStayedClosed
    | GateOpened
    | StormBegan
    | StormEnded
    | Listened
    | StoreDoubted
    | StoreReleased
    | BusLost
    | BusBack
    | ReloadRefused
    | Reloaded
    | CapacityChanged
)

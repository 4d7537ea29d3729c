"""What is durably known of the fleet as a whole: frozen values, changed by `evolve` alone. Times as in `state`."""

from dataclasses import dataclass, field

from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Automatic fencing is paused for the hosts that `match` selects (`*`, or `key=value` words joined by commas)."""

    id: str
    match: str
    by: str
    reason: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One automatic operation's draw on the budget of its cluster and of the fleet."""

    at: float
    host: HostName
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """A request of the bus that was answered; the same id gets the same answer for 24 hours."""

    id: str
    at: float
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedGate:
    """A gate that was closed for so long that people were told. `cluster`: "" where it speaks of the whole fleet."""

    gate: str
    cluster: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All that is durably known of the fleet as a whole.

    `store_hold`: why nobody is fenced automatically over this store; "" where nothing is in doubt. `released_store`: the id
    that was expected in its place when a person released it.
    """

    is_disarmed: bool = False
    pauses: tuple[Pause, ...] = ()
    draws: tuple[Draw, ...] = ()
    requests: tuple[AnsweredRequest, ...] = field(default_factory=tuple)
    is_bus_lost: bool = False
    closed_gates: tuple[ClosedGate, ...] = ()
    store_hold: str = ""
    released_store: str = ""

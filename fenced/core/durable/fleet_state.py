"""What is durably known of the whole fleet: frozen values that only `evolve_fleet` changes. Times as in `state`."""

from dataclasses import dataclass, field
from typing import Literal

from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Automatic fencing is paused for the hosts that `match` selects (`allowed.match` has the grammar)."""

    id: str
    match: str
    by: str
    reason: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One automatic operation, charged to the budgets of its cluster and of the fleet."""

    at: float
    host: HostName
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """An answered request, of the bus or with an idempotency key; the same id gets the same answer for 24 hours.

    `content`: a digest of what was requested under a key.
    """

    id: str
    at: float
    answer: str
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedGate:
    """A gate that was reported as closed for long. `cluster`: "" for a gate of the whole fleet."""

    gate: str
    cluster: str
    since: float


StormEnding = Literal["over", "released", "max"]
"""Its hosts were heard again, an operator released it, or its longest time passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormEnd:
    """How a storm ended. `hosts`: those that were silent then; they make no new storm until they are heard.

    `cooldown_until`: until then the domain's hosts are held.
    """

    at: float
    why: StormEnding
    by: str
    reason: str
    hosts: tuple[HostName, ...]
    cooldown_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """More hosts of a failure domain fell silent together than independent failures explain: all of it is held.

    `domain`, `value`: for example `rack` and `r7`. `hosts`: those that were silent at its beginning. `common`: what
    else these have in common, as KEY=VALUE.
    """

    id: str
    domain: str
    value: str
    since: float
    hosts: tuple[HostName, ...]
    common: tuple[str, ...] = ()
    end: StormEnd | None = None

    @property
    def words(self) -> str:
        return f"{self.domain}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The daemon listened for `seconds` in a time that began at `since`."""

    since: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All that is durably known of the fleet as a whole.

    `listened`: how long the daemon listened in each quarter of a day. `storms`: those that last, and the last one of
    each other domain. `store_hold`: why automatic fencing waits for an operator to check the store, or "".
    `released_store`: the id of the store that was expected when an operator released this one. `short_of`: clusters
    that lack idle hosts which can't be woken, and how many (S24).
    """

    is_disarmed: bool = False
    pauses: tuple[Pause, ...] = ()
    draws: tuple[Draw, ...] = ()
    requests: tuple[AnsweredRequest, ...] = field(default_factory=tuple)
    is_bus_lost: bool = False
    closed_gates: tuple[ClosedGate, ...] = ()
    storms: tuple[Storm, ...] = ()
    store_hold: str = ""
    released_store: str = ""
    listened: tuple[Listening, ...] = ()
    short_of: tuple[tuple[str, int], ...] = ()

    @property
    def lasting_storms(self) -> tuple[Storm, ...]:
        """Return the storms that nothing ended yet."""
        return tuple(storm for storm in self.storms if storm.end is None)

    def answered(self, request_id: str) -> AnsweredRequest | None:
        """Return the request of this id that was answered; None if there was none, or not lately."""
        return next((request for request in self.requests if request.id == request_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What operators said to restrict the daemon, kept beside the lock for a store that goes back in time (S22).

    `maintenance`: hosts, each with who set it, why, and until when.
    """

    is_disarmed: bool = False
    pauses: tuple[Pause, ...] = ()
    maintenance: tuple[tuple[HostName, str, str, float | None], ...] = ()

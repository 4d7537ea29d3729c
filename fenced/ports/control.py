"""What operators and programs can request of the running daemon: the API's only view of the engine.

A command returns once the decision is durable. A refusal names the rule that refused (RFC 9457 `rule`).
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fenced.core.durable.fleet_state import Pause, Storm
from fenced.core.durable.records import Entry
from fenced.core.durable.state import Fenceable, GateVerdict, HostState, Operation
from fenced.core.idle.told import ClusterSaving, SavingTotals
from fenced.core.readiness.values import ClusterReadiness, HostReadiness, PathProof
from fenced.model.inventory import Inventory
from fenced.model.names import MAIN_SHARD, HostName, OperationId
from fenced.model.positions import Position
from fenced.model.power import Action
from fenced.ports.bus import Health
from fenced.ports.decisions import DecisionPage
from fenced.ports.hosts import HostsLike, MappedHost, OperationsLike
from fenced.ports.journal import ControllerView, OutboxMessage, Page
from fenced.ports.proxies import ProxyView


class Refused(Exception):
    """A rule refused the request (409). `rule`: armed, lease, busy, alive, own_machine, ..."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(why)
        self.rule = rule
        self.why = why


class NotFound(Exception):
    """No such host, operation, pause, shard or controller (404)."""


class BadCursor(Exception):
    """`after` is not the `next` of a page of this list (422)."""

    def __init__(self) -> None:
        super().__init__("this is no `next` of a page of this list; begin without `after`")


class Unavailable(Exception):
    """The store accepts no writes at the moment, or the daemon is stopping (503)."""


class Standby(Unavailable):
    """This controller is a standby, and changed nothing (503, rule `standby`). `active`: the address of the API of the
    one that decides; None if none does, or it gives none. `known`: what is known of who decides, where there is no
    address."""

    def __init__(self, active: str | None, *, known: str = "") -> None:
        unknown = known or "no active one is known; try again in some seconds"
        super().__init__(f"this controller is a standby: {f'ask the active one at {active}' if active else unknown}")
        self.active = active


@dataclass(frozen=True, slots=True, kw_only=True)
class NotObeyed:
    """A shard that did not obey a request. `active`: as at Standby, or None."""

    shard: str
    why: str
    active: str | None = None


class NotEverywhere(Unavailable):
    """A request to all shards was not obeyed by each of them (503, rule `shards`). `done`: the shards that obeyed."""

    def __init__(self, done: Sequence[str], missing: Sequence[NotObeyed]) -> None:
        lacking = "; ".join(f"not in shard {one.shard}: {one.why}" for one in missing)
        obeyed = f"done in shard {', '.join(done)}" if done else "nothing is done"
        super().__init__(f"{obeyed}; {lacking}. Send it again to the controllers that hold these shards")
        self.done, self.missing = tuple(done), tuple(missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The operation that was started or joined; "": none is needed. `hosts`: sleepers that are woken; `short`: how many
    more were requested and can't be."""

    operation: OperationId
    warnings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    short: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """The current state of a host, to be shown."""

    state: HostState
    cluster: str
    datacenter: str
    last_heard: float | None
    held_by: tuple[str, ...]
    is_paused: bool
    misnamed: tuple[str, ...] = ()
    """Names on the bus that resemble this host's but match no host. Their messages are dropped."""
    fenceable: Fenceable | None = None
    is_drill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StormView:
    """A storm that lasts or the last one of its domain. `silent`: hosts of the domain that are silent now."""

    storm: Storm
    silent: tuple[HostName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """The current state of the daemon, or of one shard in it, to be shown."""

    name: str
    site: str
    is_armed: bool
    is_armed_by_file: bool
    is_lease_held: bool
    epoch: int
    is_bus_connected: bool
    is_ready: bool
    not_ready: tuple[str, ...]
    is_quiet: bool
    shard: str = MAIN_SHARD
    """The shard that is viewed; with `shards` it says nothing."""
    pauses: tuple[Pause, ...] = ()
    storms: tuple[StormView, ...] = ()
    store_hold: str | None = None
    """Why doubts about this store hold automatic fencing; None if there are none."""
    gate_closed_seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    now: float = 0.0
    """The time of this view, on the steady clock."""
    is_standby: bool = False
    """Whether it follows the controller that acts, and only reads. It is ready once it follows."""
    unfit: tuple[str, ...] = ()
    """Why another controller should hold the lease."""
    shards: "tuple[FleetView, ...]" = ()
    """The view of each shard, by name; empty if this one is of the only shard."""

    @property
    def is_fit(self) -> bool:
        return not self.unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a host is in its state: its gates at this moment, what is known, the newest entries.

    `decision`: the id of the last decision about it.
    """

    view: HostView
    gates: tuple[GateVerdict, ...]
    summary: tuple[str, ...]
    known: Mapping[str, Any]
    plan: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    entries: Sequence[tuple[int, Entry]] = field(default_factory=tuple)
    decision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What people and programs asked for, with the records' numbers, newest first. `next`: the `after` of the next
    page, or None."""

    entries: tuple[tuple[int, Entry], ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether clusters can be armed. `hosts`: a page of them by name, with the paths of each; `next`: the `after` of
    the next page, or None."""

    fleet: ClusterReadiness
    clusters: tuple[ClusterReadiness, ...]
    hosts: tuple[tuple[HostReadiness, tuple[PathProof, ...]], ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event for a reader. `position`: where the reader is once it has it."""

    message: OutboxMessage
    position: Position


class Control(Protocol):
    """The running daemon, or one shard in it. A standby serves every read, hears beats, and raises Standby where
    it is to change something."""

    def keyed(self, key: str, content: str) -> "Control":
        """Return the same, for one request that may come twice: a change with this key is obeyed once in 24 hours, and
        answered as the first time. `content`: a digest of the request; with another one the key is refused."""
        ...

    def of_shard(self, shard: str) -> "Control":
        """Return what controls one shard alone. Raises NotFound."""
        ...

    @property
    def inventory(self) -> Inventory: ...

    def fleet(self) -> FleetView: ...

    def proxies(self) -> Sequence[ProxyView]:
        """Return all proxies by name, each with its last answer."""
        ...

    async def refuse_at_standby(self, host: HostName | None = None) -> None:
        """Raises Standby if this controller may change nothing of the host (None: nothing at all).

        It names a controller that took the lease a moment ago, too.
        """
        ...

    def controllers(self) -> Sequence[ControllerView]:
        """Return the controllers that share the store, by name, as the last report to the store showed them."""
        ...

    async def look_at_controllers(self) -> Sequence[ControllerView]:
        """Return them as the store shows them now; if it does not answer soon, as the last report did."""
        ...

    def hosts(self, *, after: str | None = None, like: HostsLike | None = None) -> Iterator[HostView]:
        """Yield all chosen hosts by name, or those after a name. Each is viewed when it is reached; never await in
        between."""
        ...

    def map(self) -> Iterator[MappedHost]:
        """Yield one line for each host, by name. Never await in between."""
        ...

    def version(self) -> str:
        """Return a text that is another one whenever `hosts` or `map` shows something else, `last_heard` apart; and at
        another controller or in another life always."""
        ...

    def host(self, name: HostName) -> HostView:
        """Raises NotFound."""
        ...

    async def explain(self, name: HostName) -> Explanation:
        """Raises NotFound."""
        ...

    async def decisions(self, name: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        """Return the decisions about a host before that moment (None: all), newest first. Raises NotFound,
        BadCursor, Unavailable."""
        ...

    async def audit(self, *, limit: int, after: str | None) -> Audit:
        """Return what was asked for, as far back as `[store] keep` reaches. Raises BadCursor, Unavailable."""
        ...

    async def readiness(self, *, match: str, is_all: bool, limit: int, after: str | None) -> Readiness:
        """Judge the hosts that the expression selects, in slices, so that nothing else waits for it.

        The page has the hosts that hinder or had a would-be fence in the last week, or (`is_all`) every host. With
        `after` the figures may be those of a first page of the last minute. An invalid expression selects no host.
        """
        ...

    async def saving(self, *, cluster: str | None = None) -> Sequence[ClusterSaving]:
        """Return what power saving does in each cluster, by name, or in one. Raises NotFound."""
        ...

    def saving_totals(self) -> SavingTotals: ...

    async def wake(self, cluster: str, hosts: int, *, by: str, reason: str) -> Accepted:
        """Wake so many more hosts of a cluster. Raises NotFound, Refused, Standby, Unavailable."""
        ...

    async def act(self, name: HostName, action: Action, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """Start or join an operation. Raises NotFound, Refused, Unavailable."""
        ...

    async def drill(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """Fence a living spare host for real. Raises NotFound, Refused, Unavailable."""
        ...

    async def confirm_off(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """An operator states that the host is off. Raises NotFound, Refused, Unavailable."""
        ...

    async def cancel(self, operation: OperationId, *, by: str, reason: str) -> None:
        """Raises NotFound, Refused (ended already), Unavailable."""
        ...

    async def set_maintenance(self, name: HostName, *, by: str, reason: str, until: float | None) -> None: ...

    async def end_maintenance(self, name: HostName, *, by: str, reason: str) -> None: ...

    async def pause(self, *, match: str, by: str, reason: str, until: float | None, pause_id: str = "") -> Pause:
        """Raises Refused (rule `match`) for an expression that can't be parsed or matches no host (S12).

        `pause_id`: the id of a pause of all shards; then the expression need not match a host of this one.
        """
        ...

    async def end_pause(self, pause_id: str, *, by: str) -> None:
        """Raises NotFound."""
        ...

    async def arm(self, *, by: str, reason: str) -> None:
        """Raises Refused (rule `armed`) while the configuration file says armed = false (S19)."""
        ...

    async def disarm(self, *, by: str, reason: str) -> None: ...

    async def release_store(self, *, by: str, reason: str) -> None:
        """Allow decisions with a store that replaced the earlier one.

        Raises Refused (rule `store`) if none is in doubt.
        """
        ...

    async def release_storm(self, storm_id: str, *, by: str, reason: str) -> None:
        """End a storm, so that its silent hosts are fenced like any other. Raises Refused (rule `storm`) if none
        of this id lasts."""
        ...

    async def hand_over(self, *, shard: str, to: str, by: str, reason: str) -> None:
        """Begin to give a shard to another controller: `to` is its name, or "" for any fit one.

        Returns once that is journalled: this controller stops at a safe point, then releases the lease. Raises NotFound
        (no such shard, or no other controller of that name), Refused (rule `unfit`: it is not alive or not fit;
        `alone`: no other fit controller), Standby, Unavailable.
        """
        ...

    async def operation(self, operation: OperationId) -> Operation:
        """Return a running operation live, an ended one from the journal. Raises NotFound."""
        ...

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        """Return the chosen operations, newest first. Raises BadCursor, Unavailable."""
        ...

    async def report_health(self, health: Health) -> None:
        """Process it like a message of the bus. Raises NotFound."""
        ...

    async def newest(self) -> Position:
        """Return the position at which a new reader begins. Raises Unavailable."""
        ...

    def watch(self, *, after: Position | None) -> AsyncIterator[Happened]:
        """Yield events as they are journalled, from `after` on; a shard that it does not name begins with the next one.

        A reader that is too slow is disconnected. Raises Unavailable.
        """
        ...

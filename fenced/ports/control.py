"""What people and programs may ask of the running daemon: the API's only view of the engine.

Commands return once the decision is durable. Refusals carry the rule that refused (RFC 9457 `rule`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fenced.core.durable.fleet_state import FleetState, Pause
from fenced.core.durable.records import Entry
from fenced.core.durable.state import Fenceable, HostState, Operation
from fenced.model.inventory import Inventory
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action
from fenced.ports.bus import Health
from fenced.ports.journal import OutboxMessage, Page
from fenced.ports.proxies import ProxyView


class Refused(Exception):
    """A rule refused the request (409). `rule`: armed, lease, busy, alive, own_machine, ..."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(why)
        self.rule = rule
        self.why = why


class NotFound(Exception):
    """No such host, operation or pause (404)."""


class Unavailable(Exception):
    """The store does not take writes now, or we are stopping (503)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The operation that was started or joined."""

    operation: OperationId
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """A host as a person sees it now."""

    state: HostState
    cluster: str
    datacenter: str
    last_heard: float | None
    held_by: tuple[str, ...]
    is_paused: bool
    misnamed: tuple[str, ...] = ()
    """Names on the bus that are no host's but nearly this one's: what arrives under them is dropped."""
    fenceable: Fenceable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """The daemon as a person sees it now."""

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
    fleet: FleetState
    gate_closed_seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def store_hold(self) -> str | None:
        """Why nobody is fenced automatically over this store; None where nothing is in doubt."""
        return self.fleet.store_hold or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a host is as it is: its gates as they stand this moment, the decision record, the last entries."""

    view: HostView
    gates: tuple[Mapping[str, Any], ...]
    known: Mapping[str, Any]
    plan: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    entries: Sequence[tuple[int, Entry]] = field(default_factory=tuple)


class Control(Protocol):
    """The running daemon."""

    @property
    def inventory(self) -> Inventory: ...

    def fleet(self) -> FleetView: ...

    def proxies(self) -> Sequence[ProxyView]:
        """All proxies, by name, as they answered last."""
        ...

    def hosts(self) -> Sequence[HostView]:
        """All hosts, by name."""
        ...

    def host(self, name: HostName) -> HostView:
        """Raises NotFound."""
        ...

    async def explain(self, name: HostName) -> Explanation:
        """Raises NotFound."""
        ...

    async def act(self, name: HostName, action: Action, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """Start or join an operation. Raises NotFound, Refused, Unavailable."""
        ...

    async def confirm_off(self, name: HostName, *, by: str, reason: str, is_forced: bool) -> Accepted:
        """A person states that the host is off. Raises NotFound, Refused, Unavailable."""
        ...

    async def cancel(self, operation: OperationId, *, by: str, reason: str) -> None:
        """Raises NotFound, Refused (ended already), Unavailable."""
        ...

    async def set_maintenance(self, name: HostName, *, by: str, reason: str, until: float | None) -> None: ...

    async def end_maintenance(self, name: HostName, *, by: str, reason: str) -> None: ...

    async def pause(self, *, match: str, by: str, reason: str, until: float | None) -> Pause:
        """Raises Refused (rule `match`) for an expression that selects nobody or can't be read (S12)."""
        ...

    async def end_pause(self, pause_id: str, *, by: str) -> None:
        """Raises NotFound."""
        ...

    async def arm(self, *, by: str) -> None:
        """Raises Refused (rule `armed`) while the configuration file says armed = false (S19)."""
        ...

    async def disarm(self, *, by: str, reason: str) -> None: ...

    async def release_store(self, *, by: str, reason: str) -> None:
        """Let a store decide that is not the one of before. Raises Refused (rule `store`) where nothing is in doubt."""
        ...

    async def operation(self, operation: OperationId) -> Operation:
        """Live where it runs, else from the journal. Raises NotFound."""
        ...

    async def operations(self, *, host: HostName | None, state: str | None, limit: int, after: str | None) -> Page: ...

    async def report_health(self, health: Health) -> None:
        """The same as a message of the bus. Raises NotFound."""
        ...

    def watch(self, *, after: int | None) -> AsyncIterator[OutboxMessage]:
        """Events as they are journalled, from `after` (a sequence) on; bounded: a slow reader is told to come back."""
        ...

"""Which hosts or operations a reader wants, and the one line that the map of the fleet has of a host."""

from dataclasses import dataclass
from typing import NamedTuple

from fenced.core.durable.state import FenceableLevel, Operation
from fenced.model.names import HostName
from fenced.model.power import Action, Cause, OperationState, State


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsLike:
    """What chosen hosts have in common. An empty set, "" or None chooses every host.

    `labels`: keys and values, all of them. `name`: a part of the name, in any case. `held`: by one of these gates.
    `fenceable`: one of these levels.
    """

    states: frozenset[State] = frozenset()
    cluster: str | None = None
    datacenter: str | None = None
    rack: str | None = None
    labels: frozenset[tuple[str, str]] = frozenset()
    name: str = ""
    held: frozenset[str] = frozenset()
    fenceable: frozenset[FenceableLevel] = frozenset()
    is_paused: bool | None = None
    is_maintained: bool | None = None
    is_stay_off: bool | None = None


class MappedHost(NamedTuple):
    """A host on the map. `fenceable` None: paths are not checked, or the host is never fenced."""

    name: HostName
    datacenter: str
    cluster: str
    rack: str
    state: State
    held_by: tuple[str, ...]
    fenceable: FenceableLevel | None
    is_paused: bool
    is_maintained: bool
    is_stay_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsLike:
    """What chosen operations have in common; as in `HostsLike`.

    `since`, `until`: when they were started, on the steady clock; the first is included, the second is not.
    """

    host: HostName | None = None
    states: frozenset[OperationState] = frozenset()
    actions: frozenset[Action] = frozenset()
    causes: frozenset[Cause] = frozenset()
    since: float | None = None
    until: float | None = None

    def chooses(self, given: Operation) -> bool:
        """Return whether the operation is one of them."""
        return (
            self.host in (None, given.host)
            and (not self.states or given.state in self.states)
            and (not self.actions or given.action in self.actions)
            and (not self.causes or given.cause in self.causes)
            and (self.since is None or given.started >= self.since)
            and (self.until is None or given.started < self.until)
        )

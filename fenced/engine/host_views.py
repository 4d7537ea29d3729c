"""What people see of the hosts: each one, those that they look for, all of them as a map, and whether it changed.

Everything is as the journal has it (S3). Whatever a view shows must be in `version`, or be said not to count there.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from fenced.core.allowed import match
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.suspected.fenceable import not_read, shown
from fenced.engine.misnamed import Misnamed
from fenced.model.inventory import Host, Inventory
from fenced.model.names import HostName
from fenced.ports.control import HostView
from fenced.ports.hosts import HostsLike, MappedHost


class HostViews:
    """`pauses` returns those in force, `now` the steady time."""

    def __init__(
        self, *, fleet: Callable[[], Fleet], pauses: Callable[[], tuple[Pause, ...]], misnamed: Misnamed,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._of, self._pauses, self._misnamed, self._now = fleet, pauses, misnamed, now
        self._life = secrets.token_hex(8)
        self._inventories = 0
        self._paused_in: tuple[Inventory | None, tuple[Pause, ...]] = None, ()
        self._paused: frozenset[HostName] = frozenset()

    def view(self, state: HostState) -> HostView:
        """Return the view of a host of the inventory."""
        fleet = self._of()
        host, sight = fleet.host(state.name), fleet.sights[state.name]
        names = {device.name for device in host.devices}
        if any(name not in names for name, _ in state.power):
            state = replace(state, power=tuple((name, power) for name, power in state.power if name in names))
        return HostView(
            state=state,
            cluster=str(host.cluster),
            datacenter=str(host.datacenter),
            last_heard=sight.heard_at if sight.heard_at is not None else state.last_heard,
            held_by=tuple(verdict.gate for verdict in state.held_by),
            is_paused=state.name in self._paused_now(),
            misnamed=self._misnamed.names(state.name),
            fenceable=shown(fleet, state.name, state, self._now()),
            is_drill=host.is_drill,
        )

    def hosts(self, *, after: str | None = None, like: HostsLike | None = None) -> Iterator[HostView]:
        """As `Control.hosts`. A host that is not chosen costs little."""
        fleet = self._of()
        names = fleet.hosts if after is None else [name for name in fleet.hosts if name > after]
        for name in sorted(names):
            state = fleet.durable(name)
            if like is None or self._is_like(like, fleet, state):
                yield self.view(state)

    def _is_like(self, like: HostsLike, fleet: Fleet, state: HostState) -> bool:
        """Return whether the host is chosen, by what costs least first."""
        if like.states and state.state not in like.states:
            return False
        if like.name and like.name.casefold() not in state.name.casefold():
            return False
        if not _is_placed(like, fleet.host(state.name)):
            return False
        if like.held and not any(verdict.gate in like.held for verdict in state.held_by):
            return False
        if not (
            like.is_maintained in (None, state.maintenance is not None)
            and like.is_stay_off in (None, state.is_stay_off)
            and (like.is_paused is None or like.is_paused is (state.name in self._paused_now()))
        ):
            return False
        if not like.fenceable:
            return True
        found = shown(fleet, state.name, state, self._now())
        return found is not None and found.level in like.fenceable

    def map(self) -> Iterator[MappedHost]:
        """As `Control.map`."""
        fleet, paused, now = self._of(), self._paused_now(), self._now()
        for name in sorted(fleet.hosts):
            state, host = fleet.durable(name), fleet.host(name)
            found = shown(fleet, name, state, now)
            yield MappedHost(
                name, str(host.datacenter), str(host.cluster), host.rack, state.state,
                tuple([verdict.gate for verdict in state.held_by]), None if found is None else found.level,
                name in paused, state.maintenance is not None, state.is_stay_off,
            )  # fmt: skip

    def version(self) -> str:
        """As `Control.version`.

        A random part for each life: two lives count from the same numbers. Tables count their changes; what is no table
        is replaced as a whole. `not_read` and misspelt names change with time, without a record.
        """
        fleet = self._of()
        self._paused_now()
        parts = (fleet.hosts.changes, self._inventories, self._paused_in[1], not_read(fleet, self._now()))
        return f"{self._life}-{hash((*parts[:3], tuple(parts[3]), tuple(self._misnamed.all().items()))):x}"

    def _paused_now(self) -> frozenset[HostName]:
        inventory, pauses = self._of().inventory, self._pauses()
        if inventory is not self._paused_in[0]:
            self._inventories += 1
        if inventory is not self._paused_in[0] or pauses != self._paused_in[1]:
            self._paused_in, self._paused = (inventory, pauses), frozenset(_selected(pauses, inventory.hosts))
        return self._paused


def _is_placed(like: HostsLike, host: Host) -> bool:
    places = ((like.cluster, host.cluster), (like.datacenter, host.datacenter), (like.rack, host.rack))
    if any(wanted is not None and wanted != place for wanted, place in places):
        return False
    return all(host.value_of(key) == value for key, value in like.labels)


def _selected(pauses: tuple[Pause, ...], hosts: Mapping[HostName, Host]) -> Iterator[HostName]:
    """Yield the hosts that pauses select. One that names its host costs no walk over all of them."""
    for pause in pauses:
        if match.why_none(pause.match, None):
            continue  # an invalid expression selects no host
        named = [HostName(value) for key, value in match.parse(pause.match) if key == "host"]
        among = [hosts[name] for name in named[:1] if name in hosts] if named else hosts.values()
        yield from (host.name for host in among if match.matches(pause.match, host))

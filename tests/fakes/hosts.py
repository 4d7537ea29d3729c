"""Lists of hosts and requests of the fake control port, as the engine makes them over a fleet of its states."""

from collections.abc import Iterator

from fenced.core.durable.asked import asked
from fenced.core.durable.fleet_state import FleetState, Pause
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.engine.host_views import HostViews
from fenced.engine.misnamed import Misnamed
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.control import Audit, BadCursor, HostView
from fenced.ports.hosts import HostsLike, MappedHost
from tests.fakes.clock import FakeClock
from tests.fakes.samples import START


class FakeHosts:
    """`viewed`: the hosts that lists showed, in order."""

    inventory: Inventory
    states: dict[HostName, HostState]
    pauses: list[Pause]
    store_hold: str
    viewed: list[HostName]
    requests: list[Entry]

    def host(self, name: HostName) -> HostView:
        raise NotImplementedError

    def hosts(self, *, after: str | None = None, like: HostsLike | None = None) -> Iterator[HostView]:
        chosen = None if like in (None, HostsLike()) else {view.state.name for view in self._views().hosts(like=like)}
        for name in sorted(self.states):
            if (after is None or name > after) and (chosen is None or name in chosen):
                self.viewed.append(name)
                yield self.host(name)

    async def audit(self, *, limit: int, after: str | None) -> Audit:
        """Show `requests`, the oldest first there."""
        if after is not None and not after.isdigit():
            if "=" not in after:
                raise BadCursor
            after = None  # a position in other shards
        found = [
            (number, entry)
            for number, entry in reversed([*enumerate(self.requests)])
            if (after is None or number < int(after)) and asked(entry.record) is not None
        ]
        is_more = len(found) > limit
        return Audit(entries=tuple(found[:limit]), next=str(found[limit - 1][0]) if is_more else None)

    def map(self) -> Iterator[MappedHost]:
        return self._views().map()

    def version(self) -> str:
        return str(hash((*self.states.values(), tuple(self.pauses))))

    def _views(self) -> HostViews:
        """Return the views of a real fleet of these states."""
        fleet, clock = self.as_fleet(), FakeClock()
        misnamed = Misnamed(lambda: self.inventory, clock)
        return HostViews(fleet=lambda: fleet, pauses=lambda: tuple(self.pauses), misnamed=misnamed, now=clock.now)

    def as_fleet(self) -> Fleet:
        fleet = Fleet(self.inventory, epoch=1, started=START)
        fleet.restore(dict(self.states), FleetState(pauses=tuple(self.pauses), store_hold=self.store_hold))
        return fleet

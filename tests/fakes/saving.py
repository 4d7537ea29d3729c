"""The part of the control port that concerns power saving: a real fleet of the fake's states is judged."""

from collections.abc import Sequence

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.replacing import replace
from fenced.core.durable.sleep_state import Asleep, Saving
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.idle import told
from fenced.core.idle.told import ClusterSaving, SavingTotals
from fenced.engine.saving import of_clusters
from fenced.model.inventory import Inventory
from fenced.model.names import HostName, OperationId, Token
from fenced.model.power import State
from fenced.ports.control import Accepted, NotFound
from tests.fakes.clock import FakeClock
from tests.fakes.samples import START


class FakeSaving:
    """`wakeable`: the sleepers that can be woken. `short_of`: clusters that lack so many hosts."""

    inventory: Inventory
    states: dict[HostName, HostState]
    calls: list[tuple[object, ...]]
    wakeable: list[str]
    short_of: dict[str, int]

    def begin_saving(self) -> None:
        self.wakeable, self.short_of = [], {}

    def save(self, *clusters: str) -> None:
        """Enable saving in these clusters."""
        hosts = dict(self.inventory.hosts)
        for name, host in hosts.items():
            if host.cluster in clusters:
                saving = replace(host.settings.saving, is_enabled=True)
                hosts[name] = replace(host, settings=replace(host.settings, saving=saving))
        self.inventory = replace(self.inventory, hosts=hosts)

    def fall_asleep(self, name: str, *, waker: str = "", why: str = "", state: State = State.SLEEPING) -> None:
        """Let a host sleep for an hour; `waker`: who wants it awake."""
        asleep = Asleep(
            at=START - 3600.0, boot=None, token=Token(epoch=1, sequence=9), devices=(), waker=waker, why=why
        )
        before = self.states[HostName(name)]
        self.states[HostName(name)] = replace(before, state=state, since=asleep.at, saving=Saving(asleep=asleep))

    def _real_fleet(self) -> Fleet:
        """Return a fleet of these states, of which nobody was heard."""
        fleet = Fleet(self.inventory, epoch=1, started=START)
        fleet.restore(dict(self.states), FleetState(short_of=tuple(self.short_of.items())))
        return fleet

    async def saving(self, *, cluster: str | None = None) -> Sequence[ClusterSaving]:
        return await of_clusters(self._real_fleet(), FakeClock(), cluster)

    def saving_totals(self) -> SavingTotals:
        return told.totals(self._real_fleet(), START)

    async def wake(self, cluster: str, hosts: int, *, by: str, reason: str) -> Accepted:
        """Note the call; the first of `wakeable` are woken."""
        if all(host.cluster != cluster for host in self.inventory.hosts.values()):
            raise NotFound(f"no cluster {cluster} in the inventory")
        self.calls.append(("wake", cluster, hosts, by, reason))
        chosen, self.wakeable = self.wakeable[:hosts], self.wakeable[hosts:]
        return Accepted(operation=OperationId(""), hosts=tuple(chosen), short=hosts - len(chosen))

"""Several shards behind one control port: a fake engine each, over one list of operations, as over one store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fenced.core.durable.state import HostState
from fenced.engine.many_shards import ManyShards
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.control import Standby
from tests.fakes.control import FakeControl
from tests.fakes.controllers import controller
from tests.fakes.samples import make_host

TWO: Final[Mapping[str, Sequence[str]]] = {"dc2": ("node-2", "node-4"), "main": ("node-1", "node-3")}


def shard(name: str, hosts: Sequence[str]) -> FakeControl:
    """Return a shard with these hosts; node-1 to node-4 are in the states of the fake."""
    fake = FakeControl()
    fake.shard = name
    clusters = dict.fromkeys(hosts, f"c-{name}")
    fake.inventory = replace(
        fake.inventory, hosts={HostName(host): make_host(host, cluster) for host, cluster in clusters.items()}
    )
    known = fake.states
    fake.states = {HostName(host): known.get(HostName(host), HostState(name=HostName(host))) for host in hosts}
    return fake


@dataclass(kw_only=True)
class Shards:
    """`fakes` by shard, and `control` over all of them."""

    hosts: Mapping[str, Sequence[str]] = field(default_factory=lambda: TWO)
    fakes: dict[str, FakeControl] = field(init=False)
    control: ManyShards = field(init=False)

    def __post_init__(self) -> None:
        self.fakes = {name: shard(name, hosts) for name, hosts in self.hosts.items()}
        operations = next(iter(self.fakes.values())).all_operations
        for fake in self.fakes.values():
            fake.all_operations = operations
        of = {HostName(host): name for name, hosts in self.hosts.items() for host in hosts}
        self.control = ManyShards(self.fakes, shard_of=of.get, inventory=self._inventory)

    def _inventory(self) -> Inventory:
        all_hosts = {name: host for fake in self.fakes.values() for name, host in fake.inventory.hosts.items()}
        return replace(next(iter(self.fakes.values())).inventory, hosts=all_hosts)

    def follow(self, name: str, active: str | None) -> None:
        """Let another controller hold this shard, at that address."""
        self.fakes[name].standby = Standby(active)

    def name(self, of_this: str, of_other: str, *, address: str = "", other_address: str = "") -> None:
        """Name the controllers as the store knows them: this one, and one that holds what this one does not."""
        held = {
            True: [name for name, fake in self.fakes.items() if fake.standby is None],
            False: [name for name, fake in self.fakes.items() if fake.standby is not None],
        }
        named = {True: (of_this, address), False: (of_other, other_address)}
        views = []
        for is_self, (controller_name, url) in named.items():
            one = controller(controller_name, address=url, is_self=is_self)
            shards = tuple(
                controller(controller_name, epoch=7, shard=shard_name).shards[0] for shard_name in held[is_self]
            )
            views.append(replace(one, shards=shards))
        for fake in self.fakes.values():
            fake.name, fake.controller_views = of_this, sorted(views, key=lambda view: view.report.name)

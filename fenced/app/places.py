"""Knows the shard of each host of the configuration in force.

Every message of the bus asks. So the shards are looked up once for each inventory, and a reload brings another one.
"""

from collections.abc import Callable, Mapping

from fenced.model.inventory import Inventory
from fenced.model.names import HostName


class Places:
    """`inventory`: returns the one in force."""

    def __init__(self, inventory: Callable[[], Inventory]) -> None:
        self._inventory = inventory
        self._known = Inventory()
        self._shards: Mapping[HostName, str] = {}
        self._shards_of_clusters: Mapping[str, str] = {}

    def shard_of(self, name: HostName) -> str | None:
        """Return the shard of a host; None: the inventory has no such host."""
        self._look()
        return self._shards.get(name)

    def shard_of_cluster(self, cluster: str) -> str | None:
        """Return the shard of a cluster; None: no host of the inventory is in it."""
        self._look()
        return self._shards_of_clusters.get(cluster)

    def _look(self) -> None:
        inventory = self._inventory()
        if inventory is not self._known:
            self._known = inventory
            self._shards = {each: inventory.shard_of(host) for each, host in inventory.hosts.items()}
            self._shards_of_clusters = {host.cluster: self._shards[name] for name, host in inventory.hosts.items()}

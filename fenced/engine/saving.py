"""Says what power saving does, cluster by cluster, so that heartbeats and decisions never wait for it long."""

import asyncio

from fenced.core.fleet import Fleet
from fenced.core.idle import told
from fenced.core.idle.told import ClusterSaving
from fenced.model.names import ClusterName
from fenced.ports.clock import Clock
from fenced.ports.control import NotFound


async def of_clusters(fleet: Fleet, clock: Clock, cluster: str | None) -> list[ClusterSaving]:
    """Return every cluster by name, or one. A cluster that a reload removes meanwhile is left out. Raises NotFound."""
    if cluster is not None and cluster not in fleet.by_cluster:
        raise NotFound(f"no cluster {cluster} in the inventory")
    found = []
    for name in sorted(fleet.by_cluster) if cluster is None else [ClusterName(cluster)]:
        if name in fleet.by_cluster:
            found.append(told.of_cluster(fleet, name, clock.now()))
        await asyncio.sleep(0)
    return found

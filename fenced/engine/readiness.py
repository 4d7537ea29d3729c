"""Judges the readiness of the running fleet, a few hosts at a time, so that heartbeats and decisions never wait for it.

`core.readiness` judges. A host that a reload removes meanwhile is left out.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from fenced.core.allowed import match as selection
from fenced.core.fleet import Fleet
from fenced.core.readiness.of_cluster import Sum
from fenced.core.readiness.of_host import host_readiness, is_observed, paths
from fenced.core.readiness.values import HostReadiness, PathProof, is_hindered
from fenced.model.names import HostName
from fenced.ports.clock import Clock
from fenced.ports.control import Readiness

SLICE_HOSTS: Final = 25
"""A slice takes a few milliseconds at most."""


async def readiness(
    fleet: Fleet, clock: Clock, misnamed: Callable[[HostName], tuple[str, ...]], *, match: str, is_all: bool,
    limit: int, after: str | None,
) -> Readiness:  # fmt: skip
    """Return what `ports.control` promises."""
    clusters: dict[str, Sum] = {}
    page: list[tuple[HostReadiness, tuple[PathProof, ...]]] = []
    is_more, is_week = False, is_observed(fleet, clock.now())
    for index, name in enumerate(sorted(fleet.hosts)):
        if index % SLICE_HOSTS == 0:
            await asyncio.sleep(0)
        if name not in fleet.hosts or not selection.matches(match, fleet.host(name)):
            continue
        now = clock.now()
        found = host_readiness(fleet, name, now, misnamed=misnamed(name), is_observed=is_week)
        if found.cluster not in clusters:
            clusters[found.cluster] = Sum(found.cluster)
        clusters[found.cluster].add(found)
        is_listed = is_all or is_hindered(found.findings) or bool(found.would_be_fences)
        if is_listed and (after is None or name > after):
            if len(page) < limit:
                page.append((found, paths(fleet, name, now)))
            else:
                is_more = True
    now, whole, of_clusters = clock.now(), Sum(""), []
    for cluster in sorted(clusters):
        await asyncio.sleep(0)
        whole.merge(clusters[cluster])
        of_clusters.append(clusters[cluster].result(fleet, now))
    return Readiness(
        fleet=whole.result(fleet, now),
        clusters=tuple(of_clusters),
        hosts=tuple(page),
        next=str(page[-1][0].name) if is_more and page else None,
    )

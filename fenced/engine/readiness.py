"""Judges the readiness of the running fleet, a few hosts at a time, so that heartbeats and decisions never wait for it.

`core.readiness` judges. A host that a reload removes meanwhile is left out. Whoever reads page after page gets the
figures of the first page with each, so that a list costs the fleet once, not once a page.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fenced.core.allowed import match as selection
from fenced.core.fleet import Fleet
from fenced.core.readiness.of_cluster import Sum
from fenced.core.readiness.of_host import host_readiness, is_observed, paths
from fenced.core.readiness.values import ClusterReadiness, HostReadiness, PathProof, is_hindered
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.clock import Clock
from fenced.ports.control import Readiness

SLICE_HOSTS: Final = 25
"""A slice takes a few milliseconds at most."""
KEPT_SECONDS: Final = 60.0
"""How long the figures of a first page serve for the pages after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The figures of the newest first page."""

    match: str
    inventory: Inventory
    at: float
    fleet: ClusterReadiness
    clusters: tuple[ClusterReadiness, ...]

    def serves(self, match: str, inventory: Inventory, now: float) -> bool:
        is_same = self.match == match and self.inventory is inventory
        return is_same and self.at <= now < self.at + KEPT_SECONDS


class Judge:
    """`misnamed` returns the wrong names under which a host is heard."""

    def __init__(self, clock: Clock, misnamed: Callable[[HostName], tuple[str, ...]]) -> None:
        self._clock, self._misnamed = clock, misnamed
        self._kept: _Kept | None = None

    async def readiness(self, fleet: Fleet, *, match: str, is_all: bool, limit: int, after: str | None) -> Readiness:
        """Return what `ports.control` promises."""
        kept, started = self._kept, self._clock.now()
        if after is None or kept is None or not kept.serves(match, fleet.inventory, started):
            kept = None
        clusters: dict[str, Sum] = {}
        page: list[tuple[HostReadiness, tuple[PathProof, ...]]] = []
        inventory, is_more, is_week = fleet.inventory, False, is_observed(fleet, started)
        names = sorted(_among(fleet, match) if kept is None else _after(fleet, after))
        for index, name in enumerate(names):
            if index % SLICE_HOSTS == 0:
                await asyncio.sleep(0)
            if name not in fleet.hosts or not selection.matches(match, fleet.host(name)):
                continue
            now = self._clock.now()
            found = host_readiness(fleet, name, now, misnamed=self._misnamed(name), is_observed=is_week)
            if found.cluster not in clusters:
                clusters[found.cluster] = Sum(found.cluster)
            clusters[found.cluster].add(found)
            is_listed = is_all or is_hindered(found.findings) or bool(found.would_be_fences)
            if is_listed and (after is None or name > after):
                if len(page) < limit:
                    page.append((found, paths(fleet, name, now)))
                else:
                    is_more = True
                    if kept is not None:
                        break
        if kept is None:
            kept = await self._summed(fleet, clusters, match=match, inventory=inventory, started=started)
            self._kept = kept
        return Readiness(
            fleet=kept.fleet,
            clusters=kept.clusters,
            hosts=tuple(page),
            next=str(page[-1][0].name) if is_more and page else None,
        )

    async def _summed(
        self, fleet: Fleet, clusters: dict[str, Sum], *, match: str, inventory: Inventory, started: float
    ) -> _Kept:
        now, whole, of_clusters = self._clock.now(), Sum(""), []
        for cluster in sorted(clusters):
            await asyncio.sleep(0)
            whole.merge(clusters[cluster])
            of_clusters.append(clusters[cluster].result(fleet, now))
        return _Kept(
            match=match, inventory=inventory, at=started, fleet=whole.result(fleet, now), clusters=tuple(of_clusters)
        )


def _among(fleet: Fleet, match: str) -> Iterable[HostName]:
    """Return the hosts that an expression may select: one that names its host costs no walk over all of them."""
    try:
        named = [HostName(value) for key, value in selection.parse(match) if key == "host"]
    except selection.BadMatch:
        return ()
    return named[:1] or fleet.hosts


def _after(fleet: Fleet, after: str | None) -> Iterator[HostName]:
    return (name for name in fleet.hosts if after is None or name > after)

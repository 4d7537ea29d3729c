"""Makes one answer of those of several shards: views, pages and event streams. It asks nobody itself.

Every stream and page is in the order of its parts, so that a reader who goes on from any point misses nothing.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from fenced.core.durable.fleet_state import Pause
from fenced.core.idle.told import SavingTotals
from fenced.core.readiness.of_shards import summed
from fenced.core.readiness.values import ClusterReadiness
from fenced.model.positions import Position
from fenced.ports.control import FleetView, Happened, Readiness, Unavailable


def told(reasons: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return all reasons of shards, each once: with the name of the shard where it is not every shard's."""
    named = {
        reason if all(reason in one for one in reasons.values()) else f"shard {shard}: {reason}": None
        for shard, ones in sorted(reasons.items())
        for reason in ones
    }
    return tuple(named)


def fleet_view(shards: Mapping[str, FleetView]) -> FleetView:
    """Return the view of the whole daemon: armed and ready if every shard is, held by this one if any is."""
    parts = tuple(view for _, view in sorted(shards.items()))
    held = [view for view in parts if view.is_lease_held]
    pauses: dict[str, Pause] = {pause.id: pause for view in reversed(parts) for pause in view.pauses}
    return FleetView(
        name=parts[0].name,
        site=parts[0].site,
        is_armed=all(view.is_armed for view in parts),
        is_armed_by_file=all(view.is_armed_by_file for view in parts),
        is_lease_held=bool(held),
        epoch=max(view.epoch for view in parts),
        is_bus_connected=all(view.is_bus_connected for view in parts),
        is_ready=all(view.is_ready for view in parts),
        not_ready=told({shard: view.not_ready for shard, view in shards.items()}),
        is_quiet=any(view.is_quiet for view in held or parts),
        pauses=tuple(sorted(pauses.values(), key=lambda pause: (pause.since, pause.id))),
        storms=tuple(view for part in parts for view in part.storms),
        store_hold="; ".join(told({shard: _one(view.store_hold) for shard, view in shards.items()})) or None,
        gate_closed_seconds=_longest(parts),
        warnings=told({shard: view.warnings for shard, view in shards.items()}),
        now=max(view.now for view in parts),
        is_standby=all(view.is_standby for view in parts),
        unfit=told({shard: view.unfit for shard, view in shards.items()}),
        shards=parts,
    )


def _one(reason: str | None) -> tuple[str, ...]:
    return () if reason is None else (reason,)


def _longest(parts: tuple[FleetView, ...]) -> dict[str, float]:
    longest: dict[str, float] = {}
    for view in parts:
        for gate, seconds in view.gate_closed_seconds.items():
            longest[gate] = max(seconds, longest.get(gate, 0.0))
    return longest


def readiness(shards: Mapping[str, Readiness], *, limit: int) -> Readiness:
    """Return the sums, and the page of all shards. Each part has the same page of its own shard."""
    clusters: dict[str, dict[str, ClusterReadiness]] = {}
    for shard, part in shards.items():
        for cluster in part.clusters:
            clusters.setdefault(cluster.name, {})[shard] = cluster
    found = [*heapq.merge(*(part.hosts for part in shards.values()), key=lambda each: each[0].name)]
    is_more = len(found) > limit or any(part.next is not None for part in shards.values())
    page = tuple(found[:limit])
    return Readiness(
        fleet=summed("", {shard: part.fleet for shard, part in shards.items()}),
        clusters=tuple(summed(name, parts) for name, parts in sorted(clusters.items())),
        hosts=page,
        next=str(page[-1][0].name) if is_more and page else None,
    )


def saving_totals(parts: Iterable[SavingTotals]) -> SavingTotals:
    """Return the sums of the figures of power saving."""
    sleeping, short, blocked = Counter[str](), Counter[str](), Counter[str]()
    saved = 0.0
    for part in parts:
        for whole, figures in ((sleeping, part.sleeping), (short, part.short), (blocked, part.blocked)):
            whole.update(figures)
        saved += part.saved_seconds
    return SavingTotals(sleeping=sleeping, short=short, blocked=blocked, saved_seconds=saved)


async def events(sources: Mapping[str, AsyncIterator[Happened]], begin: Position) -> AsyncGenerator[Happened, None]:
    """Yield the events of all sources as they come, each with the position in all of them.

    `begin`: a position in each. Of each source one event waits for the reader, so where many have events, they take
    turns. The end or the error of one ends all. Close it from the task that reads it.
    """
    ready: asyncio.Queue[_Waiting | Unavailable | None] = asyncio.Queue()  # one of each source
    position = begin
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_pump(it, ready), name=f"events of {name}") for name, it in sources.items()]
        try:
            while isinstance(found := await ready.get(), _Waiting):
                found.taken.set()
                position = position.moved(found.happened.position)
                yield Happened(message=found.happened.message, position=position)
        except GeneratorExit:
            found = None  # the reader left; a group would make an error of it
        for task in tasks:
            task.cancel()
    if found is not None:
        raise found


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """An event that waits for the reader, and keeps its source waiting until it is `taken`."""

    happened: Happened
    taken: asyncio.Event = field(default_factory=asyncio.Event)


async def _pump(source: AsyncIterator[Happened], ready: "asyncio.Queue[_Waiting | Unavailable | None]") -> None:
    """Pass on the events of one source, then its end: None, or why it ended."""
    ended: Unavailable | None = None
    try:
        async for happened in source:
            waiting = _Waiting(happened)
            ready.put_nowait(waiting)
            await waiting.taken.wait()
    except Unavailable as exc:
        ended = exc
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
    ready.put_nowait(ended)

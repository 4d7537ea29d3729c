"""Tells people what saving does: who sleeps and why, and what keeps each other host awake (S24).

Reads only. What keeps the host itself awake is told before what keeps its whole cluster awake: a person can change the
first, and sees the second at every host.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.idle import counts, fit
from fenced.core.idle.counts import Count
from fenced.core.idle.fit import Bar
from fenced.model.names import ClusterName, HostName, OperationId
from fenced.model.power import State

BARS_TOLD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeper:
    """A host that was put to sleep and not heard since. `since`: when. `wanted_by`, `why`: who wants it awake, and the
    reason; "": nobody. `state`: `sleeping`, `restoring` on its way up, or what became of it. `is_failed`: it was to be
    woken, and did not come."""

    host: HostName
    state: State
    since: float
    wanted_by: str
    why: str
    operation: OperationId | None

    @property
    def is_failed(self) -> bool:
        return self.state not in {State.SLEEPING, State.RESTORING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Awake:
    """A host that does not sleep, and the first things that keep it awake; none: it may be put to sleep now.
    `operation`: the one that is putting it to sleep, or None."""

    host: HostName
    state: State
    bars: tuple[Bar, ...]
    operation: OperationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSaving:
    """What saving does in one cluster. `short`: idle hosts that it lacks and that can't be woken. `saved_seconds`: of
    all hosts, in ended sleeps and those that last. `others`: empty where saving is not enabled."""

    cluster: ClusterName
    is_enabled: bool
    count: Count
    reserve: int
    short: int
    saved_seconds: float
    sleepers: tuple[Sleeper, ...]
    others: tuple[Awake, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingTotals:
    """Figures for metrics. `sleeping`, `short`: by cluster, of those that save or have a sleeper. `blocked`: hosts that
    are on in clusters that save, by the rule that keeps each awake first. `saved_seconds`: of the fleet."""

    sleeping: Mapping[str, int]
    short: Mapping[str, int]
    blocked: Mapping[str, int]
    saved_seconds: float


def of_cluster(fleet: Fleet, cluster: ClusterName, now: float) -> ClusterSaving:
    """Return what saving does in a cluster of the fleet."""
    names, settings = sorted(fleet.by_cluster.get(cluster, ())), counts.settings(fleet, cluster)
    count = counts.of_cluster(fleet, cluster, now)
    states = [fleet.durable(name) for name in names]
    awake = [state for state in states if not state.is_asleep] if settings.is_enabled else []
    return ClusterSaving(
        cluster=cluster,
        is_enabled=settings.is_enabled,
        count=count,
        reserve=settings.reserve,
        short=dict(fleet.durable_state.short_of).get(cluster, 0),
        saved_seconds=sum(state.saving.slept_until(now) for state in states),
        sleepers=tuple(_sleeper(state) for state in states if state.is_asleep),
        others=tuple(_awake(fleet, state, now, count) for state in awake),
    )


def totals(fleet: Fleet, now: float) -> SavingTotals:
    """Return the figures for metrics. Most hosts have work, and are counted without a look at anything else."""
    sleeping: dict[str, int] = {}
    blocked: dict[str, int] = {}
    for cluster, names in fleet.by_cluster.items():
        asleep = sum(fleet.hosts[name].is_asleep for name in names)
        is_enabled = counts.settings(fleet, cluster).is_enabled
        if is_enabled or asleep:
            sleeping[cluster] = asleep
        if is_enabled:
            for rule in _first_rules(fleet, cluster, now):
                blocked[rule] = blocked.get(rule, 0) + 1
    short = dict.fromkeys(sleeping, 0) | dict(fleet.durable_state.short_of)
    saved = sum(state.saving.slept_until(now) for state in fleet.states())
    return SavingTotals(sleeping=sleeping, short=short, blocked=blocked, saved_seconds=saved)


def why_awake(
    fleet: Fleet, name: HostName, now: float, count: Count | None = None, *, most: int = BARS_TOLD
) -> tuple[Bar, ...]:
    """Return the first things that keep a host awake: its own, or else those of its cluster."""
    is_begun = counts.is_going(fleet.hosts[name])
    bars = fit.bars(fleet, name, now, is_asked=False, is_begun=is_begun, count=count)
    own, shared = _own_first(bars, most)
    return own or shared


def _own_first(bars: Iterable[Bar], most: int) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
    """Return the first bars of the host, and those of its cluster. Whoever has work was not idle for long either."""
    shared: list[Bar] = []
    rules: set[str] = set()

    def own() -> Iterator[Bar]:
        for bar in bars:
            if bar.rule in fit.OF_CLUSTER:
                shared.append(bar)
            elif not (bar.rule == "idle_for" and "not_idle" in rules):
                rules.add(bar.rule)
                yield bar

    first = tuple(islice(own(), most))
    return first, tuple(shared[:most])


def _first_rules(fleet: Fleet, cluster: ClusterName, now: float) -> Iterator[str]:
    count = counts.of_cluster(fleet, cluster, now)
    for name in fleet.by_cluster[cluster]:
        state = fleet.hosts[name]
        if state.is_asleep or counts.is_going(state):
            continue
        if state.state is not State.HEALTHY:
            yield "state"
        elif fleet.sights[name].idle_since is None:  # as the last look at the gates found it
            yield "not_idle"
        elif bars := why_awake(fleet, name, now, count, most=1):
            yield bars[0].rule


def _sleeper(state: HostState) -> Sleeper:
    asleep = state.saving.asleep
    assert asleep is not None
    return Sleeper(
        host=state.name, state=state.state, since=asleep.at, wanted_by=asleep.waker, why=asleep.why,
        operation=state.operation.id if state.operation is not None else None,
    )  # fmt: skip


def _awake(fleet: Fleet, state: HostState, now: float, count: Count) -> Awake:
    is_going = counts.is_going(state)
    return Awake(
        host=state.name, state=state.state, bars=why_awake(fleet, state.name, now, count),
        operation=state.operation.id if is_going and state.operation is not None else None,
    )  # fmt: skip

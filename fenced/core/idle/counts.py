"""Counts the hosts of a cluster for saving: who is idle, asleep, on its way, or lost."""

from collections.abc import Iterator
from dataclasses import dataclass

from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.evidence import BUSY, IDLE, NO_LIFE, holding
from fenced.model.names import ClusterName, HostName
from fenced.model.power import Action, State
from fenced.model.settings import SavingSettings

LOST = frozenset({State.DUMPING, State.FENCING, State.FENCED, State.FAILED})
"""States of a host whose work may need another one."""
TROUBLE = frozenset({State.SUSPECT, State.DUMPING, State.FENCING, State.FAILED})
"""Nobody of a cluster is put to sleep while one of it is in such a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Of one cluster. `trouble`: hosts that are suspect, held, being fenced or failed, woken ones that did not come
    included; `going`: on their way to sleep; `ended_at`: when a host was last put to sleep, or that failed. `idle`:
    awake, healthy, without work, and not asked to shut down; `coming`: on their way up; `asleep`: all that sleep, those
    on their way up included; `lost`: fenced, failed or being fenced, and not by a person's wish to keep them off;
    `on`: awake, heard, and not asked to shut down; `size`: all hosts."""

    trouble: tuple[HostName, ...]
    going: tuple[HostName, ...]
    ended_at: float | None
    idle: tuple[HostName, ...]
    coming: tuple[HostName, ...]
    asleep: tuple[HostName, ...]
    lost: tuple[HostName, ...]
    on: int
    size: int


def of_cluster(fleet: Fleet, cluster: ClusterName, now: float) -> Count:
    """Return the counts of a cluster at this moment. One pass, short for a host that is healthy and has work, as most
    of ten thousand are."""
    names, hosts, sights = fleet.by_cluster.get(cluster, ()), fleet.hosts, fleet.sights
    ear = fleet.own.ear.now(min(now, fleet.heard_until))
    idle: list[HostName] = []
    odd: list[HostName] = []
    on, ended = 0, None
    for name in names:
        state, sight = hosts[name], sights[name]
        is_healthy = state.state is State.HEALTHY
        if not is_healthy or state.operation is not None or state.held_by or state.saving.asleep is not None:
            odd.append(name)
        if (at := state.saving.ended_at) is not None:
            ended = at if ended is None else max(at, ended)
        if is_healthy and not is_leaving(state):
            is_fresh = ear - sight.heard_ear <= fleet.interval_seconds(name)  # no grace is shorter
            on += (is_fresh and sight.heard_at is not None) or fleet.is_heard(name, now)
            if sight.workloads == 0 and why_not_idle(fleet, name, now) is None:
                idle.append(name)
    return Count(
        trouble=tuple(name for name in odd if _is_trouble(hosts[name])),
        going=tuple(name for name in odd if is_going(hosts[name])),
        ended_at=ended,
        idle=tuple(idle),
        coming=tuple(name for name in odd if is_coming(hosts[name])),
        asleep=tuple(name for name in odd if hosts[name].is_asleep),
        lost=tuple(name for name in odd if _is_lost(hosts[name])),
        on=on,
        size=len(names),
    )


def settings(fleet: Fleet, cluster: ClusterName) -> SavingSettings:
    """Return the settings of a cluster: those of any of its hosts."""
    name = next(iter(fleet.by_cluster.get(cluster, ())), None)
    return fleet.host(name).settings.saving if name is not None else SavingSettings()


def is_coming(state: HostState) -> bool:
    """Return whether the host was woken and is expected to be heard: not while a person has it in maintenance."""
    return state.is_asleep and state.state is State.RESTORING and state.maintenance is None


def is_going(state: HostState) -> bool:
    """Return whether the host is on its way to sleep."""
    return state.operation is not None and state.operation.action is Action.SLEEP


def is_leaving(state: HostState) -> bool:
    """Return whether the host is on its way to sleep, or was asked to shut down and may still do so: nobody counts on
    it."""
    return is_going(state) or state.saving.soft_off is not None


def leaving(fleet: Fleet) -> set[HostName]:
    """Return all such hosts of the fleet."""
    return {name for name, state in fleet.hosts.items() if is_leaving(state)}


def is_idle(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether the host says itself, freshly, that it has no work, and nothing else is wrong with it."""
    return fleet.hosts[name].state is State.HEALTHY and why_not_idle(fleet, name, now) is None


def why_not_idle(fleet: Fleet, name: HostName, now: float) -> str | None:
    """Return why a host does not count as idle; None: it does. What it does not say is not zero."""
    sight, state = fleet.sights[name], fleet.hosts[name]
    if sight.heard_at is None or fleet.is_overdue(name, now) or fleet.is_speaking(name, now):
        return "it is not heard right now"
    if sight.is_stopping or state.boot is None or sight.boot != state.boot:
        return "it is not known which run of it is heard"
    if sight.workloads is None:
        return "it does not say how many workloads it has"
    if sight.workloads > 0:
        return f"it reports {sight.workloads} workloads"
    return next(_objections(fleet, name, now), None)


def _objections(fleet: Fleet, name: HostName, now: float) -> Iterator[str]:
    """Yield what other systems say against it, and who of those that must agree does not."""
    said = [(source, kind) for source, kind, _ in holding(fleet.sights[name].evidence, now)]
    for source, kind in said:
        if kind == BUSY or kind not in NO_LIFE:
            yield f"{source} says {kind}"
    for source in fleet.host(name).settings.saving.consent:
        if (source, IDLE) not in said:
            yield f"{source} does not say that it is idle (consent)"


def is_on(fleet: Fleet, name: HostName, now: float) -> bool:
    state = fleet.hosts[name]
    return state.state is State.HEALTHY and fleet.is_heard(name, now) and not is_leaving(state)


def _is_trouble(state: HostState) -> bool:
    return state.state in TROUBLE or bool(state.held_by)


def _is_lost(state: HostState) -> bool:
    by_person = state.is_off_by_person or (state.operation is not None and not state.operation.is_automatic)
    return state.state in LOST and not by_person and not state.is_asleep

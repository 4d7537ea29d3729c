"""Decides at each look at the gates who is put to sleep and who is woken, cluster by cluster (S24).

Waking comes first: it is what others wait for. The longest awake sleeps first, and who proved most recently that it
comes back is woken first. One host of a cluster goes to sleep at a time, with a pause between two.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from fenced.core.allowed import gates, of_daemon
from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Operation, Phase, Slot
from fenced.core.fleet import Fleet
from fenced.core.heard.own import SAVING_FORMAT
from fenced.core.idle import counts, fit
from fenced.core.idle.counts import Count
from fenced.core.operation import starting
from fenced.core.operation.advancing import advance
from fenced.core.operation.phases import enter_restore
from fenced.core.work import HostWork, Work
from fenced.model.inventory import Host
from fenced.model.names import ClusterName, HostName
from fenced.model.power import Action, Cause, State

BY: Final = "fenced"


def look(work: Work) -> None:
    """Look at every cluster that saves, or has a sleeper. Harmless at any time, as often as you like."""
    for cluster in sorted(work.fleet.by_cluster):
        _look_at(work, cluster)


def follow(work: HostWork, before: HostState) -> None:
    """Look at the cluster at once if the host has just been lost: a spare comes up while it is being fenced. If it is
    in trouble, nobody of its cluster is put to sleep, even if the trouble is over at the next look."""
    if work.state.state is before.state or not work.host.settings.saving.is_enabled:
        return
    if work.state.state in counts.TROUBLE and before.state not in counts.TROUBLE:
        for name in work.fleet.by_cluster[work.host.cluster]:
            _look_at_veto(work.work.on(name))
    if work.state.state in counts.LOST and before.state not in counts.LOST:
        _look_at(work.work, work.host.cluster)


def heard(work: HostWork, before: HostState) -> None:
    """Weigh a message of a host at once: it is idle no longer, or is not put to sleep, even if its next message says
    something else."""
    if work.sight.idle_since is not None and not counts.is_idle(work.fleet, work.name, work.now):
        work.see(idle_since=None)
    _look_at_veto(work)
    follow(work, before)


def _look_at_veto(work: HostWork) -> None:
    """Look at what speaks against the sleep of a host of which nothing was asked yet."""
    if work.operation is not None and work.operation.phase is Phase.VETO:
        advance(work)


def _look_at(work: Work, cluster: ClusterName) -> None:
    fleet, now = work.fleet, work.now
    settings = counts.settings(fleet, cluster)
    if not settings.is_enabled and not any(fleet.hosts[name].is_asleep for name in fleet.by_cluster[cluster]):
        _tell_capacity(work, cluster, 0, "")
        return
    count = counts.of_cluster(fleet, cluster, now)
    _note_idle(fleet, cluster, count, now)
    if gates.closed((of_daemon.lease(fleet, now),)):
        return
    decided = len(work.entries)
    _want(work, cluster, count)
    _wake(work, cluster)
    if settings.is_enabled:
        _put_one_to_sleep(work, cluster, count if len(work.entries) == decided else None)


def _note_idle(fleet: Fleet, cluster: ClusterName, count: Count, now: float) -> None:
    """Note since when each host is idle. It starts anew with the daemon, because nobody saw what happened before."""
    idle = set(count.idle)
    for name in fleet.by_cluster[cluster]:
        since = fleet.sights[name].idle_since
        is_idle = name in idle or (counts.is_leaving(fleet.hosts[name]) and counts.is_idle(fleet, name, now))
        if is_idle is not (since is not None):
            fleet.see(name, idle_since=now if is_idle else None)


# -- waking -----------------------------------------------------------------------------------------------------------


def _want(work: Work, cluster: ClusterName, count: Count) -> None:
    """Record who shall wake, and tell if too few can."""
    fleet, now = work.fleet, work.now
    settings = counts.settings(fleet, cluster)
    if not settings.is_enabled:
        for name in wakeable(fleet, cluster, now):
            _want_one(work.on(name), "saving is not enabled any more")
        return
    if gates.closed((of_daemon.warm_up(fleet, now),)):
        return  # it does not hear who is idle: nobody lacks a host because the daemon has just started, or is deaf
    needed = settings.reserve + len(count.lost)
    ready = len(count.idle) + len(_wanted(fleet, count))
    short = needed - ready
    if short <= 0:
        _tell_capacity(work, cluster, 0, "")
        return
    why = f"{ready} idle hosts are on or on their way, wanted are {needed}"
    if count.lost:
        why += f", because {', '.join(count.lost)} is lost"
    chosen = wakeable(fleet, cluster, now)[:short]
    for name in chosen:
        _want_one(work.on(name), why)
    _tell_capacity(work, cluster, short - len(chosen), why)


def wakeable(fleet: Fleet, cluster: ClusterName, now: float) -> list[HostName]:
    """Return the sleepers that nobody woke yet and that may be woken, who proved it most recently first. Those that
    were asked to shut down come last: their wake waits until they are off."""
    names = fleet.by_cluster.get(cluster, ())
    asleep = [it for it in names if fleet.hosts[it].state is State.SLEEPING and _may_wake(fleet, it, now)]
    going = [it for it in names if counts.is_going(fleet.hosts[it]) and _may_wake_once_off(fleet, it)]
    return sorted(asleep, key=lambda name: _by_proof(fleet, name)) + going


def _may_wake(fleet: Fleet, name: HostName, now: float) -> bool:
    state = fleet.hosts[name]
    asleep = state.saving.asleep
    is_free = asleep is not None and not asleep.is_wanted and state.maintenance is None
    return is_free and now >= state.saving.retry_at and not fleet.host(name).is_own_machine


def _may_wake_once_off(fleet: Fleet, name: HostName) -> bool:
    state = fleet.hosts[name]
    soft_off = state.saving.soft_off
    return soft_off is not None and not soft_off.waker and state.maintenance is None


def _by_proof(fleet: Fleet, name: HostName) -> tuple[float, str]:
    proven = fleet.hosts[name].saving.proven_at
    return (-proven if proven is not None else 0.0, str(name))


def _wanted(fleet: Fleet, count: Count) -> list[HostName]:
    """Return the sleepers that somebody wants awake, or that are on their way, and did not fail."""
    found = []
    for name in count.asleep:
        state = fleet.hosts[name]
        asleep = state.saving.asleep
        is_able = (state.state is State.SLEEPING or counts.is_coming(state)) and not fleet.host(name).is_own_machine
        if is_able and state.maintenance is None and asleep is not None and asleep.is_wanted:
            found.append(name)
    return found + [name for name in count.going if (it := fleet.hosts[name].saving.soft_off) is not None and it.waker]


def _want_one(work: HostWork, reason: str) -> None:
    work.record(r.WakeWanted(by=BY, reason=reason, cause=Cause.SAVING))


def _wake(work: Work, cluster: ClusterName) -> None:
    """Switch on who is wanted awake, as far as pacing allows it: too many at once trip a breaker."""
    fleet, now = work.fleet, work.now
    waiting = [name for name in fleet.by_cluster[cluster] if _is_due(fleet, name, now)]
    coming = [fleet.host(it) for it, state in fleet.hosts.items() if counts.is_coming(state)] if waiting else []
    for name in sorted(waiting, key=lambda it: _by_proof(fleet, it)):
        if _has_room(fleet.host(name), coming):
            wake(work.on(name))
            coming += [fleet.host(name)] if counts.is_coming(fleet.hosts[name]) else []


def _is_due(fleet: Fleet, name: HostName, now: float) -> bool:
    state = fleet.hosts[name]
    asleep = state.saving.asleep
    is_wanted = asleep is not None and asleep.is_wanted and state.state is State.SLEEPING
    is_free = state.maintenance is None and state.operation is None and not fleet.host(name).is_own_machine
    return is_wanted and is_free and now >= state.saving.retry_at


def _has_room(host: Host, coming: Sequence[Host]) -> bool:
    """Return whether fewer hosts of its cluster, its rack and the fleet are on their way than may be at once.
    `coming`: those of the fleet that are."""
    settings = host.settings.saving
    in_cluster = sum(it.cluster == host.cluster for it in coming)
    in_rack = sum(it.rack == host.rack and it.datacenter == host.datacenter for it in coming) if host.rack else 0
    return (
        len(coming) < settings.waking_fleet
        and in_cluster < settings.waking_cluster
        and in_rack < settings.waking_rack
    )  # fmt: skip


def wake(work: HostWork) -> None:
    """Start the operation that wakes a sleeper. It passes `armed` and pauses, as a restore does (S19)."""
    asleep = work.state.saving.asleep
    assert asleep is not None
    cause = Cause.SAVING if asleep.waker == BY else Cause.REQUEST
    operation = starting.new(work, Action.WAKE, cause=cause, by=asleep.waker or BY, reason=asleep.why)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    enter_restore(work, operation)
    advance(work)


def _tell_capacity(work: Work, cluster: ClusterName, short: int, why: str) -> None:
    """Record that a cluster lacks idle hosts, or does no more; in a store of an older format nothing of it."""
    told = dict(work.fleet.state.short_of).get(cluster, 0)
    if told != short and work.fleet.own.format >= SAVING_FORMAT:
        work.record_fleet(r.CapacityChanged(cluster=cluster, short=short, why=why))


# -- to sleep ---------------------------------------------------------------------------------------------------------


def _put_one_to_sleep(work: Work, cluster: ClusterName, count: Count | None) -> None:
    """`count`: of the cluster, if nothing was decided since; None: count anew."""
    fleet, now = work.fleet, work.now
    count = count or counts.of_cluster(fleet, cluster, now)
    for name in _longest_awake(fleet, cluster):
        bar = next(fit.bars(fleet, name, now, is_asked=False, count=count), None)
        if bar is not None and bar.rule in fit.OF_CLUSTER:
            return
        if bar is None:
            put_to_sleep(work.on(name), cause=Cause.SAVING, by=BY, reason=_why_idle(fleet, name, now))
            return


def _longest_awake(fleet: Fleet, cluster: ClusterName) -> Iterator[HostName]:
    """Yield the idle hosts of a cluster, the longest awake first."""
    idle = [name for name in fleet.by_cluster[cluster] if fleet.sights[name].idle_since is not None]
    yield from sorted(idle, key=lambda name: (fleet.hosts[name].saving.woken_at or 0.0, str(name)))


def _why_idle(fleet: Fleet, name: HostName, now: float) -> str:
    since = fleet.sights[name].idle_since
    return f"idle for {now - since:.0f} s" if since is not None else "idle"


def put_to_sleep(work: HostWork, *, cause: Cause, by: str, reason: str) -> Operation:
    """Start the operation that puts the host to sleep, and return it."""
    operation = starting.new(work, Action.SLEEP, cause=cause, by=by, reason=reason)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    advance(work)
    return operation

"""Counts hosts for the gates: once a moment, for all suspects of it (`heard.counts` says how long that holds).

A pass over the hosts of a large cluster takes as long as the gates of fifty suspects.
"""

import heapq
from collections.abc import Sequence

from fenced.core.durable.standing import is_expected, is_monitored, is_plain, is_unrecovered
from fenced.core.fleet import Fleet
from fenced.core.heard.counts import Count
from fenced.core.heard.reporters import OVERDUE_INTERVALS
from fenced.model.names import ClusterName, HostName


def of_cluster(fleet: Fleet, cluster: ClusterName, now: float) -> Count:
    """Return how many hosts of the cluster are overdue, and how many could be heard."""
    memo = fleet.memo_at(now)
    if cluster not in memo.clusters:
        memo.clusters[cluster] = _count(fleet, cluster, now)
    return memo.clusters[cluster]


def _count(fleet: Fleet, cluster: ClusterName, now: float) -> Count:
    """Count as `Fleet.is_overdue` does, in one pass: a cluster may have ten thousand hosts, most of them plain."""
    ear, hosts, sights = fleet.own.ear.now(min(now, fleet.heard_until)), fleet.hosts, fleet.sights
    witnesses = fleet.witnesses
    overdue = monitored = expected = heard = 0
    for name in fleet.by_cluster.get(cluster, ()):
        state = hosts[name]
        plain = is_plain(state)
        if not (plain or is_monitored(state, now)):
            continue
        silence = ear - sights[name].heard_ear
        is_late = silence > 0.0 and silence > OVERDUE_INTERVALS * fleet.interval_seconds(name)
        monitored += 1
        overdue += is_late
        if name in witnesses and (plain or is_expected(state, now)):
            expected += 1
            heard += not is_late
    return Count(overdue=overdue, monitored=monitored, expected=expected, heard=heard)


def overdue_hosts(fleet: Fleet, cluster: ClusterName, now: float) -> tuple[HostName, ...]:
    """Return the hosts that `overdue` of a cluster counts."""
    names = fleet.by_cluster.get(cluster, ())
    return tuple(name for name in names if is_monitored(fleet.hosts[name], now) and fleet.is_overdue(name, now))


def newest_witnesses(fleet: Fleet, most: int, now: float) -> Sequence[tuple[float, HostName]]:
    """Return the last heard of those that can be witnesses and are not overdue, the newest first; at most so many."""
    memo = fleet.memo_at(now)
    if memo.newest is None or memo.newest_max < most:
        memo.newest, memo.newest_max = _newest(fleet, most, now), most
    return memo.newest[:most]


def _newest(fleet: Fleet, most: int, now: float) -> list[tuple[float, HostName]]:
    heard = [(sight.heard_at, name) for name, sight in fleet.sights.items() if sight.heard_at is not None]
    newest = heapq.nlargest(most, heard)
    if all(name in fleet.witnesses and not fleet.is_overdue(name, now) for _, name in newest):
        return newest  # as nearly always: each other host was heard before these
    return heapq.nlargest(most, (it for it in heard if it[1] in fleet.witnesses and not fleet.is_overdue(it[1], now)))


def away(fleet: Fleet, now: float) -> frozenset[HostName]:
    """Return the hosts that were fenced, or could not be, and are not back."""
    memo = fleet.memo_at(now)
    if memo.away is None:
        memo.away = frozenset(name for name in fleet.away if is_unrecovered(fleet.hosts[name], now))
    return memo.away

"""Reports gates that stay closed for a cluster or the fleet, before a host needs them open.

A gate that is closed for one host alone is reported when that host is held. Memory has since when a gate is
memory; that it was reported is in the journal.
"""

from collections.abc import Container, Iterator
from typing import Final

from fenced.core.allowed import counting, gates, limits, of_daemon, of_many
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import ClosedGate
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.work import Work
from fenced.model.names import ClusterName, HostName

LONG_SECONDS: Final = 3600.0
"""A gate that stays closed for this long is reported."""
HOSTS_TOLD_MAX: Final = 20
LARGE: Final = 1000
"""A cluster of more hosts is counted once a minute while its gate is open: each of its suspects counts by itself."""
ROUND_SECONDS: Final = 10.0
ROUNDS: Final = 6

WHOLE_FLEET: Final = ""
GATES: Final = ("armed", "lease", "warm_up", "connectivity", "budget", "concurrency")


def look(work: Work) -> None:
    """Record gates that stay closed, and those that opened again."""
    fleet, now = work.fleet, work.now
    told = {(it.gate, it.cluster): it for it in fleet.state.closed_gates}
    closed_since = fleet.own.closed_since
    verdicts = _verdicts(fleet, now, known=closed_since.keys() | told.keys())
    shut = {(verdict.gate, cluster): verdict for cluster, verdict in verdicts if not verdict.is_open}
    since = {key: closed_since.get(key, told[key].since if key in told else now) for key in shut}
    work.own(replace(fleet.own, closed_since=since))
    if ("lease", WHOLE_FLEET) in shut:
        return  # without the lease, nothing can be written
    for key in sorted(shut.keys() - told.keys()):
        if now >= since[key] + LONG_SECONDS:
            gate, cluster = key
            closed = ClosedGate(gate=gate, cluster=cluster, since=since[key])
            work.record_fleet(r.GateStayedClosed(closed=closed, why=shut[key].why, hosts=_hosts(fleet, key, now)))
    if ("warm_up", WHOLE_FLEET) not in shut:  # until warm_up ends no host was heard, so it is unknown which are overdue
        for gate, cluster in sorted(told.keys() - shut.keys()):
            work.record_fleet(r.GateOpened(gate=gate, cluster=cluster))


def closed_seconds(fleet: Fleet, now: float) -> dict[str, float]:
    """Return how long each gate has been closed, in the cluster where it is longest; 0 where it is open."""
    longest = dict.fromkeys((*GATES, "storm"), 0.0)
    longest["storm"] = max((now - storm.since for storm in fleet.state.lasting_storms), default=0.0)
    for (gate, _), since in fleet.own.closed_since.items():
        longest[gate] = max(longest[gate], now - since)
    return longest


def _verdicts(fleet: Fleet, now: float, known: Container[tuple[str, str]]) -> Iterator[tuple[str, GateVerdict]]:
    """Yield the verdict of each gate for a host that would fall silent now, with the gate's cluster. `known`: those
    that were closed at the last look."""
    for verdict in (*gates.owner_gates(fleet, now), of_daemon.warm_up(fleet, now), limits.concurrency(fleet)):
        yield WHOLE_FLEET, verdict
    yield WHOLE_FLEET, limits.budget(fleet, None, now)
    for number, cluster in enumerate(fleet.by_cluster):
        yield cluster, limits.budget(fleet, cluster, now)
        is_small, is_known = len(fleet.by_cluster[cluster]) <= LARGE, ("connectivity", cluster) in known
        if is_small or is_known or int(now / ROUND_SECONDS) % ROUNDS == number % ROUNDS:
            yield cluster, of_many.connectivity(fleet, cluster, now)


def _hosts(fleet: Fleet, key: tuple[str, str], now: float) -> tuple[HostName, ...]:
    """Return the hosts that keep the gate closed, where hosts do."""
    gate, cluster = key
    if gate == "connectivity":
        return counting.overdue_hosts(fleet, ClusterName(cluster), now)[:HOSTS_TOLD_MAX]
    if gate == "budget" and cluster == WHOLE_FLEET:
        return limits.unrecovered(fleet, now)[:HOSTS_TOLD_MAX]
    return ()

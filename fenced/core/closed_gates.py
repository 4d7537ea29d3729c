"""Gates that stay closed for everybody: told before somebody dies behind them, and not as the reason afterwards.

Looks at the gates that speak of the fleet or of a whole cluster; what is closed for one host alone is told when that host is
held. Since when a gate is closed is remembered in this life of ours; that it was told is in the journal.
"""

from collections.abc import Iterator
from typing import Final

from fenced.core.allowed import gates
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import ClosedGate
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.work import Work
from fenced.model.names import ClusterName, HostName

LOOK_SECONDS: Final = 10.0
LONG_SECONDS: Final = 3600.0
"""A gate that is closed for so long is told."""
HOSTS_TOLD_MAX: Final = 20

WHOLE_FLEET: Final = ""
GATES: Final = ("armed", "lease", "warm_up", "connectivity", "budget", "concurrency")


def look(work: Work) -> None:
    """Harmless at any time; once in a while is often enough."""
    fleet, now = work.fleet, work.now
    if now < fleet.gates_looked_at + LOOK_SECONDS:
        return
    fleet.gates_looked_at = now
    told = {(it.gate, it.cluster): it for it in fleet.state.closed_gates}
    shut = {(verdict.gate, cluster): verdict for cluster, verdict in _verdicts(fleet, now) if not verdict.is_open}
    since = {key: fleet.closed_since.get(key, told[key].since if key in told else now) for key in shut}
    fleet.closed_since = since
    if ("lease", WHOLE_FLEET) in shut:
        return  # nothing can be written
    for key in sorted(shut.keys() - told.keys()):
        if now >= since[key] + LONG_SECONDS:
            gate, cluster = key
            closed = ClosedGate(gate=gate, cluster=cluster, since=since[key])
            work.record_fleet(r.GateStayedClosed(closed=closed, why=shut[key].why, hosts=_hosts(fleet, key, now)))
    if ("warm_up", WHOLE_FLEET) not in shut:  # else nobody was heard yet, and who is overdue is not known
        for gate, cluster in sorted(told.keys() - shut.keys()):
            work.record_fleet(r.GateOpened(gate=gate, cluster=cluster))


def closed_seconds(fleet: Fleet, now: float) -> dict[str, float]:
    """For how long each gate is closed, for the cluster where it is so longest; 0 where it is open."""
    longest = dict.fromkeys(GATES, 0.0)
    for (gate, _), since in fleet.closed_since.items():
        longest[gate] = max(longest[gate], now - since)
    return longest


def _verdicts(fleet: Fleet, now: float) -> Iterator[tuple[str, GateVerdict]]:
    """Each gate as a host would find it that fell silent now, with the cluster that it speaks of."""
    for verdict in (*gates.owner_gates(fleet, now), gates.warm_up(fleet, now), gates.concurrency(fleet)):
        yield WHOLE_FLEET, verdict
    yield WHOLE_FLEET, gates.budget(fleet, None, now)
    for cluster in fleet.by_cluster:
        yield cluster, gates.budget(fleet, cluster, now)
        yield cluster, gates.connectivity(fleet, cluster, now)


def _hosts(fleet: Fleet, key: tuple[str, str], now: float) -> tuple[HostName, ...]:
    """Whom it is about, as far as it is about hosts."""
    gate, cluster = key
    if gate == "connectivity":
        return fleet.overdue_hosts(ClusterName(cluster), now)[:HOSTS_TOLD_MAX]
    if gate == "budget" and cluster == WHOLE_FLEET:
        return gates.unrecovered(fleet, now)[:HOSTS_TOLD_MAX]
    return ()

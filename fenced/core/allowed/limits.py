"""The gates that bound how much automatic power there is: per cluster, for the fleet, and at once."""

from fenced.core.allowed import counting
from fenced.core.allowed.verdict import judged
from fenced.core.durable.fleet_state import Draw
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Room
from fenced.model.names import ClusterName, HostName


def budget_for(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    of_cluster = budget(fleet, fleet.host(name).cluster, now)
    return of_cluster if not of_cluster.is_open else budget(fleet, None, now, but=name)


def budget(fleet: Fleet, cluster: ClusterName | None, now: float, *, but: HostName | None = None) -> GateVerdict:
    """Evaluate the budget of a cluster, or (None) of the fleet, which also counts fenced hosts that are not back.

    A cluster is in one shard; the fleet has others, whose draws and hosts count. The host `but` is not counted.
    """
    return _budget_of_fleet(fleet, now, but) if cluster is None else _budget_of_cluster(fleet, cluster, now)


def _budget_of_cluster(fleet: Fleet, cluster: ClusterName, now: float) -> GateVerdict:
    used = sum(1 for draw in _recent_draws(fleet, now) if draw.cluster == cluster)
    most = _budget_size(fleet, len(fleet.by_cluster.get(cluster, ())))
    if used >= most:
        return judged("budget", False, f"{used} of {most} automatic fences of the cluster drawn in the window")
    return judged("budget", True, f"{used} drawn in the window", f"{used} of {most} drawn")


def _budget_of_fleet(fleet: Fleet, now: float, but: HostName | None) -> GateVerdict:
    settings, others = fleet.inventory.daemon.gates, fleet.own.others
    if now < others.locked_until:
        return judged("budget", False, "another shard draws from the fleet's budget at this moment")
    elsewhere, most = others.drawn(now), _budget_size(fleet, fleet.inventory.size)
    used = drawn(fleet, now) + elsewhere
    of_others = ""
    if elsewhere:
        minutes = settings.budget_per_seconds / 60
        of_others = f"; other shards have fenced {elsewhere} hosts in the last {minutes:.3g} min"
    if used >= most:
        return judged("budget", False, f"{used} of {most} automatic fences of the fleet drawn in the window{of_others}")
    not_back = away(fleet, now, but) + others.unrecovered
    if not_back >= settings.budget_unrecovered:
        shared = f", {others.unrecovered} of them of other shards" if others.unrecovered else ""
        why = f"{not_back} fenced hosts have not recovered (at most {settings.budget_unrecovered}){shared}"
        return judged("budget", False, why)
    return judged("budget", True, f"{used} drawn in the window{of_others}", f"{used} of {most} drawn")


def budget_room(fleet: Fleet, name: HostName, now: float) -> Room:
    """Return how much other shards may have drawn at most while the fleet's budget is open for this host."""
    settings = fleet.inventory.daemon.gates
    return Room(
        per_seconds=settings.budget_per_seconds,
        drawn=_budget_size(fleet, fleet.inventory.size) - drawn(fleet, now) - 1,
        unrecovered=settings.budget_unrecovered - away(fleet, now, name) - 1,
    )


def _budget_size(fleet: Fleet, hosts: int) -> int:
    """Return how many automatic fences the window allows among so many hosts."""
    settings = fleet.inventory.daemon.gates
    return min(max(settings.budget_hosts, int(settings.budget_percent * hosts / 100)), settings.budget_at_most)


def drawn(fleet: Fleet, now: float) -> int:
    """Return how many draws of this shard count in the fleet's budget."""
    return len(_recent_draws(fleet, now))


def _recent_draws(fleet: Fleet, now: float) -> list[Draw]:
    return [draw for draw in fleet.state.draws if draw.at > now - fleet.inventory.daemon.gates.budget_per_seconds]


def away(fleet: Fleet, now: float, but: HostName | None = None) -> int:
    """Return how many hosts `unrecovered` names, without `but`."""
    found = counting.away(fleet, now)
    return len(found) - (but in found)


def unrecovered(fleet: Fleet, now: float) -> tuple[HostName, ...]:
    """Return the hosts that were fenced, or could not be, and are not back.

    Hosts that operators switched off don't count.
    """
    return tuple(sorted(counting.away(fleet, now)))


def concurrency(fleet: Fleet) -> GateVerdict:
    most = fleet.inventory.daemon.gates.concurrency
    operations = (state.operation for state in fleet.operations_in_flight() if state.operation is not None)
    running = sum(1 for it in operations if it.is_automatic and not it.is_saving)
    why = f"{running} of {most} automatic operations run"
    margin = f"{most - running} more run" if running < most else f"{running - most + 1} must end"
    return judged("concurrency", running < most, why, margin)

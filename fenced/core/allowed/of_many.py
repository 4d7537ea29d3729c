"""The gates about many hosts: whether others are heard, and how many of a cluster are overdue.

They count overdue hosts, not suspects: the first host of many to pass its grace must already see the others.
"""

import math
from typing import Final

from fenced.core.allowed import counting, observing
from fenced.core.allowed.verdict import judged
from fenced.core.durable.standing import is_expected
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.model.names import ClusterName, HostName

OTHERS_SEEN_MAX: Final = 1
"""In a cluster of a pair, an observer that reaches the other host may stand for hearing it."""


def witness(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Close unless enough other hosts were heard since the host fell silent: else the daemon may be cut off."""
    wanted = fleet.inventory.daemon.gates.witness_hosts
    if wanted == 0:
        return judged("witness", True, "no witness wanted")
    heard = witnesses_of(fleet, name, now)
    if heard >= wanted:
        return judged("witness", True, f"{heard} other hosts heard after its last beat")
    why = f"{heard} of {wanted} other hosts heard after its last beat: we may be cut off"
    return judged("witness", False, why, f"{wanted - heard} more heard")


def witnesses_of(fleet: Fleet, name: HostName, now: float) -> int:
    """Return how many others were heard since the host fell silent, and are heard still; not more than are wanted."""
    wanted = fleet.inventory.daemon.gates.witness_hosts
    state, sight = fleet.hosts[name], fleet.sights[name]
    last = sight.heard_at if sight.heard_at is not None else fleet.started
    if state.proof is not None:
        last = max(last, state.proof.at)
    after = last + fleet.interval_seconds(name)
    return sum(at > after for at, _ in counting.newest_witnesses(fleet, wanted, now))


def connectivity(fleet: Fleet, cluster: ClusterName, now: float, *, suspect: HostName | None = None) -> GateVerdict:
    """Close if many hosts of the cluster are overdue, or, for a suspect, all others that could be heard."""
    settings = fleet.inventory.daemon.gates
    overdue, monitored = counting.of_cluster(fleet, cluster, now)[:2]
    is_closed = (
        overdue >= settings.connectivity_at_least and 100 * overdue >= settings.connectivity_share_percent * monitored
    )
    if not is_closed and suspect is not None and is_all_overdue(fleet, suspect, now):
        return judged("connectivity", False, "every host of the cluster that could be heard is overdue")
    share = math.ceil(settings.connectivity_share_percent * monitored / 100)
    closes_at = max(settings.connectivity_at_least, share)
    margin = f"{overdue - closes_at + 1} more heard" if is_closed else f"{max(closes_at - overdue, 1)} more overdue"
    return judged("connectivity", not is_closed, f"{overdue} of {monitored} hosts of the cluster are overdue", margin)


def is_all_overdue(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether no other host of the cluster is heard over the network, however small the cluster is.

    If no other could be heard, the witness gate alone decides. A host that is off or failed is silent for a known
    reason. Of a pair, an observer of another failure domain may stand for a host that is heard: if it reaches
    the other host, and at the same time not the suspect, the network works and the suspect's silence is its own.
    """
    if not fleet.is_overdue(name, now):
        return False
    count = counting.of_cluster(fleet, fleet.host(name).cluster, now)
    is_one_of_them = name in fleet.witnesses and is_expected(fleet.hosts[name], now)
    if count.heard or count.expected <= is_one_of_them:
        return False
    if count.expected - is_one_of_them > OTHERS_SEEN_MAX:
        return True
    others = (
        other
        for other in fleet.by_cluster[fleet.host(name).cluster]
        if other != name and other in fleet.witnesses and is_expected(fleet.hosts[other], now)
    )
    return all(observing.sees_beside(fleet, name, other, now) is None for other in others)

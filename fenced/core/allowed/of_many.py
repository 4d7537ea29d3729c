"""The gates about many hosts: whether others are heard, and how many of a cluster are overdue.

They count overdue hosts, not suspects: the first host of many to pass its grace must already see the others.
"""

import math

from fenced.core.allowed import observing
from fenced.core.allowed.verdict import judged
from fenced.core.durable.standing import is_in_hand
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.model.names import ClusterName, HostName
from fenced.model.power import State

HEARD_OR_MISSED = frozenset({State.HEALTHY, State.SUSPECT, State.FENCING})
"""States in which a host should be heard, and no known reason explains its silence."""


def witness(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Close unless enough other hosts were heard since the host fell silent: else the daemon may be cut off."""
    wanted = fleet.inventory.daemon.gates.witness_hosts
    if wanted == 0:
        return judged("witness", True, "no witness wanted")
    state, sight = fleet.hosts[name], fleet.sights[name]
    last = sight.heard_at if sight.heard_at is not None else fleet.started
    if state.proof is not None:
        last = max(last, state.proof.at)
    after = last + fleet.interval_seconds(name)
    heard = 0
    for other, other_sight in fleet.sights.items():
        if other != name and other_sight.heard_at is not None and other_sight.heard_at > after:
            heard += fleet.host(other).can_witness and not fleet.is_overdue(other, now)
            if heard >= wanted:
                return judged("witness", True, f"{heard} other hosts heard after its last beat")
    why = f"{heard} of {wanted} other hosts heard after its last beat: we may be cut off"
    return judged("witness", False, why, f"{wanted - heard} more heard")


def connectivity(fleet: Fleet, cluster: ClusterName, now: float, *, suspect: HostName | None = None) -> GateVerdict:
    """Close if many hosts of the cluster are overdue, or, for a suspect, all others that could be heard."""
    settings = fleet.inventory.daemon.gates
    overdue, monitored = fleet.overdue(cluster, now)
    is_closed = (
        overdue >= settings.connectivity_at_least and 100 * overdue >= settings.connectivity_share_percent * monitored
    )
    if not is_closed and suspect is not None and _is_all_overdue(fleet, suspect, now):
        return judged("connectivity", False, "every host of the cluster that could be heard is overdue")
    share = math.ceil(settings.connectivity_share_percent * monitored / 100)
    closes_at = max(settings.connectivity_at_least, share)
    margin = f"{overdue - closes_at + 1} more heard" if is_closed else f"{max(closes_at - overdue, 1)} more overdue"
    return judged("connectivity", not is_closed, f"{overdue} of {monitored} hosts of the cluster are overdue", margin)


def _is_all_overdue(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether no other host of the cluster is heard over the network, however small the cluster is.

    If no other could be heard, the witness gate alone decides. A host that is off or failed is silent for a known
    reason. Of a small cluster, an observer of another failure domain may stand for a host that is heard: if it reaches
    the other host, and at the same time not the suspect, the network works and the suspect's silence is its own.
    """
    if not fleet.is_overdue(name, now):
        return False
    is_any = False
    for other in fleet.by_cluster.get(fleet.host(name).cluster, ()):
        state = fleet.hosts[other]
        is_expected = state.state in HEARD_OR_MISSED and not is_in_hand(state, now)
        if other == name or not is_expected or not fleet.host(other).can_witness:
            continue
        if not fleet.is_overdue(other, now) or observing.sees_beside(fleet, name, other, now) is not None:
            return False
        is_any = True
    return is_any

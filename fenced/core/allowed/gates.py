"""The gates before automatic power, in the order of design.md#gates. Each fails closed and gives its margin.

Gates count overdue hosts, not suspects: the first host of many to pass its grace must already see the others.
"""

from fenced.core.allowed.limits import budget_for, concurrency
from fenced.core.allowed.of_daemon import armed, lease, store, warm_up
from fenced.core.allowed.of_host import attempts, cooldown, eligible, maintenance, record, woken
from fenced.core.allowed.of_life import life, live_evidence, observers
from fenced.core.allowed.of_many import connectivity, witness
from fenced.core.allowed.storm import storm
from fenced.core.allowed.verdict import judged
from fenced.core.durable.state import GateVerdict, HostState
from fenced.core.fleet import Fleet
from fenced.model.names import HostName
from fenced.model.power import State

RELEASING = frozenset({"warm_up", "witness", "connectivity", "storm"})
"""Gates about the daemon itself or about many hosts: when one opens again, silent hosts get `release_grace` first.

`observers` is none of them: it was closed because observers were blind, and opens with a look that is a few seconds old
over a network that works. Hosts that were away together are held by these gates, which count what the bus hears.
"""
UNQUIET = frozenset({State.SUSPECT, State.FENCING, State.FAILED})
"""States in which a host may need a fence, so that no other host is drilled."""


def all_gates(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate every gate before an automatic operation starts."""
    return (
        *owner_gates(fleet, now),
        store(fleet),
        warm_up(fleet, now),
        witness(fleet, name, now),
        *eligible(fleet, name, now),
        woken(fleet.hosts[name]),
        attempts(fleet, name, now),
        cooldown(fleet, name, now),
        life(fleet, name, now),
        observers(fleet, name, now),
        live_evidence(fleet, name, now),
        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),
        storm(fleet, name, now),
        budget_for(fleet, name, now),
        concurrency(fleet),
    )


def level_gates(
    fleet: Fleet, name: HostName, now: float, *, is_automatic: bool, is_off_sent: bool = False
) -> tuple[GateVerdict, ...]:
    """Evaluate the gates again before the first OFF of a level. `is_off_sent`: the operation sent one before.

    An operator's request passes only `owner_gates` (S10).
    """
    if not is_automatic:
        return owner_gates(fleet, now)
    return (
        *owner_gates(fleet, now),
        store(fleet),
        warm_up(fleet, now),
        witness(fleet, name, now),
        *eligible(fleet, name, now),
        woken(fleet.hosts[name]),
        life(fleet, name, now),
        observers(fleet, name, now),
        live_evidence(fleet, name, now, is_life_only=is_off_sent),
        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),
        storm(fleet, name, now),
    )


def drill_gates(fleet: Fleet, name: HostName, now: float, *, since: float) -> tuple[GateVerdict, ...]:
    """Evaluate what holds a drill before its first OFF: what would hold the host's fence, and a fleet in trouble.

    `automatic` is left out: a host is drilled before it is armed. `since`: older trouble does not count, but another
    drill does.
    """
    of_host = (verdict for verdict in eligible(fleet, name, now) if verdict.gate != "automatic")
    return (
        *owner_gates(fleet, now), store(fleet), warm_up(fleet, now), *of_host, _quiet(fleet, name, since=since),
    )  # fmt: skip


def _quiet(fleet: Fleet, name: HostName, *, since: float) -> GateVerdict:
    """Close while another host is in trouble or drilled: a drill never competes with a fence."""
    for other in sorted(fleet.troubled - {name}):
        state = fleet.hosts[other]
        if state.drill is not None:
            return judged("quiet", False, f"{other} is drilled: one host at a time")
        if _needs_a_fence(state) and state.since >= since:
            why = (
                f"{other} is {state.state.value}: a drill gives way to another host, unless it is requested with force"
            )
            return judged("quiet", False, why)
    return judged("quiet", True, "no other host is suspect, being fenced or failed")


def _needs_a_fence(state: HostState) -> bool:
    """Return whether the host may need its power switched."""
    is_switched = state.operation is not None and state.operation.is_automatic and not state.operation.is_saving
    return state.state in UNQUIET or is_switched


def announce_gates(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate the gates before a host that was already off is announced without an OFF (design.md#power-model)."""
    state = fleet.hosts[name]
    return (*owner_gates(fleet, now), record(state), maintenance(state), live_evidence(fleet, name, now))


def owner_gates(fleet: Fleet, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate the two gates that hold an operator's request, too."""
    return (armed(fleet), lease(fleet, now))


def closed(verdicts: tuple[GateVerdict, ...]) -> tuple[GateVerdict, ...]:
    return tuple(verdict for verdict in verdicts if not verdict.is_open)


def why(verdicts: tuple[GateVerdict, ...]) -> str:
    """Name each of these gates with its reason."""
    return "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in verdicts)

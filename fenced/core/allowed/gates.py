"""The gates before automatic power, in the order of design.md#gates. Each fails closed and gives its margin.

Gates count overdue hosts, not suspects: the first host of many to pass its grace must already see the others.
"""

from fenced.core.allowed.match import matches
from fenced.core.allowed.storm import storm
from fenced.core.allowed.verdict import judged
from fenced.core.durable.fleet_state import Draw
from fenced.core.durable.standing import is_in_hand
from fenced.core.durable.state import GateVerdict, HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Room
from fenced.core.heard.own import LEASE_MARGIN_SECONDS
from fenced.model.names import ClusterName, HostName
from fenced.model.power import Cause, State

RELEASING = frozenset({"warm_up", "witness", "connectivity", "storm"})
"""Gates about the daemon itself or about many hosts: when one opens again, silent hosts get `release_grace` first."""

LAST_WILL = "last will of its reporter"
"""The reason of a suspicion that rests on a last will alone, which is a weak sign."""

HEARD_OR_MISSED = frozenset({State.HEALTHY, State.SUSPECT, State.FENCING})
"""States in which a host should be heard, and no known reason explains its silence."""

UNQUIET = frozenset({State.SUSPECT, State.FENCING, State.FAILED})
"""States in which a host may need a fence, so that no other host is drilled."""

UNRECOVERED = frozenset({State.FENCING, State.FENCED, State.RESTORING, State.FAILED})


def all_gates(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate every gate before an automatic operation starts."""
    return (
        *owner_gates(fleet, now),
        _store(fleet),
        warm_up(fleet, now),
        witness(fleet, name, now),
        *_eligible(fleet, name, now),
        _attempts(fleet, name, now),
        _cooldown(fleet, name, now),
        _life(fleet, name, now),
        live_evidence(fleet, name, now),
        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),
        storm(fleet, name, now),
        _budget(fleet, name, now),
        concurrency(fleet),
    )


def level_gates(fleet: Fleet, name: HostName, now: float, *, is_automatic: bool) -> tuple[GateVerdict, ...]:
    """Evaluate the gates again before the first OFF of a level.

    An operator's request passes only `owner_gates` (S10).
    """
    if not is_automatic:
        return owner_gates(fleet, now)
    return (
        *owner_gates(fleet, now),
        _store(fleet),
        warm_up(fleet, now),
        witness(fleet, name, now),
        *_eligible(fleet, name, now),
        _life(fleet, name, now),
        live_evidence(fleet, name, now),
        connectivity(fleet, fleet.host(name).cluster, now, suspect=name),
        storm(fleet, name, now),
    )


def drill_gates(fleet: Fleet, name: HostName, now: float, *, since: float) -> tuple[GateVerdict, ...]:
    """Evaluate what holds a drill before its first OFF: what would hold the host's fence, and a fleet in trouble.

    `automatic` is left out: a host is drilled before it is armed. `since`: older trouble does not count, but another
    drill does.
    """
    eligible = (verdict for verdict in _eligible(fleet, name, now) if verdict.gate != "automatic")
    return (
        *owner_gates(fleet, now), _store(fleet), warm_up(fleet, now), *eligible, _quiet(fleet, name, since=since),
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
    is_switched = state.operation is not None and state.operation.is_automatic
    return state.state in UNQUIET or is_switched


def announce_gates(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate the gates before a host that was already off is announced without an OFF (design.md#power-model)."""
    state = fleet.hosts[name]
    return (*owner_gates(fleet, now), _record(state), _maintenance(state), live_evidence(fleet, name, now))


def owner_gates(fleet: Fleet, now: float) -> tuple[GateVerdict, ...]:
    """Evaluate the two gates that hold an operator's request, too."""
    return (armed(fleet), lease(fleet, now))


def closed(verdicts: tuple[GateVerdict, ...]) -> tuple[GateVerdict, ...]:
    return tuple(verdict for verdict in verdicts if not verdict.is_open)


def why(verdicts: tuple[GateVerdict, ...]) -> str:
    """Name each of these gates with its reason."""
    return "; ".join(f"{verdict.gate}: {verdict.why}" for verdict in verdicts)


def armed(fleet: Fleet) -> GateVerdict:
    if not fleet.inventory.daemon.is_armed_by_file:
        return judged("armed", False, "daemon.armed is false in the configuration file")
    if fleet.state.is_disarmed:
        return judged("armed", False, "an operator disarmed the daemon; `fencectl arm` ends that")
    return judged("armed", True, "armed")


def lease(fleet: Fleet, now: float) -> GateVerdict:
    left = fleet.own.lease_until - now
    if fleet.own.is_stopping:
        return judged("lease", False, "the daemon is stopping")
    if fleet.is_lease_lost or left < LEASE_MARGIN_SECONDS:
        return judged("lease", False, "the lease of the store is lost or in doubt")
    return judged("lease", True, f"held for {left:.1f} s more")


_AFTER_STORE_HOLD = "repeat disarm, pauses and maintenance that must hold, then `fencectl release store --reason R`"


def _store(fleet: Fleet) -> GateVerdict:
    if fleet.state.store_hold:
        return judged("store", False, f"{fleet.state.store_hold}; {_AFTER_STORE_HOLD}")
    return judged("store", True, "the store that this daemon had before")


def warm_up(fleet: Fleet, now: float) -> GateVerdict:
    if now < fleet.quiet_until:
        return judged("warm_up", False, f"startup_quiet lasts {fleet.quiet_until - now:.0f} s more")
    if fleet.own.bus_connected_at is None:
        return judged("warm_up", False, "the bus is not connected")
    if fleet.own.ear.opened_at is None or now < fleet.own.ear.opened_at:
        return judged("warm_up", False, "bus_settle after the (re)connection is not over")
    return judged("warm_up", True, f"listening since {now - fleet.own.ear.opened_at:.0f} s")


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
            heard += fleet.can_witness(other) and not fleet.is_overdue(other, now)
            if heard >= wanted:
                return judged("witness", True, f"{heard} other hosts heard after its last beat")
    return judged("witness", False, f"{heard} of {wanted} other hosts heard after its last beat: we may be cut off")


def _eligible(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    host, state = fleet.host(name), fleet.hosts[name]
    pauses = [pause for pause in fleet.state.pauses if matches(pause.match, host)]
    is_ours = not host.is_own_machine
    is_automatic = host.settings.automatic
    return (
        judged("own_machine", is_ours, "another machine" if is_ours else f"{host.own_words} (S18)"),
        judged("automatic", is_automatic, "configured" if is_automatic else "automatic = false in the configuration"),
        _record(state),
        _maintenance(state),
        judged("paused", not pauses, f"paused by {pauses[0].by}: {pauses[0].reason}" if pauses else "not paused"),
        judged("protected", not host.is_protected, "protected" if host.is_protected else "not protected"),
        judged("known", state.is_known, "heard before" if state.is_known else "never heard"),
        judged("devices", bool(host.devices), f"{len(host.devices)} devices" if host.devices else "no power device"),
    )  # fmt: skip


def _record(state: HostState) -> GateVerdict:
    if state.record_fault:
        return judged("record", False, f"its records could not be taken up: {state.record_fault}")
    return judged("record", True, "its records were taken up")


def _maintenance(state: HostState) -> GateVerdict:
    if state.maintenance is not None:
        return judged("maintenance", False, f"in maintenance by {state.maintenance.by}: {state.maintenance.reason}")
    return judged("maintenance", True, "not in maintenance")


def attempts_in_window(fleet: Fleet, name: HostName, now: float) -> int:
    """Count the automatic operations that sent an OFF within the window."""
    window = fleet.inventory.daemon.gates.attempts_per_seconds
    return sum(1 for at in fleet.hosts[name].attempts if at > now - window)


def _attempts(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    most = fleet.inventory.daemon.gates.attempts_count
    used = attempts_in_window(fleet, name, now)
    return judged("attempts", used < most, f"{used} of {most} attempts used in the window")


def _cooldown(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    state = fleet.hosts[name]
    until = max(state.cooldown_until, state.next_attempt_at)
    if now < until:
        return judged("cooldown", False, f"{until - now:.0f} s since the last automatic operation are left")
    return judged("cooldown", True, "over")


def is_living_fenced(fleet: Fleet, name: HostName) -> bool:
    """Return whether a host that is heard may be fenced: reported, with on_report = fence. A last will is no report."""
    state = fleet.hosts[name]
    is_report = state.suspicion is Cause.REPORT and state.suspicion_reason != LAST_WILL
    return is_report and fleet.host(name).settings.detection.on_report == "fence"


def _life(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    detection, sight = fleet.host(name).settings.detection, fleet.sights[name]
    if fleet.is_heard(name, now):
        if is_living_fenced(fleet, name):
            return judged("alive_but_silent", True, "heard, but on_report = fence")
        return judged("alive_but_silent", False, "heard within its grace")
    life = sight.life
    if sight.spoke_at is not None and fleet.is_speaking(name, now):
        ago = now - sight.spoke_at
        why = f"{ago:.0f} s ago it sent a beat that is no news (an old sequence or boot): something of it is alive"
        return judged("alive_but_silent", is_living_fenced(fleet, name), why)
    if life is None:
        return judged("alive_but_silent", False, "the host itself was not asked yet")
    if life.answered is None:
        return judged("alive_but_silent", True, life.words)
    if detection.alive_but_silent == "fence":
        return judged("alive_but_silent", True, f"{life.answered} answers, but alive_but_silent = fence")
    return judged("alive_but_silent", False, f"{life.answered} answers: the reporter is dead, not the host")


def live_evidence(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Evaluate evidence from others that the host lives, of the kinds that stop a fence."""
    kinds = fleet.inventory.daemon.gates.live_evidence
    for source, (kind, until) in (fleet.sights[name].evidence or {}).items():
        if kind in kinds and now < until:
            return judged("live_evidence", False, f"{source} says {kind} is alive for {until - now:.0f} s more")
    return judged("live_evidence", True, "none")


def connectivity(fleet: Fleet, cluster: ClusterName, now: float, *, suspect: HostName | None = None) -> GateVerdict:
    """Close if many hosts of the cluster are overdue, or, for a suspect, all others that could be heard."""
    settings = fleet.inventory.daemon.gates
    overdue, monitored = fleet.overdue(cluster, now)
    is_closed = (
        overdue >= settings.connectivity_at_least and 100 * overdue >= settings.connectivity_share_percent * monitored
    )
    if not is_closed and suspect is not None and _is_all_overdue(fleet, suspect, now):
        return judged("connectivity", False, "every host of the cluster that could be heard is overdue")
    return judged("connectivity", not is_closed, f"{overdue} of {monitored} hosts of the cluster are overdue")


def _is_all_overdue(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether no other host of the cluster is heard over the network, however small the cluster is.

    If no other could be heard, the witness gate alone decides. A host that is off
    or failed is silent for a known reason.
    """
    if not fleet.is_overdue(name, now):
        return False
    is_any = False
    for other in fleet.by_cluster.get(fleet.host(name).cluster, ()):
        state = fleet.hosts[other]
        is_expected = state.state in HEARD_OR_MISSED and not is_in_hand(state, now)
        if other == name or not is_expected or not fleet.can_witness(other):
            continue
        if not fleet.is_overdue(other, now):
            return False
        is_any = True
    return is_any


def _budget(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
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
    return judged("budget", True, f"{used} drawn in the window")


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
    return judged("budget", True, f"{used} drawn in the window{of_others}")


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
    return sum(1 for name in fleet.troubled if name != but and is_unrecovered(fleet.hosts[name], now))


def unrecovered(fleet: Fleet, now: float) -> tuple[HostName, ...]:
    """Return the hosts that were fenced, or could not be, and are not back.

    Hosts that operators switched off don't count.
    """
    return tuple(name for name in sorted(fleet.troubled) if is_unrecovered(fleet.hosts[name], now))


def is_unrecovered(state: HostState, now: float) -> bool:
    return state.state in UNRECOVERED and not is_in_hand(state, now)


def concurrency(fleet: Fleet) -> GateVerdict:
    most = fleet.inventory.daemon.gates.concurrency
    running = sum(1 for state in fleet.operations_in_flight() if state.operation and state.operation.is_automatic)
    return judged("concurrency", running < most, f"{running} of {most} automatic operations run")

"""What must have happened by the end, when everything was mended and enough time has passed.

Compares the world's truth with the journal's last state. An operation that still waits must name
a reason, and the reason must be real.
"""

from collections.abc import Callable
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState
from fenced.model.names import HostName, OperationId
from fenced.model.power import Cause, State
from tests.world.machines import Machine, Run
from tests.world.rules.base import Truth, is_good
from tests.world.rules.gates import AutomaticOff
from tests.world.world import World

END_BOUND_SECONDS: Final = 60.0
IGNORED_SECONDS: Final = 90.0
"""Longer than any grace, witness wait and gate check together."""
HELD_SECONDS: Final = 30.0
"""An opened gate is noticed within this time."""


def unfinished(world: World) -> list[str]:
    """Return what should have happened by now and has not."""
    if not world.daemon.is_running:
        return ["liveness: no daemon runs"]
    found = [*_operations(world), *_announcements(world)]
    for name, machine in world.machines.items():
        state = world.engine.fleet.hosts.get(name)
        if state is None:
            continue  # not in the files that this daemon read at its start
        for why in (_left_alone(world, machine, state), _unrestored(world, machine, state), _held(world, name, state)):
            if why is not None:
                found.append(f"liveness: {name} {why}")
    return found


def _operations(world: World) -> list[str]:
    return [
        f"liveness: {operation.id} of {operation.host} has not ended by its deadline"
        for _, operation in world.disk.durable.operations.values()
        if operation.ended is None
        and world.daemon.now() > (operation.restore_deadline or operation.deadline) + END_BOUND_SECONDS
    ]


def _announcements(world: World) -> list[str]:
    """Each journalled announcement reaches the bus once the broker accepts it."""
    if not world.broker.is_heard or world.broker.is_refusing or world.broker.is_swallowing:
        return []
    return [
        f"liveness: {row.message.topic} of {row.at:.1f} was never delivered"
        for row in world.disk.durable.outbox.values()
        if not row.is_delivered
        and not world.broker.refuses(row.message.topic)
        and row.at < world.daemon.now() - END_BOUND_SECONDS
    ]


def _left_alone(world: World, machine: Machine, state: HostState) -> str | None:
    """Find a silent host that is not dealt with, or a living one that is not believed, without anything in the way."""
    now = world.daemon.now()
    if now < state.since + IGNORED_SECONDS or state.operation is not None or state.maintenance is not None:
        return None
    if machine.is_beating and world.broker.is_heard and state.state is State.SUSPECT and state.suspicion_reason == "":
        return "beats and is suspect"
    if state.held_by:
        return None
    if state.state is State.SUSPECT and not machine.is_beating:
        return "is suspect, with no operation and no gate closed"
    if machine.does is Run.DEAD and state.state is State.HEALTHY:
        return "is dead and healthy, with no operation and no gate closed"
    return None


def _unrestored(world: World, machine: Machine, state: HostState) -> str | None:
    """A fenced host that was to be restarted has its power again, or people were notified."""
    now, settings = world.daemon.now(), world.inventory.hosts[machine.name].settings.detection
    if state.operation is not None or state.maintenance is not None or now < state.since + IGNORED_SECONDS:
        return None
    is_told = state.is_stay_off or state.is_left_off
    if state.state is State.FENCED and not is_told and not _is_told(world, machine.name):
        return "is fenced, nobody wants it off, and nobody gives it power"
    is_late = now > state.since + settings.boot_grace_seconds + IGNORED_SECONDS
    if state.state is State.RESTORING and is_late and not (is_told or state.is_on_forbidden):
        return "is restoring long past its boot_grace"
    return None


def _is_told(world: World, host: HostName) -> bool:
    """Return whether a failure of the host's newest restore was reported."""
    told = [entry.record for entry in world.disk.durable.entries.values() if entry.host == host]
    return any(isinstance(record, r.RestoreFailed) for record in told[-20:])


def _held(world: World, host: HostName, state: HostState) -> str | None:
    """A held host is checked again: each gate that holds it is really closed."""
    if not state.held_by or world.daemon.now() < state.since + IGNORED_SECONDS or state.state is not State.SUSPECT:
        return None
    stale = [gate.gate for gate in state.held_by if (open_ := OPEN.get(gate.gate)) and open_(world, host, state)]
    return f"is held by {', '.join(stale)}, which is open" if len(stale) == len(state.held_by) else None


def _has_lease(world: World, host: HostName, state: HostState) -> bool:
    return _truth(world).now() > _truth(world).troubled_at + HELD_SECONDS


def _is_store_known(world: World, host: HostName, state: HostState) -> bool:
    """A store that went back holds until a person releases it, and the person may have come too early."""
    return not world.engine.fleet.state.store_hold


def _is_taken_up(world: World, host: HostName, state: HostState) -> bool:
    """Always open: no record of this store is ever corrupted, so no host has to be put aside."""
    return True


def _is_armed(world: World, host: HostName, state: HostState) -> bool:
    return not world.engine.fleet.state.is_disarmed


def _is_warm(world: World, host: HostName, state: HostState) -> bool:
    truth = _truth(world)
    is_quiet = truth.up_since is None or world.daemon.now() < truth.up_since + IGNORED_SECONDS
    return world.broker.is_heard and not is_quiet


def _has_witness(world: World, host: HostName, state: HostState) -> bool:
    """The daemon's own machine does not count: it reaches the daemon without the network."""
    own = {name for name, it in world.inventory.hosts.items() if it.is_own_machine}
    others = [it for name, it in world.machines.items() if name != host and name not in own]
    return world.broker.is_heard and any(it.is_beating for it in others)


def _is_unpaused(world: World, host: HostName, state: HostState) -> bool:
    return not world.engine.fleet.state.pauses


def _is_cool(world: World, host: HostName, state: HostState) -> bool:
    return world.daemon.now() > max(state.cooldown_until, state.next_attempt_at) + HELD_SECONDS


def _is_connected(world: World, host: HostName, state: HostState) -> bool:
    """Of its cluster, without the hosts that people switched off; and a host of it is heard over the network."""
    hosts = world.inventory.hosts
    near = [it.name for it in hosts.values() if it.cluster == hosts[host].cluster and not _is_kept_off(world, it.name)]
    silent = sum(not world.machines[name].is_beating for name in near)
    others = [world.machines[name] for name in near if name != host and not hosts[name].is_own_machine]
    is_anybody_heard = not others or any(it.is_beating for it in others)
    return silent < world.inventory.daemon.gates.connectivity_at_least and is_anybody_heard


def _is_calm(world: World, host: HostName, state: HostState) -> bool:
    """No domain of the host has as many silent hosts as make a storm, nor cools down after one."""
    gates, hosts, fleet = world.inventory.daemon.gates, world.inventory.hosts, world.engine.fleet.state
    for key in gates.storm_domains:
        value = hosts[host].value_of(key)
        near = [name for name, it in hosts.items() if value and it.value_of(key) == value]
        silent = sum(not world.machines[name].is_beating or _is_unheard(world, name) for name in near)
        known = [it for it in fleet.storms if (it.domain, it.value) == (key, value)]
        cooling = [it.end for it in known if it.end is not None]
        if silent >= gates.storm_hosts or any(
            world.daemon.now() <= end.cooldown_until + HELD_SECONDS for end in cooling
        ):
            return False
    return True


def _is_unheard(world: World, host: HostName) -> bool:
    """It beats, and is not believed: with an old sequence, say."""
    state = world.engine.fleet.hosts.get(host)
    return state is not None and state.state is State.SUSPECT


def _is_kept_off(world: World, host: HostName) -> bool:
    """A person switched it off and wants it so. A host that was silent then counts as silent for a while longer."""
    state = world.engine.fleet.hosts.get(host) or HostState(name=host)
    if world.daemon.now() < state.in_hand_from + HELD_SECONDS:
        return False
    _, last = world.disk.durable.operations.get(state.last_operation or OperationId(""), (0, None))
    is_asked = last is not None and last.cause is Cause.REQUEST
    return state.state is State.FENCED and state.is_stay_off and is_asked


def _is_mute(world: World, host: HostName, state: HostState) -> bool:
    machine = world.machines[host]
    return not machine.is_answering and not machine.is_beating


def _is_seen(world: World, host: HostName, state: HostState) -> bool:
    """Every observer sees well, and every other host can be a control."""
    others = [it for name, it in world.machines.items() if name != host]
    is_any = any(not it.is_own_machine for name, it in world.inventory.hosts.items() if name != host)
    are_well = all(it.is_beating and not it.cut_networks and not it.is_unasked for it in others)
    paths = [world.paths[name] for name in world.checker.truth.observers] if world.checker.truth is not None else []
    return is_any and are_well and world.eyes.are_well and all(map(is_good, paths)) and not world.wires.is_cut


def _is_released(world: World, host: HostName, state: HostState) -> bool:
    truth = _truth(world)
    assert truth.up_since is not None
    detection = world.inventory.hosts[host].settings.detection
    latest = max(state.release_until, truth.up_since + IGNORED_SECONDS + detection.release_grace_seconds)
    return world.daemon.now() > latest + HELD_SECONDS and world.broker.is_heard


def _has_budget(world: World, host: HostName, state: HostState) -> bool:
    """According to the journal.

    A person's request draws nothing, nor does an operation that ended without OFF and fence.
    """
    gates, truth = world.inventory.daemon.gates, _truth(world)
    since = truth.now() - gates.budget_per_seconds - HELD_SECONDS
    automatic = [op for op in truth.operations.values() if op.is_automatic and op.started > since]
    fenced = {operation.id for _, operation in world.disk.durable.operations.values() if operation.is_fenced}
    drawn = sum(1 for op in automatic if op.has_sent_off or not op.is_ended or op.id in fenced)
    size = len(world.inventory.hosts)
    most = min(max(gates.budget_hosts, int(gates.budget_percent * size / 100)), gates.budget_at_most)
    silent = [name for name, machine in world.machines.items() if name != host and not machine.is_beating]
    away = sum(1 for name in silent if not _is_kept_off(world, name))
    return drawn < most and away < gates.budget_unrecovered


def _has_attempts(world: World, host: HostName, state: HostState) -> bool:
    gates = world.inventory.daemon.gates
    book = next(rule for rule in world.checker.rules if isinstance(rule, AutomaticOff))
    since = _truth(world).now() - gates.attempts_per_seconds - HELD_SECONDS
    return book.attempts(host, since=since) < gates.attempts_count


def _is_vouched_for_no_more(world: World, host: HostName, state: HostState) -> bool:
    """Return whether all that other systems said of it ended, or is of kinds that hold nothing."""
    book = next(rule for rule in world.checker.rules if isinstance(rule, AutomaticOff))
    return not book.is_vouched_for(host)


def _is_another_free(world: World, host: HostName, state: HostState) -> bool:
    running = sum(1 for op in _truth(world).running.values() if op.is_automatic)
    return running < world.inventory.daemon.gates.concurrency


def _truth(world: World) -> Truth:
    truth = world.checker.truth
    assert truth is not None
    return truth


OPEN: Final[dict[str, Callable[[World, HostName, HostState], bool]]] = {
    "armed": _is_armed,
    "lease": _has_lease,
    "store": _is_store_known,
    "record": _is_taken_up,
    "warm_up": _is_warm,
    "witness": _has_witness,
    "paused": _is_unpaused,
    "cooldown": _is_cool,
    "connectivity": _is_connected,
    "storm": _is_calm,
    "alive_but_silent": _is_mute,
    "observers": _is_seen,
    "release_grace": _is_released,
    "live_evidence": _is_vouched_for_no_more,
    "budget": _has_budget,
    "attempts": _has_attempts,
    "concurrency": _is_another_free,
}
"""Whether a gate is really open.
Gates that the host's configuration closes (protected, automatic, own machine) never open."""

"""Says in at most ten lines why a host was, or was not, or would not be fenced, and what would change that.

The closed gates of a host that is heard are no alarm: they are told as what would hold it. Times are counted back from
now, because a person reads this in the middle of the night.
"""

from collections.abc import Sequence
from typing import Final

from fenced.core.allowed import gates, observing, of_host
from fenced.core.allowed.catalogue import GATES
from fenced.core.decided import recording
from fenced.core.decided.lines import GATES_TOLD_MAX, closed, names
from fenced.core.decided.lines import LINES_MAX as LINES_MAX
from fenced.core.durable.state import GateVerdict, HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Saw
from fenced.core.suspected.silence import grace_words, released_at
from fenced.model.names import HostName
from fenced.model.power import State
from fenced.model.text import one_line

REMARKS_MAX: Final = 2


def summary(
    fleet: Fleet, name: HostName, now: float, verdicts: Sequence[GateVerdict], remarks: Sequence[str] = ()
) -> tuple[str, ...]:
    """`verdicts`: of all gates, now. `remarks`: what is odd about its heartbeats."""
    state = fleet.durable(name)
    lines = [_first(fleet, state, now), *remarks[:REMARKS_MAX], *_was_asleep(state, now)]
    match state.state:
        case State.HEALTHY:
            lines += _if_it_died(fleet, name, now, verdicts)
        case State.SUSPECT:
            lines += _held(fleet, state, now, verdicts)
        case State.FENCED | State.RESTORING:
            lines += _off(state)
        case State.SLEEPING:
            lines += _sleeping(fleet, state, now)
        case State.FAILED:
            lines += _failed(fleet, state, now)
        case _:
            pass
    if state.operation is not None:
        lines.append(f"Operation {state.operation.id} runs: `fencectl operation {state.operation.id}`.")
    elif state.last_operation is not None:
        lines.append(f"Its last operation: `fencectl operation {state.last_operation}`.")
    return tuple(one_line(line) for line in lines[:LINES_MAX])  # hosts and people chose some of the words


def confirmed(fleet: Fleet, name: HostName, now: float) -> list[dict[str, object]]:
    """Return what each observer saw last of the host over each network, and how long ago.

    `counts`: whether it shows the host silent or alive now.
    """
    return [
        {
            "observer": str(look.observer.name),
            "domain": look.observer.domain,
            "network": look.network,
            "target": look.target,
            "answer": look.saw.value,
            "control": look.control != "",
            "milliseconds": look.milliseconds,
            "age": round(now - look.at, 3),
            "counts": look.saw is Saw.ALIVE or not observing.why_unknown(fleet, name, look, now),
        }
        for look in observing.looks_of(fleet, name)
    ]


def _first(fleet: Fleet, state: HostState, now: float) -> str:
    """Say what is known of the host, and since when."""
    ago = lasted(now - state.since)
    match state.state:
        case State.HEALTHY:
            is_ever = fleet.sights[state.name].heard_at is not None
            silence, grace = fleet.silence_seconds(state.name, now), grace_words(fleet, state.name, now)
            heard = f"heard {silence:.1f} s ago" if is_ever else "not heard since the start"
            return f"{state.name} is healthy: {heard}, its grace is {grace}."
        case State.SUSPECT:
            why = state.suspicion_reason or (state.suspicion.value if state.suspicion is not None else "silence")
            return f"{state.name} is suspect for {ago}: {why}. It may still run."
        case State.FENCED:
            proof = f", proven by {state.proof.kind.value}" if state.proof is not None else ""
            return f"{state.name} is fenced for {ago}{proof}: it is off, and what it ran may be started elsewhere."
        case State.RESTORING:
            return f"{state.name} was off, and gets its power back for {ago}; no heartbeat came yet."
        case State.FENCING:
            return f"{state.name} is being fenced for {ago}: it may be on or off."
        case State.FAILED:
            return f"{state.name} could not be proven off, {ago} ago: it may still run. Look at it."
        case State.LEFT:
            return f"{state.name} said {ago} ago that it goes down: it is not fenced for that."
        case State.MAINTENANCE:
            upkeep = state.maintenance
            by = f" by {upkeep.by}: {upkeep.reason}" if upkeep is not None else ""
            return f"{state.name} is in maintenance for {ago}{by}. It is left alone."
        case State.SLEEPING:
            return f"{state.name} sleeps for {ago} to save power: it had no work, and comes back when asked."
        case State.UNKNOWN:
            return f"{state.name} is unknown: no heartbeat of it was ever heard, so it is never fenced by itself."
        case _:
            return f"{state.name} is {state.state.value} for {ago}."


def _if_it_died(fleet: Fleet, name: HostName, now: float, verdicts: Sequence[GateVerdict]) -> list[str]:
    host = fleet.host(name)
    devices = ", ".join(str(device.name) for device in host.devices if device.level == host.levels[0])
    action = host.settings.fence_action.value
    told = [verdict for verdict in gates.closed(tuple(verdicts)) if not GATES[verdict.gate].is_of_silence]
    if fleet.is_heard(name, now):
        least = max(fleet.grace_seconds(name, now), released_at(fleet, name) - now)
        then = f"If it died now: after {least:.0f} s of silence it would be suspect"
    elif (left := released_at(fleet, name) - now) > 0:
        why = "It may boot after an outage, a hold, our start or a stopped operation"
        then = f"{why}: in {left:.0f} s it would be suspect"
    else:
        then = "It is silent for longer than its grace: it is about to be suspect"
    if not told:
        return [f"{then}, and {action} through {devices or 'no device'} would follow."]
    return [f"{then}, and held by {_names(told)}:", *_closed(told)]


def _held(fleet: Fleet, state: HostState, now: float, verdicts: Sequence[GateVerdict]) -> list[str]:
    """Say who saw what, and what holds it: what held it last, if the suspicion waits for no gate now."""
    looked = [line] if (line := observing.looked_words(fleet, state.name, now)) else []
    shut = list(gates.closed(tuple(verdicts)))
    now_named = {verdict.gate for verdict in shut}
    shut += [verdict for verdict in state.held_by if not verdict.is_open and verdict.gate not in now_named | BY_NAME]
    if not shut:
        return [*looked, "Every gate is open: it is fenced as soon as it was looked at."]
    held = f"It is not fenced, because it is held by {_names(shut)}:"
    return [*looked, held, *_closed(shut, most=GATES_TOLD_MAX - len(looked))]


BY_NAME: Final = frozenset(GATES) - {"release_grace"}
"""Gates whose verdict of this moment is among the given ones."""


def _closed(shut: Sequence[GateVerdict], most: int = GATES_TOLD_MAX) -> list[str]:
    return closed([recording.shut(verdict) for verdict in shut], most)


def _names(shut: Sequence[GateVerdict]) -> str:
    return names(verdict.gate for verdict in shut)


def _off(state: HostState) -> list[str]:
    lines = []
    if state.is_stay_off:
        lines.append(f"It stays off until somebody asks: `fencectl on {state.name} --reason R`.")
    if state.owed:
        lines.append(f"The daemon owes it power at {', '.join(map(str, state.owed))}.")
    if state.restore_failed:
        lines.append(f"Power could not be given back at {', '.join(map(str, state.restore_failed))}: look at them.")
    return lines


def _was_asleep(state: HostState, now: float) -> list[str]:
    """Say of a host that was put to sleep and is not heard yet why it is, or should be, on its way."""
    asleep = state.saving.asleep
    if asleep is None or state.state is State.SLEEPING:
        return []
    ago = lasted(now - asleep.at)
    who = f"{asleep.waker or 'Somebody'} woke it{f': {asleep.why}' if asleep.why else ''}"
    lines = [f"It was put to sleep to save power {ago} ago. {who}."]
    if state.state is not State.RESTORING:
        lines.append("It did not come: another one was woken. It is fenced only when it was heard, or a person asks.")
    return lines


def _sleeping(fleet: Fleet, state: HostState, now: float) -> list[str]:
    """Say who wakes it, and what keeps it from waking."""
    asleep, host = state.saving.asleep, fleet.host(state.name)
    if asleep is None:
        return []
    if asleep.is_wanted:
        lines = [f"{asleep.waker} wants it awake: {asleep.why}. It gets power as soon as [saving] waking has room."]
    else:
        lines = [
            f"It wakes when {host.cluster} has fewer than {host.settings.saving.reserve} idle hosts, or loses one;",
            f"by `fencectl wake --cluster {host.cluster} --reason R`, or alone by `fencectl on {state.name}`.",
        ]
    if state.maintenance is not None:
        upkeep = state.maintenance
        lines.append(f"It is in maintenance by {upkeep.by}: {upkeep.reason}. It gets no power before that ends.")
    if (left := state.saving.retry_at - now) > 0:
        lines.append(f"Power could not be given; others are woken first for {left:.0f} s.")
    lines.append("No recovery starts on it: whoever needs proof that it is off asks `fencectl off`.")
    return lines


def _failed(fleet: Fleet, state: HostState, now: float) -> list[str]:
    used, most = of_host.attempts_in_window(fleet, state.name, now), fleet.inventory.daemon.gates.attempts_count
    if state.record_fault:
        return [f"Its records could not be read: {state.record_fault}."]
    if used >= most:
        return [f"{used} of {most} attempts of the window are used up: the daemon tries no more, a person must."]
    again = max(state.next_attempt_at, state.cooldown_until)
    when = f"in {again - now:.0f} s" if again > now else "as soon as it is suspect again"
    return [f"{used} of {most} attempts of the window are used; the next one {when}."]


def lasted(seconds: float) -> str:
    """Return a time as a person says it."""
    for unit, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0.0):.0f} s"

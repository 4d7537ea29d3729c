"""The gates about one host alone: what operators and the configuration say of it, and its attempts."""

from fenced.core.allowed.match import matches
from fenced.core.allowed.verdict import judged, seconds_left
from fenced.core.durable.state import GateVerdict, HostState
from fenced.core.fleet import Fleet
from fenced.model.names import HostName


def eligible(fleet: Fleet, name: HostName, now: float) -> tuple[GateVerdict, ...]:
    host, state = fleet.host(name), fleet.hosts[name]
    pauses = [pause for pause in fleet.state.pauses if matches(pause.match, host)]
    is_ours = not host.is_own_machine
    is_automatic = host.settings.automatic
    return (
        judged("own_machine", is_ours, "another machine" if is_ours else f"{host.own_words} (S18)"),
        judged("automatic", is_automatic, "configured" if is_automatic else "automatic = false in the configuration"),
        record(state),
        maintenance(state),
        judged("paused", not pauses, f"paused by {pauses[0].by}: {pauses[0].reason}" if pauses else "not paused"),
        judged("protected", not host.is_protected, "protected" if host.is_protected else "not protected"),
        judged("known", state.is_known, "heard before" if state.is_known else "never heard"),
        judged("devices", bool(host.devices), f"{len(host.devices)} devices" if host.devices else "no power device"),
    )  # fmt: skip


def record(state: HostState) -> GateVerdict:
    if state.record_fault:
        return judged("record", False, f"its records could not be taken up: {state.record_fault}")
    return judged("record", True, "its records were taken up")


def maintenance(state: HostState) -> GateVerdict:
    if state.maintenance is not None:
        return judged("maintenance", False, f"in maintenance by {state.maintenance.by}: {state.maintenance.reason}")
    return judged("maintenance", True, "not in maintenance")


def woken(state: HostState) -> GateVerdict:
    """Close for a host that did not come back from its sleep: nothing ran on it, so nobody needs its fence (S24)."""
    if state.is_asleep:
        return judged("woken", False, "it was asleep to save power, had no work, and did not come back")
    return judged("woken", True, "it was not asleep")


def attempts_in_window(fleet: Fleet, name: HostName, now: float) -> int:
    """Count the automatic operations that sent an OFF within the window."""
    window = fleet.inventory.daemon.gates.attempts_per_seconds
    return sum(1 for at in fleet.hosts[name].attempts if at > now - window)


def attempts(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    most = fleet.inventory.daemon.gates.attempts_count
    used = attempts_in_window(fleet, name, now)
    why = f"{used} of {most} attempts used in the window"
    if used < most:
        return judged("attempts", True, why, f"{most - used} left")
    per = fleet.inventory.daemon.gates.attempts_per_seconds
    oldest = sorted(fleet.hosts[name].attempts)[-most] if most else now
    return judged("attempts", False, why, seconds_left(oldest + per - now))


def cooldown(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    state = fleet.hosts[name]
    until = max(state.cooldown_until, state.next_attempt_at)
    if now < until:
        why = f"{until - now:.0f} s since the last automatic operation are left"
        return judged("cooldown", False, why, seconds_left(until - now))
    return judged("cooldown", True, "over")

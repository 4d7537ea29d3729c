"""Judges one host: heard, fenceable, and what became of its suspicions. Pure, and quick: a fleet has ten thousand.

The power of a host in maintenance is an operator's business, so of such a host only its maintenance is reported, and
a false fence: it was one whatever an operator did since.
"""

from collections.abc import Iterator
from typing import Final

from fenced.core.allowed import match
from fenced.core.durable.drill_state import DrillResult
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.held_suspicion import ARMING, HeldSuspicion, SuspicionEnd
from fenced.core.durable.state import Fenceable, FenceableLevel, HostState, Maintenance
from fenced.core.fleet import Fleet
from fenced.core.heard.checks import valid_seconds
from fenced.core.listening import observed_seconds
from fenced.core.reach.candidates import why_not
from fenced.core.readiness.of_observers import of_observers
from fenced.core.readiness.values import WEEK_SECONDS, Finding, Found, HostReadiness, Identity, PathProof
from fenced.core.suspected import trials
from fenced.core.suspected.fenceable import shown
from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Kind, State

SLOW_SHARE: Final = 0.5
"""A silence of a living host that is longer than this share of its grace is reported."""
LONG_SECONDS: Final = 3600.0
LEVELS: Final = {
    FenceableLevel.NONE.value: Found.CANNOT_BE_FENCED,
    FenceableLevel.DEGRADED.value: Found.DEGRADED,
    FenceableLevel.UNKNOWN.value: Found.NOT_READ,
}
"""What a level says; `full` says nothing."""


def host_readiness(
    fleet: Fleet, name: HostName, now: float, *, misnamed: tuple[str, ...], is_observed: bool
) -> HostReadiness:
    """Return what is found of a host. `misnamed`: wrong names under which it is heard; `is_observed`: the fleet was
    observed for a week."""
    state, host, sight = fleet.durable(name), fleet.host(name), fleet.sights[name]
    fenceable, pause = shown(fleet, name, state, now), _pause(fleet, host)
    proven_at, identity = _read(fleet, host, now)
    grace = fleet.grace_seconds(name, now)
    week_ago = now - WEEK_SECONDS
    recent = tuple(one for one in state.suspicions if (one.would_at or one.at) > week_ago) if state.suspicions else ()
    findings: list[Finding] = []
    past = tuple(_past(recent, state, now)) if state.suspicions else ()
    if state.maintenance is not None:
        findings += _maintained(state.maintenance, now)
        findings += (finding for finding in past if finding.found is Found.FALSE_FENCE)
    else:
        findings += past
        findings += _hearing(state, misnamed, now)
        if sight.longest_silence > SLOW_SHARE * grace:
            text = f"silent for {sight.longest_silence:.0f} s of a grace of {grace:.0f} s"
            findings.append(Finding(found=Found.SLOW_HEARTBEATS, text=text))
        findings += _device(fleet, host, state, fenceable, identity)
        findings += _drilled(host, state, now)
        findings += of_observers(fleet, host, state, now)
        if is_observed and state.is_known and state.known_since > week_ago:
            findings.append(Finding(found=Found.TOO_NEW, text=f"watched for {_span(now - state.known_since)}"))
        if pause is not None and pause.until is None and now - pause.since > LONG_SECONDS:
            text = f"paused for {_span(now - pause.since)} and without an end, by {pause.by}: {pause.reason}"
            findings.append(Finding(found=Found.PAUSED, text=text))
    is_held_by_itself = host.is_protected or host.is_own_machine or bool(state.record_fault) or not host.devices
    is_subject = state.is_known and state.maintenance is None and pause is None and not is_held_by_itself
    return HostReadiness(
        name=name,
        cluster=str(host.cluster),
        state=state.state,
        is_known=state.is_known,
        is_misnamed=bool(misnamed),
        heard_since=state.since if state.state is State.HEALTHY else None,
        last_heard=sight.heard_at if sight.heard_at is not None else state.last_heard,
        longest_silence_seconds=sight.longest_silence,
        longest_silence_at=sight.longest_silence_at,
        grace_seconds=grace,
        level=None if fenceable is None else fenceable.level,
        proven_at=proven_at,
        identity=identity,
        is_automatic=host.settings.automatic,
        is_subject=is_subject,
        is_protected=host.is_protected,
        has_device=bool(host.devices),
        is_at_once=is_subject and _is_at_once(state),
        last_drill=state.drilled_at,
        suspicions=recent,
        trial=trials.valid(fleet, name, now),
        findings=tuple(findings),
    )


def is_observed(fleet: Fleet, now: float) -> bool:
    """Return whether the daemon listened for a week of the last eight days."""
    return observed_seconds(fleet, now) >= WEEK_SECONDS


def paths(fleet: Fleet, name: HostName, now: float) -> tuple[PathProof, ...]:
    """Return every path to the host's devices, with its last proof."""
    return tuple(path for device in fleet.host(name).devices for path in _paths(fleet, fleet.host(name), device, now))


def opened_by(fleet: Fleet, inventory: Inventory) -> tuple[HostName, ...]:
    """Return the silent hosts that a daemon with another inventory may fence at once, but not with its present one."""
    if not inventory.daemon.is_armed_by_file or fleet.durable_state.is_disarmed:
        return ()
    was_armed = fleet.durable_inventory.daemon.is_armed_by_file
    return tuple(
        name
        for name in sorted(fleet.troubled)
        if (host := inventory.hosts.get(name)) is not None
        and host.settings.automatic
        and not (was_armed and fleet.host(name).settings.automatic)
        and is_silent(fleet.durable(name).state)
        and _is_at_once(fleet.durable(name))
    )


def _paths(fleet: Fleet, host: Host, device: Device, now: float) -> Iterator[PathProof]:
    checks, oldest = fleet.checks.get(host.name), now - valid_seconds(fleet.inventory)
    for proxy in fleet.paths.of(host, device):
        result = checks.paths.get((device.name, proxy)) if checks is not None else None
        why = why_not(proxy, host, fleet.inventory, fleet.why_candidate_barred)
        is_proven = result is not None and result.failures == 0 and result.at >= oldest and why is None
        error = why or ("not read yet" if result is None else result.error)
        yield PathProof(
            device=device.name,
            level=device.level,
            proxy=proxy,
            proven_at=result.at if result is not None and is_proven else None,
            error="" if is_proven else error or "read too long ago",
        )


def _is_at_once(state: HostState) -> bool:
    """Return whether arming may lead to a fence now. A suspect whose gates were not evaluated yet counts, too."""
    if state.state is State.SUSPECT:
        return {verdict.gate for verdict in state.held_by} <= ARMING
    return state.state is State.FAILED


def _pause(fleet: Fleet, host: Host) -> Pause | None:
    return next((pause for pause in fleet.durable_state.pauses if match.matches(pause.match, host)), None)


def _maintained(maintenance: Maintenance, now: float) -> Iterator[Finding]:
    if maintenance.until is None and now - maintenance.since > LONG_SECONDS:
        text = f"in maintenance for {_span(now - maintenance.since)} and without an end, by {maintenance.by}"
        yield Finding(found=Found.MAINTENANCE, text=text)


def _hearing(state: HostState, misnamed: tuple[str, ...], now: float) -> Iterator[Finding]:
    if misnamed:
        yield Finding(found=Found.MISNAMED, text=f"heard as {', '.join(misnamed)}")
    elif state.state is State.UNKNOWN:
        text = "not heard since its maintenance ended" if state.is_known else "never heard"
        yield Finding(found=Found.NEVER_HEARD, text=text)
    if is_silent(state.state) and not state.record_fault:
        held = ", ".join(verdict.gate for verdict in state.held_by)
        text = f"{state.state.value} for {_span(now - state.since)}{f', held by {held}' if held else ''}"
        yield Finding(found=Found.SILENT, text=text)


def is_silent(state: State) -> bool:
    """Return whether the host should be heard and is not."""
    return state is State.SUSPECT or state is State.FAILED


def _past(recent: tuple[HeldSuspicion, ...], state: HostState, now: float) -> Iterator[Finding]:
    """Yield what the suspicions of the last week say."""
    would = [one for one in recent if one.would_at is not None]
    if lived := [one for one in would if one.end is SuspicionEnd.HEARD]:
        silence = silence_seconds(lived[-1])
        after = f"heard again after {silence:.0f} s of silence" if silence is not None else "heard again"
        yield Finding(found=Found.FALSE_FENCE, text=f"{len(lived)} in the last week; {after}")
    if any(one.end is SuspicionEnd.REBOOTED for one in would):
        yield Finding(found=Found.REBOOTED, text="came back with a new boot without being fenced")
    if state.suspicions_cut_at > now - WEEK_SECONDS:
        yield Finding(found=Found.HISTORY_CUT, text=f"more than {len(state.suspicions)} suspicions in the last week")


def silence_seconds(one: HeldSuspicion) -> float | None:
    """Return how long the host was silent in a suspicion that ended; None: it is still silent, or was never heard."""
    if one.ended_at is None or one.last_heard is None:
        return None
    return max(one.ended_at - one.last_heard, 0.0)


def _device(
    fleet: Fleet, host: Host, state: HostState, fenceable: Fenceable | None, identity: Identity
) -> Iterator[Finding]:
    if host.is_own_machine or host.is_protected:
        return
    if state.record_fault:
        yield Finding(found=Found.RECORD, text=state.record_fault)
    if not host.devices:
        yield Finding(found=Found.NO_DEVICE, text="no power device")
        return
    if fenceable is None:
        yield Finding(found=Found.NOT_CHECKED, text="its paths are not checked")
        return
    if (kind := LEVELS.get(fenceable.level.value)) is not None:
        why = "; ".join(f"{reason.device or host.name}: {reason.text}" for reason in fenceable.why[:3])
        yield Finding(found=kind, text=why)
    if identity is Identity.ABSENT:
        yield Finding(found=Found.IDENTITY_ABSENT, text="its BMC reports an identity that is not compared")
    alone = [device.name for device in host.devices if _is_alone(fleet, host, device)]
    if alone:
        yield Finding(found=Found.SINGLE_PATH, text=f"one path to {', '.join(alone)}")


def _drilled(host: Host, state: HostState, now: float) -> Iterator[Finding]:
    """Yield that the last drill failed: a fence of a host with such devices would end like it."""
    last = state.last_drill
    if host.is_drill and last is not None and last.result is DrillResult.FAILED and last.failed_step is not None:
        ago = _span(now - (last.started if last.ended is None else last.ended))
        yield Finding(found=Found.DRILL_FAILED, text=f"{ago} ago at step {last.failed_step.value}: {last.why}")


def _is_alone(fleet: Fleet, host: Host, device: Device) -> bool:
    """Return whether one proxy alone may ever reach the device. Of three, two would have to run on the host itself."""
    return len(fleet.paths.listed(host, device)) < 3 and len(fleet.paths.of(host, device)) == 1


def _read(fleet: Fleet, host: Host, now: float) -> tuple[float | None, Identity]:
    """Return when all devices had been read through some path (None: one was not, or failed since), and what is known
    of the host's identity."""
    checks = fleet.checks.get(host.name)
    newest: dict[DeviceName, float] = {}
    for (name, _), result in checks.paths.items() if checks is not None else ():
        if result.failures == 0 and result.at > newest.get(name, 0.0):
            newest[name] = result.at
    times = [newest.get(device.name, 0.0) for device in host.devices]
    compared, oldest = Identity.NONE, now - valid_seconds(fleet.inventory)
    for device, at in zip(host.devices, times, strict=True):
        if device.kind is not Kind.CHASSIS:
            continue
        if device.spec.identity:
            is_read = at >= oldest and compared is not Identity.UNCONFIRMED
            compared = Identity.CONFIRMED if is_read else Identity.UNCONFIRMED
        elif fleet.claims.is_told(host.name, device.name):
            return min(times) or None, Identity.ABSENT
    return min(times, default=0.0) or None, compared


def _span(seconds: float) -> str:
    """Return a long time in the unit that suits it."""
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.0f} days"
    return f"{seconds / 3600:.0f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"

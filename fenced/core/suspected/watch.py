"""Evaluates the watch: the regular reads of fenced and failed hosts (S17). Revoking is quick, announcing is slow."""

from fenced.core.allowed import gates
from fenced.core.believed.sharing import disbelieved
from fenced.core.durable import records as r
from fenced.core.durable.replacing import replace
from fenced.core.durable.standing import is_watched_as_off, is_watched_asleep
from fenced.core.durable.words import is_device_silent, of_race
from fenced.core.events import WatchEnded
from fenced.core.heard.checks import NOTHING, OffRounds
from fenced.core.operation import paths
from fenced.core.operation.endings import report_left_off
from fenced.core.operation.mismatch import mismatches, tell
from fenced.core.operation.proof import record_fenced
from fenced.core.suspected import sleepers
from fenced.core.suspected.hearing import revoke_by_power
from fenced.core.suspected.looking import look
from fenced.core.suspected.silence import is_silent
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.names import DeviceName
from fenced.model.power import Cause, Kind, Power, Proof, State

OFF_ROUNDS = 2
"""The watch announces a failed host after at least this many rounds that read OFF: no single reading proves it."""


def watch_ended(work: HostWork, event: WatchEnded) -> None:
    """Handle a watch round. Drop one that began before the host's present state, devices or last operation's end."""
    sight, state = work.sight, work.state
    work.see(watch_started=None)
    began = max(state.since, sight.operation_ended_at, sight.devices_since)
    is_watched = is_watched_as_off(state) or is_watched_asleep(state) or state.owed
    if event.started < began or work.operation is not None or not is_watched:
        look(work)
        return
    lit = _take_paths(work, event)
    powers = dict(event.powers) | _in_doubt(work, event, lit)
    known = dict(state.power)
    for device, power in powers.items():
        is_back = device in state.wrong_machines or (power is Power.ON and device in state.owed)
        if power is not Power.UNKNOWN and (known.get(device) is not power or is_back):
            work.record(r.PowerSeen(device=device, power=power))
    for device, why in _wrong(event):
        tell(work, device, why)
    if state.state is State.FENCED:
        _watch_fenced(work, lit)
    elif is_watched_asleep(state):
        sleepers.watched(work, lit, powers, event.started)
    elif state.state is State.RESTORING and state.is_on_forbidden and _is_restored_all_the_same(work, lit):
        revoke_by_power(work, "it reads ON after a restore that was stopped: the ON had been sent")
    elif is_watched_as_off(state):
        _watch_failed(work, powers, event)
    elif state.state is State.HEALTHY and not work.state.owed:
        work.record(r.HostRestored(operation=None, missing=()))
    look(work)


def _take_paths(work: HostWork, event: WatchEnded) -> frozenset[DeviceName]:
    """Keep what each path read. Return the devices that any path read ON."""
    lit = {device for device, power in event.powers if power is Power.ON}
    for device, entries in event.races:
        said = of_race(entries, work.now)
        now_lit = {word.proxy for word in said if word.power is Power.ON}
        before = work.sight.watch_lit.get(device, frozenset()) - {word.proxy for word in said}
        others = {name: proxies for name, proxies in work.sight.watch_lit.items() if name != device}
        work.see(watch_lit={**others, device: before | now_lit} if now_lit or before else others)
        if now_lit:
            lit.add(device)
        if any(configured.name == device for configured in work.host.devices):
            paths.weigh_race(work, device, entries)
    return frozenset(lit)


def _wrong(event: WatchEnded) -> tuple[tuple[DeviceName, str], ...]:
    """Return the devices that a path found at another machine, with the first such error of each."""
    return tuple((device, why) for device, entries in event.races for why in mismatches(entries)[:1])


def _in_doubt(work: HostWork, event: WatchEnded, lit: frozenset[DeviceName]) -> dict[DeviceName, Power]:
    """Return the devices whose OFF proves nothing, as UNKNOWN: a path found another machine, or read ON now or when it
    was last read. A device that itself reads ON stays ON."""
    powers = dict(event.powers)
    wrong = {device for device, _ in _wrong(event)}
    doubtful = wrong | {one.device for one in work.state.disputes} | {*work.sight.watch_lit} | lit
    return {device: Power.UNKNOWN for device in doubtful if powers.get(device) is Power.OFF}


def _watch_fenced(work: HostWork, lit: frozenset[DeviceName]) -> None:
    proof = work.state.proof
    if proof is None:
        return
    on = [device for device in work.host.devices if device.name in lit]
    revoking = proof.revoked_by(work.host)
    speaking = [device.name for device in on if device.name in revoking]
    if proof.kind is Proof.HUMAN and {device.level for device in on} == set(work.host.levels):
        speaking = [device.name for device in on]  # a human proof names no devices: all levels must read ON
    if speaking:
        revoke_by_power(work, f"{', '.join(speaking)} reads ON without an ON of ours")


def _is_restored_all_the_same(work: HostWork, lit: frozenset[DeviceName]) -> bool:
    """Return whether a restore was stopped after it sent an ON, and a device of the proof reads ON."""
    proof = work.state.proof
    if proof is None:
        return False
    return not lit.isdisjoint(proof.revoked_by(work.host))


def _watch_failed(work: HostWork, powers: dict[DeviceName, Power], event: WatchEnded) -> None:
    sight = work.sight
    # Also after a start: until the daemon has listened for the host's grace, its silence shows nothing (S11).
    is_alive = not is_silent(work) or work.fleet.is_speaking(work.name, work.now)
    # An operation ends only when its ONs can no longer act (S5), unless the host's removal cut it short.
    if is_alive or work.state.acting_ons(event.started):
        work.see(watch_offs=NOTHING)
        return
    rounds = {
        level: _counted(sight.watch_offs.get(level), event.started, work.now)
        for level in _levels_read_off(work, powers, event)
    }
    work.see(watch_offs=rounds)
    for level in work.host.levels:
        if _is_proven(work, level) and not gates.closed(gates.announce_gates(work.fleet, work.name, work.now)):
            _fence(work, level)
            return


def _counted(rounds: OffRounds | None, started: float, now: float) -> OffRounds:
    """Count one more round if it began after the last counted one ended. Overlapping rounds count once."""
    if rounds is None:
        return OffRounds(count=1, since=started, last=started, until=now)
    if started < rounds.until:
        return rounds
    return replace(rounds, count=rounds.count + 1, last=started, until=now)


def _is_proven(work: HostWork, level: int) -> bool:
    """Return whether a level was read OFF over enough rounds and for long enough, as in an operation."""
    rounds = work.sight.watch_offs.get(level)
    if rounds is None:
        return False
    wanted = [device.power for device in work.host.devices if device.level == level]
    count = max(OFF_ROUNDS, *(power.stable_reads for power in wanted))
    return rounds.count >= count and rounds.last - rounds.since >= max(p.already_off_hold_seconds for p in wanted)


def _levels_read_off(work: HostWork, powers: dict[DeviceName, Power], event: WatchEnded) -> tuple[int, ...]:
    devices = work.host.devices
    if any(d.kind is Kind.CHASSIS and _speaks_on(work, d, powers, event) for d in devices):
        return ()
    off: list[int] = []
    for level in work.host.levels:
        of_level = [device.name for device in devices if device.level == level]
        is_trusted = not set(of_level) & disbelieved(work)
        if is_trusted and all(powers.get(name) is Power.OFF for name in of_level):
            off.append(level)
    return tuple(off)


def _speaks_on(work: HostWork, chassis: Device, powers: dict[DeviceName, Power], event: WatchEnded) -> bool:
    """Return whether the chassis reads ON, or last did. One without its own standby power may be unreadable once its
    outlets are off."""
    if chassis.name not in work.sight.watch_lit:
        return powers.get(chassis.name) is Power.ON
    outlets = [device.name for device in work.host.devices if device.kind is Kind.OUTLET]
    is_unfed = bool(outlets) and all(powers.get(name) is Power.OFF for name in outlets)
    is_silent = is_device_silent(dict(event.races).get(chassis.name, ()))
    return chassis.is_standby_separate or not (is_unfed and is_silent)


def _fence(work: HostWork, level: int) -> None:
    """Announce a proven OFF of a failed host. It stays off until an operator or a later operation changes it."""
    work.see(watch_offs=NOTHING)
    state = work.state
    record_fenced(
        work,
        level=level,
        devices=tuple(device.name for device in work.host.devices if device.level == level),
        operation=state.last_operation,
        is_stay_off=True,
        by="fenced",
        reason="its devices were read OFF by the watch",
        cause=Cause.SILENCE,
    )
    if state.owed:
        report_left_off(work, state.last_operation, "off after a failed fence; `fencectl on` gives power back")

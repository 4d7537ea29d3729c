"""S17: what the regular reading of fenced and failed hosts shows. Revoking is quick, announcing is slow."""

from fenced.core import gates
from fenced.core import records as r
from fenced.core.detector import look, revoke_by_power
from fenced.core.events import WatchEnded
from fenced.core.mismatch import mismatches, tell
from fenced.core.sharing import disbelieved
from fenced.core.state import HostState
from fenced.core.work import HostWork
from fenced.model.names import DeviceName
from fenced.model.power import Cause, Kind, Power, Proof, State

OFF_ROUNDS = 2
"""Rounds of the watch that must read a failed host OFF before it is announced: no single reading proves it."""


def watch_ended(work: HostWork, event: WatchEnded) -> None:
    """Take a round of readings. One that began before the state it speaks of is dropped."""
    sight, state = work.sight, work.state
    sight.watch_started = None
    if event.started < state.since or work.operation is not None or not is_watched(state):
        look(work)
        return
    powers = dict(event.powers) | _in_doubt(event)
    known = dict(state.power)
    for device, power in powers.items():
        is_back = device in state.wrong_machines
        if power is not Power.UNKNOWN and (known.get(device) is not power or is_back):
            work.record(r.PowerSeen(device=device, power=power))
    for device, why in _wrong(event):
        tell(work, device, why)
    if state.state is State.FENCED:
        _watch_fenced(work, powers)
    elif state.state is State.RESTORING and _is_restored_all_the_same(work, powers):
        revoke_by_power(work, "it reads ON after a restore that was stopped: the ON had been sent")
    else:
        _watch_failed(work, powers, event.started)
    look(work)


def _wrong(event: WatchEnded) -> tuple[tuple[DeviceName, str], ...]:
    """Devices that a path found at another machine, and what it said first."""
    return tuple((device, why) for device, entries in event.races for why in mismatches(entries)[:1])


def _in_doubt(event: WatchEnded) -> dict[DeviceName, Power]:
    """A path found another machine there: what says OFF then says nothing. An ON of the host's own is not hidden."""
    powers = dict(event.powers)
    return {device: Power.UNKNOWN for device, _ in _wrong(event) if powers.get(device) is Power.OFF}


def is_watched(state: HostState) -> bool:
    """Fenced and failed hosts, and one whose restore was stopped after an ON: nothing else will tell what it is."""
    return state.state in {State.FENCED, State.FAILED} or (state.state is State.RESTORING and state.is_on_forbidden)


def _watch_fenced(work: HostWork, powers: dict[DeviceName, Power]) -> None:
    proof = work.state.proof
    if proof is None:
        return
    on = [device for device in work.host.devices if powers.get(device.name) is Power.ON]
    lit = [device.name for device in on if device.name in proof.devices or device.kind is Kind.CHASSIS]
    if proof.kind is Proof.HUMAN and {device.level for device in on} == set(work.host.levels):
        lit = [device.name for device in on]  # a person's word names no devices: every level reads ON
    if lit:
        revoke_by_power(work, f"{', '.join(lit)} reads ON without an ON of ours")


def _is_restored_all_the_same(work: HostWork, powers: dict[DeviceName, Power]) -> bool:
    """The restore was stopped after an ON, and a device that proves the host's power reads ON."""
    proof = work.state.proof
    if proof is None:
        return False
    speaking = [device for device in work.host.devices if device.name in proof.devices or device.kind is Kind.CHASSIS]
    return any(powers.get(device.name) is Power.ON for device in speaking)


def _watch_failed(work: HostWork, powers: dict[DeviceName, Power], started: float) -> None:
    sight = work.sight
    level = _level_read_off(work, powers)
    if level is None or work.fleet.is_heard(work.name, work.now):
        sight.watch_offs = 0
        return
    if sight.watch_offs == 0:
        sight.watch_offs, sight.watch_off_since = 1, started
        return
    sight.watch_offs += 1
    hold = max(device.power.already_off_hold_seconds for device in work.host.devices if device.level == level)
    if (
        sight.watch_offs >= OFF_ROUNDS
        and started - sight.watch_off_since >= hold
        and not gates.closed(gates.announce_gates(work.fleet, work.name, work.now))
    ):
        _fence(work, level)


def _level_read_off(work: HostWork, powers: dict[DeviceName, Power]) -> int | None:
    devices = work.host.devices
    if any(powers.get(d.name) is Power.ON and d.kind is Kind.CHASSIS for d in devices):
        return None
    for level in work.host.levels:
        of_level = [device.name for device in devices if device.level == level]
        is_trusted = not set(of_level) & disbelieved(work)
        if is_trusted and all(powers.get(name) is Power.OFF for name in of_level):
            return level
    return None


def _fence(work: HostWork, level: int) -> None:
    """A proven OFF makes a failed host fenced; it stays off until a person or a later operation settles it."""
    work.sight.watch_offs = 0
    state = work.state
    devices = tuple(device.name for device in work.host.devices if device.level == level)
    work.record(
        r.HostFenced(
            proof=Proof.DEVICE_VERIFIED,
            operation=state.last_operation,
            level=level,
            boot=work.sight.boot or state.boot,
            token=work.fleet.next_token(),
            devices=devices,
            vouched=work.host.vouched(devices),
            is_stay_off=True,
            by="fenced",
            reason="its devices were read OFF by the watch",
            cause=Cause.SILENCE,
            last_heard=work.sight.heard_at,
        )
    )
    if state.owed:
        work.record(
            r.LeftOff(operation=state.last_operation, why="off after a failed fence; `fencectl on` gives power back")
        )

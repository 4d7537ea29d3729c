"""Trust in devices (S17): one that read OFF while its host was healthy is distrusted until it follows the host again.

A chassis that reads OFF while its host is heard is wrong. A single outlet may be OFF while the host runs on another
feed, so outlets are wrong only if all of them read OFF. Readings of the check and of status requests count.
"""

from fenced.core.believed.sharing import disbelieved
from fenced.core.durable import records as r
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import DeviceRun, Followed, Operation, Trial
from fenced.core.heard.checks import OffRow
from fenced.core.work import HostWork
from fenced.model.inventory import Device
from fenced.model.names import DeviceName
from fenced.model.power import Kind, OperationState, Power, Proof, State


def seen(work: HostWork, device: Device, power: Power, *, started: float) -> None:
    """Judge a reading that no operation disturbed. A repeated call does no harm."""
    if power is Power.OFF and _is_calm(work, started):
        _seen_off(work, device, started)
        return
    _forget_row(work, device.name)
    if power is Power.ON and device.name in work.state.distrusted and _is_calm(work, started):
        _seen_on(work, device.name)


def is_off_beside_life(work: HostWork, device: Device) -> bool:
    """Return whether it read OFF stably while the host lived: heard before and after, with the same boot.

    A heartbeat may be late by `late_message`, so only one that arrives later than
    that after the first OFF counts as after.
    """
    row = (work.sight.offs or {}).get(device.name)
    heard_at = work.sight.heard_at
    if row is None or heard_at is None or row.reads < device.power.stable_reads or row.boot != work.state.boot:
        return False
    late = work.host.settings.detection.late_message_seconds
    return heard_at > row.since + late and work.fleet.is_heard(work.name, work.now)


def has_believed_level(work: HostWork) -> bool:
    """Return whether some level could prove the host off; True for a host without devices."""
    nothing = disbelieved(work)
    lying = {device.level for device in work.host.devices if device.name in nothing}
    return not lying or lying != {*work.host.levels}


def follow(work: HostWork) -> None:
    """After a decision, record which distrusted devices went dark with their host: half of the way back to trust."""
    if not work.state.distrusted:
        return
    for entry in tuple(work.work.entries):
        record = entry.record
        if isinstance(record, r.HostFenced) and record.proof is Proof.DEVICE_VERIFIED:
            _dark_by_proof(work, record)
        elif isinstance(record, r.OperationEnded) and record.state is OperationState.FAILED:
            _dark_by_us(work, record)


def _is_calm(work: HostWork, started: float) -> bool:
    """Return whether the host is healthy since before the reading, without an operation: no command can act (S5)."""
    state = work.state
    return (
        state.state is State.HEALTHY
        and state.since <= started
        and state.operation is None
        and work.fleet.is_heard(work.name, work.now)
    )


# -- losing trust -----------------------------------------------------------------------------------------------------


def _seen_off(work: HostWork, device: Device, started: float) -> None:
    rows = work.sight.offs or {}
    row = rows.get(device.name)
    if row is None or row.boot != work.state.boot or row.since < work.state.since:
        work.see(offs={**rows, device.name: OffRow(since=work.now, at=started, boot=work.state.boot)})
    elif started > row.at:
        work.see(offs={**rows, device.name: replace(row, reads=row.reads + 1, at=started)})
    liars = _liars(work, device)
    told = {*work.state.distrusted} - {trial.device for trial in work.state.trials}
    if any(name not in told for name in liars):
        why = f"read off while {work.name} was heard in one and the same run"
        work.record(r.DevicesDistrusted(devices=liars, why=why))


def _liars(work: HostWork, device: Device) -> tuple[DeviceName, ...]:
    """Return the devices that are wrong: the chassis, or all outlets if all are OFF: one then feeds another machine."""
    together = [device] if device.kind is Kind.CHASSIS else [d for d in work.host.devices if d.kind is Kind.OUTLET]
    if all(is_off_beside_life(work, one) for one in together):
        return tuple(one.name for one in together)
    return ()


def _forget_row(work: HostWork, device: DeviceName) -> None:
    rows = work.sight.offs
    if rows is not None and device in rows:
        work.see(offs={name: row for name, row in rows.items() if name != device} or None)


# -- winning it back --------------------------------------------------------------------------------------------------


def _seen_on(work: HostWork, device: DeviceName) -> None:
    trial = _trial(work, device)
    if trial is None:
        work.record(r.TrustAdvanced(trial=Trial(device=device, followed=Followed.LIT)))
    elif trial.followed is Followed.DARK and _is_another_run(work, trial):
        work.record(r.DevicesTrusted(devices=(device,)))


def _is_another_run(work: HostWork, trial: Trial) -> bool:
    """Return whether the host ended while the device was dark, and is heard now with a new boot."""
    boot = work.state.boot
    if trial.boot is None or boot is None:
        return not trial.is_switched  # proven off by other devices, so what is heard now is a new boot
    return boot != trial.boot


def _dark_by_proof(work: HostWork, record: r.HostFenced) -> None:
    """Record a distrusted device as dark if other devices proved the host off and it got no command."""
    operation = _operation(work, record.operation)
    if operation is None:
        return
    touched = {command.device for command in work.state.commands} | {*work.state.owed}
    for run in operation.devices:
        is_dark = run.says is Power.OFF and run.same_reads > 0
        is_left_alone = not run.off_attempts and not run.is_switched_on and run.device not in touched
        if is_dark and is_left_alone and run.device not in record.devices:
            _went_dark(work, run, Trial(device=run.device, followed=Followed.DARK, boot=record.boot))


def _dark_by_us(work: HostWork, record: r.OperationEnded) -> None:
    """Record the devices as dark if switching off their level alone silenced a healthy host: that level cuts it."""
    operation = _operation(work, record.operation)
    if operation is None or operation.before is not State.HEALTHY or operation.boot is None:
        return
    if work.fleet.is_heard(work.name, work.now) or operation.boot != work.state.boot:
        return
    switched = [run for run in operation.devices if run.off_attempts]
    if len({run.level for run in switched}) != 1 or any(run.is_switched_on for run in operation.devices):
        return
    if not all(run.is_stably_off(work.host) for run in operation.at_level(switched[0].level)):
        return
    for run in switched:
        trial = Trial(device=run.device, followed=Followed.DARK, boot=operation.boot, is_switched=True)
        _went_dark(work, run, trial)


def _went_dark(work: HostWork, run: DeviceRun, trial: Trial) -> None:
    before = _trial(work, run.device)
    if before is not None and before.followed is Followed.LIT and run.device in work.state.distrusted:
        work.record(r.TrustAdvanced(trial=trial))


def _trial(work: HostWork, device: DeviceName) -> Trial | None:
    return next((trial for trial in work.state.trials if trial.device == device), None)


def _operation(work: HostWork, operation_id: str | None) -> Operation | None:
    """Return the operation at the end of this decision, running or just ended."""
    live = work.state.operation
    found = ([live] if live is not None else []) + work.work.ended
    return next((operation for operation in found if operation.id == operation_id), None)

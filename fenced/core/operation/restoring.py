"""Phase RESTORING: switch ON what was switched off, outlets first, then chassis (S9). Used by `restart` and `on`.

An ON is sent only when no earlier OFF for that plug can still act (S5), and never if an operator forbade it (S19). A
BMC that had no power needs time to boot, so its path is sought until the restore's deadline.
"""

from fenced.core import commands as c
from fenced.core.allowed import gates, of_daemon
from fenced.core.believed.sharing import shared
from fenced.core.durable import records as r
from fenced.core.durable.outcome import beside, speaking, targets
from fenced.core.durable.state import DeviceRun, Operation
from fenced.core.operation import paths, phases
from fenced.core.operation.steps import start_race, start_read, switch, unsettled_opposite
from fenced.core.work import HostWork
from fenced.model.names import DeviceName
from fenced.model.power import Action, Kind, OperationState, Outcome, Power, State, What


def advance(work: HostWork, operation: Operation) -> None:
    if _is_called_off(work, operation):
        return
    wanted = _wanted(work, operation)
    waiting = _waiting(work, operation, wanted)
    if waiting:
        for run in waiting:
            _restore_device(work, operation, run)
        if operation.restore_deadline is not None:
            work.wake(operation.restore_deadline)
    elif any(_may_still_act(work, run) for run in wanted):
        work.wake(work.now + 1.0)
    else:
        _conclude(work, operation, tuple(run for run in wanted if not _is_unknown_beside(operation, run)))


def _is_called_off(work: HostWork, operation: Operation) -> bool:
    """End or stop the restore if ON is forbidden now, or if an operator requested `off` before the first ON."""
    if work.state.is_on_forbidden:
        phases.finish(work, OperationState.CANCELLED, operation.ending_why)
        work.command(c.DropOns(host=work.name, operation=operation.id, why="an operator stopped giving power back"))
        return True
    if operation.is_stopped:
        return False
    shut = gates.closed((of_daemon.armed(work.fleet),))
    if shut and operation.action is Action.ON:  # a fence's own restore goes on (S19)
        phases.stop(work, shut[0].why)
        return True
    if operation.action is Action.OFF:
        phases.finish(work, OperationState.DONE, None)
        return True
    return False


def _wanted(work: HostWork, operation: Operation) -> tuple[DeviceRun, ...]:
    """Return what must be ON, and what an operator's `on` reads besides: once, and switched on only if it reads OFF."""
    others = (run for run in beside(operation) if not (run.is_inspected and _is_unknown_beside(operation, run)))
    return (*targets(operation, work.state.owed), *others)


def _waiting(work: HostWork, operation: Operation, wanted: tuple[DeviceRun, ...]) -> tuple[DeviceRun, ...]:
    """Return the devices to act on now: outlets, then chassis; none past the deadline."""
    is_late = operation.restore_deadline is not None and work.now >= operation.restore_deadline
    if is_late:
        return ()
    for kind in (Kind.OUTLET, Kind.CHASSIS):
        waiting = tuple(run for run in wanted if run.kind is kind and not run.is_on and not run.is_given_up)
        if waiting:
            return waiting
    return ()


def _is_unknown_beside(operation: Operation, run: DeviceRun) -> bool:
    """Return whether the daemon did not switch it and can't read it: `on` does not wait for it, but reports it."""
    is_touched = run.device in operation.wanted or run.is_switched_on
    return not is_touched and run.power is Power.UNKNOWN and not run.is_busy


def _may_still_act(work: HostWork, run: DeviceRun) -> bool:
    """Return whether its command's result is awaited.

    Past its `not_after` it can't act, and the operation ends (S14).
    """
    step = run.step
    return step is not None and step.token is not None and work.now < (step.not_after or 0.0)


def _restore_device(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_busy:
        return
    if work.now < run.wait_until - 1e-6:
        work.wake(run.wait_until)
    elif run.proxy is None:
        start_race(work, operation, run)
    elif (proxy := paths.unasked(run)) is not None:
        paths.ask(work, operation, run, proxy)
    elif _is_on_due(work, operation, run) and not _is_last_doubt(work, run):
        _switch_on(work, operation, run)
    else:
        start_read(work, operation, run, priority=c.PRIORITY_ON)


def _is_on_due(work: HostWork, operation: Operation, run: DeviceRun) -> bool:
    """Return whether the device needs an ON rather than another read."""
    if run.read_at is None:
        return False
    if run.on_attempts == 0:
        is_read_since = run.command_ended_at is None or run.read_at > run.command_ended_at
        return run.power is Power.OFF or (run.read_at >= _began(operation) and is_read_since)
    if run.command_ended_at is None or run.read_at <= run.command_ended_at:
        return False
    has_failed = run.command_outcome in {Outcome.FAILED, Outcome.REFUSED}
    return has_failed or work.now >= run.command_ended_at + _verify_seconds(work, run)


def _began(operation: Operation) -> float:
    return operation.restore_started if operation.restore_started is not None else operation.started


def _verify_seconds(work: HostWork, run: DeviceRun) -> float:
    """Return how long it may take until the ON is read.

    A chassis must boot, and its `settle` starts only after that.
    """
    device = work.host.device(run.device)
    settings, verify = device.power, device.power.verify_timeout_seconds
    if run.kind is Kind.CHASSIS:
        settle = device.settle_after_return_seconds
        verify = max(verify, settings.chassis_boot_timeout_seconds + settle)
    return verify


def _is_last_doubt(work: HostWork, run: DeviceRun) -> bool:
    """Return whether no attempt is left and it reads OFF, but not yet stably: the end must know the power (S2)."""
    power = work.host.device(run.device).power
    return run.on_attempts >= power.attempts and run.power is Power.OFF and run.same_reads < power.stable_reads


def _switch_on(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    late = unsettled_opposite(work, run, Power.ON)
    if late is not None:
        work.wake(late)
    elif why := _why_give_up(work, run):
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
    else:
        switch(work, operation, run, What.ON)


def _why_give_up(work: HostWork, run: DeviceRun) -> str:
    if run.on_attempts >= work.host.device(run.device).power.attempts:
        return f"not ON after {run.on_attempts} attempts: {run.error or 'reads ' + run.power.value}"
    is_owed = run.is_switched_off or run.device in work.state.owed  # given back even if another host also has it
    return (
        ""
        if is_owed or run.device not in shared(work.fleet, work.name, work.now)
        else f"{run.device} is another host's, too"
    )


# -- all is on, or nothing more can be done ---------------------------------------------------------------------------


def _conclude(work: HostWork, operation: Operation, wanted: tuple[DeviceRun, ...]) -> None:
    missing = tuple(run.device for run in wanted if not run.is_on)
    ending = operation.ending if operation.is_stopped and operation.ending is not None else OperationState.DONE
    if not missing or _is_host_on(operation) or _is_heard_since(work, operation):
        work.record(r.HostRestored(operation=operation.id, missing=missing))
        phases.finish(work, ending, _why_part(operation, missing) or operation.ending_why)
        return
    why = f"power could not be given back: {_names(missing)}"
    work.record(r.RestoreFailed(operation=operation.id, missing=missing, why=why))
    phases.finish(work, OperationState.FAILED, why)


def _why_part(operation: Operation, missing: tuple[DeviceName, ...]) -> str:
    unread = tuple(run.device for run in beside(operation) if not run.is_on and run.device not in missing)
    off = f"still off: {_names(missing)}" if missing else ""
    unknown = f"could not be read: {_names(unread)}" if unread else ""
    return "; ".join(part for part in (off, unknown) if part)


def _is_heard_since(work: HostWork, operation: Operation) -> bool:
    """Return whether the host is heard, so it is on whatever its devices report.

    If it was proven off, a new run of it must have been heard since power is given back. The daemon gives back what it
    owes only to a host that is heard.
    """
    if operation.is_giving_back and work.fleet.is_heard(work.name, work.now):
        return True
    was_off = operation.is_fenced or operation.before in {State.FENCED, State.SLEEPING}
    heard_at = work.sight.heard_at
    return was_off and work.state.state is State.HEALTHY and heard_at is not None and heard_at > _began(operation)


def _names(devices: tuple[DeviceName, ...]) -> str:
    return ", ".join(str(device) for device in devices)


def _is_host_on(operation: Operation) -> bool:
    """Return whether a chassis reads ON; if no chassis can tell, any outlet (design.md#power-model)."""
    chassis = [run for run in speaking(operation) if run.kind is Kind.CHASSIS and run.says is not Power.UNKNOWN]
    return any(run.says is Power.ON for run in (chassis or operation.devices))

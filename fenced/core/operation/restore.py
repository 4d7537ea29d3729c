"""Giving power back: everything that was switched off, outlets first, then chassis (S9). Used by restart and `on`.

An ON is sent only when no earlier OFF for that plug can still act (S5), and never where a person forbade it (S19).
"""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.believed.sharing import shared
from fenced.core.durable import records as r
from fenced.core.durable.outcome import beside, is_on, speaking, targets
from fenced.core.durable.state import DeviceRun, Operation
from fenced.core.operation import paths
from fenced.core.operation.ending import finish, stop
from fenced.core.operation.steps import start_race, start_read, switch, unsettled_opposite
from fenced.core.work import HostWork
from fenced.model.names import DeviceName
from fenced.model.power import Action, Kind, OperationState, Outcome, Power, State, What


def advance(work: HostWork, operation: Operation) -> None:
    """Outlets of every touched level first, then chassis; end when each is ON or given up.

    A BMC that was without power takes its time to boot: its path is looked for until the restore's deadline.
    """
    if work.state.is_on_forbidden:
        finish(work, OperationState.CANCELLED, operation.ending_why)
        work.command(c.DropOns(host=work.name, operation=operation.id, why="a person stopped giving power back"))
        return
    shut = gates.closed((gates.armed(work.fleet),))
    if shut and operation.action is Action.ON and not operation.is_stopped:  # a fence's own restore goes on (S19)
        stop(work, shut[0].why)
        return
    if operation.action is Action.OFF and not operation.is_stopped:
        finish(work, OperationState.DONE, None)  # a person asked for off before the first ON
        return
    wanted = _wanted(work, operation)
    is_late = operation.restore_deadline is not None and work.now >= operation.restore_deadline
    for kind in (Kind.OUTLET, Kind.CHASSIS):
        waiting = [run for run in wanted if run.kind is kind and not is_on(run) and not run.is_given_up]
        if waiting and not is_late:
            for run in waiting:
                _restore_device(work, operation, run)
            if operation.restore_deadline is not None:
                work.wake(operation.restore_deadline)
            return
    if any(_may_still_act(work, run) for run in wanted):
        work.wake(work.now + 1.0)
        return
    _conclude(work, operation, tuple(run for run in wanted if not _is_unknown_beside(operation, run)))


def _wanted(work: HostWork, operation: Operation) -> tuple[DeviceRun, ...]:
    """What must be ON, and what a person's `on` looks at besides: read once, and switched on only if it reads OFF."""
    others = (run for run in beside(operation) if not (run.is_inspected and _is_unknown_beside(operation, run)))
    return (*targets(operation, work.state.owed), *others)


def _is_unknown_beside(operation: Operation, run: DeviceRun) -> bool:
    """Nobody switched it off and nobody knows what it is: it holds up no `on`, and is told as not read."""
    is_touched = run.device in operation.wanted or run.is_switched_on
    return not is_touched and run.power is Power.UNKNOWN and run.step is None and not run.is_racing


def _may_still_act(work: HostWork, run: DeviceRun) -> bool:
    """A command whose answer is waited for; past its `not_after` it acts no more, and the operation ends without it (S14)."""
    step = run.step
    return step is not None and step.token is not None and work.now < (step.not_after or 0.0)


def _restore_device(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_racing or run.step is not None:
        return
    if work.now < run.wait_until - 1e-6:
        work.wake(run.wait_until)
        return
    if run.proxy is None:
        start_race(work, operation, run)
    elif (proxy := paths.unasked(run)) is not None:
        paths.ask(work, operation, run, proxy)
    elif _is_on_due(work, operation, run) and not _is_last_doubt(work, run):
        _switch_on(work, operation, run)
    else:
        start_read(work, operation, run, priority=c.PRIORITY_ON)


def _is_on_due(work: HostWork, operation: Operation, run: DeviceRun) -> bool:
    if run.read_at is None:
        return False
    since = operation.restore_started if operation.restore_started is not None else operation.started
    if run.on_attempts == 0:
        is_read_since = run.command_ended_at is None or run.read_at > run.command_ended_at
        return run.power is Power.OFF or (run.read_at >= since and is_read_since)
    if run.command_ended_at is None or run.read_at <= run.command_ended_at:
        return False
    if run.command_outcome in {Outcome.FAILED, Outcome.REFUSED}:
        return True
    settings = work.host.device(run.device).power
    verify = settings.verify_timeout_seconds
    if run.kind is Kind.CHASSIS:
        settle = work.host.device(run.device).settle_after_return_seconds  # it starts where the BMC has booted
        verify = max(verify, settings.chassis_boot_timeout_seconds + settle)
    return work.now >= run.command_ended_at + verify


def _is_last_doubt(work: HostWork, run: DeviceRun) -> bool:
    """No attempt is left and it reads OFF, but not yet stably: whether the host is off must be known in the end (S2)."""
    power = work.host.device(run.device).power
    return run.on_attempts >= power.attempts and run.power is Power.OFF and run.same_reads < power.stable_reads


def _switch_on(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    late = unsettled_opposite(work, run, What.ON)
    if late is not None:
        work.wake(late)
        return
    is_ours = run.is_switched_off or run.device in work.state.owed  # that is given back, whosever it is
    why = "" if is_ours or run.device not in shared(work) else f"{run.device} is another host's, too"
    if run.on_attempts >= work.host.device(run.device).power.attempts:
        why = f"not ON after {run.on_attempts} attempts: {run.error or 'reads ' + run.power.value}"
    if why:
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
        return
    switch(work, operation, run, What.ON)


def _conclude(work: HostWork, operation: Operation, wanted: tuple[DeviceRun, ...]) -> None:
    missing = tuple(run.device for run in wanted if not is_on(run))
    ending = operation.ending if operation.is_stopped and operation.ending is not None else OperationState.DONE
    if not missing or _is_host_on(operation) or _is_heard_since(work, operation):
        work.record(r.HostRestored(operation=operation.id, missing=missing))
        finish(work, ending, _why_part(operation, missing) or operation.ending_why)
        return
    why = f"power could not be given back: {_names(missing)}"
    work.record(r.RestoreFailed(operation=operation.id, missing=missing, why=why))
    finish(work, OperationState.FAILED, why)


def _why_part(operation: Operation, missing: tuple[DeviceName, ...]) -> str:
    unread = tuple(run.device for run in beside(operation) if not is_on(run) and run.device not in missing)
    off = f"still off: {_names(missing)}" if missing else ""
    unknown = f"could not be read: {_names(unread)}" if unread else ""
    return "; ".join(part for part in (off, unknown) if part)


def _is_heard_since(work: HostWork, operation: Operation) -> bool:
    """It was proven off, and since power was given back a new run of it was heard, whatever its devices say or don't.

    A host that is heard is on anyway: only what it is owed is given back to it.
    """
    if operation.is_giving_back and work.fleet.is_heard(work.name, work.now):
        return True
    was_off = operation.is_fenced or operation.before is State.FENCED
    heard_at = work.sight.heard_at
    since = operation.restore_started if operation.restore_started is not None else operation.started
    return was_off and work.state.state is State.HEALTHY and heard_at is not None and heard_at > since


def _names(devices: tuple[DeviceName, ...]) -> str:
    return ", ".join(str(device) for device in devices)


def _is_host_on(operation: Operation) -> bool:
    """A chassis reads ON; without one that says what it is now, any outlet (DESIGN section 4)."""
    chassis = [run for run in speaking(operation) if run.kind is Kind.CHASSIS and run.says is not Power.UNKNOWN]
    return any(run.says is Power.ON for run in (chassis or operation.devices))

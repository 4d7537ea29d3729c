"""Phases VETO and GOING_DOWN: put a host to sleep (S24). The command is a soft off, and never becomes a hard one.

In VETO every device is read ON, the sleep is announced, and anything that speaks against it ends it. Right before the
command all of that is looked at again. From then on beats end nothing and silence is expected, over a restart of the
daemon, too: the host is asleep once every chassis reads OFF stably and it is silent. Work that is heard after the
command means that the OFF cut something: it is announced as `fenced`, and power is given back.
"""

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, Phase
from fenced.core.idle import fit
from fenced.core.operation import paths, phases, starting
from fenced.core.operation.proof import is_proven_off, is_read_off, record_fenced
from fenced.core.operation.steps import start_race, start_read, switch
from fenced.core.work import HostWork
from fenced.model.names import DeviceName
from fenced.model.power import Kind, OperationState, Outcome, Power, State, What

LOOK_SECONDS = 1.0
"""How often the conditions are looked at during the veto."""
READ_SECONDS = 5.0
"""How often a chassis is read while its host shuts down."""


def advance(work: HostWork, operation: Operation) -> None:
    """Go on with the present phase."""
    if operation.phase is Phase.VETO:
        _wait_for_veto(work, operation)
    else:
        _go_down(work, operation)


def _wait_for_veto(work: HostWork, operation: Operation) -> None:
    is_asked = not operation.is_automatic
    bar = next(fit.bars(work.fleet, work.name, work.now, is_asked=is_asked, is_begun=True), None)
    if bar is not None:
        phases.stop(work, f"{bar.rule}: {bar.why}")
        return
    if work.state.boot != operation.boot:
        phases.stop(work, "it started anew: nothing is known of that run yet")
        return
    due = operation.veto_until
    if due is not None and work.now < due - 1e-6:
        work.wake(min(due, work.now + LOOK_SECONDS))
        return
    since = operation.started if due is None else due
    unread = [run for run in operation.devices if not (run.is_on and (run.read_at or 0.0) >= since - 1e-6)]
    if unread and work.now >= operation.deadline:
        names = ", ".join(f"{run.device} ({run.error or 'reads ' + run.says.value})" for run in unread)
        _fail(work, operation, f"not every device was read ON: {names}", is_never_sent=True)
    elif unread:
        for run in unread:
            _read(work, operation, run)
        work.wake(min(operation.deadline, work.now + LOOK_SECONDS))
    elif due is None:
        at = work.now + work.host.settings.saving.veto_seconds
        work.record(r.SleepAnnounced(operation=operation.id, at=at))
        work.wake(work.now + LOOK_SECONDS)
    else:
        _ask_down(work, operation)


def _ask_down(work: HostWork, operation: Operation) -> None:
    """Ask the host to shut down: its operating system through every chassis, or its reporter."""
    saving = work.host.settings.saving
    until = work.now + saving.soft_timeout_seconds
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.GOING_DOWN, deadline=until))
    if saving.soft_off_by == "device":
        for run in _chassis(work.operation or operation):
            switch(work, operation, run, What.SOFT_OFF)
    else:
        work.command(
            c.AskReporter(
                host=work.name,
                operation=operation.id,
                token=work.fleet.next_token(),
                boot=work.state.boot,
                sequence=work.sight.sequence,
                within_seconds=c.WITHIN_SECONDS,
                reason=operation.reason,
            )
        )
    work.wake(work.now + READ_SECONDS)


# -- after the command ------------------------------------------------------------------------------------------------


def _go_down(work: HostWork, operation: Operation) -> None:
    _follow_silence(work)
    runs = _chassis(operation)
    if why := _why_refused(operation, runs):
        _fail(work, operation, why, is_never_sent=True)
    elif work.state.boot != operation.boot:
        _fail(work, operation, "it restarted instead of shutting down")
    elif _is_down(work, runs) and not _is_hold_open(work, operation, runs):
        _settle(work, operation, runs)
    elif work.now >= (until := _until(work, operation, runs)):
        _doubt(work, runs)
        _fail(work, operation, f"it did not shut down within {operation.deadline - _asked_at(work, operation):.0f} s")
    else:
        for run in runs:
            _read(work, operation, run)
        work.wake(min(until, work.now + READ_SECONDS))


def _until(work: HostWork, operation: Operation, runs: tuple[DeviceRun, ...]) -> float:
    """Return when it has failed: at the deadline, if a chassis reads ON then. A host that went down in time sleeps,
    although nobody could look earlier, or its OFF is not proven yet (S13)."""
    deadline = operation.deadline
    if work.now < deadline:
        return deadline
    if any(run.says is Power.ON and (run.read_at or 0.0) >= deadline for run in runs) or _lying(work, runs):
        return deadline
    from_when = max(deadline, operation.resume_at or 0.0)
    return from_when + max(_look_seconds(work, run) for run in runs) + _hold_seconds(work, operation, runs)


def _look_seconds(work: HostWork, run: DeviceRun) -> float:
    """Return within which time a chassis that is OFF is read OFF stably: a path is found, and each read may hang once
    for as long as it can."""
    device = work.host.device(run.device)
    reads = device.power.stable_reads * (device.power.verify_interval_seconds + device.power.attempt_timeout_seconds)
    return starting.reading_timeout_seconds(work) + device.settle_after_return_seconds + reads


def _hold_seconds(work: HostWork, operation: Operation, runs: tuple[DeviceRun, ...]) -> float:
    """Return for how long it must be silent besides: a beat may be late, and work that was cut takes a whole grace."""
    soft_off = work.state.saving.soft_off
    late = work.host.settings.detection.late_message_seconds
    if soft_off is None or not soft_off.has_work or _level_of(operation, runs) is None:
        return late
    hold = max(work.host.device(run.device).power.already_off_hold_seconds for run in operation.devices)
    return late + work.fleet.grace_seconds(work.name, work.now) + hold


def _asked_at(work: HostWork, operation: Operation) -> float:
    soft_off = work.state.saving.soft_off
    return soft_off.at if soft_off is not None else operation.started


def _follow_silence(work: HostWork) -> None:
    """Its silence is expected now, so it is `left` once it says that it stops, or is late."""
    if work.state.state is State.HEALTHY and (
        work.sight.is_stopping or work.fleet.is_overdue(work.name, work.now)
    ):  # fmt: skip
        work.record(r.HostLeft(reason="asked to shut down, to save power"))


def _why_refused(operation: Operation, runs: tuple[DeviceRun, ...]) -> str:
    """Return why no chassis can have asked the host; "": one may have."""
    asked = [run for run in runs if run.is_asked_down]
    if not asked or not all(run.command_outcome is Outcome.REFUSED for run in asked):
        return ""
    return "; ".join(f"{run.device}: {run.error}" for run in asked)


def _is_down(work: HostWork, runs: tuple[DeviceRun, ...]) -> bool:
    """Return whether every chassis reads OFF stably, and the host is silent since. A beat that came a little later may
    be a late one; then it must be silent for longer than a message can be late."""
    if not all(is_read_off(work, run) and not run.is_busy for run in runs):
        return False
    late = work.host.settings.detection.late_message_seconds
    heard_at = _last_heard(work)
    return heard_at <= min(run.same_since for run in runs) or all(
        (run.read_at or 0.0) > heard_at + late for run in runs
    )


def _last_heard(work: HostWork) -> float:
    return max(work.sight.heard_at or 0.0, work.sight.spoke_at or 0.0)


def _is_hold_open(work: HostWork, operation: Operation, runs: tuple[DeviceRun, ...]) -> bool:
    """Return whether the OFF of a host that had work must be read, in silence, for longer before it is announced: a
    soft off cuts nothing, so it is proven as any OFF that is not the daemon's (S1), after a whole grace."""
    soft_off = work.state.saving.soft_off
    if soft_off is None or not soft_off.has_work:
        return False
    level = _level_of(operation, runs)
    if level is None:
        return False
    fleet, name = work.fleet, work.name
    is_silent = fleet.silence_seconds(name, work.now) > fleet.grace_seconds(name, work.now)
    if not is_silent or fleet.is_speaking(name, work.now):
        return True
    return not all(is_proven_off(work, run) for run in operation.at_level(level))


def _level_of(operation: Operation, runs: tuple[DeviceRun, ...]) -> int | None:
    """Return a level that consists of these devices; None: there is none."""
    names = {run.device for run in runs}
    levels = (level for level in operation.levels if all(run.device in names for run in operation.at_level(level)))
    return next(levels, None)


def _doubt(work: HostWork, runs: tuple[DeviceRun, ...]) -> None:
    """Believe a chassis no more that reads OFF stably while its host is heard all the time (S17)."""
    if lying := _lying(work, runs):
        work.record(r.DevicesDistrusted(devices=lying, why="reads OFF, and its host is still heard"))


def _lying(work: HostWork, runs: tuple[DeviceRun, ...]) -> tuple[DeviceName, ...]:
    late = work.host.settings.detection.late_message_seconds
    if work.fleet.is_overdue(work.name, work.now):
        return ()
    return tuple(run.device for run in runs if is_read_off(work, run) and _last_heard(work) > run.same_since + late)


def _settle(work: HostWork, operation: Operation, runs: tuple[DeviceRun, ...]) -> None:
    soft_off = work.state.saving.soft_off
    if soft_off is not None and soft_off.has_work:
        _fence(work, operation, runs, soft_off.work)
        return
    work.record(
        r.HostSlept(
            operation=operation.id,
            boot=operation.boot,
            token=work.fleet.next_token(),
            devices=tuple(run.device for run in runs),
            by=operation.by,
            reason=operation.reason,
            cause=operation.cause,
        )
    )
    phases.finish(work, OperationState.DONE, None)
    work.wake(work.now)


def _fence(work: HostWork, operation: Operation, runs: tuple[DeviceRun, ...], why: str) -> None:
    """Announce the OFF: after the command it was heard that the host has work, and others must know that this is gone.

    Where no level consists of chassis that read OFF, that is no proof: detection fences it as any silent host.
    """
    level = _level_of(operation, runs)
    if level is None:
        _fail(work, operation, why, grace_seconds=0.0)
        return
    record_fenced(
        work,
        level=level,
        devices=tuple(run.device for run in operation.at_level(level)),
        operation=operation.id,
        is_stay_off=False,
        by=operation.by,
        reason=why,
        cause=operation.cause,
    )
    phases.enter(work, operation, Phase.ANNOUNCING)


def _fail(
    work: HostWork, operation: Operation, why: str, *, is_never_sent: bool = False, grace_seconds: float | None = None
) -> None:
    """End it: the host stays on, is left alone for `retry_after`, and its silence counts after a whole grace."""
    grace = work.fleet.grace_seconds(work.name, work.now) if grace_seconds is None else grace_seconds
    work.record(
        r.SleepFailed(
            operation=operation.id,
            why=why,
            retry_at=work.now + work.host.settings.saving.retry_after_seconds,
            heard_by=work.now + grace,
            is_never_sent=is_never_sent,
        )
    )
    phases.finish(work, OperationState.FAILED, why)


def _chassis(operation: Operation) -> tuple[DeviceRun, ...]:
    return tuple(run for run in operation.devices if run.kind is Kind.CHASSIS)


def _read(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_busy:
        return
    if work.now < run.wait_until - 1e-6:
        work.wake(run.wait_until)
    elif run.proxy is None:
        start_race(work, operation, run)
    elif run.in_doubt_since is not None:
        paths.ask_in_turn(work, operation, run, priority=c.PRIORITY_SLEEP)
    elif run.power is not Power.UNKNOWN or run.read_at is None or not run.is_racing:
        start_read(work, operation, run, priority=c.PRIORITY_SLEEP)

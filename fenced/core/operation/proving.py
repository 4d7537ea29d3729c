"""Phase PROVING: switch all devices of one level OFF at once, and read each until the level is proven off (S1, S6).

A level that can't be proven off by its deadline makes way for the next one. The gates are evaluated again before the
first OFF of each level (S10). `advance` starts only what is not under way.
"""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.allowed.verdict import plain
from fenced.core.believed.sharing import shared
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, GateVerdict, Operation, Phase
from fenced.core.operation import asking, drillable, paths, phases, silencing
from fenced.core.operation.proof import is_level_proven_off, is_proven_off
from fenced.core.operation.steps import start_race, start_read, switch
from fenced.core.work import HostWork
from fenced.model.power import OperationState, Outcome, Power, What

LIFE_FRESH_SECONDS = 5.0
"""The last probe of the host itself may be this much older than the level."""

HELD_AFTER_OFF = frozenset({"lease", "alive_but_silent", "live_evidence"})
"""Gates that hold a further level even after an OFF was sent."""


def advance(work: HostWork, operation: Operation) -> None:
    if operation.level is None:
        phases.enter_next_level(work, operation, why="")
    elif is_level_proven_off(work, operation):
        _go_on(work, operation)
    elif (why := _why_hopeless(work, operation)) is not None:
        phases.enter_next_level(work, operation, why=why)
    else:
        for run in operation.of_level:
            _prove_device(work, operation, run)
        work.wake(operation.level_deadline)


def _go_on(work: HostWork, operation: Operation) -> None:
    """Inspect the other levels. A drill first waits until its host is silent; its devices are read meanwhile."""
    why = silencing.why_not_silent(work, operation)
    if why is None:
        phases.enter(work, operation, Phase.INSPECTING)
    elif (other := silencing.silenced_besides(work, operation)) is not None:
        phases.stop(work, f"{other} fell silent, too: the devices may feed it", ending=OperationState.FAILED)
        silencing.spare_who_was_cut(work)
    elif work.now >= operation.level_deadline:
        phases.stop(work, f"the host was not seen to fall silent: {why}", ending=OperationState.FAILED)
    else:
        for run in operation.of_level:
            _read_again(work, operation, run)
        work.wake(operation.level_deadline)


def _read_again(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    due = (run.read_at or 0.0) + silencing.READ_SECONDS
    if work.now < due - 1e-6:
        work.wake(due)
    elif not run.is_busy:
        _act(work, operation, run)


def _why_hopeless(work: HostWork, operation: Operation) -> str | None:
    if work.now >= operation.level_deadline:
        return f"level {operation.level} was not proven off by its deadline"
    runs = operation.of_level
    if any(run.is_given_up for run in runs) and not any(run.is_busy for run in runs):
        why = "; ".join(f"{run.device}: {run.error}" for run in runs if run.is_given_up)
        return f"level {operation.level} can't be proven off: {why}"
    return None


def _prove_device(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_busy or run.is_given_up or is_proven_off(work, run):
        return
    if run.in_doubt_since is not None and run.proxy is not None:
        paths.settle_doubt(work, operation, run)
    elif work.now < run.wait_until - 1e-6:
        work.wake(run.wait_until)
    else:
        _act(work, operation, run)


def _act(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    is_due = _is_off_due(work, run)
    may_repeat = is_due and run.is_path_proven and run.last_proxy is not None and run.off_attempts
    if run.proxy is None and not may_repeat:
        start_race(work, operation, run, disputed=paths.disputed(work, run.device))
    elif is_due:
        _switch_off(work, operation, run)
    else:
        start_read(work, operation, run, priority=c.PRIORITY_OFF)


def _is_off_due(work: HostWork, run: DeviceRun) -> bool:
    """Return whether the device needs another OFF rather than another read."""
    if run.power is Power.OFF or run.in_doubt_since is not None:
        return False
    if run.off_attempts == 0:
        return run.is_path_proven and run.read_at is not None
    if run.command_ended_at is None or run.read_at is None or run.read_at <= run.command_ended_at:
        return False
    return _has_failed(work, run, run.command_ended_at)


def _has_failed(work: HostWork, run: DeviceRun, command_ended_at: float) -> bool:
    """Return whether the last OFF did nothing. An OFF that was read but does not count yet costs no attempt."""
    power = work.host.device(run.device).power
    is_settling = run.settling_until > 0.0
    if run.command_outcome in {Outcome.FAILED, Outcome.REFUSED}:
        return not (is_settling and run.off_attempts >= power.attempts)
    return not is_settling and work.now >= command_ended_at + power.verify_timeout_seconds


def _switch_off(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    why = _why_give_up(work, run)
    if why:
        work.record(r.DeviceGivenUp(operation=operation.id, device=run.device, why=why))
        work.wake(work.now)
        return
    if not operation.is_permitted and not _permit(work, operation):
        return
    switch(work, operation, run, What.OFF)


def _why_give_up(work: HostWork, run: DeviceRun) -> str:
    if run.off_attempts >= work.host.device(run.device).power.attempts:
        return f"not OFF after {run.off_attempts} attempts: {run.error or 'reads ' + run.power.value}"
    return f"{run.device} is another host's, too" if run.device in shared(work.fleet, work.name, work.now) else ""


# -- may an OFF be sent -----------------------------------------------------------------------------------------------


def _permit(work: HostWork, operation: Operation) -> bool:
    """Evaluate the gates again before the first OFF of a level (S10). A closed one stops what has not begun (S19)."""
    assert operation.level is not None
    if operation.is_automatic and not _is_life_checked(work, operation):
        return False
    if operation.is_drilling and not operation.is_off_sent and (why := drillable.why_not(work, operation)) is not None:
        phases.stop(work, why)
        return False
    verdicts = _level_gates(work, operation)
    shut = _holding(operation, gates.closed(verdicts))
    if not shut:
        work.record(r.GatesPassed(operation=operation.id, level=operation.level, gates=plain(verdicts)))
        return True
    if shut[0].gate == "lease" and operation.is_off_sent:
        work.wake(work.now + 1.0)
    else:
        phases.stop(work, gates.why(shut))
    return False


def _level_gates(work: HostWork, operation: Operation) -> tuple[GateVerdict, ...]:
    if operation.is_drilling and not operation.is_off_sent:
        return gates.drill_gates(work.fleet, work.name, work.now, since=operation.started)
    return gates.level_gates(
        work.fleet, work.name, work.now, is_automatic=operation.is_automatic, is_off_sent=operation.is_off_sent
    )


def _holding(operation: Operation, shut: tuple[GateVerdict, ...]) -> tuple[GateVerdict, ...]:
    if not operation.is_off_sent:
        return shut
    return tuple(verdict for verdict in shut if verdict.gate in HELD_AFTER_OFF)


def _is_life_checked(work: HostWork, operation: Operation) -> bool:
    """Have the host looked at again if the last answer is older than the level, or too old to count. If none comes in
    time, the gates decide without one."""
    if asking.counts(work, since=operation.level_started - LIFE_FRESH_SECONDS):
        return True
    asked_at = work.sight.life_asked_at
    if asked_at is not None and not asking.is_asking(work):
        return True
    asking.ask(work)
    work.wake(work.now + asking.pending_seconds(work))
    return False

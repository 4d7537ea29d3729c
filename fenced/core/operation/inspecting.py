"""Phase INSPECTING: after the last OFF, read the other levels once; then announce, or contradict the level.

A chassis that reads ON beside outlets that read OFF is a contradiction, not a success (S2). Each read may use any path.
"""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.durable import records as r
from fenced.core.durable.state import DeviceRun, Operation, Phase
from fenced.core.operation import paths, phases, silencing
from fenced.core.operation.endings import report_left_off
from fenced.core.operation.proof import is_level_proven_off, record_fenced
from fenced.core.operation.steps import start_race, start_read
from fenced.core.work import HostWork
from fenced.model.power import Action, Kind, OperationState, Power, State

LOOK_SECONDS = 30.0


def advance(work: HostWork, operation: Operation) -> None:
    for run in operation.of_other_levels:
        _inspect(work, operation, run)
    operation = work.operation or operation
    others = operation.of_other_levels
    if any(not run.is_inspected or run.is_busy for run in others):
        _wait(work, operation)
    elif chassis := [run for run in others if run.kind is Kind.CHASSIS and _speaks_on(work, run)]:
        _contradict(work, operation, chassis[0])
    elif not is_level_proven_off(work, operation) or silencing.why_not_silent(work, operation) is not None:
        # The host was heard meanwhile, so the readings prove nothing. The level's deadline still holds.
        phases.enter(work, operation, Phase.PROVING)
    else:
        _fence(work, operation)


def _inspect(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    if run.is_busy:
        return
    if run.is_inspected:
        if (proxy := paths.unasked(run)) is not None:
            paths.ask(work, operation, run, proxy)
    elif run.proxy is None:
        start_race(work, operation, run, disputed=paths.disputed(work, run.device))
    else:
        start_read(work, operation, run, priority=c.PRIORITY_OFF)


def _wait(work: HostWork, operation: Operation) -> None:
    if work.now >= operation.deadline + phases.INSPECTING_SECONDS:
        unread = [str(run.device) for run in operation.of_other_levels if not run.is_inspected]
        phases.finish(work, OperationState.FAILED, f"no answer of {', '.join(unread)} after the last OFF")
    else:
        work.wake(work.now + LOOK_SECONDS)


def _speaks_on(work: HostWork, run: DeviceRun) -> bool:
    """Return whether the chassis reads ON, or did in this operation and nothing reads otherwise since.

    Once the outlets are off, a chassis that they feed may be silent: if the device does not answer, not
    if no path works.
    """
    if run.power is Power.ON or any(not word.is_old for word in run.lit):
        return True
    if not run.lit or any(word.power is Power.OFF for word in run.words):
        return False
    return not run.is_mute or work.host.device(run.device).is_standby_separate


def _contradict(work: HostWork, operation: Operation, chassis: DeviceRun) -> None:
    why = f"level {operation.level} reads OFF and the chassis {chassis.device} reads ON"
    work.record(r.Contradicted(operation=operation.id, why=why))
    phases.enter_next_level(work, operation, why=why)


# -- proven off -------------------------------------------------------------------------------------------------------


def _fence(work: HostWork, operation: Operation) -> None:
    if _is_held(work, operation):
        return
    if _is_announced_already(work, operation):
        phases.finish(work, OperationState.DONE, None)
        return
    state = work.state
    is_restart = operation.action is Action.RESTART and not state.is_on_forbidden and state.maintenance is None
    record_fenced(
        work,
        level=operation.level,
        devices=tuple(run.device for run in operation.of_level),
        operation=operation.id,
        token=operation.token,
        is_stay_off=not is_restart,
        by=operation.by,
        reason=operation.reason,
        cause=operation.cause,
    )
    if operation.is_automatic and not operation.joined and operation.action is not work.host.settings.fence_action:
        report_left_off(work, operation.id, "the window's last attempt leaves the host off")
    phases.enter(work, operation, Phase.ANNOUNCING)


def _is_held(work: HostWork, operation: Operation) -> bool:
    """Evaluate the announce gates for an automatic operation that found a device off already; one may hold it."""
    if not operation.is_automatic or all(run.is_switched_off for run in operation.of_level):
        return False
    shut = gates.closed(gates.announce_gates(work.fleet, work.name, work.now))
    if not shut:
        return False
    if not operation.is_off_sent:
        phases.stop(work, gates.why(shut))
    elif work.now >= operation.level_deadline:
        phases.enter_next_level(work, operation, why=gates.why(shut))
    else:
        work.wake(work.now + 1.0)
    return True


def _is_announced_already(work: HostWork, operation: Operation) -> bool:
    """Return whether the same run of the host was announced before and no OFF was sent: then that token still holds."""
    is_untouched = operation.before is State.FENCED and not operation.is_off_sent
    return operation.action is Action.OFF and is_untouched and work.state.proof is not None

"""After a start of ours (S13): each host is taken up as the journal left it. Wait, read, then decide; never repeat by forgetting.

What was under way is read again before anything is sent; what is too old is told to a person instead.
"""

from fenced.core import plan
from fenced.core import records as r
from fenced.core.ending import finish, stop, tell_left_off
from fenced.core.evolve import is_settled
from fenced.core.evolve_owed import still_off
from fenced.core.state import Operation, Phase
from fenced.core.work import HostWork
from fenced.model.power import OperationState

OWN_MACHINE = "the daemon was restarted on the host itself: nothing of it is switched any more by this one (S18)"


def take_up(work: HostWork) -> None:
    """Take one host up again; called once per host after the replay, with the lease held."""
    reading, waiting = work.state.reading, work.state.waiting
    if reading is not None:
        plan.drop(work, reading, "the daemon was restarted")
    if waiting is not None and work.now >= waiting.deadline:
        plan.drop(work, waiting, "it waited through a restart of the daemon until its deadline")
    operation = work.operation
    if operation is not None:
        _resume(work, operation)
    elif work.state.waiting is not None:
        plan.start_waiting(work)
    work.wake(work.now)


def _resume(work: HostWork, operation: Operation) -> None:
    late = [command.not_after for command in work.state.commands if not is_settled(command, work.now)]
    at = max([work.now, *late])
    work.record(r.OperationResumed(operation=operation.id, at=at))
    if operation.phase is Phase.CLOSING:
        return
    gone = {run.device for run in operation.devices} - {device.name for device in work.host.devices}
    if gone:
        why = f"after a restart the configuration no longer has {', '.join(sorted(gone))}"
        if still_off(work.state):
            tell_left_off(work, operation.id, why)
        finish(work, OperationState.DONE if operation.is_fenced else OperationState.FAILED, why)
        plan.advance(work)
        return
    if operation.phase in {Phase.PROVING, Phase.INSPECTING, Phase.READING}:
        _resume_proving(work, operation)
    else:
        _resume_restoring(work, operation)
    plan.advance(work)


def _resume_proving(work: HostWork, operation: Operation) -> None:
    if not operation.is_off_sent:
        stop(work, "the daemon was restarted before the first OFF; detection starts anew")
    elif work.host.is_own_machine:
        plan.read_and_end(work, OWN_MACHINE)
    elif work.now >= operation.deadline:
        plan.read_and_end(work, "the daemon was restarted after the operation's time was over")
    elif work.state.maintenance is not None:
        plan.read_and_end(work, "the daemon was restarted and the host is in maintenance")
    elif operation.phase is Phase.INSPECTING:
        work.record(
            r.LevelEntered(operation=operation.id, level=operation.level or 0, deadline=operation.level_deadline)
        )


def _resume_restoring(work: HostWork, operation: Operation) -> None:
    deadline = operation.restore_deadline
    if deadline is None:
        deadline = (operation.announced_at or operation.started) + _restore_timeout(work, operation)
    if work.now < deadline and not work.host.is_own_machine:
        return
    is_late = work.now >= deadline
    why = "the daemon was restarted after restore_timeout: the host was left off" if is_late else OWN_MACHINE
    # What was on its way may be done: the devices are read before they are told as left off.
    plan.read_and_end(work, why, ending=OperationState.DONE if operation.is_fenced else OperationState.FAILED)


def _restore_timeout(work: HostWork, operation: Operation) -> float:
    """The longest restore_timeout of the operation's devices, in seconds."""
    return max((work.host.device(run.device).power.restore_timeout_seconds for run in operation.devices), default=600.0)

"""Recovers each host from the journal after a restart of the daemon (S13): wait, read, then decide.

What was under way is read again before anything is sent. What is too old, or rests on devices that were edited since,
is reported instead. No record makes a start fail: a host that can't be recovered is put aside, and the others go on.
"""

from collections.abc import Callable

from fenced.core.allowed.verdict import judged
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.evolve_owed import still_off
from fenced.core.durable.state import Operation, Phase
from fenced.core.operation import edited
from fenced.core.operation.advancing import advance
from fenced.core.operation.endings import abandon, end_unstarted
from fenced.core.operation.phases import decide_ending, enter, enter_level_again, read_and_end, stop
from fenced.core.operation.starting import start_waiting
from fenced.core.work import HostWork, Work
from fenced.model.power import Action, OperationState, State

FAULT_MAX = 500
"""How many characters of the reason why a host could not be recovered are kept."""


def start(work: Work) -> None:
    """Recover every host. Called once after the replay, with the lease held; calling it twice does no harm."""
    fleet = work.fleet
    if fleet.own.store_doubt and not fleet.state.store_hold:
        work.record_fleet(r.StoreDoubted(why=fleet.own.store_doubt, is_older=fleet.own.is_store_older))
    for name in fleet.hosts:
        _start(work.on(name))
    for name in sorted(fleet.gone):
        remove(work.on(name))


def _start(work: HostWork) -> None:
    fault = work.fleet.faults.get(work.name)
    if fault is not None:
        put_aside(work, fault)
        return
    guarded(work, take_up)


def guarded(work: HostWork, change: Callable[[HostWork], None]) -> None:
    """Change one host, or put it aside if that fails."""
    undo = work.work.mark(work.name)
    try:
        change(work)
    except Exception as exc:  # the border of a start: one host's records must not stop all others
        work.work.undo(undo)
        put_aside(work, f"it can't be recovered: {type(exc).__name__}: {exc}")


def put_aside(work: HostWork, why: str) -> None:
    """Put aside a host whose state is unknown: it is `failed`, and held until an operator takes over."""
    why = why[:FAULT_MAX]
    if work.state.record_fault == why:
        return
    _end_all(work, f"its records could not be restored: {why}")
    recording.hold_by(work, judged("record", False, f"its records could not be taken up: {why}"))
    work.record(r.HostPutAside(why=why, token=work.fleet.next_token()))
    if work.state.owed or work.state.orphans:
        _report_left_off(work, f"switched off earlier, and its records could not be restored: {why}")


def _why_own(work: HostWork) -> str:
    return f"after a restart the host is {work.host.own_words}: this daemon switches none of its devices (S18)"


def _report_left_off(work: HostWork, why: str) -> None:
    """Report everything that is off, also devices that the inventory no longer has."""
    orphans = (orphan.device for orphan in work.state.orphans)
    work.record(r.LeftOff(operation=None, why=why, devices=(*still_off(work.state), *orphans)))


def remove(work: HostWork) -> None:
    """End the operations of a host that the inventory no longer has, and report what it is owed. Its records stay."""
    state = work.state
    if state.is_removed:
        return
    if (fault := work.fleet.faults.get(work.name)) is not None:
        put_aside(work, fault)
    _end_all(work, "the inventory does not have the host any more")
    if (state.owed or state.orphans) and not work.state.is_left_off:
        _report_left_off(work, "switched off, and the inventory does not have the host any more")
    _report_asleep(work)
    work.record(r.HostRemoved())


def _report_asleep(work: HostWork) -> None:
    """Report a sleeper that nobody will wake. A reload refuses to remove it, a start can't (S24)."""
    state = work.state
    if state.state is State.SLEEPING and state.saving.asleep is not None:
        why = "it sleeps to save power, and the inventory does not have the host any more"
        work.record(r.LeftOff(operation=None, why=why, devices=state.saving.asleep.devices))


def settle_edit(work: HostWork) -> None:
    """Match the debts with the present inventory: they are owed to the same outlets, or reported (S9)."""
    state = work.state
    if state.is_removed:
        work.record(r.HostReturned())
    owed, orphans = edited.debts(state, work.host)
    if (owed, orphans) == (state.owed, state.orphans):
        return
    work.record(r.DebtsSorted(owed=owed, orphans=orphans))
    lost = [str(it.device) for it in orphans if it not in state.orphans]
    if lost:
        why = f"switched off, and the inventory does not have that outlet any more: {', '.join(lost)}"
        _report_left_off(work, why)


def take_up(work: HostWork) -> None:
    """Recover one host."""
    if work.state.reading is not None:
        end_unstarted(work, work.state.reading, "the daemon was restarted")
    if work.state.waiting is not None:
        _keep_waiting(work, work.state.waiting)
    settle_edit(work)
    operation = work.operation
    if operation is not None:
        _resume(work, operation)
    elif work.state.waiting is not None:
        start_waiting(work)
        advance(work)
    work.wake(work.now)


def _keep_waiting(work: HostWork, waiting: Operation) -> None:
    running = work.operation
    is_behind_sleep = running is not None and running.action is Action.SLEEP and waiting.action is Action.ON
    if work.now >= waiting.deadline and not is_behind_sleep:
        end_unstarted(work, waiting, "its deadline passed while it waited through a restart of the daemon")
    elif changed := edited.changes(waiting, work.host):
        end_unstarted(work, waiting, _why_edited(changed))


def _resume(work: HostWork, operation: Operation) -> None:
    late = [command.not_after for command in work.state.unsettled(work.now)]
    at = max([work.now, *late])
    work.record(r.OperationResumed(operation=operation.id, at=at))
    if operation.phase is Phase.CLOSING:
        return
    is_proving = operation.phase in {Phase.PROVING, Phase.INSPECTING, Phase.READ_AND_END}
    changed = edited.changes(operation, work.host)
    if operation.phase is Phase.VETO:
        stop(work, "the daemon was restarted before the host was asked to shut down")
    elif is_proving and not operation.is_off_sent:
        stop(work, "the daemon was restarted before the first OFF; detection starts again")
    elif changed:
        _resume_edited(work, changed)
    elif operation.phase is Phase.GOING_DOWN:
        pass  # it was asked to shut down: only its devices show what became of it
    elif is_proving:
        _resume_proving(work, operation)
    else:
        _resume_restoring(work, operation)
    advance(work)


def _why_edited(changed: tuple[str, ...]) -> str:
    return f"after a restart the inventory has other devices than when it began: {', '.join(changed)}"


def _resume_edited(work: HostWork, changed: tuple[str, ...]) -> None:
    """Read the devices that the host has now, and send nothing: others were read and switched (S1, S9)."""
    operation = work.operation
    assert operation is not None
    before = {run.device: run for run in operation.devices}
    runs = tuple(
        before[it.name] if it.name in before and it.name not in changed else edited.new_run(it)
        for it in work.host.devices
    )
    work.record(r.DevicesReplaced(operation=operation.id, devices=runs))
    decide_ending(work, operation, OperationState.FAILED, _why_edited(changed))
    enter(work, operation, Phase.READ_AND_END)


def _resume_proving(work: HostWork, operation: Operation) -> None:
    if work.host.is_own_machine:
        read_and_end(work, _why_own(work))
    elif work.now >= operation.deadline:
        _resume_late(work, operation)
    elif work.state.maintenance is not None:
        read_and_end(work, "the daemon was restarted and the host is in maintenance")
    elif operation.is_automatic and work.fleet.state.store_hold:
        read_and_end(work, "the store is not the one of before, and may lack how this fence ended: no new OFF")
    elif operation.phase is Phase.INSPECTING:
        enter_level_again(work, operation)


def _resume_late(work: HostWork, operation: Operation) -> None:
    """Send no OFF any more. A drill still gives power back, as long as a restore could last."""
    if operation.is_drilling and work.now < operation.deadline + _restore_timeout(work, operation):
        stop(work, "the daemon was restarted after the drill's time was over", ending=OperationState.FAILED)
    else:
        read_and_end(work, "the daemon was restarted after the operation's time was over")


def _resume_restoring(work: HostWork, operation: Operation) -> None:
    deadline = operation.restore_deadline
    if deadline is None:
        deadline = (operation.announced_at or operation.started) + _restore_timeout(work, operation)
    if work.now < deadline and not work.host.is_own_machine:
        return
    is_late = work.now >= deadline
    why = "the daemon was restarted after restore_timeout: the host was left off" if is_late else _why_own(work)
    # A command that was under way may have been done: read the devices before reporting them as left off.
    read_and_end(work, why, ending=OperationState.DONE if operation.is_fenced else OperationState.FAILED)


def _restore_timeout(work: HostWork, operation: Operation) -> float:
    """Return the longest restore_timeout of the operation's devices, in seconds."""
    return max((work.host.device(run.device).power.restore_timeout_seconds for run in operation.devices), default=600.0)


def _end_all(work: HostWork, why: str) -> None:
    """End every operation that the host has under way, whatever its phase."""
    state = work.state
    for operation in (state.waiting, state.reading):
        if operation is not None:
            end_unstarted(work, operation, why)
    if state.operation is not None:
        abandon(work, state.operation, why)

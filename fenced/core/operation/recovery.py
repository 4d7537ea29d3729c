"""After a start of ours (S13): each host is taken up as the journal left it. Wait, read, then decide; never repeat by forgetting.

What was under way is read again before anything is sent; what is too old, or rests on devices that the inventory does not
have so any more, is told to a person instead. One rule: no record makes a start fail. A host that can't be taken up is put
aside, and all others go on.
"""

from fenced.core.durable import records as r
from fenced.core.durable.evolve import is_settled
from fenced.core.durable.evolve_owed import still_off
from fenced.core.durable.state import HostState, Operation, Phase
from fenced.core.operation import edited, plan
from fenced.core.operation.ending import abandon, end_unstarted, stop
from fenced.core.work import HostWork, Work
from fenced.model.names import DeviceName
from fenced.model.power import OperationState

FAULT_MAX = 500
"""Characters of what is kept of why a host could not be taken up."""


def start(work: Work) -> None:
    """Take up everything; called once after the replay, with the lease held. Harmless twice."""
    fleet = work.fleet
    if fleet.store_doubt and not fleet.state.store_hold:
        work.record_fleet(r.StoreDoubted(why=fleet.store_doubt))
    for name in fleet.hosts:
        _start(work.on(name))
    for name in sorted(fleet.gone):
        remove(work.on(name))


def _start(work: HostWork) -> None:
    fault = work.fleet.faults.get(work.name)
    if fault is not None:
        put_aside(work, fault)
        return
    undo = work.work.mark(work.name)
    try:
        take_up(work)
    except Exception as exc:  # the start's border: what its records say of one host must not keep all others waiting
        work.work.undo(undo)
        put_aside(work, f"it can't be taken up: {type(exc).__name__}: {exc}")


def put_aside(work: HostWork, why: str) -> None:
    """Nobody knows what the host is: it is `failed` and held until a person has had it in hand."""
    why = why[:FAULT_MAX]
    if work.state.record_fault == why:
        return
    _end_all(work, f"its records could not be taken up: {why}")
    work.record(r.HostPutAside(why=why, token=work.fleet.next_token()))
    if work.state.owed or work.state.orphans:
        work.record(
            r.LeftOff(
                devices=_left(work.state),
                operation=None,
                why=f"switched off before its records could not be taken up: {why}",
            )
        )


def _why_own(work: HostWork) -> str:
    return (
        f"the daemon was restarted, and the host is {work.host.own_words}: nothing of it is switched by this one (S18)"
    )


def _left(state: HostState) -> tuple[DeviceName, ...]:
    """All that is off: also what the inventory does not have any more."""
    return (*still_off(state), *(orphan.device for orphan in state.orphans))


def remove(work: HostWork) -> None:
    """The inventory does not have the host any more: nothing goes on, what it is owed is told, its records stay."""
    state = work.state
    if state.is_removed:
        return
    if (fault := work.fleet.faults.get(work.name)) is not None:
        put_aside(work, fault)
    _end_all(work, "the inventory does not have the host any more")
    if (state.owed or state.orphans) and not work.state.is_left_off:
        work.record(
            r.LeftOff(
                devices=_left(work.state),
                operation=None,
                why="switched off, and the inventory does not have the host any more",
            )
        )
    work.record(r.HostRemoved())


def settle_edit(work: HostWork) -> None:
    """The inventory may be another one: what we switched off is owed to the devices that it was, or told (S9)."""
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
        work.record(r.LeftOff(operation=None, why=why, devices=_left(work.state)))


def take_up(work: HostWork) -> None:
    """Take one host up again."""
    reading, waiting = work.state.reading, work.state.waiting
    if reading is not None:
        end_unstarted(work, reading, "the daemon was restarted")
    if waiting is not None and work.now >= waiting.deadline:
        end_unstarted(work, waiting, "it waited through a restart of the daemon until its deadline")
    elif waiting is not None and (changed := edited.changes(waiting, work.host)):
        end_unstarted(work, waiting, _why_edited(changed))
    settle_edit(work)
    operation = work.operation
    if operation is not None:
        _resume(work, operation)
    elif work.state.waiting is not None:
        plan.start_waiting(work)
        plan.advance(work)
    work.wake(work.now)


def _resume(work: HostWork, operation: Operation) -> None:
    late = [command.not_after for command in work.state.commands if not is_settled(command, work.now)]
    at = max([work.now, *late])
    work.record(r.OperationResumed(operation=operation.id, at=at))
    if operation.phase is Phase.CLOSING:
        return
    is_proving = operation.phase in {Phase.PROVING, Phase.INSPECTING, Phase.READING}
    changed = edited.changes(operation, work.host)
    if is_proving and not operation.is_off_sent:
        stop(work, "the daemon was restarted before the first OFF; detection starts anew")
    elif changed:
        _resume_edited(work, changed)
    elif is_proving:
        _resume_proving(work, operation)
    else:
        _resume_restoring(work, operation)
    plan.advance(work)


def _why_edited(changed: tuple[str, ...]) -> str:
    return f"after a restart the inventory has other devices than it began with: {', '.join(changed)}"


def _resume_edited(work: HostWork, changed: tuple[str, ...]) -> None:
    """What was read and sent speaks of other devices than the host has now: those are read, and nothing is sent (S1, S9)."""
    operation = work.operation
    assert operation is not None
    before = {run.device: run for run in operation.devices}
    runs = tuple(
        before[it.name] if it.name in before and it.name not in changed else edited.new_run(it)
        for it in work.host.devices
    )
    why = _why_edited(changed)
    work.record(r.DevicesReplaced(operation=operation.id, devices=runs))
    work.record(
        r.OperationStopped(operation=operation.id, ending=OperationState.FAILED, why=why, is_on_forbidden=False)
    )
    plan.read_and_end(work, why)


def _resume_proving(work: HostWork, operation: Operation) -> None:
    if work.host.is_own_machine:
        plan.read_and_end(work, _why_own(work))
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
    why = "the daemon was restarted after restore_timeout: the host was left off" if is_late else _why_own(work)
    # What was on its way may be done: the devices are read before they are told as left off.
    plan.read_and_end(work, why, ending=OperationState.DONE if operation.is_fenced else OperationState.FAILED)


def _restore_timeout(work: HostWork, operation: Operation) -> float:
    """The longest restore_timeout of the operation's devices, in seconds."""
    return max((work.host.device(run.device).power.restore_timeout_seconds for run in operation.devices), default=600.0)


def _end_all(work: HostWork, why: str) -> None:
    """Nobody goes on with what the host has under way."""
    state = work.state
    for operation in (state.waiting, state.reading):
        if operation is not None:
            end_unstarted(work, operation, why)
    if state.operation is not None:
        abandon(work, state.operation, why)

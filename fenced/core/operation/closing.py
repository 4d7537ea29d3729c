"""Phase CLOSING: end the operation once none of its commands can act any more (S5, S14), and decide what is true then.

The end decides the host's state, the back-off of the next attempt, whether its budget is returned, and whether devices
that are still off are reported. A request that waited starts afterwards.
"""

from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.evolve_owed import still_off
from fenced.core.durable.outcome import given_back, host_power
from fenced.core.durable.state import DeviceRun, IssuedCommand, Operation, ProofOfOff, Restored
from fenced.core.heard.checks import NOTHING
from fenced.core.operation.endings import end, report_left_off
from fenced.core.operation.proof import is_read_off, level_off_again, record_fenced
from fenced.core.operation.starting import start_waiting
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.power import Action, OperationState, Power, Proof, State, What

LOOK_SECONDS = 5.0
MAY_BOOT_AFTER_ON = frozenset({State.SUSPECT, State.FAILED})
"""States in which a host that an operator switched on may still boot."""
MAY_BOOT = MAY_BOOT_AFTER_ON | {State.HEALTHY}
"""After an OFF its last heartbeat may be older than the OFF."""


def advance(work: HostWork, operation: Operation) -> None:
    open_until = [it.not_after for it in work.state.unsettled(work.now) if not _gives_way(work, operation, it)]
    if open_until:
        work.wake(min(max(open_until), work.now + LOOK_SECONDS))
        return
    record = _end(work, operation)
    _report_what_is_left(work, operation, record)
    _tell_failed_wake(work, operation, record)
    _hear_again(work, record)
    _let_boot(work, operation)
    _forget_sight(work, operation)
    start_waiting(work)
    work.wake(work.now)


def _gives_way(work: HostWork, operation: Operation, command: IssuedCommand) -> bool:
    """Return whether it is a soft off, and a person's `off` or `restart` takes over: that asks for no less, so it waits
    for no answer (S24). An ON of it does (S5)."""
    waiting = work.state.waiting
    is_taken_over = operation.action is Action.SLEEP and waiting is not None and waiting.action is not Action.ON
    return is_taken_over and command.what is What.SOFT_OFF


def _end(work: HostWork, operation: Operation) -> r.OperationEnded:
    ending = operation.ending or OperationState.FAILED
    next_attempt, cooldown = _next_attempt_at(work, operation, ending), _cooldown_until(work, operation)
    is_failure = ending is OperationState.FAILED and not operation.is_fenced and not _gives_no_proof(operation)
    after = _after(work, operation, is_failure=is_failure)
    if is_failure and after is not State.RESTORING:
        next_at = max(next_attempt, cooldown) if operation.is_automatic else None
        why = operation.ending_why or "not proven off"
        work.record(r.FenceFailed(operation=operation.id, why=why, next_attempt_at=next_at))
    power, restored = _seen(work, operation)
    if after is State.FENCED:
        operation = _fence_again(work, operation)
    _return_budget(work, operation)
    return end(
        work,
        operation,
        ending,
        power=power,
        is_fenced=operation.is_fenced or (ending is OperationState.DONE and after is State.FENCED),
        restored=restored,
        why=operation.ending_why or None,
        after=after,
        cooldown_until=cooldown,
        next_attempt_at=next_attempt,
    )


def _gives_no_proof(operation: Operation) -> bool:
    """Return whether it is none that fences: its failure is no failed fence."""
    return operation.action is Action.ON or operation.is_saving


def _next_attempt_at(work: HostWork, operation: Operation, ending: OperationState) -> float:
    if ending is OperationState.DONE or not operation.is_automatic or _gives_no_proof(operation):
        return 0.0
    return work.now + back_off_seconds(work.state.failures + 1, first=5.0, most=300.0, salt=f"{operation.id}")


def _cooldown_until(work: HostWork, operation: Operation) -> float:
    """Return until when the host has a cooldown: after an automatic fence, unless it was cancelled before an OFF."""
    is_free = operation.ending is OperationState.CANCELLED and not operation.is_off_sent
    if is_free or not operation.is_automatic or _gives_no_proof(operation):
        return 0.0
    return work.now + work.fleet.inventory.daemon.gates.cooldown_seconds


def _seen(work: HostWork, operation: Operation) -> tuple[Power, Restored]:
    """Return the final power and how much was restored.

    After a restart with nothing left to do: what was read before it.
    """
    if operation.is_resumed and all(run.read_at is None for run in operation.devices):
        return operation.power, operation.restored
    return host_power(operation), given_back(operation, work.state.owed)


def _return_budget(work: HostWork, operation: Operation) -> None:
    has_cost = operation.is_off_sent or operation.is_fenced
    draw = (work.name, operation.started)
    if not has_cost and any((it.host, it.at) == draw for it in work.fleet.state.draws):
        work.work.record_fleet(r.BudgetReturned(host=work.name, drawn_at=operation.started))


# -- after the end ----------------------------------------------------------------------------------------------------


def _report_what_is_left(work: HostWork, operation: Operation, record: r.OperationEnded) -> None:
    """Report devices that the daemon alone will not give back, after every ending (S9).

    Three cases need no report: a failed host has its `fence_failed`; a host that was to be off is off; a host that may
    run gets its power back when it is heard or fenced again, unless something prevents that.
    """
    state = work.state
    if state.is_left_off or state.waiting is not None or record.after is State.FAILED:
        return
    if record.after is State.FENCED:
        is_left = operation.action is not Action.OFF and not state.restore_failed
    else:
        is_kept = state.maintenance is not None or state.is_on_forbidden or work.host.is_own_machine
        is_left = bool(still_off(state)) and (is_kept or record.after is State.RESTORING)
    if is_left:
        report_left_off(work, operation.id, f"power is not given back: {operation.ending_why or 'it was stopped'}")


def _hear_again(work: HostWork, record: r.OperationEnded) -> None:
    if record.after is not State.SUSPECT:
        return
    if work.sight.is_stopping:
        recording.recover(work, "said that it stops")
        work.record(r.HostLeft(reason="said that it stops"))
    elif work.fleet.is_heard(work.name, work.now):
        recording.recover(work, "a heartbeat, and its operation was stopped")
        work.record(r.HostHeard(boot=work.sight.boot, before=record.after.value, why="cleared"))


def _let_boot(work: HostWork, operation: Operation) -> None:
    """Give the host its `boot_grace` if it was never proven off and got power all the same: it may have lost it in
    between, and boot now. Proven off it is `restoring`, which has that grace by itself."""
    may_boot = MAY_BOOT_AFTER_ON if operation.action is Action.ON else MAY_BOOT
    is_lit = any(run.is_switched_on for run in operation.devices)
    if is_lit and not operation.is_fenced and not operation.is_giving_back and work.state.state in may_boot:
        until = work.now + work.host.settings.detection.boot_grace_seconds
        work.record(r.SuspicionReleased(until=until, why="power was given back, and it was never proven off"))


def _forget_sight(work: HostWork, operation: Operation) -> None:
    """Drop what the watch saw during the operation: it says nothing about the time after it."""
    _back_off_giving(work, operation)
    work.see(life=None, operation_ended_at=work.now, watch_at=None, watch_offs=NOTHING, watch_lit=NOTHING)


def _back_off_giving(work: HostWork, operation: Operation) -> None:
    """Retry what could not be given back, ever more rarely, while the host is heard."""
    if not work.state.owed:
        work.see(give_backs=0, give_back_at=0.0)
    elif operation.is_giving_back or (operation.restore_started is not None and not still_off(work.state)):
        tries = work.sight.give_backs + 1
        wait = back_off_seconds(tries, first=60.0, most=3600.0, salt=f"{work.name}/give back")
        work.see(give_backs=tries, give_back_at=work.now + wait)


def _tell_failed_wake(work: HostWork, operation: Operation, record: r.OperationEnded) -> None:
    """Tell that a sleeper got no power, so that others are woken first. Maintenance only puts the wake off (S24)."""
    is_unlit = operation.action is Action.WAKE and record.after is State.SLEEPING
    if is_unlit and work.state.maintenance is None:
        work.record(r.WakeFailed(why=operation.ending_why or "power was not given"))


# -- what is true of the host -----------------------------------------------------------------------------------------


def _after(work: HostWork, operation: Operation, *, is_failure: bool) -> State:
    """Return the host's state after the operation; if it is heard, it becomes healthy right after that."""
    match work.state.state:
        case State.RESTORING:
            return _after_restoring(work, operation)
        case State.FENCING:
            return _after_fencing(work, operation, is_failure=is_failure)
        case State.LEFT if operation.action is Action.SLEEP and not _stops_by_itself(work):
            return State.HEALTHY  # it did not go down: it is heard, or its silence counts after a whole grace
        case unchanged:
            return unchanged


def _stops_by_itself(work: HostWork) -> bool:
    """Return whether the host said that it stops, and nothing can have asked it to: it has left as any other."""
    return work.state.saving.soft_off is None and work.sight.is_stopping


def _after_restoring(work: HostWork, operation: Operation) -> State:
    state = work.state
    if _is_still_off(work, operation):
        return State.FENCED
    if operation.before is State.SLEEPING and _is_still_asleep(work, operation):
        return State.SLEEPING
    is_watched = state.is_on_forbidden and state.proof is not None
    return State.RESTORING if state.is_known or is_watched else State.UNKNOWN


def _after_fencing(work: HostWork, operation: Operation, *, is_failure: bool) -> State:
    if not operation.is_off_sent and (before := _untouched(work, operation)) is not None:
        return before
    if operation.is_drilling and operation.restore_started is not None and work.state.maintenance is None:
        return State.RESTORING  # it lived, and has its power back: it gets its `boot_grace`
    if is_failure:
        return State.FAILED
    if work.state.maintenance is not None:
        return State.MAINTENANCE
    return State.SUSPECT if work.state.is_known else State.UNKNOWN


def _fence_again(work: HostWork, operation: Operation) -> Operation:
    """Announce again if commands were sent since the proof: the host is proven off again, under a higher token.

    Return the operation as it is then (interface.md#bus).
    """
    proof = work.state.proof
    if proof is None or work.state.token == proof.token:
        return operation
    level = level_off_again(work, operation, proof)
    assert level is not None, "`_after` asked for it"
    record_fenced(
        work,
        level=level,
        devices=tuple(run.device for run in operation.at_level(level)),
        operation=operation.id,
        is_stay_off=True,
        by=operation.by,
        reason=operation.ending_why or operation.reason,
        cause=operation.cause,
        earlier=proof,
    )
    return work.operation or operation


def _is_still_off(work: HostWork, operation: Operation) -> bool:
    """Return whether a fenced host is still proven off: no ON may have been done, and no device that matters reads ON.

    Once an ON was sent, the old announcement is over, and only a new proof makes the host fenced.
    """
    proof = work.state.proof
    if proof is None or not (operation.is_fenced or operation.before is State.FENCED):
        return False
    if work.state.token != proof.token and level_off_again(work, operation, proof) is None:
        return False
    revoking = proof.revoked_by(work.host)
    return not any(_may_be_on(work, run) or (run.is_lit and run.device in revoking) for run in operation.devices)


def _is_still_asleep(work: HostWork, operation: Operation) -> bool:
    """Return whether a sleeper sleeps on: no ON may have been done, and no chassis of it reads ON."""
    asleep = work.state.saving.asleep
    if asleep is None:
        return False
    lit = {run.device for run in operation.devices if run.is_lit}
    return lit.isdisjoint(asleep.devices) and not any(_may_be_on(work, run) for run in operation.devices)


def _may_be_on(work: HostWork, run: DeviceRun) -> bool:
    """Return whether an ON that was sent may have been done: the device was not read OFF stably since (S2)."""
    return run.is_switched_on and not is_read_off(work, run)


def _untouched(work: HostWork, operation: Operation) -> State | None:
    """Return the earlier state, if it still holds because no OFF was sent and no reading contradicts it."""
    if operation.before is State.FENCED:
        return None if _is_contradicted(work, operation, work.state.proof) else State.FENCED
    if operation.before is State.SLEEPING and work.state.is_asleep:
        return State.SLEEPING if _is_still_asleep(work, operation) else State.RESTORING
    is_cancelled = operation.ending is OperationState.CANCELLED
    return operation.before if is_cancelled and operation.before in {State.LEFT, State.FAILED} else None


def _is_contradicted(work: HostWork, operation: Operation, proof: ProofOfOff | None) -> bool:
    """Return whether a reading contradicts the proof. As for the watch, an ON at another level does not.

    If the proof is an operator's statement alone, it does.
    """
    if proof is None:
        return True
    lit = {run.device for run in operation.devices if run.is_lit}
    return bool(lit) and (proof.kind is Proof.HUMAN or not lit.isdisjoint(proof.revoked_by(work.host)))

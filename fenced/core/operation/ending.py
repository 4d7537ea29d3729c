"""How operations end: stopped, finished, closed. An operation ends only when none of its commands can act any more (S5, S14)."""

from fenced.core import commands as c
from fenced.core.allowed import gates
from fenced.core.believed.sharing import disbelieved
from fenced.core.durable import records as r
from fenced.core.durable.evolve import ended, is_settled
from fenced.core.durable.evolve_owed import still_off
from fenced.core.durable.outcome import given_back, host_power, is_contradiction, is_lit, speaks
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import DeviceRun, Operation, Phase, ProofOfOff, Restored
from fenced.core.durable.words import told
from fenced.core.operation import paths
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.names import OperationId
from fenced.model.power import Action, OperationState, Power, Proof, State

CLOSING_LOOK_SECONDS = 5.0


def stop(
    work: HostWork,
    why: str,
    *,
    is_on_forbidden: bool = False,
    ending: OperationState | None = None,
) -> None:
    """Stop the operation: before the first OFF it simply ends; what was switched off is given back, unless forbidden or while
    a person has the host in maintenance (S19): then it is owed, and told.

    It ends `ending`, by default cancelled, or done where the host was fenced already.
    """
    operation = work.operation
    if operation is None or operation.phase is Phase.CLOSING:
        return
    natural = OperationState.DONE if operation.is_fenced else OperationState.CANCELLED
    work.record(
        r.OperationStopped(operation=operation.id, ending=ending or natural, why=why, is_on_forbidden=is_on_forbidden)
    )
    has_switched = any(run.is_switched_off for run in operation.devices)
    is_left = is_on_forbidden or work.state.maintenance is not None
    if has_switched and not operation.is_fenced and not is_left:
        enter_restore(work, operation)
    else:
        work.record(r.PhaseEntered(operation=operation.id, phase=Phase.CLOSING))
        work.command(c.DropReads(host=work.name, operation=operation.id))
        work.command(c.DropOns(host=work.name, operation=operation.id, why=why))
    work.wake(work.now)


def finish(work: HostWork, ending: OperationState, why: str | None) -> None:
    """Nothing more is to be done; wait until nothing that was sent can act."""
    operation = work.operation
    assert operation is not None
    if not operation.is_stopped or operation.ending is not ending:
        work.record(r.OperationStopped(operation=operation.id, ending=ending, why=why or "", is_on_forbidden=False))
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.CLOSING))
    work.command(c.DropReads(host=work.name, operation=operation.id))


def close(work: HostWork, operation: Operation) -> None:
    """End the operation once each of its commands has a known end or is past its `not_after`."""
    open_until = [command.not_after for command in work.state.commands if not is_settled(command, work.now)]
    if open_until:
        work.wake(min(max(open_until), work.now + CLOSING_LOOK_SECONDS))
        return
    _end(work, operation)


def _end(work: HostWork, operation: Operation) -> None:
    state, now = work.state, work.now
    ending = operation.ending or OperationState.FAILED
    is_failure = ending is OperationState.FAILED and not operation.is_fenced and operation.action is not Action.ON
    next_attempt = 0.0
    if ending is not OperationState.DONE and operation.is_automatic and operation.action is not Action.ON:
        next_attempt = now + back_off_seconds(state.failures + 1, first=5.0, most=300.0, salt=f"{operation.id}")
    cooldown = now + work.fleet.inventory.daemon.gates.cooldown_seconds if _has_cooldown(operation) else 0.0
    if is_failure:
        work.record(
            r.FenceFailed(
                operation=operation.id,
                why=operation.ending_why or "not proven off",
                next_attempt_at=max(next_attempt, cooldown) if operation.is_automatic else None,
            )
        )
    after = _after(work, operation, is_failure=is_failure)
    power, restored = _seen(work, operation)
    if after is State.FENCED and state.proof is not None and state.token != state.proof.token:
        _fence_again(work, operation, state.proof)
        operation = work.operation or operation
    record = r.OperationEnded(
        operation=operation.id,
        state=ending,
        power=power,
        is_fenced=operation.is_fenced or (ending is OperationState.DONE and after is State.FENCED),
        restored=restored,
        why=operation.ending_why or None,
        after=after,
        cooldown_until=cooldown,
        next_attempt_at=next_attempt,
    )
    _keep(work, operation, record)
    has_cost = operation.is_off_sent or operation.is_fenced
    if not has_cost and any((draw.host, draw.at) == (work.name, operation.started) for draw in work.fleet.state.draws):
        work.work.record_fleet(r.BudgetReturned(host=work.name, drawn_at=operation.started))
    work.record(record)
    _tell_what_is_left(work, operation, record)
    if record.after is State.SUSPECT and work.sight.is_stopping:
        work.record(r.HostLeft(reason="said that it stops"))
    elif record.after is State.SUSPECT and work.fleet.is_heard(work.name, now):
        work.record(r.HostHeard(boot=work.sight.boot, before=record.after.value, why="cleared"))
    work.sight.life = None
    work.sight.operation_ended_at = now
    _back_off_giving(work, operation)
    work.sight.watch_at = None
    work.sight.watch_offs, work.sight.watch_lit = {}, {}  # what was read before it says nothing about after it
    start_waiting(work)
    work.wake(now)


def _seen(work: HostWork, operation: Operation) -> tuple[Power, Restored]:
    """What was seen of power and restore; after a restart of ours that found nothing left to do, what was seen before it."""
    if operation.is_resumed and all(run.read_at is None for run in operation.devices):
        return operation.power, operation.restored
    return host_power(operation), given_back(operation, work.state.owed)


def tell_left_off(work: HostWork, operation: OperationId | None, why: str) -> None:
    """Name what is off and has no other word yet."""
    work.record(r.LeftOff(operation=operation, why=why, devices=still_off(work.state)))


def _tell_what_is_left(work: HostWork, operation: Operation, record: r.OperationEnded) -> None:
    """What nobody will give back by himself is told, however the operation ended (S9).

    A host that failed has its `fence_failed`, one that was to be off is as it should be. One that may run and is not kept
    from its power gets it when it is heard or fenced again.
    """
    state = work.state
    if state.is_left_off or state.waiting is not None or record.after is State.FAILED:
        return
    is_off = record.after is State.FENCED
    is_to_be_on = operation.action is not Action.OFF
    is_kept = state.maintenance is not None or state.is_on_forbidden or work.host.is_own_machine
    is_left = bool(still_off(state)) and (is_kept or record.after is State.RESTORING)
    if (is_to_be_on and not state.restore_failed) if is_off else is_left:
        tell_left_off(work, operation.id, f"power is not given back: {operation.ending_why or 'it was stopped'}")


def _back_off_giving(work: HostWork, operation: Operation) -> None:
    """What could not be given back is tried again, ever more rarely, as long as the host is heard."""
    sight = work.sight
    if not work.state.owed:
        sight.give_backs, sight.give_back_at = 0, 0.0
    elif operation.is_giving_back or (operation.restore_started is not None and not still_off(work.state)):
        sight.give_backs += 1
        wait = back_off_seconds(sight.give_backs, first=60.0, most=3600.0, salt=f"{work.name}/give back")
        sight.give_back_at = work.now + wait


def _has_cooldown(operation: Operation) -> bool:
    """After an automatic fence ended, done or failed; one that was cancelled before an OFF costs nothing."""
    if not operation.is_automatic or operation.action is Action.ON:
        return False
    return operation.ending is not OperationState.CANCELLED or operation.is_off_sent


def _keep(work: HostWork, operation: Operation, record: r.OperationEnded) -> None:
    proof = work.state.proof
    if record.is_fenced and not operation.is_fenced and proof is not None:
        operation = replace(operation, proof=proof.kind, proof_level=proof.level)
    work.work.ended.append(ended(operation, work.now, record))


def _after(work: HostWork, operation: Operation, *, is_failure: bool) -> State:
    """What is true of the host now that the operation is over; a host that is heard becomes healthy right after."""
    state = work.state
    if state.state is State.RESTORING:
        if _is_still_off(work, operation):
            return State.FENCED
        is_watched = state.is_on_forbidden and state.proof is not None
        return State.RESTORING if state.is_known or is_watched else State.UNKNOWN
    if state.state is not State.FENCING:
        return state.state
    if not operation.is_off_sent and (before := _untouched(work, operation)) is not None:
        return before
    if is_failure:
        return State.FAILED
    if state.maintenance is not None:
        return State.MAINTENANCE
    return State.SUSPECT if state.is_known else State.UNKNOWN


def _fence_again(work: HostWork, operation: Operation, proof: ProofOfOff) -> None:
    """No ON was done and it is proven off again: announced under a token above those of the ONs (INTERFACE section 3)."""
    level = _level_off_again(work, operation, proof)
    assert level is not None, "`_after` asked for it"
    devices = tuple(run.device for run in operation.devices if run.level == level)
    work.record(
        r.HostFenced(
            proof=Proof.DEVICE_VERIFIED,
            operation=operation.id,
            level=level,
            boot=proof.boot,
            token=work.fleet.next_token(),
            devices=devices,
            vouched=work.host.vouched(devices),
            is_stay_off=True,
            by=operation.by,
            reason=operation.ending_why or operation.reason,
            cause=operation.cause,
            last_heard=work.sight.heard_at or proof.last_heard,
        )
    )


def _level_off_again(work: HostWork, operation: Operation, proof: ProofOfOff) -> int | None:
    """A level of which every device was read OFF stably, since no ON of ours can act any more (S1); that of before first."""
    levels = sorted({run.level for run in operation.devices}, key=lambda level: (level != proof.level, level))
    nothing = disbelieved(work)
    for level in levels:
        runs = [run for run in operation.devices if run.level == level]
        if all(_is_read_off(work, run) and run.device not in nothing for run in runs):
            return level
    return None


def _is_still_off(work: HostWork, operation: Operation) -> bool:
    """Whether it is as proven off as before: it was fenced, no ON may have been done, and nothing that speaks reads ON.

    Once an ON was sent the old announcement is over, and only a new proof makes the host fenced.
    """
    proof = work.state.proof
    if proof is None or not (operation.is_fenced or operation.before is State.FENCED):
        return False
    if work.state.token != proof.token and _level_off_again(work, operation, proof) is None:
        return False
    return not any(_may_be_on(work, run) or (is_lit(run) and _speaks(work, proof, run)) for run in operation.devices)


def _may_be_on(work: HostWork, run: DeviceRun) -> bool:
    """An ON was sent, and since it can act no more the device was not read OFF stably: it may have been done (S2)."""
    return run.is_switched_on and not _is_read_off(work, run)


def _is_read_off(work: HostWork, run: DeviceRun) -> bool:
    is_stable = run.says is Power.OFF and run.same_reads >= work.host.device(run.device).power.stable_reads
    return is_stable and not paths.disputed(work, run.device)


def _untouched(work: HostWork, operation: Operation) -> State | None:
    """The state that is still true where no OFF was sent: that of before, if nothing that was read speaks against it."""
    if operation.before is State.FENCED:
        proof = work.state.proof
        has_power = proof is None or any(is_lit(run) and _speaks_against(work, proof, run) for run in operation.devices)
        return None if has_power else State.FENCED
    is_cancelled = operation.ending is OperationState.CANCELLED
    return operation.before if is_cancelled and operation.before in {State.LEFT, State.FAILED} else None


def _speaks_against(work: HostWork, proof: ProofOfOff, run: DeviceRun) -> bool:
    """Its ON does, as to the watch: outlets of another level say nothing, unless a person's word is all that there is."""
    return proof.kind is Proof.HUMAN or _speaks(work, proof, run)


def _speaks(work: HostWork, proof: ProofOfOff, run: DeviceRun) -> bool:
    return any(device.name == run.device for device in speaks(proof, work.host))


def start_waiting(work: HostWork) -> None:
    """The request that waited runs from now on."""
    waiting = work.state.waiting
    if waiting is None:
        return
    if work.host.is_own_machine:
        end_unstarted(work, waiting, f"the host is {work.host.own_words} now (S18)")
        return
    if work.now >= waiting.deadline:
        end_unstarted(work, waiting, "it waited for another operation until its deadline")
        return
    if shut := gates.closed((gates.armed(work.fleet),)):
        end_unstarted(work, waiting, shut[0].why)
        return
    span = waiting.deadline - waiting.started
    work.record(r.WaitingOperationStarted(operation=waiting.id, deadline=work.now + span))
    if waiting.action is Action.ON:
        enter_restore(work, waiting)


def enter_restore(work: HostWork, operation: Operation) -> None:
    """Power is given back from now on, until the longest restore_timeout of the operation's devices is over."""
    timeouts = [work.host.device(run.device).power.restore_timeout_seconds for run in operation.devices]
    until = work.now + max(timeouts, default=operation.deadline - operation.started)
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.RESTORING, deadline=until))
    work.command(c.DropReads(host=work.name, operation=operation.id))


def end_reading(work: HostWork, operation: Operation) -> None:
    """A status or probe is over: done when every device could be read, else failed with what was."""
    unread = [str(run.device) for run in operation.devices if run.proxy is None]
    power = host_power(operation)
    why = None
    if unread:
        why = "could not be read: " + ", ".join(unread)
    at_odds = [run for run in operation.devices if run.in_doubt_since is not None]
    if at_odds:
        why = "; ".join(f"the paths to {run.device} don't agree: {told(run.words)}" for run in at_odds)
    if is_contradiction(operation):
        why = "all outlets read OFF and a chassis reads ON"
        work.record(r.Contradicted(operation=operation.id, why=why))
    is_readable = power is not Power.UNKNOWN
    record = r.OperationEnded(
        operation=operation.id,
        state=OperationState.DONE if is_readable else OperationState.FAILED,
        power=power,
        is_fenced=False,
        restored=Restored.NOT_ASKED,
        why=why,
        after=work.state.state,
        cooldown_until=0.0,
        next_attempt_at=0.0,
    )
    _keep(work, operation, record)
    work.record(record)
    work.command(c.DropReads(host=work.name, operation=operation.id))


def abandon(work: HostWork, operation: Operation, why: str) -> None:
    """End the operation that runs as failed, as it stands: nobody can go on with it. Its tokens are below all later ones."""
    record = r.OperationEnded(
        operation=operation.id,
        state=OperationState.FAILED,
        power=Power.UNKNOWN,
        is_fenced=operation.is_fenced,
        restored=Restored.NO if operation.is_fenced and operation.action is Action.RESTART else Restored.NOT_ASKED,
        why=why,
        after=State.FAILED if work.state.state is State.FENCING else work.state.state,
        cooldown_until=0.0,
        next_attempt_at=0.0,
    )
    _keep(work, operation, record)
    work.record(record)


def end_unstarted(work: HostWork, operation: Operation, why: str) -> None:
    """End an operation that waits, or that only reads, as cancelled."""
    record = r.OperationEnded(
        operation=operation.id,
        state=OperationState.CANCELLED,
        power=Power.UNKNOWN,
        is_fenced=False,
        restored=Restored.NOT_ASKED,
        why=why,
        after=work.state.state,
        cooldown_until=0.0,
        next_attempt_at=0.0,
    )
    _keep(work, operation, record)
    work.record(record)
    work.command(c.DropReads(host=work.name, operation=operation.id))

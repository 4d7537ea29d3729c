"""Records the results of races, reads, commands and the announcement, and advances the operation.

Any result may be late, repeated or lost. A result for an operation that is over, an older race or another step changes
nothing (S14).
"""

from fenced.core.durable import records as r
from fenced.core.durable.state import PROXY_REFUSED, WRONG_MACHINE, DeviceRun, Operation, Phase, Step
from fenced.core.events import AgentSeen, AnnouncementDelivered, RaceFinished, StepFinished
from fenced.core.operation import paths
from fenced.core.operation.advancing import advance
from fenced.core.operation.mismatch import meet, mismatches
from fenced.core.operation.proof import revoke_if_lit
from fenced.core.operation.steps import race_back_off_seconds, read_again_at
from fenced.core.work import HostWork, back_off_seconds
from fenced.model.names import DeviceName, OperationId
from fenced.model.power import Outcome, Power, What


def race_finished(work: HostWork, event: RaceFinished) -> None:
    operation = work.state.find(event.operation)
    if operation is None:
        return
    run = operation.run(event.device)
    if not run.is_racing or event.number != run.races:
        return
    _record_race(work, operation, run, event)
    _weigh_paths(work, event.operation, event.device)
    for why in mismatches(event.entries)[:1]:
        meet(work, event.operation, event.device, why)
    advance(work)


def _record_race(work: HostWork, operation: Operation, run: DeviceRun, event: RaceFinished) -> None:
    if event.winner is None:
        again = work.now + race_back_off_seconds(operation, run, run.races)
    else:
        again = read_again_at(work, operation, run, event.power)
    work.record(
        r.RaceEnded(
            operation=event.operation,
            device=event.device,
            winner=event.winner,
            reserves=event.reserves,
            entries=event.entries,
            power=event.power,
            again_at=again,
            settling_until=event.settling_until,
        )
    )


def step_finished(work: HostWork, event: StepFinished) -> None:
    """A failed read loses the path. A failed command is followed by a read (S6), and loses the path
    if the proxy refused it.

    A refused token does not lose the path: it is too old for every proxy.
    """
    operation = work.state.find(event.operation)
    if operation is None:
        return
    run = operation.run(event.device)
    step = run.step
    if step is None or step.number != event.number:
        return
    _record_step(work, operation, run, step, event)
    _weigh_paths(work, event.operation, event.device)
    _lose_path(work, run, step, event)
    if event.kind == WRONG_MACHINE:
        meet(work, event.operation, event.device, f"through {step.proxy}: {event.error}")
    advance(work)


def _record_step(work: HostWork, operation: Operation, run: DeviceRun, step: Step, event: StepFinished) -> None:
    work.record(
        r.StepEnded(
            operation=event.operation,
            device=event.device,
            number=event.number,
            outcome=event.outcome,
            error=event.error or event.note,
            is_end_known=event.is_end_known,
            wait_until=_wait_until(work, operation, run, step, event),
            settled_at=_settled_at(work, step, event),
            error_kind=event.kind,
            settling_until=event.settling_until,
        )
    )


def _wait_until(work: HostWork, operation: Operation, run: DeviceRun, step: Step, event: StepFinished) -> float:
    """Return until when the device waits. A read through another path does not delay the readings through its own."""
    if step.what is What.STATUS:
        if step.proxy != run.proxy:
            return run.wait_until
        power = Power(event.outcome.value) if event.outcome in {Outcome.ON, Outcome.OFF} else Power.UNKNOWN
        return read_again_at(work, operation, run, power)
    if event.outcome in {Outcome.FAILED, Outcome.REFUSED}:
        tries = run.off_attempts if step.what is What.OFF else run.on_attempts
        salt = f"{operation.id}/{run.device}/{step.what.value}"
        return work.now + back_off_seconds(tries, first=1.0, most=30.0, salt=salt)
    return work.now


def _settled_at(work: HostWork, step: Step, event: StepFinished) -> float | None:
    """Return until when the device may act on a command whose call has ended (its `settle`).

    None: no longer, or unknown.
    """
    settle = work.host.device(event.device).settle_seconds
    if step.not_after is None or settle == 0.0 or event.outcome is Outcome.REFUSED or not event.is_end_known:
        return None
    return min(step.not_after, work.now + settle)


def _lose_path(work: HostWork, run: DeviceRun, step: Step, event: StepFinished) -> None:
    is_read = step.what is What.STATUS
    is_path_at_fault = is_read or event.outcome is Outcome.TIMED_OUT or event.kind == PROXY_REFUSED
    if event.error is not None and is_path_at_fault:
        lost = step.proxy if is_read and step.proxy != run.proxy else None
        work.record(r.PathLost(operation=event.operation, device=event.device, why=event.error, proxy=lost))


def _weigh_paths(work: HostWork, operation_id: OperationId, device: DeviceName) -> None:
    operation = work.state.find(operation_id)
    if operation is not None:
        paths.weigh(work, operation, device)
    revoke_if_lit(work, operation_id, device)


def agent_seen(work: HostWork, event: AgentSeen) -> None:
    """Record the process of a command, which must be durable before the process reads its parameters (S16)."""
    if work.state.find(event.operation) is not None:
        work.record(
            r.AgentStarted(
                operation=event.operation,
                device=event.device,
                number=event.number,
                pid=event.pid,
                pid_started=event.pid_started,
            )
        )


def announcement_delivered(work: HostWork, event: AnnouncementDelivered) -> None:
    """Record that the broker has the `fenced` event, so that ON may follow (S8)."""
    operation = work.operation
    if operation is None or operation.id != event.operation or operation.is_announcement_acknowledged:
        return
    if operation.phase is Phase.ANNOUNCING:
        work.record(r.AnnouncementAcknowledged(operation=operation.id))
        advance(work)

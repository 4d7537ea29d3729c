"""Records the end of an operation: the only builder of OperationEnded. `closing` decides how a running operation ends.

This module ends operations that need no closing: a status or probe, a waiting one, and one that can't be carried on.
"""

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.evolve_operation import ended
from fenced.core.durable.evolve_owed import still_off
from fenced.core.durable.outcome import host_power, is_contradiction
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import Operation, Restored
from fenced.core.durable.words import told
from fenced.core.work import HostWork
from fenced.model.names import OperationId
from fenced.model.power import Action, OperationState, Power, State


def end(
    work: HostWork,
    operation: Operation,
    ending: OperationState,
    *,
    why: str | None,
    power: Power = Power.UNKNOWN,
    is_fenced: bool = False,
    restored: Restored = Restored.NOT_ASKED,
    after: State | None = None,
    cooldown_until: float = 0.0,
    next_attempt_at: float = 0.0,
) -> r.OperationEnded:
    """Record the end, and keep the operation as it was. `after`: the host's state from now on; None: as it is."""
    record = r.OperationEnded(
        operation=operation.id,
        state=ending,
        power=power,
        is_fenced=is_fenced,
        restored=restored,
        why=why,
        after=after or work.state.state,
        cooldown_until=cooldown_until,
        next_attempt_at=next_attempt_at,
    )
    proof = work.state.proof
    if record.is_fenced and not operation.is_fenced and proof is not None:
        operation = replace(operation, proof=proof.kind, proof_level=proof.level)
    work.work.ended.append(ended(operation, work.now, record))
    work.record(record)
    return record


def end_reading(work: HostWork, operation: Operation) -> None:
    """End a status or probe: done if the host's power is known, else failed."""
    why = _why_unclear(operation)
    if is_contradiction(operation):
        why = "all outlets read OFF and a chassis reads ON"
        work.record(r.Contradicted(operation=operation.id, why=why))
    power = host_power(operation)
    ending = OperationState.FAILED if power is Power.UNKNOWN else OperationState.DONE
    end(work, operation, ending, why=why, power=power)
    work.command(c.DropReads(host=work.name, operation=operation.id))


def _why_unclear(operation: Operation) -> str | None:
    at_odds = [run for run in operation.devices if run.in_doubt_since is not None]
    if at_odds:
        return "; ".join(f"the paths to {run.device} don't agree: {told(run.words)}" for run in at_odds)
    unread = [str(run.device) for run in operation.devices if run.proxy is None]
    return "could not be read: " + ", ".join(unread) if unread else None


def end_unstarted(work: HostWork, operation: Operation, why: str) -> None:
    """End an operation that waits, or that only reads, as cancelled."""
    end(work, operation, OperationState.CANCELLED, why=why)
    work.command(c.DropReads(host=work.name, operation=operation.id))


def abandon(work: HostWork, operation: Operation, why: str) -> None:
    """End the running operation as failed although its commands may still act: it can't be carried on.

    Later operations have higher tokens, so its commands lose against theirs.
    """
    was_to_restore = operation.is_fenced and operation.action is Action.RESTART
    end(
        work,
        operation,
        OperationState.FAILED,
        why=why,
        is_fenced=operation.is_fenced,
        restored=Restored.NO if was_to_restore else Restored.NOT_ASKED,
        after=State.FAILED if work.state.state is State.FENCING else None,
    )


def report_left_off(work: HostWork, operation: OperationId | None, why: str) -> None:
    """Report the devices that are off and that no other report covers."""
    work.record(r.LeftOff(operation=operation, why=why, devices=still_off(work.state)))

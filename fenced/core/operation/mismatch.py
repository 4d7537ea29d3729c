"""Stops the operation, and reports, when a device belongs to another machine than its host.

The drivers compare `identity` before each read and command; this module only reads their results. One mismatch on any
path stops the operation at once: if two networks use one address, the daemon can't know which path is right.
"""

from collections.abc import Iterable
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.outcome import targets
from fenced.core.durable.state import WRONG_MACHINE, Operation, Phase, RaceEntry
from fenced.core.operation.phases import finish
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId
from fenced.model.power import OperationState

HARMLESS: Final = frozenset({Phase.READ_AND_END, Phase.CLOSING, Phase.ENDED})
"""Phases in which an operation sends no command."""


def mismatches(entries: Iterable[RaceEntry]) -> tuple[str, ...]:
    """Return the mismatches of a race, each with its path."""
    return tuple(f"through {entry.proxy}: {entry.error}" for entry in entries if entry.kind == WRONG_MACHINE)


def meet(work: HostWork, operation: OperationId, device: DeviceName, why: str) -> None:
    """Fail the operation, because a read or command met another machine. One that only reads reports it and goes on.

    As after any failure, what was switched off stays owed, and the next automatic attempt backs off.
    """
    running = work.operation
    if running is None or running.id != operation or running.phase in HARMLESS:
        tell(work, device, why, operation=operation)
        return
    if not running.is_giving_back:
        work.record(r.WrongMachineFound(operation=operation, device=device, why=why))
    else:  # a race repeats for ever: report once
        tell(work, device, why, operation=operation)
    _stop(work, running, f"{device} belongs to another machine: {why}")


def tell(work: HostWork, device: DeviceName, why: str, *, operation: OperationId | None = None) -> None:
    """Report it once, until the device is read as the host's own again."""
    if device not in work.state.wrong_machines:
        work.record(r.WrongMachineFound(operation=operation, device=device, why=why))


def _stop(work: HostWork, operation: Operation, why: str) -> None:
    if operation.phase is Phase.RESTORING:
        missing = tuple(run.device for run in targets(operation, work.state.owed) if not run.is_on)
        work.record(r.RestoreFailed(operation=operation.id, missing=missing, why=why))
    finish(work, OperationState.FAILED, why)

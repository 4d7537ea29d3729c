"""A device that belongs to another machine than its host: nothing more is sent in this operation, and people are told.

Knows what the drivers said (they compare `identity` before each read and command); never asks by itself. Its one rule: one
mismatch, on any path, stops the operation at once. Where two networks use one address, nobody knows which path is right.
"""

from collections.abc import Iterable
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.outcome import is_on, targets
from fenced.core.durable.state import WRONG_MACHINE, Operation, Phase, RaceEntry
from fenced.core.operation.ending import finish
from fenced.core.work import HostWork
from fenced.model.names import DeviceName, OperationId
from fenced.model.power import OperationState

PAST: Final = frozenset({Phase.READING, Phase.CLOSING, Phase.ENDED})
"""Phases in which an operation sends nothing more anyway."""


def mismatches(entries: Iterable[RaceEntry]) -> tuple[str, ...]:
    """What was said of another machine in a race, each with its path."""
    return tuple(f"through {entry.proxy}: {entry.error}" for entry in entries if entry.kind == WRONG_MACHINE)


def meet(work: HostWork, operation: OperationId, device: DeviceName, why: str) -> None:
    """A read or command of an operation met another machine. One that only reads tells it, and goes on.

    What was switched off stays owed, as after any failure; the next automatic attempt backs off as after any failure.
    """
    running = work.operation
    if running is None or running.id != operation or running.phase in PAST:
        tell(work, device, why, operation=operation)
        return
    if not running.is_giving_back:
        work.record(r.WrongMachineFound(operation=operation, device=device, why=why))
    else:  # tried again and again
        tell(work, device, why, operation=operation)
    _stop(work, running, f"{device} belongs to another machine: {why}")


def tell(work: HostWork, device: DeviceName, why: str, *, operation: OperationId | None = None) -> None:
    """Once, until the device was read as the host's own again."""
    if device not in work.state.wrong_machines:
        work.record(r.WrongMachineFound(operation=operation, device=device, why=why))


def _stop(work: HostWork, operation: Operation, why: str) -> None:
    if operation.phase is Phase.RESTORING:
        missing = tuple(run.device for run in targets(operation, work.state.owed) if not is_on(run))
        work.record(r.RestoreFailed(operation=operation.id, missing=missing, why=why))
    finish(work, OperationState.FAILED, why)

"""Advances a host's operations: does what can be done now, phase by phase, and schedules the next check.

`advance` may be called at any time and any number of times; each phase starts only what is not under way.
"""

from typing import assert_never

from fenced.core.durable.state import Operation, Phase
from fenced.core.operation import announcing, closing, inspecting, proving, reading, restoring, sleeping
from fenced.core.operation.endings import end_unstarted
from fenced.core.work import HostWork

ADVANCE_MAX = 32


def advance(work: HostWork) -> None:
    """Advance the status or probe, then the running operation until it comes to rest."""
    if work.state.reading is not None:
        reading.advance(work, work.state.reading)
    for _ in range(ADVANCE_MAX):
        operation = work.operation
        if operation is None:
            return
        _advance(work, operation)
        after = work.operation
        if after is None or _place(after) == _place(operation):
            return
    raise AssertionError(f"the operation of {work.name} does not come to rest")


def _place(operation: Operation) -> tuple[object, ...]:
    return operation.phase, operation.level, operation.id


def _advance(work: HostWork, operation: Operation) -> None:
    if operation.resume_at is not None and work.now < operation.resume_at:
        work.wake(operation.resume_at)
        return
    match operation.phase:
        case Phase.PROVING:
            proving.advance(work, operation)
        case Phase.INSPECTING:
            inspecting.advance(work, operation)
        case Phase.ANNOUNCING:
            announcing.advance(work, operation)
        case Phase.RESTORING:
            restoring.advance(work, operation)
        case Phase.VETO | Phase.GOING_DOWN:
            sleeping.advance(work, operation)
        case Phase.READ_AND_END:
            reading.advance(work, operation)
        case Phase.CLOSING:
            closing.advance(work, operation)
        case Phase.ENDED:
            pass
        case _:
            assert_never(operation.phase)


def drop(work: HostWork, operation: Operation, why: str) -> None:
    """End an operation that only waits or only reads, and advance the others."""
    end_unstarted(work, operation, why)
    advance(work)

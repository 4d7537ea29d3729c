"""Phase READ_AND_END: send no command, read each device once, end.

A status or a probe does only that, beside the running operation. A running operation gets here when a restart of the
daemon leaves nothing that may be sent (S13).
"""

from fenced.core.durable.state import DeviceRun, Operation
from fenced.core.operation import paths, phases
from fenced.core.operation.endings import end_reading
from fenced.core.operation.proof import revoke_if_read_on
from fenced.core.operation.steps import start_race
from fenced.core.work import HostWork
from fenced.model.power import OperationState


def advance(work: HostWork, operation: Operation) -> None:
    if operation.is_power_changing:
        _read_and_close(work, operation)
    else:
        _read_and_report(work, operation)


def _read_and_close(work: HostWork, operation: Operation) -> None:
    for run in operation.devices:
        if not run.is_inspected and not run.is_racing:
            _race(work, operation, run)
    operation = work.operation or operation
    until = max(operation.deadline, operation.resume_at or 0.0) + phases.INSPECTING_SECONDS
    is_read = all(run.is_inspected and not run.is_racing for run in operation.devices)
    if is_read or work.now >= until:
        revoke_if_read_on(work)
        phases.finish(work, operation.ending or OperationState.FAILED, operation.ending_why)
    else:
        work.wake(until)


def _read_and_report(work: HostWork, operation: Operation) -> None:
    """A status reads each device through the winner of its race; a probe's race reads through every candidate."""
    for run in operation.devices:
        if run.races == 0:
            _race(work, operation, run)
    operation = work.state.reading or operation
    if work.now < operation.deadline and any(run.is_racing for run in operation.devices):
        work.wake(operation.deadline)
    else:
        end_reading(work, operation)


def _race(work: HostWork, operation: Operation, run: DeviceRun) -> None:
    start_race(work, operation, run, disputed=paths.disputed(work, run.device))

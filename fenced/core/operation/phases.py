"""Moves an operation from phase to phase (`machine.PHASES`). Only this module decides a level, a phase or an ending.

A phase's own module calls these functions when its work is done; requests, signs of life and a restart
of the daemon call `stop` and `read_and_end`.
"""

from collections.abc import Container

from fenced.core import commands as c
from fenced.core.believed.sharing import shared
from fenced.core.durable import records as r
from fenced.core.durable.state import Operation, Phase
from fenced.core.work import HostWork
from fenced.model.names import DeviceName
from fenced.model.power import OperationState

INSPECTING_SECONDS = 60.0
"""How long after the operation's deadline readings are awaited. Each read has a far earlier deadline."""


def enter_next_level(work: HostWork, operation: Operation, *, why: str) -> None:
    """Try the next level with its share of the time left.

    Without one, the operation fails. `why`: the last level failed.
    """
    later = tuple(level for level in operation.levels if operation.level is None or level > operation.level)
    usable, why_not = _usable(work, operation, later)
    if not usable or work.now >= operation.deadline:
        _fail(work, operation, why or why_not or "the host has no power device")
        return
    share = (operation.deadline - work.now) / len(usable)
    work.record(r.LevelEntered(operation=operation.id, level=usable[0], deadline=work.now + share))


def _fail(work: HostWork, operation: Operation, why: str) -> None:
    """End it as failed. A drill gives back what it switched off: its host lived before."""
    if operation.is_drilling:
        stop(work, why, ending=OperationState.FAILED)
    else:
        finish(work, OperationState.FAILED, why)


def _usable(work: HostWork, operation: Operation, levels: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """Return the levels that an OFF may go to, and why there are none.

    An OFF surely hits another host through a shared device, and perhaps through a distrusted one (S17).
    """
    foreign, distrusted = shared(work.fleet, work.name, work.now), work.state.distrusted
    own = _without(levels, operation, foreign)
    if levels and not own:
        return (), f"its devices are another host's, too: {', '.join(sorted(foreign))}"
    believed = _without(own, operation, distrusted)
    if believed or not (operation.is_automatic or operation.is_drilling):
        return believed or own, ""
    return (), f"distrusted: {', '.join(distrusted)}" if own else ""


def _without(levels: tuple[int, ...], operation: Operation, barred: Container[DeviceName]) -> tuple[int, ...]:
    """Return the levels that have none of these devices."""
    lost = {run.level for run in operation.devices if run.device in barred}
    return tuple(level for level in levels if level not in lost)


def enter_level_again(work: HostWork, operation: Operation) -> None:
    """Prove the level that was being inspected once more: its readings were forgotten."""
    level, deadline = operation.level or 0, operation.level_deadline
    work.record(r.LevelEntered(operation=operation.id, level=level, deadline=deadline))


def enter(work: HostWork, operation: Operation, phase: Phase) -> None:
    work.record(r.PhaseEntered(operation=operation.id, phase=phase))


def enter_restore(work: HostWork, operation: Operation) -> None:
    """Give power back, until the longest restore_timeout of the operation's devices is over."""
    timeouts = [work.host.device(run.device).power.restore_timeout_seconds for run in operation.devices]
    until = work.now + max(timeouts, default=operation.deadline - operation.started)
    work.record(r.PhaseEntered(operation=operation.id, phase=Phase.RESTORING, deadline=until))
    work.command(c.DropReads(host=work.name, operation=operation.id))


def read_and_end(work: HostWork, why: str, *, ending: OperationState = OperationState.FAILED) -> None:
    """Send no command any more (S13): read every device once, then end with what was read."""
    operation = work.operation
    assert operation is not None
    if not operation.is_stopped:
        decide_ending(work, operation, ending, why)
    enter(work, operation, Phase.READ_AND_END)


def finish(work: HostWork, ending: OperationState, why: str | None) -> None:
    """End the operation's work; it closes once none of its commands can act."""
    operation = work.operation
    assert operation is not None
    if not operation.is_stopped or operation.ending is not ending:
        decide_ending(work, operation, ending, why or "")
    _close(work, operation)


def stop(work: HostWork, why: str, *, is_on_forbidden: bool = False, ending: OperationState | None = None) -> None:
    """Stop the operation. Before the first OFF it just ends; otherwise what was switched off is given back (S19).

    Power is not given back if `is_on_forbidden` or in maintenance: then it stays owed, and is reported. The operation
    ends as `ending`; by default cancelled, or done if the host was fenced already.
    """
    operation = work.operation
    if operation is None or operation.phase is Phase.CLOSING:
        return
    natural = OperationState.DONE if operation.is_fenced else OperationState.CANCELLED
    decide_ending(work, operation, ending or natural, why, is_on_forbidden=is_on_forbidden)
    has_switched = any(run.is_switched_off for run in operation.devices)
    is_left = is_on_forbidden or work.state.maintenance is not None
    if has_switched and not operation.is_fenced and not is_left:
        enter_restore(work, operation)
    else:
        _close(work, operation)
        work.command(c.DropOns(host=work.name, operation=operation.id, why=why))
    work.wake(work.now)


def _close(work: HostWork, operation: Operation) -> None:
    enter(work, operation, Phase.CLOSING)
    work.command(c.DropReads(host=work.name, operation=operation.id))


def decide_ending(
    work: HostWork, operation: Operation, ending: OperationState, why: str, *, is_on_forbidden: bool = False
) -> None:
    work.record(r.EndingDecided(operation=operation.id, ending=ending, why=why, is_on_forbidden=is_on_forbidden))

"""Starts a drill, and decides how it ended: a living spare host is fenced for real, to show that a fence would work.

The fence is an ordinary `restart`, with the plan of an automatic one. Besides, a drill waits until the host is silent
before it is announced (`silencing`), gives way to the fence of another host before its first OFF (`drillable`), and
always gives power back. `follow` ends it when its operation is over and the host was heard with a new boot id, or
not within `boot_grace`. What each step proved is in the records (`durable.evolve_drill`), so a restart loses nothing.
"""

from collections.abc import Iterator

from fenced.core.believed import trust
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.state import Drill, DrillResult, DrillStep, Slot
from fenced.core.events import DrillAsked
from fenced.core.operation import drillable, starting
from fenced.core.operation.advancing import advance
from fenced.core.work import HostWork
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.power import Action, Cause, State

ACTION = "drill"
"""How a refused drill is recorded."""


def ask(work: HostWork, asked: DrillAsked) -> Answer:
    """Start a drill, or refuse it. A refusal is recorded, too."""
    refusal = next(_refusals(work, asked), None)
    if refusal is not None:
        recording.refuse(work, ACTION, by=asked.by, reason=asked.reason, refusal=refusal)
        return refusal
    operation = starting.new(
        work, Action.RESTART, cause=Cause.REQUEST, by=asked.by, reason=asked.reason, is_drill=True,
        is_forced=asked.is_forced,
    )  # fmt: skip
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    advance(work)
    return Accepted(operation=operation.id)


# -- may it be drilled ------------------------------------------------------------------------------------------------


def _refusals(work: HostWork, asked: DrillAsked) -> Iterator[RefusedBy]:
    """Yield every rule that refuses the request; the first one is the answer."""
    state, is_forced = work.state, asked.is_forced
    yield from drillable.unfit(work, since=work.now if is_forced else 0.0)
    if state.under_way or state.drill is not None:
        held = state.under_way[0].id if state.under_way else state.drill and state.drill.operation
        yield RefusedBy(rule="busy", why=f"{held} is not over on {work.name}; repeat the request when it has ended")
    if not trust.has_believed_level(work):
        why = f"each level of {work.name} has a device whose OFF counts no longer; `fencectl explain` says which"
        yield RefusedBy(rule="distrusted", why=why)
    if state.state is not State.HEALTHY:
        why = f"{work.name} is {state.state.value}; a drill needs a host that beats"
        yield RefusedBy(rule="not_heard", why=why)
    yield from drillable.unready(work, is_forced=is_forced)


# -- how it ended -----------------------------------------------------------------------------------------------------


def follow(work: HostWork) -> None:
    """End the host's drill if its result is known. Called after each decision about the host."""
    drill = work.state.drill
    if drill is None or work.state.slot_of(drill.operation) is not None:
        return
    ended = _ended(work, drill)
    if ended is not None:
        work.record(ended)


def _ended(work: HostWork, drill: Drill) -> r.DrillEnded | None:
    step = _failed_step(work, drill)
    if drill.is_called_off:
        return r.DrillEnded(
            operation=drill.operation, result=DrillResult.CANCELLED, failed_step=step, why=drill.why or "called off"
        )
    if step is not None:
        why = _why_failed(work, drill, step)
        return r.DrillEnded(operation=drill.operation, result=DrillResult.FAILED, failed_step=step, why=why)
    if drill.heard_at is None:
        return None
    return r.DrillEnded(operation=drill.operation, result=DrillResult.SUCCEEDED, failed_step=None, why="")


def _failed_step(work: HostWork, drill: Drill) -> DrillStep | None:
    """Return the first step that can't be proven any more; None: so far all is well."""
    if not drill.is_fenced:
        return DrillStep.OFF if drill.off_at is None else DrillStep.SILENT
    if drill.announced_at is None:
        return DrillStep.ANNOUNCED
    if drill.on_at is None:
        return DrillStep.ON
    if drill.heard_at is None:
        return None if _is_awaited(work) else DrillStep.HEARD
    return None if _has_restarted(drill) else DrillStep.HEARD


def _is_awaited(work: HostWork) -> bool:
    return work.state.state is State.RESTORING and not work.state.is_on_forbidden


def _has_restarted(drill: Drill) -> bool:
    return drill.heard_boot is not None and drill.heard_boot != drill.boot


def _why_failed(work: HostWork, drill: Drill, step: DrillStep) -> str:
    match step:
        case DrillStep.OFF | DrillStep.SILENT:
            return drill.why or "not proven off"
        case DrillStep.ANNOUNCED:
            return drill.why or "the broker did not acknowledge the announcement within announce_wait"
        case DrillStep.ON:
            return drill.why or "power was not given back"
        case DrillStep.HEARD:
            if drill.heard_at is not None:
                return f"it was heard with boot id {drill.heard_boot or 'unknown'}, which shows no restart"
            return f"it was not heard within boot_grace: it is {work.state.state.value}"

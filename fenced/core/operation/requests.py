"""Handles requests of operators and programs: starts an operation, joins one, queues behind one, cancels, refuses.

What a second request does is a table (design.md#a-second-request);
operations never interleave (S4). `confirming` handles `confirm-off`.
"""

from fenced.core.allowed import gates
from fenced.core.decided import recording
from fenced.core.durable import records as r
from fenced.core.durable.asked import CANCELLED
from fenced.core.durable.state import Operation, Phase, Slot
from fenced.core.events import ActionAsked, CancelAsked, MaintenanceAsked
from fenced.core.operation import starting
from fenced.core.operation.advancing import advance, drop
from fenced.core.operation.endings import end_unstarted
from fenced.core.operation.phases import enter_restore, stop
from fenced.core.work import HostWork
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.power import Action, Cause, OperationState, State


def ask(work: HostWork, asked: ActionAsked) -> Answer:
    """Start, join, queue or refuse. A refusal is recorded too: operators ask later why nothing happened."""
    answer = _ask(work, asked)
    if isinstance(answer, RefusedBy):
        recording.refuse(work, asked.action.value, by=asked.by, reason=asked.reason, refusal=answer)
    return answer


def _ask(work: HostWork, asked: ActionAsked) -> Answer:
    if not work.host.devices:
        return RefusedBy(rule="devices", why=f"{work.name} has no power device; add a [[host.device]] to its inventory")
    if asked.action in {Action.STATUS, Action.PROBE}:
        return _ask_reading(work, asked)
    refusal = _refusal(work, asked)
    if refusal is not None:
        return refusal
    running = work.operation
    return _start(work, asked) if running is None else _ask_second(work, asked, running)


def _start(work: HostWork, asked: ActionAsked) -> Accepted:
    operation = _new(work, asked)
    work.record(r.OperationStarted(operation=operation, slot=Slot.RUNNING))
    if operation.action is Action.ON:
        _want_awake(work, asked)
        enter_restore(work, operation)
    advance(work)
    return Accepted(operation=operation.id)


def _new(work: HostWork, asked: ActionAsked) -> Operation:
    return starting.new(work, asked.action, cause=Cause.REQUEST, by=asked.by, reason=asked.reason)


def _ask_reading(work: HostWork, asked: ActionAsked) -> Answer:
    reading = work.state.reading
    if reading is None:
        operation = _new(work, asked)
        work.record(r.OperationStarted(operation=operation, slot=Slot.READING))
        advance(work)
        return Accepted(operation=operation.id)
    if asked.action in {reading.action, Action.STATUS}:
        return _join(work, reading, asked, reading.action)
    why = f"{reading.action.value} {reading.id} reads this host; repeat the request when it has ended"
    return RefusedBy(rule="busy", why=why)


def _refusal(work: HostWork, asked: ActionAsked) -> RefusedBy | None:
    """Return the rule that refuses the request, with the reason. These rules hold an operator's requests, too."""
    if work.host.is_own_machine:
        return RefusedBy(
            rule="own_machine",
            why=f"{work.name} is {work.host.own_words}; another controller may switch it (S18)",
        )
    for verdict in gates.closed(gates.owner_gates(work.fleet, work.now)):
        return RefusedBy(rule=verdict.gate, why=verdict.why)
    is_off = asked.action in {Action.OFF, Action.RESTART}
    if is_off and not asked.is_forced and (life := _life(work)) and not _is_being_fenced(work):
        return RefusedBy(
            rule="alive", why=f"{work.name} {life} and not in maintenance; use force to switch off a living host"
        )
    return None


def _life(work: HostWork) -> str:
    """Return why the host counts as living; "" if it does not, or is left alone."""
    if work.state.maintenance is not None or work.state.state in {State.FENCED, State.SLEEPING}:
        return ""
    if work.fleet.is_heard(work.name, work.now) or work.fleet.is_speaking(work.name, work.now):
        return "is heard"
    running, fleet = work.operation, work.fleet
    was_living = work.state.state is State.HEALTHY or (running is not None and running.is_drilling)
    is_silent = fleet.silence_seconds(work.name, work.now) > fleet.grace_seconds(work.name, work.now)
    if was_living and work.sight.heard_at is None and not is_silent:
        return "was healthy, the daemon has just started and did not listen for its grace yet,"
    return ""


def _is_being_fenced(work: HostWork) -> bool:
    """Return whether a living host is switched off already, by force. A drill is not: it proves the silence first."""
    running = work.operation
    if running is None or running.is_drilling:
        return False
    return running.action in {Action.OFF, Action.RESTART} and not running.is_stopped


# -- beside an operation that runs ------------------------------------------------------------------------------------


def _ask_second(work: HostWork, asked: ActionAsked, running: Operation) -> Answer:
    """Apply the table of design.md#a-second-request.

    Automatic operations never come here: none replaces an operator's.
    """
    if running.action is Action.SLEEP and not running.is_fenced:
        return _ask_beside_sleep(work, asked, running)
    if running.is_stopped and not running.is_fenced:
        return _wait(work, asked)
    if running.is_giving_back:  # the daemon's own: the requested operation begins once its commands can no longer act
        answer = _wait(work, asked)
        stop(work, f"{asked.by} asks for {asked.action.value}")
        advance(work)
        return answer
    gives_back = running.action in {Action.RESTART, Action.SLEEP} and _is_past_on(running)
    if running.action in {Action.ON, Action.WAKE} or gives_back:
        if asked.action is Action.ON and running.phase is not Phase.CLOSING:
            return _join(work, running, asked, running.action)
        return _wait(work, asked)
    if asked.action is Action.ON:
        return RefusedBy(
            rule="busy", why=f"{running.action.value} {running.id} runs on {work.name}; cancel it or wait for its end"
        )
    if running.action is not asked.action and asked.action is Action.RESTART and running.is_fenced:
        return _wait(work, asked)
    return _join(work, running, asked, asked.action)


def _ask_beside_sleep(work: HostWork, asked: ActionAsked, running: Operation) -> Answer:
    """Nothing was sent before the command: the sleep ends. After it, an ON waits until the host is down, because the
    shutdown could undo it; `off` and `restart` take over at once (S24)."""
    answer = _wait(work, asked)
    if asked.action is Action.ON and isinstance(answer, Accepted):
        _want_awake(work, asked)
    if running.phase is Phase.VETO or asked.action is not Action.ON:
        stop(work, f"{asked.by} asks for {asked.action.value}", ending=OperationState.CANCELLED)
        advance(work)
    return answer


def _want_awake(work: HostWork, asked: ActionAsked) -> None:
    """Remember who wants a host on that was asked to shut down: it may go down late, and then it is woken."""
    if work.state.saving.soft_off is not None:
        work.record(r.WakeWanted(by=asked.by, reason=asked.reason, cause=Cause.REQUEST))


def _is_past_on(running: Operation) -> bool:
    is_closing = running.phase is Phase.CLOSING and running.restore_started is not None
    return is_closing or any(run.is_switched_on for run in running.devices)


def _join(work: HostWork, running: Operation, asked: ActionAsked, action: Action) -> Accepted:
    work.record(
        r.OperationJoined(operation=running.id, by=asked.by, reason=asked.reason, action=action, cause=Cause.REQUEST)
    )
    advance(work)
    return Accepted(operation=running.id, warnings=("joined an operation that already runs",))


def _wait(work: HostWork, asked: ActionAsked) -> Answer:
    waiting = work.state.waiting
    if waiting is None:
        operation = _new(work, asked)
        work.record(r.OperationStarted(operation=operation, slot=Slot.WAITING))
        return Accepted(operation=operation.id, warnings=("waits for the operation that runs now",))
    if asked.action is Action.ON:
        return RefusedBy(
            rule="busy", why=f"{waiting.action.value} {waiting.id} waits to run on {work.name}; cancel it first"
        )
    return _join(work, waiting, asked, asked.action)


# -- cancel, maintenance ----------------------------------------------------------------------------------------------


def cancel(work: HostWork, asked: CancelAsked) -> Answer:
    """Before the first OFF, end the operation; while power is given back, stop every further ON (S19)."""
    slot, operation = work.state.slot_of(asked.operation), work.state.find(asked.operation)
    if slot is None or operation is None:
        return RefusedBy(rule="ended", why=f"operation {asked.operation} has ended")
    why = f"{CANCELLED}{asked.by}: {asked.reason}" if asked.reason else f"{CANCELLED}{asked.by}"
    if slot is Slot.RUNNING:
        return _cancel_running(work, operation, why)
    if slot is Slot.WAITING and operation.action is Action.ON and work.state.saving.soft_off is not None:
        work.record(r.WakeWanted(by="", reason="", cause=Cause.REQUEST))  # nobody wants it on any more
    drop(work, operation, why)
    return Accepted(operation=operation.id)


def _cancel_running(work: HostWork, running: Operation, why: str) -> Answer:
    if running.is_proving_off and running.is_off_sent:
        return RefusedBy(rule="off_sent", why="an OFF was sent: it goes on to verified off or failed (S19)")
    if running.phase is Phase.GOING_DOWN:
        why = "it was asked to shut down, which nothing takes back: `fencectl on` gives power back once it is off"
        return RefusedBy(rule="off_sent", why=why)
    if running.phase is Phase.CLOSING:
        return RefusedBy(rule="ended", why=f"operation {running.id} is ending")
    stop(
        work,
        why,
        is_on_forbidden=running.is_fenced or running.action is Action.ON or running.phase is Phase.RESTORING,
        ending=OperationState.CANCELLED,
    )
    advance(work)
    return Accepted(operation=running.id)


def maintenance(work: HostWork, asked: MaintenanceAsked) -> None:
    """Set or end maintenance. It stops an automatic operation before its first OFF, and every ON."""
    if not asked.is_on:
        _end_maintenance(work, asked)
        return
    before, waiting = work.state.state, work.state.waiting
    if waiting is not None and waiting.action is not Action.OFF:  # it would give the host power
        end_unstarted(work, waiting, f"maintenance by {asked.by}: {asked.reason}")
        _go_on(work, asked)
    running = work.operation
    after = state_in_maintenance(before, running)
    recording.leave_alone(work, asked.by, asked.reason)
    work.record(r.MaintenanceSet(by=asked.by, reason=asked.reason, until=asked.until, after=after))
    if running is not None:
        _maintain_running(work, running, asked)
    if asked.until is not None:
        work.wake(asked.until)


def state_in_maintenance(state: State, running: Operation | None) -> State:
    """Return the state during maintenance: a host that is off, or being switched, keeps its state."""
    is_under_way = running is not None and state in {State.FENCING, State.RESTORING}
    return state if state in {State.FENCED, State.SLEEPING} or is_under_way else State.MAINTENANCE


def _end_maintenance(work: HostWork, asked: MaintenanceAsked) -> None:
    """End maintenance. An operator had the host in hand, so wrong wiring counts as repaired."""
    state = work.state
    if state.maintenance is None:
        return
    work.record(r.MaintenanceEnded(by=asked.by, reason=asked.reason))
    if state.distrusted:
        work.record(r.DevicesTrusted(devices=state.distrusted))
    for one in state.disputes:
        work.record(r.PathsAgreed(device=one.device))
    work.wake(work.now)


def _maintain_running(work: HostWork, running: Operation, asked: MaintenanceAsked) -> None:
    why = f"maintenance by {asked.by}: {asked.reason}"
    is_giving_back = running.phase in {Phase.ANNOUNCING, Phase.RESTORING}
    if is_giving_back:
        stop(work, why, is_on_forbidden=True)
    elif running.phase is Phase.VETO or (running.is_automatic and not running.is_off_sent and not running.is_saving):
        stop(work, why)
    _go_on(work, asked)


def _go_on(work: HostWork, asked: MaintenanceAsked) -> None:
    if asked.is_recovered:
        advance(work)

"""How operations come about: decided by us, asked for by people, or owed to a host that is heard again.

What a second request does to a running operation is DESIGN section 4's table; it never interleaves (S4).
"""

from dataclasses import dataclass

from fenced.core.allowed import gates
from fenced.core.believed import trust
from fenced.core.durable import records as r
from fenced.core.durable.evolve import acting_ons
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict, Operation, Phase
from fenced.core.events import ActionAsked, CancelAsked, ConfirmOffAsked, MaintenanceAsked
from fenced.core.operation import edited, paths, plan
from fenced.core.operation.ending import enter_restore, stop
from fenced.core.work import HostWork
from fenced.model.names import OperationId
from fenced.model.power import Action, Cause, OperationState, Power, Proof, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The request's operation; `warnings` are for the person who asked."""

    operation: OperationId
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedBy:
    """A rule refused the request."""

    rule: str
    why: str


Answer = Accepted | RefusedBy


# -- decided by us ----------------------------------------------------------------------------------------------------


def automatic_action(work: HostWork) -> Action:
    """What is done to a host that must be fenced; the window's last attempt leaves it off."""
    used = gates.attempts_in_window(work.fleet, work.name, work.now)
    is_last = used + 1 >= work.fleet.inventory.daemon.gates.attempts_count
    return Action.OFF if is_last else work.host.settings.fence_action


def fence(work: HostWork, verdicts: tuple[GateVerdict, ...]) -> None:
    """All gates are open: start the operation, draw on the budget."""
    state = work.state
    action = automatic_action(work)
    cause = state.suspicion or Cause.SILENCE
    operation = _new(work, action, cause=cause, by="fenced", reason=state.suspicion_reason)
    operation = replace(operation, gates=verdicts, explanation=_known(work))
    if trust.has_believed_level(work):  # else it fails without an OFF: nothing is spent that another host may need
        work.work.record_fleet(r.BudgetDrawn(host=work.name, cluster=str(work.host.cluster)))
    work.record(r.OperationStarted(operation=operation, slot="running"))
    plan.advance(work)


def _known(work: HostWork) -> tuple[str, ...]:
    """What was known, from whom, how old: the decision record's words."""
    sight, fleet, now = work.sight, work.fleet, work.now
    heard = "never in this life of the daemon" if sight.heard_at is None else f"{now - sight.heard_at:.1f} s ago"
    life = sight.life
    asked = "not yet" if life is None else f"{life.words}, {now - life.at:.1f} s ago"
    return (
        f"last heartbeat: {heard}, boot {sight.boot or 'not given'}, sequence {sight.sequence}",
        f"silence: {fleet.silence_seconds(work.name, now):.1f} s of listening, grace {fleet.grace_seconds(work.name, now):.1f} s",
        f"suspected because: {work.state.suspicion_reason}",
        f"asked itself: {asked}",
    )


def give_back(work: HostWork) -> None:
    """Switch on what is owed to a host that is heard."""
    operation = _new(work, Action.ON, cause=Cause.SILENCE, by="fenced", reason="heard, and devices are off by our OFF")
    _run(work, operation)


def _new(work: HostWork, action: Action, *, cause: Cause, by: str, reason: str) -> Operation:
    host = work.host
    operation_id, number = work.fleet.next_operation_id()
    powers = [device.power for device in host.devices]
    timeout = max(
        (power.operation_timeout_seconds for power in powers), default=host.settings.power.operation_timeout_seconds
    )
    if action in {Action.STATUS, Action.PROBE}:
        timeout = reading_timeout_seconds(work)
    phase = {Action.ON: Phase.RESTORING, Action.STATUS: Phase.READING, Action.PROBE: Phase.READING}
    return Operation(
        id=operation_id,
        host=work.name,
        action=action,
        cause=cause,
        by=by,
        reason=reason,
        started=work.now,
        deadline=work.now + timeout,
        number=number,
        phase=phase.get(action, Phase.PROVING),
        levels=host.levels,
        boot=work.state.boot,
        was_overdue=work.fleet.is_overdue(work.name, work.now),
        devices=tuple(edited.new_run(device) for device in host.devices),
    )


def reading_timeout_seconds(work: HostWork) -> float:
    """A status ends even when every candidate of a device is dead: one probe timeout each, staggered."""
    race = work.fleet.inventory.daemon.race
    return 2 * race.probe_timeout_seconds + len(work.fleet.inventory.proxies) * race.stagger_seconds + 10.0


def _run(work: HostWork, operation: Operation) -> None:
    work.record(r.OperationStarted(operation=operation, slot="running"))
    if operation.action is Action.ON:
        enter_restore(work, operation)
    plan.advance(work)


# -- asked for by people ----------------------------------------------------------------------------------------------


def ask(work: HostWork, asked: ActionAsked) -> Answer:
    """Start, join, queue or refuse. Refusals are kept too: people ask later why nothing happened."""
    answer = _ask(work, asked)
    if isinstance(answer, RefusedBy):
        work.record(
            r.RequestRefused(
                action=asked.action.value, by=asked.by, reason=asked.reason, rule=answer.rule, why=answer.why
            )
        )
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
    if running is None:
        operation = _new(work, asked.action, cause=Cause.REQUEST, by=asked.by, reason=asked.reason)
        _run(work, operation)
        return Accepted(operation=operation.id)
    return _ask_second(work, asked, running)


def _ask_reading(work: HostWork, asked: ActionAsked) -> Answer:
    reading = work.state.reading
    if reading is not None:
        if asked.action in {reading.action, Action.STATUS}:
            return _join(work, reading, asked, reading.action)
        return RefusedBy(
            rule="busy", why=f"{reading.action.value} {reading.id} reads this host; ask again when it ended"
        )
    operation = _new(work, asked.action, cause=Cause.REQUEST, by=asked.by, reason=asked.reason)
    work.record(r.OperationStarted(operation=operation, slot="reading"))
    plan.advance(work)
    return Accepted(operation=operation.id)


def _refusal(work: HostWork, asked: ActionAsked) -> RefusedBy | None:
    """The rules that hold a person's request too."""
    if work.host.is_own_machine:
        return RefusedBy(
            rule="own_machine",
            why=f"{work.name} is {work.host.own_words}; another controller may switch it (S18)",
        )
    for verdict in gates.closed(gates.owner_gates(work.fleet, work.now)):
        return RefusedBy(rule=verdict.gate, why=verdict.why)
    is_left_alone = work.state.maintenance is not None or work.state.state is State.FENCED
    is_alive = work.fleet.is_heard(work.name, work.now) or work.fleet.is_speaking(work.name, work.now)
    is_living = is_alive and not is_left_alone
    running = work.operation
    is_busy = running is not None and running.action in {Action.OFF, Action.RESTART} and not running.is_stopped
    if asked.action in {Action.OFF, Action.RESTART} and is_living and not asked.is_forced and not is_busy:
        return RefusedBy(
            rule="alive", why=f"{work.name} is heard and not in maintenance; ask with force to switch off a living host"
        )
    return None


def _ask_second(work: HostWork, asked: ActionAsked, running: Operation) -> Answer:
    """DESIGN section 4's table. Automatic never supersedes a person, and never asks here."""
    if running.is_stopped and not running.is_fenced:
        return _wait(work, asked)
    if running.is_giving_back:  # ours, and in nobody's way: the person's begins when its commands can act no more
        answer = _wait(work, asked)
        stop(work, f"{asked.by} asks for {asked.action.value}")
        plan.advance(work)
        return answer
    is_closing = running.phase is Phase.CLOSING and running.restore_started is not None
    is_past_on = is_closing or any(run.is_switched_on for run in running.devices)
    if running.action is Action.ON or (running.action is Action.RESTART and is_past_on):
        if asked.action is Action.ON and running.phase is not Phase.CLOSING:
            return _join(work, running, asked, running.action)
        return _wait(work, asked)
    if asked.action is Action.ON:
        return RefusedBy(
            rule="busy", why=f"{running.action.value} {running.id} runs on {work.name}; cancel it or wait for its end"
        )
    if running.action is asked.action:
        return _join(work, running, asked, running.action)
    if asked.action is Action.RESTART and running.is_fenced:
        return _wait(work, asked)
    return _join(work, running, asked, asked.action)


def _join(work: HostWork, running: Operation, asked: ActionAsked, action: Action) -> Accepted:
    work.record(
        r.OperationJoined(operation=running.id, by=asked.by, reason=asked.reason, action=action, cause=Cause.REQUEST)
    )
    plan.advance(work)
    return Accepted(operation=running.id, warnings=("joined an operation that runs already",))


def _wait(work: HostWork, asked: ActionAsked) -> Answer:
    waiting = work.state.waiting
    if waiting is None:
        operation = _new(work, asked.action, cause=Cause.REQUEST, by=asked.by, reason=asked.reason)
        work.record(r.OperationStarted(operation=operation, slot="waiting"))
        return Accepted(operation=operation.id, warnings=("waits for the operation that runs now",))
    if asked.action is Action.ON:
        return RefusedBy(
            rule="busy", why=f"{waiting.action.value} {waiting.id} waits to run on {work.name}; cancel it first"
        )
    return _join(work, waiting, asked, asked.action)


def cancel(work: HostWork, asked: CancelAsked) -> Answer:
    """Before the first OFF it ends the operation; while power is given back it stops every further ON (S19)."""
    waiting, reading, running = work.state.waiting, work.state.reading, work.operation
    why = f"cancelled by {asked.by}: {asked.reason}" if asked.reason else f"cancelled by {asked.by}"
    for other in (waiting, reading):
        if other is not None and other.id == asked.operation:
            plan.drop(work, other, why)
            return Accepted(operation=other.id)
    if running is None or running.id != asked.operation:
        return RefusedBy(rule="ended", why=f"operation {asked.operation} has ended")
    if running.phase in {Phase.PROVING, Phase.INSPECTING} and running.is_off_sent:
        return RefusedBy(rule="off_sent", why="an OFF was sent: it goes on to verified off or failed (S19)")
    if running.phase is Phase.CLOSING:
        return RefusedBy(rule="ended", why=f"operation {asked.operation} is ending")
    stop(
        work,
        why,
        is_on_forbidden=running.is_fenced or running.action is Action.ON or running.phase is Phase.RESTORING,
        ending=OperationState.CANCELLED,
    )
    plan.advance(work)
    return Accepted(operation=running.id)


def confirm_off(work: HostWork, asked: ConfirmOffAsked) -> Answer:
    """A person states that the host is off. While a device reads ON nobody may say so."""
    answer = _confirm_refusal(work, asked)
    if answer is not None:
        work.record(
            r.RequestRefused(action="confirm_off", by=asked.by, reason=asked.reason, rule=answer.rule, why=answer.why)
        )
        return answer
    running = work.operation
    token = work.fleet.next_token()
    operation_id = running.id if running is not None else asked.read or OperationId(str(token))
    work.record(
        r.HostFenced(
            proof=Proof.HUMAN,
            operation=running.id if running is not None else None,
            level=None,
            boot=work.sight.boot or work.state.boot,
            token=token,
            devices=(),
            is_stay_off=True,
            by=asked.by,
            reason=asked.reason,
            cause=Cause.REQUEST,
            last_heard=work.sight.heard_at,
        )
    )
    if running is not None:
        stop(work, f"{asked.by} confirmed that the host is off", is_on_forbidden=True)
    work.wake(work.now)
    return Accepted(operation=operation_id)


def _confirm_refusal(work: HostWork, asked: ConfirmOffAsked) -> RefusedBy | None:
    reading, running = work.state.reading, work.operation
    if reading is not None:
        return RefusedBy(
            rule="busy", why=f"{reading.id} still reads the devices of {work.name}; ask again when it ended"
        )
    powers = work.fleet.power(work.name)
    reads_on = [name for name, power in powers.items() if power is Power.ON]
    if reads_on:
        return RefusedBy(rule="reads_on", why=f"{', '.join(reads_on)} reads ON")
    for device in work.host.devices:
        if (through := paths.lit_through(work, device.name)) is not None:
            return RefusedBy(rule="reads_on", why=f"{device.name} reads ON through {through}")
    if acting := acting_ons(work.state, work.now):
        left = max(it.not_after for it in acting) - work.now
        return RefusedBy(rule="busy", why=f"an ON of {acting[0].device} may still act for {left:.0f} s; ask again then")
    switched = [run for run in (running.devices if running is not None else ()) if run.is_switched_on]
    if unread := [run.device for run in switched if run.says is not Power.OFF or run.same_reads == 0]:
        return RefusedBy(rule="busy", why=f"{unread[0]} was switched on and not read OFF since; ask again then")
    for verdict in gates.closed(gates.owner_gates(work.fleet, work.now)):
        return RefusedBy(rule=verdict.gate, why=verdict.why)
    if asked.is_forced:
        return None
    if work.fleet.is_heard(work.name, work.now):
        return RefusedBy(rule="alive", why=f"{work.name} was heard within its grace")
    if work.fleet.is_speaking(work.name, work.now):
        return RefusedBy(rule="alive", why=f"{work.name} sent beats within its grace, though old ones")
    evidence = gates.live_evidence(work.fleet, work.name, work.now)
    return None if evidence.is_open else RefusedBy(rule="live_evidence", why=evidence.why)


def maintenance(work: HostWork, asked: MaintenanceAsked) -> None:
    """Leave the host alone, or look after it again. It stops an automatic operation before its first OFF, and every ON."""
    state = work.state
    if not asked.is_on:
        if state.maintenance is not None:
            work.record(r.MaintenanceEnded(by=asked.by, reason=asked.reason))
            if state.distrusted:  # a person had it in hand: what was wired wrongly is theirs to have mended
                work.record(r.DevicesTrusted(devices=state.distrusted))
            for one in state.disputes:
                work.record(r.PathsAgreed(device=one.device))
            work.wake(work.now)
        return
    waiting = state.waiting
    # What it would give power to is left alone from now on.
    if waiting is not None and waiting.action is not Action.OFF:
        plan.drop(work, waiting, f"maintenance by {asked.by}: {asked.reason}")
    running = work.operation
    keeps = state.state in {State.FENCING, State.FENCED, State.RESTORING} and (
        running is not None or state.state is State.FENCED
    )
    after = state.state if keeps else State.MAINTENANCE
    work.record(r.MaintenanceSet(by=asked.by, reason=asked.reason, until=asked.until, after=after))
    if running is not None:
        _maintain_running(work, running, asked)
    if asked.until is not None:
        work.wake(asked.until)


def _maintain_running(work: HostWork, running: Operation, asked: MaintenanceAsked) -> None:
    why = f"maintenance by {asked.by}: {asked.reason}"
    is_giving_back = running.phase in {Phase.ANNOUNCING, Phase.RESTORING}
    if is_giving_back:
        stop(work, why, is_on_forbidden=True)
    elif running.is_automatic and not running.is_off_sent:
        stop(work, why)
    plan.advance(work)

"""The only place where durable state changes: state and record in, state out. Total, pure, and the same on replay.

A late or repeated record of an operation that is gone changes nothing of it.
"""

from typing import assert_never

from fenced.core.durable import evolve_owed as owing
from fenced.core.durable import machine
from fenced.core.durable import records as r
from fenced.core.durable.evolve_disputes import after_step, disputed, read, settled, told
from fenced.core.durable.evolve_fenceable import drop_trials, judged, switched
from fenced.core.durable.evolve_owed import KEPT_OFF
from fenced.core.durable.evolve_run import Around, drop_reads, evolve_run, forget_path, spoken_against, without_feed
from fenced.core.durable.fleet_state import Draw, FleetState
from fenced.core.durable.outcome import given_back, host_power
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import (
    WRONG_MACHINE,
    GateVerdict,
    HostState,
    IssuedCommand,
    Maintenance,
    Operation,
    Phase,
    ProofOfOff,
)
from fenced.model.names import BootId, DeviceName
from fenced.model.paths import PathWord
from fenced.model.power import Action, OperationState, Outcome, Power, State, What

ENDED_BOOTS_MAX = 8
JOINED_MAX = 100
ATTEMPTS_KEPT_MAX = 64
DRAWS_KEPT_SECONDS = 86400.0
REQUESTS_KEPT_SECONDS = 86400.0
REQUESTS_KEPT_MAX = 10_000


def evolve(state: HostState, entry: r.Entry) -> HostState:
    """The host's state after one of its records."""
    record = entry.record
    after = owing.consistent(_evolve(state, entry.at, record))
    machine.check(record, state.state, after.state)  # type: ignore[arg-type]
    return after


def _evolve(state: HostState, at: float, record: r.Record) -> HostState:
    match record:
        case r.HostHeard():
            return _heard(state, at, record)
        case r.HostSuspected():
            return _to(
                state,
                State.SUSPECT,
                at,
                suspected_at=at,
                suspicion=record.cause,
                suspicion_reason=record.reason,
                last_heard=record.last_heard,
                held_by=(),
            )
        case r.SuspicionReleased():
            return replace(state, release_until=record.until, held_by=(), suspected_at=record.until)
        case r.HostHeld():
            return replace(state, held_by=tuple(verdict for verdict in record.gates if not verdict.is_open))
        case r.HostLeft():
            return _to(
                state, State.LEFT, at, suspected_at=None, suspicion=None, held_by=(), is_away_told=record.is_overdue
            )
        case r.HostFenced():
            return _fenced(state, at, record)
        case r.HostRevoked():
            return _revoked(state, at, record)
        case r.Contradicted():
            state = _change_operation(state, record.operation, is_contradicted=True)
            return state if record.device is None else told(state, record.device, record.words)
        case r.PathRead():
            return read(state, record.device, (PathWord(proxy=record.proxy, power=record.power, asked_at=at),))
        case r.PathsAgreed():
            return settled(state, record.device)
        case r.WrongMachineFound():
            return replace(state, wrong_machines=_union(state.wrong_machines, (record.device,)))
        case r.LeftOff():
            is_off = state.state in {State.FENCED, State.RESTORING}  # else devices of a host that may run
            return replace(state, is_left_off=True, is_stay_off=state.is_stay_off or is_off)
        case r.MaintenanceSet():
            maintenance = Maintenance(by=record.by, reason=record.reason, since=at, until=record.until)
            proof = state.proof if record.after is not State.MAINTENANCE else None
            return _to(state, record.after, at, maintenance=maintenance, held_by=(), proof=proof)
        case r.MaintenanceEnded():
            after = State.UNKNOWN if state.state is State.MAINTENANCE else state.state
            return _to(state, after, at, maintenance=None, record_fault="", orphans=())
        case r.DebtsSorted():
            debts = (*((orphan.device, orphan.plug_id) for orphan in state.orphans), *state.owed_plugs)
            lost = {(orphan.device, orphan.plug_id) for orphan in record.orphans}
            found = {name: plug for name, plug in debts if name in record.owed and (name, plug) not in lost}
            kept = tuple((name, plug) for name, plug in found.items() if plug is not None)
            return replace(state, owed=record.owed, orphans=record.orphans, owed_plugs=kept)
        case r.HostPutAside():
            return _put_aside(state, at, record)
        case r.HostRemoved() | r.HostReturned():
            return replace(state, is_removed=isinstance(record, r.HostRemoved))
        case r.PowerSeen():
            state = owing.settled(state, (record.device,)) if record.power is Power.ON else state
            wrong = _without(state.wrong_machines, record.device)
            powers = _with_power(state.power, record.device, record.power)
            return replace(state, power=powers, wrong_machines=wrong)
        case r.DevicesTrusted():
            left = tuple(name for name in state.distrusted if name not in record.devices)
            return replace(state, distrusted=left, trials=drop_trials(state.trials, record.devices))
        case r.DevicesDistrusted():
            distrusted = _union(state.distrusted, record.devices)
            return replace(state, distrusted=distrusted, trials=drop_trials(state.trials, record.devices))
        case r.TrustAdvanced():
            others = drop_trials(state.trials, (record.trial.device,))
            return replace(state, trials=(*others, record.trial))
        case r.FenceableChanged():
            return replace(state, fenceable=judged(state.fenceable, record.level, record.why, at))
        case r.RequestRefused():
            return state
        case r.OperationStarted():
            return _operation_started(state, at, record)
        case r.WaitingOperationStarted():
            return _waiting_started(state, at, record)
        case r.HostRestored():
            return owing.given_back(state, record)
        case r.RestoreFailed():
            return owing.not_given_back(state, record)
        case r.FenceFailed():
            return state
        case r.OperationEnded():
            return _operation_ended(state, at, record)
        case (
            r.Armed()
            | r.Disarmed()
            | r.PauseSet()
            | r.PauseEnded()
            | r.BudgetDrawn()
            | r.BudgetReturned()
            | r.RequestAnswered()
            | r.StoreDoubted()
            | r.StoreReleased()
            | r.BusLost()
            | r.BusBack()
            | r.GateStayedClosed()
            | r.GateOpened()
            | r.ReloadRefused()
            | r.Reloaded()
        ):
            raise AssertionError(f"{record.kind} is a record of the fleet, not of {state.name}")
        case _:
            return _operation_went_on(state, at, record)


def _to(state: HostState, after: State, at: float, **changes: object) -> HostState:
    since = state.since if after is state.state else at
    return replace(state, state=after, since=since, **changes)  # type: ignore[arg-type]


def _heard(state: HostState, at: float, record: r.HostHeard) -> HostState:
    ended = state.ended_boots
    if state.boot is not None and record.boot is not None and record.boot != state.boot:
        ended = _ended(ended, state.boot)
    if record.boot is not None:
        ended = tuple(boot for boot in ended if boot != record.boot)
    return _to(
        owing.ran_again(state),
        State.HEALTHY if state.maintenance is None else State.MAINTENANCE,
        at,
        is_known=True,
        boot=record.boot if record.boot is not None else state.boot,
        ended_boots=ended,
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
        last_heard=at,
        held_by=(),
        release_until=0.0,
        failures=0,
        next_attempt_at=0.0,
        proof=None,
        is_stay_off=False,
        is_on_forbidden=False,
    )


def _all_ended(state: HostState, boot: BootId | None) -> tuple[BootId, ...]:
    ended = state.ended_boots
    for other in (state.boot, boot):
        ended = _ended(ended, other) if other is not None else ended
    return ended


def _ended(ended: tuple[BootId, ...], boot: BootId) -> tuple[BootId, ...]:
    return (*(other for other in ended if other != boot), boot)[-ENDED_BOOTS_MAX:]


def _fenced(state: HostState, at: float, record: r.HostFenced) -> HostState:
    proof = ProofOfOff(
        kind=record.proof,
        level=record.level,
        boot=record.boot,
        at=at,
        token=record.token,
        operation=record.operation,
        devices=record.devices,
        last_heard=record.last_heard,
    )
    after = _to(
        owing.fenced(state, record, at),
        State.FENCED,
        at,
        proof=proof,
        token=record.token,
        is_stay_off=record.is_stay_off,
        record_fault="",
        boot=record.boot if record.boot is not None else state.boot,
        ended_boots=_all_ended(state, record.boot),
        suspected_at=None,
        held_by=(),
        failures=0,
    )
    return _change_operation(
        after,
        record.operation,
        is_fenced=True,
        proof=record.proof,
        proof_level=record.level,
        power=Power.OFF,
        announced_at=at,
    )


def _revoked(state: HostState, at: float, record: r.HostRevoked) -> HostState:
    boots = state.ended_boots
    boot = state.boot
    if record.boot is not None:
        if boot is not None and boot != record.boot:
            boots = _ended(boots, boot)
        boots = tuple(other for other in boots if other != record.boot)
        boot = record.boot
    return _to(
        owing.ran_again(state),
        _revoked_to(state, is_alive=record.is_alive),
        at,
        boot=boot,
        ended_boots=boots,
        token=record.token,
        proof=None,
        is_stay_off=False,
        is_on_forbidden=False,
        distrusted=_union(state.distrusted, record.distrusted),
        trials=(),
        last_heard=at if record.is_alive else state.last_heard,
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
        held_by=(),
    )


def _revoked_to(state: HostState, *, is_alive: bool) -> State:
    if state.state is State.FENCING:
        return State.FENCING
    if not is_alive:
        return State.RESTORING
    return State.HEALTHY if state.maintenance is None else State.MAINTENANCE


def _put_aside(state: HostState, at: float, record: r.HostPutAside) -> HostState:
    """What a person said of it and what is owed to it stays; no proof does."""
    held = GateVerdict(gate="record", is_open=False, why=record.why)
    return _to(
        state,
        State.FAILED,
        at,
        operation=None,
        waiting=None,
        reading=None,
        proof=None,
        token=record.token,
        record_fault=record.why,
        held_by=(held,),
        suspected_at=None,
        suspicion=None,
        suspicion_reason="",
    )


def _union(names: tuple[DeviceName, ...], more: tuple[DeviceName, ...]) -> tuple[DeviceName, ...]:
    return (*names, *(name for name in more if name not in names))


def _without(names: tuple[DeviceName, ...], gone: DeviceName) -> tuple[DeviceName, ...]:
    return tuple(name for name in names if name != gone)


def _with_power(
    powers: tuple[tuple[DeviceName, Power], ...], device: DeviceName, power: Power
) -> tuple[tuple[DeviceName, Power], ...]:
    return (*((name, seen) for name, seen in powers if name != device), (device, power))


# -- the operation ----------------------------------------------------------------------------------------------------


def _operation_started(state: HostState, at: float, record: r.OperationStarted) -> HostState:
    operation = record.operation
    match record.slot:
        case "reading":
            return replace(state, reading=operation)
        case "waiting":
            return replace(state, waiting=operation)
        case "running":
            return _running(state, at, operation)
        case _:
            assert_never(record.slot)


def _running(state: HostState, at: float, operation: Operation) -> HostState:
    operation = replace(operation, before=state.state)
    changes: dict[str, object] = {"operation": operation, "last_operation": operation.id, "held_by": ()}
    if not operation.is_automatic:  # a person has it in hand: what was kept off is theirs to switch
        changes["withheld"] = ()
        changes["record_fault"] = ""
        if operation.action is Action.RESTART:
            changes["is_on_forbidden"] = False
    if operation.action in {Action.OFF, Action.RESTART}:
        return _to(state, State.FENCING, at, **changes)
    after = State.RESTORING if state.state in {State.FENCED, State.FAILED} else state.state
    return _to(state, after, at, is_stay_off=False, is_on_forbidden=False, is_left_off=False, **changes)


def _waiting_started(state: HostState, at: float, record: r.WaitingOperationStarted) -> HostState:
    operation = state.waiting
    if operation is None or operation.id != record.operation:
        return state
    shift = at - operation.started
    operation = replace(operation, deadline=record.deadline, level_started=operation.level_started + shift)
    return _running(replace(state, waiting=None), at, operation)


def _change_operation(state: HostState, operation_id: str | None, **changes: object) -> HostState:
    for slot in ("operation", "waiting", "reading"):
        operation: Operation | None = getattr(state, slot)
        if operation is not None and operation.id == operation_id:
            changed = replace(operation, **changes)  # type: ignore[arg-type]
            return replace(state, **{slot: changed})  # type: ignore[arg-type]
    return state


def _find_operation(state: HostState, operation_id: str) -> Operation | None:
    for operation in (state.operation, state.reading, state.waiting):
        if operation is not None and operation.id == operation_id:
            return operation
    return None


def _operation_went_on(
    state: HostState,
    at: float,
    record: r.OperationJoined
    | r.LevelEntered
    | r.LifeChecked
    | r.GatesPassed
    | r.PhaseEntered
    | r.RaceStarted
    | r.RaceEnded
    | r.StepStarted
    | r.AgentStarted
    | r.StepEnded
    | r.PathLost
    | r.DeviceGivenUp
    | r.OperationStopped
    | r.OperationResumed
    | r.DevicesReplaced
    | r.AnnouncementAcknowledged,
) -> HostState:
    operation = _find_operation(state, record.operation)
    if operation is None:
        return state
    match record:
        case r.OperationJoined():
            is_left_off_now = operation.is_fenced and record.action is Action.OFF
            return _change_operation(
                replace(state, is_stay_off=state.is_stay_off or is_left_off_now),
                operation.id,
                joined=(*operation.joined, record.by)[-JOINED_MAX:],
                action=record.action,
            )
        case r.LevelEntered():
            return _change_operation(
                state, operation.id, level=record.level, level_started=at, level_deadline=record.deadline,
                phase=Phase.PROVING, is_contradicted=False, is_permitted=False,
                devices=tuple(replace(run, is_inspected=False, is_given_up=False) for run in operation.devices),
            )  # fmt: skip
        case r.LifeChecked():
            return _change_operation(state, operation.id, life_checked_at=at)
        case r.GatesPassed():
            return _change_operation(state, operation.id, gates=record.gates, is_permitted=True)
        case r.PhaseEntered():
            return _phase_entered(state, at, operation, record)
        case r.OperationStopped():
            return _change_operation(
                replace(
                    owing.withhold(state) if record.is_on_forbidden else state,
                    is_on_forbidden=state.is_on_forbidden or (record.is_on_forbidden and state.state in KEPT_OFF),
                    is_stay_off=state.is_stay_off or record.is_on_forbidden,
                ),
                operation.id,
                ending=record.ending,
                ending_why=record.why,
                is_stopped=True,
            )
        case r.OperationResumed():
            runs = tuple(forget_path(run, record.at) for run in operation.devices)
            return _change_operation(
                owing.seen_on(state, operation),
                operation.id,
                is_resumed=True,
                is_permitted=False,
                resume_at=record.at,
                devices=runs,
            )
        case r.DevicesReplaced():
            levels = tuple(sorted({run.level for run in record.devices}))
            return _change_operation(state, operation.id, devices=record.devices, levels=levels)
        case r.AnnouncementAcknowledged():
            return _change_operation(state, operation.id, is_announcement_acknowledged=True)
        case _:
            return _device_went_on(state, at, operation, record)


def _phase_entered(state: HostState, at: float, operation: Operation, record: r.PhaseEntered) -> HostState:
    changes: dict[str, object] = {"phase": record.phase}
    if record.phase is Phase.RESTORING:
        changes |= {"restore_started": at, "restore_deadline": record.deadline}
        changes["wanted"] = owing.wanted(state, operation)
        changes["devices"] = tuple(
            replace(drop_reads(run, at), is_given_up=False, wait_until=0.0, command_outcome=None)
            for run in operation.devices
        )
    if record.phase is Phase.INSPECTING:
        changes["devices"] = tuple(replace(run, is_inspected=False) for run in operation.devices)
    if record.phase is Phase.CLOSING:  # what a restart of ours from here on would forget
        changes |= {"power": host_power(operation), "restored": given_back(operation, state.owed)}
    after = state
    if record.phase is Phase.RESTORING and state.state is State.FENCED:
        after = _to(state, State.RESTORING, at)
    return _change_operation(after, operation.id, **changes)


def _device_went_on(
    state: HostState,
    at: float,
    operation: Operation,
    record: r.RaceStarted | r.RaceEnded | r.StepStarted | r.AgentStarted | r.StepEnded | r.PathLost | r.DeviceGivenUp,
) -> HostState:
    around = Around(operation=operation, commands=state.commands, disputed=disputed(state, record.device))
    runs = tuple(
        evolve_run(run, at, record, around) if run.device == record.device else run for run in operation.devices
    )
    if isinstance(record, r.StepStarted) and record.what is What.OFF:
        runs = without_feed(runs, record.device)
    changed = replace(operation, devices=runs)
    state = after_step(state, record, changed.run(record.device))
    if isinstance(record, r.StepStarted) and record.what is not What.STATUS:
        assert record.token is not None and record.not_after is not None
        is_off = record.what is What.OFF
        changed = replace(changed, token=record.token, is_off_sent=changed.is_off_sent or is_off)
        state = _command_issued(
            state, at, record, is_first_off=is_off and not operation.is_off_sent, operation=operation
        )
    elif isinstance(record, r.AgentStarted):
        state = _command_changed(state, operation, record, pid=record.pid, pid_started=record.pid_started)
    elif isinstance(record, r.StepEnded):
        if record.is_end_known:
            settled = {"is_ended": True} if record.settled_at is None else {"not_after": record.settled_at}
            state = _command_changed(state, operation, record, **settled)
        if record.outcome in {Outcome.ON, Outcome.OFF, Outcome.UNKNOWN}:
            state = replace(state, power=_with_power(state.power, record.device, changed.run(record.device).says))
    elif isinstance(record, r.RaceEnded):
        state = replace(state, power=_with_power(state.power, record.device, changed.run(record.device).says))
        if record.winner is not None and not any(entry.kind == WRONG_MACHINE for entry in record.entries):
            state = replace(state, wrong_machines=_without(state.wrong_machines, record.device))
    slot = "reading" if state.reading is not None and state.reading.id == operation.id else "operation"
    if slot == "reading" and isinstance(record, r.RaceEnded):
        state = _contradicted_by_status(state, at, record, operation.started)
    return replace(state, **{slot: changed})  # type: ignore[arg-type]


def _contradicted_by_status(state: HostState, at: float, record: r.RaceEnded, began: float) -> HostState:
    """A status read ON beside an operation: what the operation itself read before of that device is no stable OFF (S1)."""
    if state.operation is None:
        return state
    runs = tuple(
        spoken_against(run, at, record, began) if run.device == record.device else run
        for run in state.operation.devices
    )
    return replace(state, operation=replace(state.operation, devices=runs))


def _command_issued(
    state: HostState, at: float, record: r.StepStarted, *, is_first_off: bool, operation: Operation
) -> HostState:
    assert record.token is not None and record.not_after is not None
    issued = IssuedCommand(
        device=record.device,
        plug_id=record.plug_id,
        what=record.what,
        proxy=record.proxy,
        token=record.token,
        not_after=record.not_after,
    )
    unsettled = tuple(command for command in state.commands if not is_settled(command, at))
    owed, plugs = state.owed, state.owed_plugs
    if record.what is What.OFF:
        owed = _union(owed, (record.device,))
        plugs = (*((name, plug) for name, plug in plugs if name != record.device), (record.device, record.plug_id))
    attempts = state.attempts
    if is_first_off and operation.is_automatic:
        attempts = (*attempts, at)[-ATTEMPTS_KEPT_MAX:]
    return replace(
        state, commands=(*unsettled, issued), owed=owed, attempts=attempts, token=record.token,
        trials=switched(state.trials, record.device, record.what), owed_plugs=plugs,
    )  # fmt: skip


def is_settled(command: IssuedCommand, at: float) -> bool:
    """Whether a command can act no more (S5): its end is known, or its `not_after` has passed."""
    return command.is_ended or command.not_after <= at


def acting_ons(state: HostState, at: float) -> tuple[IssuedCommand, ...]:
    """The ONs that may still act."""
    return tuple(it for it in state.commands if it.what is What.ON and not is_settled(it, at))


def _command_changed(
    state: HostState, operation: Operation, record: r.AgentStarted | r.StepEnded, **changes: object
) -> HostState:
    step = next((run.step for run in operation.devices if run.device == record.device), None)
    if step is None or step.number != record.number or step.token is None:
        return state
    commands = tuple(
        replace(command, **changes) if command.token == step.token else command  # type: ignore[arg-type]
        for command in state.commands
    )
    return replace(state, commands=commands)


def _operation_ended(state: HostState, at: float, record: r.OperationEnded) -> HostState:
    for slot in ("operation", "waiting", "reading"):
        operation: Operation | None = getattr(state, slot)
        if operation is not None and operation.id == record.operation:
            break
    else:
        return state
    if slot != "operation":
        return replace(state, **{slot: None})  # type: ignore[arg-type]
    is_failure = record.state is OperationState.FAILED and not record.is_fenced
    commands = tuple(command for command in state.commands if not is_settled(command, at))
    return _to(
        owing.operation_over(state, operation, record),
        record.after,
        at,
        operation=None,
        commands=commands,
        cooldown_until=max(state.cooldown_until, record.cooldown_until),
        next_attempt_at=record.next_attempt_at,
        failures=_failures(state, operation, is_failure=is_failure),
        suspected_at=(state.suspected_at or at) if record.after is State.SUSPECT else None,
    )


def _failures(state: HostState, operation: Operation, *, is_failure: bool) -> int:
    """Fences that failed in a row; giving power back says nothing about them."""
    if operation.is_giving_back:
        return state.failures
    return state.failures + 1 if is_failure else 0


def ended(operation: Operation, at: float, record: r.OperationEnded) -> Operation:
    """The operation as it is kept after its end."""
    return replace(
        operation,
        state=record.state,
        phase=Phase.ENDED,
        ended=at,
        power=record.power,
        is_fenced=record.is_fenced,
        restored=record.restored,
        error=record.why,
    )


# -- the fleet --------------------------------------------------------------------------------------------------------


def evolve_fleet(state: FleetState, entry: r.Entry) -> FleetState:
    """The fleet's state after one of its records."""
    at, record = entry.at, entry.record
    match record:
        case r.Armed():
            return replace(state, is_disarmed=False)
        case r.Disarmed():
            return replace(state, is_disarmed=True)
        case r.PauseSet():
            return replace(state, pauses=(*state.pauses, record.pause))
        case r.PauseEnded():
            return replace(state, pauses=tuple(pause for pause in state.pauses if pause.id != record.id))
        case r.BudgetDrawn():
            kept = tuple(draw for draw in state.draws if draw.at > at - DRAWS_KEPT_SECONDS)
            return replace(state, draws=(*kept, Draw(at=at, host=record.host, cluster=record.cluster)))
        case r.BudgetReturned():
            back = (record.host, record.drawn_at)
            return replace(state, draws=tuple(draw for draw in state.draws if (draw.host, draw.at) != back))
        case r.RequestAnswered():
            recent = tuple(request for request in state.requests if request.at > at - REQUESTS_KEPT_SECONDS)
            return replace(state, requests=(*recent, record.request)[-REQUESTS_KEPT_MAX:])
        case r.StoreDoubted():
            return replace(state, store_hold=record.why)
        case r.StoreReleased():
            return replace(state, store_hold="", released_store=record.expected)
        case r.BusLost():
            return replace(state, is_bus_lost=True)
        case r.BusBack():
            return replace(state, is_bus_lost=False)
        case r.GateStayedClosed():
            return replace(state, closed_gates=(*state.closed_gates, record.closed))
        case r.GateOpened():
            opened = (record.gate, record.cluster)
            left = tuple(it for it in state.closed_gates if (it.gate, it.cluster) != opened)
            return replace(state, closed_gates=left)
        case r.ReloadRefused() | r.Reloaded():
            return state  # told; every start reads the configuration whole
        case _:
            raise AssertionError(f"{record.kind} is a record of a host, not of the fleet")

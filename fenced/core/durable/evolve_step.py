"""Folds the races and steps of one device into its run (`evolve_run`) and into what the host keeps over operations.

The host keeps the commands that may still act (S5), the devices that are owed, the last known power, and disputes.
"""

from typing import assert_never

from fenced.core.durable import records as r
from fenced.core.durable.changing import put, union, with_power, without
from fenced.core.durable.evolve_devices import switched
from fenced.core.durable.evolve_disputes import after_step, disputed
from fenced.core.durable.evolve_run import Around, evolve_run, spoken_against, without_feed
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import WRONG_MACHINE, DeviceRun, HostState, IssuedCommand, Operation, Slot
from fenced.model.power import Outcome, What

ATTEMPTS_KEPT_MAX = 64


def evolve_step(state: HostState, at: float, record: r.RunRecord) -> HostState:
    """Return the host's state after a record about one device of an operation."""
    slot, operation = state.slot_of(record.operation), state.find(record.operation)
    if slot is None or operation is None:
        return state
    changed = replace(operation, devices=_runs(state, at, operation, record))
    run = changed.run(record.device)
    state = after_step(state, record, run)
    match record:
        case r.StepStarted():
            if record.what is not What.STATUS:
                changed = _with_command(changed, record)
                state = _issued(state, at, operation, record)
        case r.AgentStarted():
            state = _command_changed(state, operation, record, pid=record.pid, pid_started=record.pid_started)
        case r.StepEnded():
            state = _step_ended(state, operation, record, run)
        case r.RaceEnded():
            state = _race_ended(state, record, run)
            state = _contradicted_by_status(state, at, record, operation) if slot is Slot.READING else state
        case r.RaceStarted() | r.PathLost() | r.DeviceGivenUp():
            pass
        case _:
            assert_never(record)
    return put(state, slot, changed)


def _runs(state: HostState, at: float, operation: Operation, record: r.RunRecord) -> tuple[DeviceRun, ...]:
    around = Around(operation=operation, commands=state.commands, disputed=disputed(state, record.device))
    runs = tuple(
        evolve_run(run, at, record, around) if run.device == record.device else run for run in operation.devices
    )
    is_off = isinstance(record, r.StepStarted) and record.what is What.OFF
    return without_feed(runs, record.device) if is_off else runs


# -- commands ---------------------------------------------------------------------------------------------------------


def _with_command(operation: Operation, record: r.StepStarted) -> Operation:
    return replace(operation, token=record.token, is_off_sent=operation.is_off_sent or record.what is What.OFF)


def _issued(state: HostState, at: float, operation: Operation, record: r.StepStarted) -> HostState:
    """Fold a power command that is sent. `operation`: as it was before."""
    assert record.token is not None and record.not_after is not None
    issued = IssuedCommand(
        device=record.device,
        plug_id=record.plug_id,
        what=record.what,
        proxy=record.proxy,
        token=record.token,
        not_after=record.not_after,
    )
    if record.what is What.OFF:
        state = _owing(state, record)
        state = state if operation.is_off_sent or not operation.is_automatic else _with_attempt(state, at)
    trials = switched(state.trials, record.device, record.what)
    return replace(state, commands=(*state.unsettled(at), issued), token=record.token, trials=trials)


def _owing(state: HostState, record: r.StepStarted) -> HostState:
    others = ((name, plug) for name, plug in state.owed_plugs if name != record.device)
    plugs = (*others, (record.device, record.plug_id))
    return replace(state, owed=union(state.owed, (record.device,)), owed_plugs=plugs)


def _with_attempt(state: HostState, at: float) -> HostState:
    return replace(state, attempts=(*state.attempts, at)[-ATTEMPTS_KEPT_MAX:])


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


# -- readings ---------------------------------------------------------------------------------------------------------


def _step_ended(state: HostState, operation: Operation, record: r.StepEnded, run: DeviceRun) -> HostState:
    if record.is_end_known:
        settled = {"is_ended": True} if record.settled_at is None else {"not_after": record.settled_at}
        state = _command_changed(state, operation, record, **settled)
    if record.outcome in {Outcome.ON, Outcome.OFF, Outcome.UNKNOWN}:
        state = with_power(state, record.device, run.says)
    return state


def _race_ended(state: HostState, record: r.RaceEnded, run: DeviceRun) -> HostState:
    state = with_power(state, record.device, run.says)
    if record.winner is not None and not any(entry.kind == WRONG_MACHINE for entry in record.entries):
        state = replace(state, wrong_machines=without(state.wrong_machines, record.device))
    return state


def _contradicted_by_status(state: HostState, at: float, record: r.RaceEnded, status: Operation) -> HostState:
    """Apply an ON that a status read beside an operation: the operation's earlier readings are no stable OFF (S1)."""
    if state.operation is None:
        return state
    runs = tuple(
        spoken_against(run, at, record, status.started) if run.device == record.device else run
        for run in state.operation.devices
    )
    return replace(state, operation=replace(state.operation, devices=runs))

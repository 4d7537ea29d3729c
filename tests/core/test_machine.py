"""The tables of states and phases agree with `evolve`, and `evolve` is total."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from fenced.core.durable import machine
from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve
from fenced.core.durable.evolve_fleet import evolve_fleet
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.state import HostState, Phase, Restored, Slot
from fenced.model.names import HostName, OperationId
from fenced.model.power import OperationState, Power, State
from tests.journal.strategies import FLEET_RECORDS, HOST_RECORDS, operation, whole

NODE = HostName("node-2")
FREE = (r.HostFenced, r.MaintenanceSet, r.MaintenanceEnded)
"""Records that are valid in every state."""

OF_AN_OPERATION = tuple(kind for kind in HOST_RECORDS if "operation" in kind.__dataclass_fields__)  # type: ignore[attr-defined]


def test_every_state_has_a_sentence() -> None:
    assert set(machine.MEANING) == set(State)
    assert all(machine.MEANING.values())


def test_every_state_can_be_reached_but_the_first_and_those_of_later_issues() -> None:
    reached = {after for row in machine.TRANSITIONS.values() for afters in row.values() for after in afters}
    assert set(State) - reached <= {State.UNKNOWN, State.DUMPING}


def test_every_state_can_be_left() -> None:
    left = {
        before
        for row in machine.TRANSITIONS.values()
        for before, afters in row.items()
        if any(after is not before for after in afters)
    }
    assert left == set(State)


@pytest.mark.parametrize("kind", list(machine.TRANSITIONS))
def test_the_table_names_records_of_hosts(kind: type) -> None:
    assert kind in HOST_RECORDS


@pytest.mark.parametrize("kind", [r.HostHeard, r.HostSuspected, r.HostLeft, r.HostFenced, r.HostRevoked])
@pytest.mark.parametrize("state", list(State))
def test_a_record_leads_where_the_table_says(kind: type[r.HostRecord], state: State) -> None:
    allowed = machine.TRANSITIONS[kind].get(state)
    if allowed is None:
        return

    @settings(max_examples=10, deadline=None)
    @given(record=whole(kind))
    def check(record: r.HostRecord) -> None:
        after = evolve(HostState(name=NODE, state=state), r.Entry(at=5.0, host=NODE, record=record))
        assert after.state in allowed

    check()


def test_a_transition_that_is_not_in_the_table_raises_as_a_bug() -> None:
    record = r.HostLeft(reason="told")
    with pytest.raises(AssertionError, match="HostLeft may not lead from fencing"):
        evolve(HostState(name=NODE, state=State.FENCING), r.Entry(at=5.0, host=NODE, record=record))


@pytest.mark.parametrize("kind", OF_AN_OPERATION)
def test_a_record_of_an_operation_that_is_gone_changes_no_operation_and_never_raises(kind: type) -> None:
    if kind in {r.OperationStarted, *FREE}:
        return

    @settings(max_examples=10, deadline=None)
    @given(record=whole(kind))
    def check(record: r.HostRecord) -> None:
        after = evolve(HostState(name=NODE), r.Entry(at=5.0, host=NODE, record=record))
        assert (after.operation, after.reading, after.waiting) == (None, None, None)

    check()


@pytest.mark.parametrize("kind", HOST_RECORDS)
def test_every_record_of_a_host_is_folded_from_some_state(kind: type) -> None:
    row = machine.TRANSITIONS.get(kind, {State.HEALTHY: frozenset()})

    @settings(max_examples=10, deadline=None)
    @given(record=whole(kind))
    def check(record: r.HostRecord) -> None:
        if isinstance(record, r.MaintenanceSet):
            record = replace(record, after=State.MAINTENANCE)
        if isinstance(record, r.OperationStarted):
            record = replace(record, operation=replace(record.operation, phase=Phase.PROVING))
        for state in row:
            evolve(HostState(name=NODE, state=state), r.Entry(at=5.0, host=NODE, record=record))

    check()


@pytest.mark.parametrize("kind", FLEET_RECORDS)
def test_every_record_of_the_fleet_is_folded(kind: type) -> None:
    @settings(max_examples=10, deadline=None)
    @given(record=whole(kind))
    def check(record: r.FleetRecord) -> None:
        evolve_fleet(FleetState(), r.Entry(at=5.0, host=None, record=record))

    check()


def test_the_diagrams_show_every_state_and_phase() -> None:
    assert all(f"**{state.value}**" in machine.state_table() for state in State)
    assert all(f"**{phase.value}**" in machine.phase_diagram() for phase in Phase)


# -- operations -------------------------------------------------------------------------------------------------------


def ends(state: State, after: State) -> State:
    """Return the state after an operation ended as the record says."""
    running = replace(operation(1, host=NODE), before=state, phase=Phase.CLOSING)
    record = r.OperationEnded(
        operation=running.id, state=OperationState.DONE, power=Power.UNKNOWN, is_fenced=False,
        restored=Restored.NOT_ASKED,
        why=None, after=after, cooldown_until=0.0, next_attempt_at=0.0,
    )  # fmt: skip
    host = HostState(name=NODE, state=state, operation=running)
    return evolve(host, r.Entry(at=5.0, host=NODE, record=record)).state


@pytest.mark.parametrize("after", list(State))
@pytest.mark.parametrize("state", list(State))
def test_an_operation_ends_in_the_states_of_the_table_alone(state: State, after: State) -> None:
    allowed = machine.TRANSITIONS[r.OperationEnded].get(state, frozenset()) | {state}
    if after in allowed:
        assert ends(state, after) is after
    else:
        with pytest.raises(AssertionError, match=f"OperationEnded may not lead from {state.value} to {after.value}"):
            ends(state, after)


def in_phase(phase: Phase) -> HostState:
    running = replace(operation(1, host=NODE), phase=phase, levels=(1,), level=1)
    return HostState(name=NODE, state=State.FENCING, operation=running)


@pytest.mark.parametrize("after", list(Phase))
@pytest.mark.parametrize("before", list(Phase))
def test_an_operation_enters_the_phases_of_the_table_alone(before: Phase, after: Phase) -> None:
    record = r.PhaseEntered(operation=operation(1).id, phase=after)
    allowed = machine.PHASES[r.PhaseEntered].get(before, frozenset()) | {before}
    entry = r.Entry(at=5.0, host=NODE, record=record)
    if after in allowed:
        changed = evolve(in_phase(before), entry).operation
        assert changed is not None and changed.phase is after
    else:
        with pytest.raises(AssertionError, match=f"PhaseEntered may not lead from {before.value} to {after.value}"):
            evolve(in_phase(before), entry)


@pytest.mark.parametrize("before", list(Phase))
def test_a_level_is_entered_while_the_host_is_proven_off_alone(before: Phase) -> None:
    record = r.LevelEntered(operation=operation(1).id, level=2, deadline=50.0)
    entry = r.Entry(at=5.0, host=NODE, record=record)
    if before in {Phase.PROVING, Phase.INSPECTING}:
        changed = evolve(in_phase(before), entry).operation
        assert changed is not None and changed.phase is Phase.PROVING
    else:
        with pytest.raises(AssertionError, match="LevelEntered may not lead from"):
            evolve(in_phase(before), entry)


@pytest.mark.parametrize("slot", [Slot.RUNNING, Slot.READING])
@pytest.mark.parametrize("phase", list(Phase))
def test_an_operation_begins_in_the_phases_of_the_table_alone(slot: Slot, phase: Phase) -> None:
    record = r.OperationStarted(operation=replace(operation(1, host=NODE), phase=phase), slot=slot)
    entry = r.Entry(at=5.0, host=NODE, record=record)
    if phase in {Phase.PROVING, Phase.RESTORING, Phase.READ_AND_END, Phase.VETO}:
        assert evolve(HostState(name=NODE), entry).find(record.operation.id) is not None
    else:
        with pytest.raises(AssertionError, match="OperationStarted may not lead from nothing"):
            evolve(HostState(name=NODE), entry)


def test_every_phase_has_a_sentence_is_reached_and_but_the_last_is_left() -> None:
    edges = {
        (before, after)
        for row in machine.PHASES.values()
        for before, afters in row.items()
        for after in afters
        if before is not after
    }
    assert set(machine.PHASE_MEANING) == set(Phase)
    assert all(machine.PHASE_MEANING.values())
    assert {after for _, after in edges} == set(Phase)
    assert {before for before, _ in edges} == {None, *Phase} - {Phase.ENDED}


@pytest.mark.parametrize("kind", list(machine.PHASES))
def test_the_table_of_phases_names_records_of_hosts(kind: type) -> None:
    assert kind in HOST_RECORDS


def test_an_operation_is_found_in_its_slot_alone() -> None:
    held = {slot: operation(number) for number, slot in enumerate(Slot)}
    state = HostState(name=NODE, operation=held[Slot.RUNNING], waiting=held[Slot.WAITING], reading=held[Slot.READING])
    assert {slot: state.slot_of(one.id) for slot, one in held.items()} == {slot: slot for slot in Slot}
    assert {slot: state.find(one.id) for slot, one in held.items()} == held
    assert state.under_way == tuple(held.values())
    assert state.slot_of(OperationId("4-9")) is None
    assert state.find(None) is None
    assert HostState(name=NODE).under_way == ()

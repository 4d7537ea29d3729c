"""The host machine's table agrees with what `evolve` does, and `evolve` is total."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from fenced.core.durable import machine
from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve, evolve_fleet
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.state import HostState
from fenced.model.names import HostName
from fenced.model.power import State
from tests.journal.strategies import FLEET_RECORDS, HOST_RECORDS, whole

NODE = HostName("node-2")
FREE = (r.HostFenced, r.MaintenanceSet, r.MaintenanceEnded)
"""Records that may come in any state."""

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


def test_a_transition_that_is_not_in_the_table_is_a_bug_of_ours() -> None:
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
    row = machine.TRANSITIONS.get(kind, {State.HEALTHY: machine.ANY})

    @settings(max_examples=10, deadline=None)
    @given(record=whole(kind))
    def check(record: r.HostRecord) -> None:
        if isinstance(record, r.MaintenanceSet):
            record = replace(record, after=State.MAINTENANCE)
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


def test_the_diagram_shows_every_state() -> None:
    diagram = machine.diagram()
    assert all(f"**{state.value}**" in diagram for state in State)

"""Encode and decode: equal objects, nothing lost silently, older text still readable."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import BusBack, BusLost, HostHeard, OperationStarted, Record, StepEnded
from fenced.core.durable.state import HostState, Operation, Slot
from fenced.journal import codec
from fenced.model.names import OperationId
from tests.journal.strategies import RECORDS, entry, host_state, operation, record, whole

RECORD_EXAMPLES = 25
"""Of each kind. What their fields are made of occurs in many kinds, and in the states, which get more."""


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=RECORD_EXAMPLES)
@given(data=st.data())
def test_each_record_comes_back_equal(kind: type, data: st.DataObject) -> None:
    written: Record = data.draw(whole(kind))
    read = codec.load_record(codec.dump_record(written))
    assert read == written
    assert repr(read) == repr(written)  # enums, tuples and tokens again, not just values that compare equal


@given(whole(HostState))
def test_a_host_comes_back_equal(host: HostState) -> None:
    assert codec.load_host(codec.dump_host(host)) == host


@given(whole(FleetState))
def test_the_fleet_comes_back_equal(fleet: FleetState) -> None:
    assert codec.load_fleet(codec.dump_fleet(fleet)) == fleet


@given(whole(Operation))
def test_an_operation_comes_back_equal(written: Operation) -> None:
    assert codec.load_operation(codec.dump_operation(written)) == written


def test_each_record_has_its_own_kind() -> None:
    kinds = [dataclasses.fields(kind)[-1].default for kind in RECORDS]
    assert len(set(kinds)) == len(kinds)


def test_infinity_survives_as_valid_json() -> None:
    host = HostState(name=host_state().name, next_attempt_at=math.inf, cooldown_until=-math.inf)
    text = codec.dump_host(host)
    assert codec.load_host(text) == host
    json.loads(text, parse_constant=pytest.fail)


def test_missing_fields_of_an_older_program_get_their_default() -> None:
    assert codec.load_host('{"name":"node-1"}') == host_state("node-1")
    assert codec.load_fleet("{}") == FleetState()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"kind":"bus_back","since":3}', "since"),
        ('{"kind":"moon_risen"}', "moon_risen"),
        ('{"why":"no kind"}', "kind"),
        ('{"kind":"bus_lost"}', "why"),
        ('{"kind":"bus_lost","why":3}', "why"),
        ('{"kind":"bus_lo', "JSON"),
        ("null", "the text"),
        ("", "JSON"),
    ],
)
def test_text_that_would_be_lost_or_misread_is_an_error(text: str, where: str) -> None:
    with pytest.raises(codec.CodecError, match=where):
        codec.load_record(text)


def test_an_unknown_field_deep_inside_is_an_error_too() -> None:
    written = json.loads(codec.dump_host(dataclasses.replace(host_state(), operation=operation(1))))
    written["operation"]["colour"] = "blue"
    with pytest.raises(codec.CodecError, match=r"operation\.colour"):
        codec.load_host(json.dumps(written))


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [(BusLost(why="x"), "why", 3), (record(), "outcome", "off"), (record(), "number", "1")],
)
def test_a_value_of_a_wrong_type_is_not_written(written: Any, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="Expected"):
        codec.dump_record(dataclasses.replace(written, **{field: value}))


def test_a_lone_surrogate_does_not_stop_the_journal() -> None:
    host = dataclasses.replace(host_state(), suspicion_reason="a\ud800b\x00c\udcff", next_attempt_at=math.inf)
    read = codec.load_host(codec.dump_host(host))
    assert read == dataclasses.replace(host, suspicion_reason="a?b\x00c?")


def test_the_operation_of_a_record() -> None:
    assert codec.operation_of(entry(operation="4-9").record) == OperationId("4-9")
    assert codec.operation_of(OperationStarted(operation=operation(7), slot=Slot.RUNNING)) == OperationId("4-7")
    assert codec.operation_of(BusBack()) is None
    assert codec.operation_of(HostHeard(boot=None, before="unknown", why="first")) is None


def test_a_record_is_small() -> None:
    assert isinstance(record(), StepEnded)
    assert len(codec.dump_record(record())) < 200

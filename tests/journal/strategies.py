"""Hypothesis strategies for every record and state, with every field filled; and a few plain values for stories."""

import dataclasses
import functools
import types
import typing
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from fenced.core.durable.records import Entry, FleetRecord, HostRecord, Record, StepEnded
from fenced.core.durable.state import HostState, Operation
from fenced.model.names import DeviceName, HostName, OperationId
from fenced.model.power import Action, Cause, OperationState, Outcome
from fenced.ports.journal import OutboxMessage

HOST_RECORDS: tuple[type, ...] = typing.get_args(HostRecord)
FLEET_RECORDS: tuple[type, ...] = typing.get_args(FleetRecord)
RECORDS: tuple[type, ...] = HOST_RECORDS + FLEET_RECORDS

_FEW = 2


def whole(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type; a dataclass gets a value for each field, also for those with a default."""
    return _whole(kind)


@functools.cache
def _whole(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: whole(hints[field.name]) for field in dataclasses.fields(kind)})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(whole(arguments[0]), max_size=_FEW).map(tuple)
    if origin is tuple:
        return st.tuples(*[whole(argument) for argument in arguments])
    if origin in {types.UnionType, typing.Union}:
        return st.one_of(*[whole(argument) for argument in arguments])
    if kind is float:
        return st.floats(allow_nan=False)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    return st.from_type(kind)


def record(number: int = 1, operation: str = "4-1") -> Record:
    """Return a small record that can be recognized by its number."""
    return StepEnded(
        operation=OperationId(operation),
        device=DeviceName("pdu-a"),
        number=number,
        outcome=Outcome.OFF,
        error=None,
        is_end_known=True,
        wait_until=0.0,
    )


def entry(host: str = "node-1", number: int = 1, *, at: float = 100.0, operation: str = "4-1") -> Entry:
    return Entry(at=at, host=HostName(host), record=record(number, operation))


def host_state(name: str = "node-1", *, since: float = 0.0) -> HostState:
    return HostState(name=HostName(name), since=since)


def operation(
    number: int, *, host: str = "node-1", state: OperationState = OperationState.RUNNING, ended: float | None = None
) -> Operation:
    return Operation(
        id=OperationId(f"4-{number}"),
        host=HostName(host),
        action=Action.OFF,
        cause=Cause.REQUEST,
        by="operator",
        reason="a test",
        started=100.0,
        deadline=400.0,
        state=state,
        ended=ended,
    )


def message(number: int, *, is_retained: bool = False, host: str | None = "node-1") -> OutboxMessage:
    return OutboxMessage(
        id=f"m-{number}",
        host=HostName(host) if host is not None else None,
        topic=f"fenced/v1/s/{'state' if is_retained else 'event'}/{host}",
        payload=b"\x00{}\xff",
        is_retained=is_retained,
        operation=OperationId("4-1") if not is_retained else None,
    )

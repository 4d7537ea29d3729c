"""Records, snapshots and operations as JSON text, and back as exactly equal objects.

It knows the dataclasses of the core and nothing of tables. Its one rule: nothing is lost silently. A field or a `kind`
that this program does not know is an error (a newer program wrote it; the schema number should have told us so); a
field that is missing takes its default (an older program wrote it). So a field may be added with a default at any
time; one that is renamed, removed or given another meaning needs a migration of the stored text.
"""

import functools
import json
import math
from typing import Annotated, Any, Final, NewType, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Record
from fenced.core.durable.state import HostState, Operation
from fenced.model.names import OperationId

T = TypeVar("T")

# Infinity and nan have no JSON number: as strings they survive, as pydantic's default (null) they would be lost.
_CONFIG: Final = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


PLACE_CHARACTERS_MAX: Final = 200
"""Of a place in a damaged text: a key may be as long as the text."""


class CodecError(ValueError):
    """Stored text that this program cannot read without losing something; says where."""


def prepare() -> None:
    """Build what reads and writes the text (0.2 s, once), so that the first append does not wait for it."""
    for adapter in (_records, _hosts, _fleets, _operations):
        adapter()


def dump_record(record: Record) -> str:
    return _dump(_records(), record)


def load_record(text: str) -> Record:
    return _load(_records(), text)


def dump_host(host: HostState) -> str:
    return _dump(_hosts(), host)


def load_host(text: str) -> HostState:
    return _load(_hosts(), text)


def dump_fleet(fleet: FleetState) -> str:
    return _dump(_fleets(), fleet)


def load_fleet(text: str) -> FleetState:
    return _load(_fleets(), text)


def dump_operation(operation: Operation) -> str:
    return _dump(_operations(), operation)


def load_operation(text: str) -> Operation:
    return _load(_operations(), text)


def operation_of(record: Record) -> OperationId | None:
    """The operation that a record belongs to, or None."""
    operation = getattr(record, "operation", None)
    return operation.id if isinstance(operation, Operation) else operation


@functools.cache
def _records() -> TypeAdapter[Record]:
    return _adapter(Annotated[Record, Field(discriminator="kind")])


@functools.cache
def _hosts() -> TypeAdapter[HostState]:
    return _adapter(HostState)


@functools.cache
def _fleets() -> TypeAdapter[FleetState]:
    return _adapter(FleetState)


@functools.cache
def _operations() -> TypeAdapter[Operation]:
    return _adapter(Operation)


def _adapter(of: Any) -> TypeAdapter[Any]:
    """pydantic refuses a configuration for a bare dataclass; behind another name the dataclass takes it over."""
    rename: Any = NewType
    return TypeAdapter(rename("stored", of), config=_CONFIG)


def _dump(adapter: TypeAdapter[T], value: T) -> str:
    """A value of a wrong type is our bug and raises here, before it is stored and can't be read back."""
    try:
        return adapter.dump_json(value, warnings="error").decode()
    except PydanticSerializationError as exc:
        if "surrogates not allowed" not in str(exc):
            raise
    # Half a character, from the output of a program or from a message. It is written as "?" and the rest is kept: a
    # journal that refuses a host's reason could record nothing more about that host.
    plain = adapter.dump_python(value, mode="json", warnings="error")
    return json.dumps(_mended(plain), ensure_ascii=False, separators=(",", ":"))


def _load(adapter: TypeAdapter[T], text: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CodecError(f"{where[:PLACE_CHARACTERS_MAX] or 'the text'}: {first['msg']}") from exc


def _mended(value: Any) -> Any:
    """The same plain value with text that UTF-8 can hold and numbers that JSON can hold."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case float() if not math.isfinite(value):
            return str(value)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {key: _mended(item) for key, item in value.items()}
        case _:
            return value

"""Encodes records, snapshots and operations as JSON, and decodes them into exactly equal objects.

It knows the dataclasses of the core, but no tables. Nothing is lost silently. An unknown field or `kind` is an error: a
newer program wrote it, and the store's format should have shown that. A missing field takes its default: an older
program wrote it. So a name may be added, a field with a default, under a new format: a program writes the format that
the store has, and `fenced store upgrade` raises that once all controllers read it. Renaming or removing a name, or
changing its meaning, needs a migration of the stored text.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from dataclasses import Field as DataclassField
from enum import Enum
from typing import Annotated, Any, Final, NewType, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Record
from fenced.core.durable.restricting import Said
from fenced.core.durable.state import HostState, Operation
from fenced.model.names import OperationId

T = TypeVar("T")

# JSON has no infinity or nan: they survive as strings, while pydantic's default (null) would lose them.
_CONFIG: Final = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


FORMAT: Final = 4
"""The newest format of the stored texts that this program reads and writes."""
_OF_SAVING: Final = (
    "SleepAnnounced", "WorkHeard", "HostSlept", "SleepFailed", "WakeWanted", "HostWoken", "WakeFailed",
    "CapacityChanged",
    "HostState.saving", "Operation.veto_until", "DeviceRun.is_asked_down", "FleetState.short_of", "State.sleeping",
    "Action.sleep", "Action.wake", "Cause.saving", "What.soft_off", "Phase.veto", "Phase.going_down",
)  # fmt: skip
SINCE: Final[Mapping[str, int]] = {
    "StormBegan": 2, "StormEnded": 2, "FleetState.storms": 2, "Decided": 3, **dict.fromkeys(_OF_SAVING, 4),
}  # fmt: skip
"""The names that came after format 1, and their format: "Class" (a record), "Class.field", or "Enum.value". Until the
store has that format, what has such a name is not written: a field stays out while it has its default, and the caller
uses nothing else of it."""
FORGOTTEN: Final[Mapping[str, tuple[str, ...]]] = {"HostState.saving": ("proven_at", "is_switched_on")}
"""Fields that stay out of an older format also where only these of their own fields have another value: what follows
from records that every format knows, and does no harm if it is forgotten at the next start."""
PLACE_CHARACTERS_MAX: Final = 200
"""The longest place that an error names: a key of a damaged text may be as long as the text."""


class CodecError(ValueError):
    """This program can't read a stored text without losing something; the error names the place."""


def prepare() -> None:
    """Build the encoders and decoders (0.2 s, once), so that the first append does not wait for them."""
    for adapter in (_records, _hosts, _fleets, _operations, _words):
        adapter()


def dump_record(record: Record, format: int = FORMAT) -> str:
    return _dump(_records(), record, format)


def load_record(text: str) -> Record:
    return _load(_records(), text)


def dump_host(host: HostState, format: int = FORMAT) -> str:
    return _dump(_hosts(), host, format)


def load_host(text: str) -> HostState:
    return _load(_hosts(), text)


def dump_fleet(fleet: FleetState, format: int = FORMAT) -> str:
    return _dump(_fleets(), fleet, format)


def load_fleet(text: str) -> FleetState:
    return _load(_fleets(), text)


def dump_operation(operation: Operation, format: int = FORMAT) -> str:
    return _dump(_operations(), operation, format)


def load_operation(text: str) -> Operation:
    return _load(_operations(), text)


def dump_word(said: Said, format: int = FORMAT) -> str:
    return _dump(_words(), said, format)


def load_word(text: str) -> Said:
    return _load(_words(), text)


def operation_of(record: Record) -> OperationId | None:
    """Return the operation to which a record belongs, or None."""
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


@functools.cache
def _words() -> TypeAdapter[Said]:
    return _adapter(Said)


def _adapter(of: Any) -> TypeAdapter[Any]:
    """Return an adapter for a type. pydantic accepts a configuration for a dataclass only behind another name."""
    rename: Any = NewType
    return TypeAdapter(rename("stored", of), config=_CONFIG)


def _dump(adapter: TypeAdapter[T], value: T, format: int) -> str:
    """Encode a value. A value of a wrong type is a bug, and raises before it is stored and can't be read back.

    `format`: the store's, which may be older than this program's.
    """
    if format < FORMAT:
        plain = adapter.dump_python(value, mode="json", warnings="error")
        return json.dumps(_mended(_older(value, plain, format)), ensure_ascii=False, separators=(",", ":"))
    try:
        return adapter.dump_json(value, warnings="error").decode()
    except PydanticSerializationError as exc:
        if "surrogates not allowed" not in str(exc):
            raise
    # A lone surrogate, from a program's output or a message. Store it as "?": a journal that refuses a host's reason
    # could record nothing more about that host.
    plain = adapter.dump_python(value, mode="json", warnings="error")
    return json.dumps(_mended(plain), ensure_ascii=False, separators=(",", ":"))


def _load(adapter: TypeAdapter[T], text: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CodecError(f"{where[:PLACE_CHARACTERS_MAX] or 'the text'}: {first['msg']}") from exc


def _older(value: Any, plain: Any, format: int) -> Any:
    """Return the plain form of a value without the names that a program of this format does not know.

    A value that can't be written without them is a bug of the caller, which raises.
    """
    name = type(value).__name__
    if is_dataclass(value):
        _check_known(name, format)
        older: dict[str, Any] = {}
        for field in fields(value):
            inner, full = getattr(value, field.name), f"{name}.{field.name}"
            if SINCE.get(full, 1) <= format:
                older[field.name] = _older(inner, plain[field.name], format)
            elif _without(inner, FORGOTTEN.get(full, ())) != _default(field):
                _check_known(full, format)
        return older
    if isinstance(value, Enum):
        _check_known(f"{name}.{value.value}", format)
    elif isinstance(plain, dict):
        return {
            key: _older(inner, item, format) for inner, (key, item) in zip(value.values(), plain.items(), strict=True)
        }
    elif isinstance(plain, list):
        return [_older(inner, item, format) for inner, item in zip(value, plain, strict=True)]
    return plain


def _check_known(name: str, format: int) -> None:
    assert SINCE.get(name, 1) <= format, f"{name} is newer than format {format}: the store must be upgraded first"


def _without(value: Any, names: tuple[str, ...]) -> Any:
    """Return a value whose fields of these names have their defaults."""
    if not names:
        return value
    return replace(value, **{field.name: _default(field) for field in fields(value) if field.name in names})


def _default(field: "DataclassField[Any]") -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _mended(value: Any) -> Any:
    """Return the same plain value, with text that UTF-8 can hold and numbers that JSON can hold."""
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

"""One plain value of any record, and one more for each other choice of each of its fields. Deterministic."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal

from fenced.model.names import Token

PLAIN: dict[object, tuple[Any, ...]] = {
    str: ("x",), int: (1,), float: (1.0,), bool: (False, True), type(None): (None,), Any: (None,),
}  # fmt: skip


def specimens(kind: type) -> Iterator[Any]:
    """Return the values of a dataclass."""
    choices = _of_fields(kind)
    plain = {name: values[0] for name, values in choices.items()}
    yield kind(**plain)
    for name, values in choices.items():
        for value in values[1:]:
            yield kind(**{**plain, name: value})


def _of_fields(kind: type) -> dict[str, tuple[Any, ...]]:
    hints = typing.get_type_hints(kind)
    assert dataclasses.is_dataclass(kind)
    return {field.name: _choices(hints[field.name]) for field in dataclasses.fields(kind) if field.init}


def _choices(hint: Any) -> tuple[Any, ...]:
    hint = getattr(hint, "__supertype__", hint)  # a NewType
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if hint is Token:
        return (Token(epoch=1, sequence=1),)
    if origin is Literal:
        return arguments
    if origin in {types.UnionType, typing.Union}:
        return tuple(choice for argument in arguments for choice in _choices(argument))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return ((_choices(arguments[0])[0],), ())
        return (tuple(_choices(argument)[0] for argument in arguments),)
    if issubclass(hint, Enum):
        return tuple(hint)
    return (next(specimens(hint)),)

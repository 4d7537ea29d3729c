"""Parses one raw table into its model, and turns pydantic's errors into mistakes. Knows no key by name.

A wrong key is reported and left out. What is left is still a table, so that its other mistakes are found
in the same run.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from fenced.config.keys import Check
from fenced.config.mistakes import Mistakes, Where

TableType = TypeVar("TableType", bound=BaseModel)

_SECRET: Final = re.compile(r"^(password|passwd|passphrase)", re.IGNORECASE)
_PASSES_MAX: Final = 4
_STAND_IN: Final = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Generic[TableType]):
    """`refused`: the keys that were left out, with their values (None: missing). The table has their defaults instead.

    An unknown key that looks like a known one counts as that one, too. A refused required key is "" in the table.
    """

    table: TableType
    refused: Mapping[str, object] = field(default_factory=dict)


def parse(model: type[TableType], raw: Mapping[str, Any], where: Where, mistakes: Mistakes) -> Parsed[TableType]:
    """Return the table, and report every mistake in it."""
    try:
        return Parsed(table=model.model_validate(raw))
    except ValidationError as exc:
        refused: dict[str, object] = {}
        left = _without_faults(model, raw, exc, where, mistakes, refused)
    for _ in range(_PASSES_MAX):
        try:
            return Parsed(table=_with_stand_ins(model, left), refused=refused)
        except ValidationError as exc:
            left = _without_faults(model, left, exc, where, mistakes, refused)
    return Parsed(table=_with_stand_ins(model, {}), refused={**dict.fromkeys(model.model_fields), **refused})


def _with_stand_ins(model: type[TableType], left: Mapping[str, Any]) -> TableType:
    """Return the table, with "" for missing required keys, which are all text."""
    absent = [key for key, field in model.model_fields.items() if field.is_required() and key not in left]
    table = model.model_validate({**left, **dict.fromkeys(absent, _STAND_IN)})
    return table.model_copy(update=dict.fromkeys(absent, ""))


def check_of(model: type[BaseModel], path: tuple[object, ...]) -> Check | None:
    """Return the check of the key at this path, or None for an unknown key or a table without one."""
    check = None
    for step in path:
        field = model.model_fields.get(str(step))
        if field is None:
            return None
        check = next((item for item in field.metadata if isinstance(item, Check)), None)
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return check
        model = field.annotation
    return check


def _without_faults(
    model: type[BaseModel],
    raw: Mapping[str, Any],
    exc: ValidationError,
    where: Where,
    mistakes: Mistakes,
    refused: dict[str, object],
) -> dict[str, Any]:
    left: dict[str, Any] = _copied(raw)
    # Missing keys last: such a key may be there under a misspelt name, which is reported first.
    for error in sorted(exc.errors(include_url=False), key=lambda error: error["type"] == "missing"):
        path = error["loc"]
        place = _place(where, path)
        check = check_of(model, path)
        is_missing = error["type"] == "missing"
        mistakes.error(
            place,
            _reason(model, error, path),
            value=None if is_missing else error["input"],
            unit=check.unit if check is not None else "",
        )
        for meant in _meant(model, raw, error):
            mistakes.refuse(_place(where, meant))
            refused.setdefault(str(meant[0]), None if is_missing else error["input"])
        if not is_missing:
            _leave_out(left, path)
    return left


def _meant(model: type[BaseModel], raw: Mapping[str, Any], error: Any) -> Iterator[tuple[object, ...]]:
    """Yield the key, and for an unknown one also the known one that it looks like, unless that is given, too."""
    path = error["loc"]
    yield path
    if error["type"] == "extra_forbidden":
        table: Any = raw
        for step in path[:-1]:
            table = table[step]
        near = _near(model, path)
        if near not in table:
            yield (*path[:-1], near)


def _place(where: Where, path: tuple[object, ...]) -> Where:
    for step in path:
        where = where.key(str(step))
    return where


def _reason(model: type[BaseModel], error: Any, path: tuple[object, ...]) -> str:
    match error["type"]:
        case "fenced":
            return str(error["ctx"]["reason"])
        case "extra_forbidden":
            return _unknown(model, path)
        case "missing":
            return "is missing"
        case "model_type" | "dict_type":
            return "must be a table"
        case _:
            return str(error["msg"])


def _unknown(model: type[BaseModel], path: tuple[object, ...]) -> str:
    key, model = str(path[-1]), _model_of(model, path)
    if _SECRET.search(key):
        return "a secret is never written inline" + (
            ": use password_file, password_env or password_credential" if "password_file" in model.model_fields else ""
        )
    near = _near(model, path[-1:])
    return f"unknown key; did you mean {near}?" if near != key else "unknown key"


def _near(model: type[BaseModel], path: tuple[object, ...]) -> str:
    """Return the known key that an unknown one looks like, or the unknown one itself."""
    key = str(path[-1])
    return next(iter(difflib.get_close_matches(key, _model_of(model, path).model_fields, n=1, cutoff=0.7)), key)


def _model_of(model: type[BaseModel], path: tuple[object, ...]) -> type[BaseModel]:
    """Return the model of the table that holds the last key of the path."""
    for step in path[:-1]:
        annotation = model.model_fields[str(step)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model


def _copied(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in raw.items()}


def _leave_out(table: dict[str, Any], path: tuple[object, ...]) -> None:
    """Remove the deepest key of the path; a faulty item removes its whole list."""
    for depth, step in enumerate(path):
        below = table.get(str(step)) if isinstance(step, str) else None
        if depth == len(path) - 1 or not isinstance(below, dict):
            for key in [key for key in table if str(key) == str(step)]:
                del table[key]
            return
        table = below

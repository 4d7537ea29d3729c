"""A raw table becomes one of our tables; pydantic's complaints become mistakes. Knows no key by name.

One rule: a wrong key is told and left out, and what is left is still a table, so that its other mistakes are found too.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from fenced.config.keys import Check
from fenced.config.mistakes import Mistakes, Where

TableType = TypeVar("TableType", bound=BaseModel)

_SECRET: Final = re.compile(r"^(password|passwd|passphrase)", re.IGNORECASE)
_PASSES_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Generic[TableType]):
    """`table` is None when not even its name is known; `is_whole`: nothing had to be left out."""

    table: TableType | None
    is_whole: bool


def parse(model: type[TableType], raw: Mapping[str, Any], where: Where, mistakes: Mistakes) -> Parsed[TableType]:
    """The table, with every mistake in it told."""
    try:
        return Parsed(table=model.model_validate(raw), is_whole=True)
    except ValidationError as exc:
        left = _told_and_left_out(model, raw, exc, where, mistakes)
    for _ in range(_PASSES_MAX):
        try:
            return Parsed(table=model.model_validate(left), is_whole=False)
        except ValidationError as exc:
            if any(error["type"] == "missing" for error in exc.errors()):
                break
            left = _told_and_left_out(model, left, exc, where, mistakes)
    return Parsed(table=None, is_whole=False)


def check_of(model: type[BaseModel], path: tuple[object, ...]) -> Check | None:
    """The check of the key at this path, or None for a table or an unknown key."""
    for step in path:
        field = model.model_fields.get(str(step))
        if field is None:
            return None
        check = next((item for item in field.metadata if isinstance(item, Check)), None)
        if check is not None:
            return check
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return None


def _told_and_left_out(
    model: type[BaseModel], raw: Mapping[str, Any], exc: ValidationError, where: Where, mistakes: Mistakes
) -> dict[str, Any]:
    left: dict[str, Any] = _copied(raw)
    for error in exc.errors(include_url=False):
        path = error["loc"]
        place = where
        for step in path:
            place = place.key(str(step))
        check = check_of(model, path)
        is_missing = error["type"] == "missing"
        mistakes.error(
            place,
            _reason(model, error, path),
            value=None if is_missing else error["input"],
            unit=check.unit if check is not None else "",
        )
        if not is_missing:
            _leave_out(left, path)
    return left


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
    for step in path[:-1]:
        annotation = model.model_fields[str(step)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    key = str(path[-1])
    if _SECRET.search(key):
        return "a secret is never written inline" + (
            ": use password_file, password_env or password_credential" if "password_file" in model.model_fields else ""
        )
    near = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.7)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _copied(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in raw.items()}


def _leave_out(table: dict[str, Any], path: tuple[object, ...]) -> None:
    """Take the deepest key of the path out; a faulty item takes its whole list with it."""
    for depth, step in enumerate(path):
        below = table.get(str(step)) if isinstance(step, str) else None
        if depth == len(path) - 1 or not isinstance(below, dict):
            table.pop(str(step), None)
            return
        table = below

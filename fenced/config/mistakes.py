"""Mistakes of a configuration: the place, the value there, and the reason.

Knows nothing of what keys mean. It never shows a secret, wherever and however one was written.
"""

import json
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from fenced.model.text import one_line

T = TypeVar("T")

VALUE_CHARS_MAX: Final = 120
TEXT_CHARS_MAX: Final = 800
"""Limit of a place, and of a reason, which may list what there is."""
MASK: Final = "***"

_SECRET_KEY: Final = re.compile(r"passw|passphrase|secret|token|api_?key|private_?key", re.IGNORECASE)
_POINTER: Final = re.compile(r"_(file|env|credential)(\[\d+\])?$")
_USER_INFO: Final = re.compile(r"(?<=//)[^/\s@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake. `path`: where in the file, as `host[3].device[0].level`; `unit`: what the value should be."""

    file: str
    path: str
    value: str
    unit: str
    reason: str

    @property
    def sentence(self) -> str:
        """Place, value, unit and reason in one line, without the file."""
        value = f" = {self.value}" if self.value else ""
        unit = f" ({self.unit})" if self.unit else ""
        place = f"{self.path}{value}{unit}"
        return f"{place}: {self.reason}" if place else self.reason

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"


class Where(NamedTuple):
    """A place in a file. `label` names the entry in messages: `node-1, bmc`.

    A large inventory has half a million of them, and a tuple is made in half the time of a dataclass.
    """

    file: str
    path: str = ""
    label: str = ""

    def key(self, name: str) -> "Where":
        return Where(self.file, f"{self.path}.{name}" if self.path else name, self.label)

    def item(self, index: int) -> "Where":
        return Where(self.file, f"{self.path}[{index}]", self.label)

    def called(self, label: str) -> "Where":
        return Where(self.file, self.path, f"{self.label}, {label}" if self.label else label)

    def __str__(self) -> str:
        return f"{self.file}: {self.path}" if self.path else self.file


@dataclass(slots=True, kw_only=True)
class Mistakes:
    """All mistakes of one run, and the keys that were refused."""

    errors: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    _refused: set[tuple[str, str]] = field(default_factory=set)

    def error(self, where: Where, reason: str, *, value: object = None, unit: str = "") -> None:
        if not self.is_refused(where):
            self.errors.append(_mistake(where, reason, value, unit))

    def warning(self, where: Where, reason: str, *, value: object = None, unit: str = "") -> None:
        if not self.is_refused(where):
            self.warnings.append(_mistake(where, reason, value, unit))

    def refuse(self, where: Where) -> None:
        """Note that the value here was reported and left out, so that nothing else is reported at this place."""
        self._refused.add((where.file, where.path))

    def is_refused(self, where: Where) -> bool:
        """Whether this key, or a table around it, was left out."""
        if not self._refused:
            return False
        path = where.path
        while path:
            if (where.file, path) in self._refused:
                return True
            path = path.rpartition(".")[0]
        return False


def whole(path: Path, mistakes: Mistakes, read: Callable[[], T]) -> T | None:
    """Return what `read` makes of the file, or None and a mistake if it raises.

    Expected errors became mistakes where they happened. This border is for the rest, which may be a bug: the text says
    where it was raised and quotes nothing of the error, which may hold a secret.
    """
    try:
        return read()
    except Exception as exc:
        place = traceback.extract_tb(exc.__traceback__)[-1]
        why = f": {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else ""
        mistakes.error(
            Where(str(path)),
            f"reading it failed with {type(exc).__name__}{why} ({Path(place.filename).name}, line {place.lineno})",
            unit="file",
        )
        return None


def shown(path: str, value: object) -> str:
    """Return the value as a mistake may show it: short, on one line, `***` if it may be a secret."""
    key = path.rsplit(".", 1)[-1]
    if value is None:
        return ""
    if _SECRET_KEY.search(key) and not _POINTER.search(key):
        return MASK
    text = _text(value)
    if not _POINTER.search(key) and _SECRET_KEY.search(text):
        return MASK
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 3] + "..."


def _mistake(where: Where, reason: str, value: object, unit: str) -> Mistake:
    return Mistake(
        file=where.file,
        path=_short(where.path),
        value=shown(where.path, value),
        unit=unit,
        reason=_short(f"{where.label}: {reason}" if where.label else reason),
    )


def _short(text: str) -> str:
    """Places and reasons quote keys and names from the file, which may be of any length and have line breaks."""
    line = one_line(text)
    return line if len(line) <= TEXT_CHARS_MAX else line[: TEXT_CHARS_MAX - 3] + "..."


def _text(value: object) -> str:
    if isinstance(value, str):
        return _USER_INFO.sub(f"{MASK}@", one_line(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "(a table)"
    if isinstance(value, list | tuple):
        return _list(value)
    return one_line(str(value))


def _list(value: list[object] | tuple[object, ...]) -> str:
    if all(isinstance(item, str | int | float) for item in value):
        return "[" + ", ".join(json.dumps(_text(item)) if isinstance(item, str) else str(item) for item in value) + "]"
    return f"(a list of {len(value)})"

"""What a value may be: the check, the unit and the meaning of one key, said once for parsing and for the documentation.

Knows no table and no file. One rule: every key has a limit, and a refused value is told what would be right.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fenced.config.durations import EXAMPLES, format_duration, parse_duration

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
NAME_CHARS_MAX: Final = 253
TEXT_CHARS_MAX: Final = 4096
LIST_ITEMS_MAX: Final = 1024


def refuse(reason: str) -> PydanticCustomError:
    """The error that the validation turns into a mistake with exactly this reason."""
    return PydanticCustomError("fenced", "{reason}", {"reason": reason})


@dataclass(frozen=True, slots=True)
class Check:
    """Meaning, unit and check of one key; sits in its annotation. The default is not checked."""

    about: str

    unit = ""

    def allowed(self) -> str:
        """What may be written, for the documentation."""
        return ""

    def check(self, value: object) -> Any:
        """The value as the tables hold it. Raises `refuse(...)`."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


@dataclass(frozen=True, slots=True)
class Seconds(Check):
    """A duration, held as seconds. `least` = "0s" where it may mean none."""

    least: str = "1ms"
    most: str = "366d"

    unit = "duration"

    def allowed(self) -> str:
        return f"{self.least} to {self.most}"

    def check(self, value: object) -> float:
        if not isinstance(value, str):
            raise refuse(f"a duration is text with a unit: {EXAMPLES}")
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            raise refuse(str(exc)) from exc
        least, most = parse_duration(self.least), parse_duration(self.most)
        if seconds < least:
            raise refuse(f"shorter than the least that makes sense here, {self.least}")
        if seconds > most:
            raise refuse(f"longer than the most that is allowed here, {self.most}")
        return seconds


@dataclass(frozen=True, slots=True)
class Count(Check):
    """A whole number."""

    least: int = 1
    most: int = 1_000_000

    unit = "count"

    def allowed(self) -> str:
        return f"{self.least} to {self.most}"

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse("must be a whole number, without quotes")
        if not self.least <= value <= self.most:
            raise refuse(f"must be {self.least} to {self.most}")
        return value


@dataclass(frozen=True, slots=True)
class Percent(Check):
    """A share of a hundred."""

    least: float = 0.0

    unit = "percent"

    def allowed(self) -> str:
        return f"{self.least:g} to 100"

    def check(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse("must be a number of percent, without quotes")
        if not self.least <= value <= 100:
            raise refuse(f"must be {self.least:g} to 100")
        return float(value)


@dataclass(frozen=True, slots=True)
class Flag(Check):
    """true or false."""

    unit = "true or false"

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise refuse("must be true or false, without quotes")
        return value


@dataclass(frozen=True, slots=True)
class Text(Check):
    """One line of text."""

    unit = "text"

    def check(self, value: object) -> str:
        if not isinstance(value, str):
            raise refuse("must be text in quotes")
        if len(value) > TEXT_CHARS_MAX:
            raise refuse(f"longer than {TEXT_CHARS_MAX} characters")
        if not value.isprintable():
            raise refuse("holds a line end or another character that can't be printed")
        return value


@dataclass(frozen=True, slots=True)
class FileName(Text):
    """A path; relative ones are relative to the file they stand in."""

    unit = "file"


@dataclass(frozen=True, slots=True)
class FolderName(FileName):
    """The path of a folder, which need not be there yet."""

    unit = "folder"


@dataclass(frozen=True, slots=True)
class Name(Text):
    """A name of ours: it goes into topics, URLs and file names. Explicitly empty is allowed where the default is."""

    can_be_empty: bool = False

    unit = "name"

    def allowed(self) -> str:
        return f"`{NAME_PATTERN.pattern}`, at most {NAME_CHARS_MAX}"

    def check(self, value: object) -> str:
        text = Text.check(self, value)
        if not (text or self.can_be_empty):
            raise refuse("must not be empty")
        if text and (len(text) > NAME_CHARS_MAX or NAME_PATTERN.fullmatch(text) is None):
            raise refuse(
                f"a name is letters, digits, '.', '_' and '-', begins with a letter or digit, at most {NAME_CHARS_MAX}"
            )
        return text


@dataclass(frozen=True, slots=True)
class Address(Text):
    """A host name, FQDN, IP address or URL: one word."""

    unit = "address"

    def check(self, value: object) -> str:
        text = Text.check(self, value)
        if any(char.isspace() for char in text):
            raise refuse("holds a space")
        return text


@dataclass(frozen=True, slots=True)
class Choice(Check):
    """One of a few words."""

    choices: tuple[str, ...] = ()

    unit = "word"

    def allowed(self) -> str:
        return ", ".join(self.choices)

    def check(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise refuse(f"must be one of: {', '.join(self.choices)}")
        return value


@dataclass(frozen=True, slots=True)
class Listed(Check):
    """A list, each item checked by `item`, none twice."""

    item: Check = Text("")
    least: int = 0

    unit = "list"

    def allowed(self) -> str:
        return self.item.allowed()

    def check(self, value: object) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise refuse("must be a list in [brackets]")
        if not self.least <= len(value) <= LIST_ITEMS_MAX:
            raise refuse(f"must have {self.least} to {LIST_ITEMS_MAX} items")
        items = tuple(self.item.check(item) for item in value)
        for index, item in enumerate(items):
            if item in items[:index]:
                raise refuse(f"names {item!s} twice")
        return items


@dataclass(frozen=True, slots=True)
class PerRole(Check):
    """Role -> duration, held as pairs in the order of the roles' names."""

    unit = "table of durations"

    def allowed(self) -> str:
        return 'as {spm = "20s"}'

    def check(self, value: object) -> tuple[tuple[str, float], ...]:
        if not isinstance(value, Mapping):
            raise refuse('must be a table of durations, as {spm = "20s"}')
        role, grace = Name("role"), Seconds("grace", least="0s", most="1d")
        return tuple(sorted((role.check(key), grace.check(item)) for key, item in value.items()))


@dataclass(frozen=True, slots=True)
class Tables(Check):
    """A list of tables, or one table of free keys; looked at one by one elsewhere."""

    is_list: bool = True

    unit = "tables"

    def check(self, value: object) -> Any:
        if self.is_list and not (isinstance(value, list) and all(isinstance(item, Mapping) for item in value)):
            raise refuse("must be tables, each under its own [[double brackets]]")
        if not self.is_list and not isinstance(value, Mapping):
            raise refuse("must be a table: { key = value }")
        return value


def written(value: object) -> str:
    """A default as it would be written in TOML (durations come as seconds: see `written_default`)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def written_default(check: Check, value: object) -> str:
    """A key's default as it would be written in TOML."""
    if isinstance(check, Seconds) and isinstance(value, float | int):
        return f'"{format_duration(value)}"'
    if isinstance(check, PerRole):
        return "{}"
    return written(value)

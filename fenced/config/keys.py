"""What the value of one key may be: its check, unit and meaning, used for parsing and for the documentation.

Every key has a limit, and a refusal says what is allowed.
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
SHARD_CHARS_MAX: Final = 64
ALL: Final = "*"
TEXT_CHARS_MAX: Final = 4096
LIST_ITEMS_MAX: Final = 1024
TABLE: Final = (dict, Mapping)
"""`isinstance` tries the first one first, and the second one takes ten times as long."""


def refuse(reason: str) -> PydanticCustomError:
    """Return the error that `validate` turns into a mistake with this reason."""
    return PydanticCustomError("fenced", "{reason}", {"reason": reason})


@dataclass(frozen=True, slots=True)
class Check:
    """Meaning, unit and check of one key, in its annotation. Defaults are not checked."""

    about: str

    unit = ""

    def allowed(self) -> str:
        """Return the allowed values, for the documentation."""
        return ""

    def check(self, value: object) -> Any:
        """Return the value as the tables hold it. Raises `refuse(...)`."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


@dataclass(frozen=True, slots=True)
class Seconds(Check):
    """A duration, held as seconds. `least` is "0s" where zero is allowed."""

    least: str = "1ms"
    most: str = "366d"

    unit = "duration"

    def allowed(self) -> str:
        return f"{self.least} to {self.most}"

    def check(self, value: object) -> float:
        if not isinstance(value, str):
            raise refuse(f"a duration is text with a unit, such as {EXAMPLES}")
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            raise refuse(str(exc)) from exc
        least, most = parse_duration(self.least), parse_duration(self.most)
        if seconds < least:
            raise refuse(f"too short: at least {self.least}")
        if seconds > most:
            raise refuse(f"too long: at most {self.most}")
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
    """A percentage."""

    least: float = 0.0

    unit = "percent"

    def allowed(self) -> str:
        return f"{self.least:g} to 100"

    def check(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse("must be a percentage, without quotes")
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
            raise refuse("contains a line break or another unprintable character")
        return value


@dataclass(frozen=True, slots=True)
class FileName(Text):
    """A path; a relative one starts at the folder of the configuration file."""

    unit = "file"


@dataclass(frozen=True, slots=True)
class FolderName(FileName):
    """The path of a folder, which need not exist yet."""

    unit = "folder"


@dataclass(frozen=True, slots=True)
class SocketName(FileName):
    """The path of a unix socket, which the daemon makes."""

    unit = "socket"


@dataclass(frozen=True, slots=True)
class Name(Text):
    """A name that goes into topics, URLs and file names. Empty is allowed where the default is empty."""

    can_be_empty: bool = False
    most: int = NAME_CHARS_MAX

    unit = "name"

    def allowed(self) -> str:
        return f"`{NAME_PATTERN.pattern}`, at most {self.most}"

    def check(self, value: object) -> str:
        text = Text.check(self, value)
        if not (text or self.can_be_empty):
            raise refuse("must not be empty")
        if text and (len(text) > self.most or NAME_PATTERN.fullmatch(text) is None):
            raise refuse(
                f"a name is at most {self.most} letters, digits, '.', '_' and '-', and begins with a letter or digit"
            )
        return text


@dataclass(frozen=True, slots=True)
class NameOrAll(Name):
    """A name, or `ALL` for every one."""

    def allowed(self) -> str:
        return f'"{ALL}", or names: {Name.allowed(self)}'

    def check(self, value: object) -> str:
        return ALL if value == ALL else Name.check(self, value)


@dataclass(frozen=True, slots=True)
class Address(Text):
    """A host name, FQDN, IP address or URL, without spaces."""

    can_be_empty: bool = True

    unit = "address"

    def check(self, value: object) -> str:
        text = Text.check(self, value)
        if not (text or self.can_be_empty):
            raise refuse("must not be empty")
        if any(char.isspace() for char in text):
            raise refuse("must not contain a space")
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
    """A list without duplicates; `item` checks each item."""

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
                raise refuse(f"has {item!s} twice")
        return items


def checked_pairs(table: Mapping[str, object], key: Check, value: Check) -> tuple[tuple[str, Any], ...]:
    """Return a table's pairs, checked and sorted by key. A mistake names the key that it is in."""
    pairs = []
    for name, item in table.items():
        try:
            pairs.append((key.check(name), value.check(item)))
        except PydanticCustomError as error:
            raise refuse(f"{name!r}: {error.message()}") from error
    return tuple(sorted(pairs))


@dataclass(frozen=True, slots=True)
class PerRole(Check):
    """Role -> duration, held as pairs sorted by role."""

    unit = "table of durations"

    def allowed(self) -> str:
        return 'as {spm = "20s"}'

    def check(self, value: object) -> tuple[tuple[str, float], ...]:
        if not isinstance(value, Mapping):
            raise refuse('must be a table of durations, as {spm = "20s"}')
        return checked_pairs(value, Name("role"), Seconds("grace", least="0s", most="1d"))


@dataclass(frozen=True, slots=True)
class Pairs(Check):
    """Key -> text, held as pairs sorted by key. `taken`: keys that have another meaning."""

    taken: tuple[str, ...] = ()

    unit = "table of texts"

    def allowed(self) -> str:
        return 'as {feed = "a"}'

    def check(self, value: object) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, Mapping):
            raise refuse('must be a table of texts, as {feed = "a"}')
        for key in value:
            if key in self.taken:
                raise refuse(f"{key} is no key of a label: it is a key of its own")
        return checked_pairs(value, Name("key"), Name("label"))


@dataclass(frozen=True, slots=True)
class Tables(Check):
    """A list of tables, or one table with free keys; what is in them is checked elsewhere."""

    is_list: bool = True

    unit = "tables"

    def check(self, value: object) -> Any:
        if self.is_list and not (isinstance(value, list) and all(isinstance(item, TABLE) for item in value)):
            raise refuse("must be tables, each under its own [[double brackets]]")
        if not self.is_list and not isinstance(value, TABLE):
            raise refuse("must be a table: { key = value }")
        return value


def written(value: object) -> str:
    """Return a value in TOML (`written_default` handles durations, which are held as seconds)."""
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
    """Return a key's default in TOML."""
    if isinstance(check, Seconds) and isinstance(value, float | int):
        return f'"{format_duration(value)}"'
    if check.unit.startswith("table of "):
        return "{}"
    return written(value)

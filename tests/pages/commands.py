"""Finds the commands of a page, in blocks and in backquotes, and checks them without running anything."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Final

import click

from fenced.cli.beat import command as beat
from fenced.cli.fencectl import main as fencectl
from fenced.cli.main import main as fenced
from tests.house.tree import ROOT, name
from tests.pages.blocks import read, without_blocks

OURS: Final[dict[str, click.Command]] = {"fenced": fenced, "fenced-beat": beat, "fencectl": fencectl}
OTHERS: Final = frozenset({"make", "systemctl", "journalctl", "python", "mosquitto_pub", "mosquitto_sub"})
UNITS: Final = frozenset({"mosquitto"})
"""Units of others."""
VERBS: Final = frozenset(
    {
        "start",
        "stop",
        "restart",
        "reload",
        "status",
        "enable",
        "disable",
        "daemon-reload",
        "is-active",
        "mask",
        "unmask",
    }
)
TOPIC: Final = re.compile(
    r"fenced/v1/[\w-]+/(?:(?:health|presence|evidence|state|event|request|reply|controller|info)\b|#)"
)
HEREDOC: Final = re.compile(r"<<-?'?(\w+)'?.*?\n.*?^\1$", re.MULTILINE | re.DOTALL)
SUBSTITUTION: Final = re.compile(r"\$\((?P<inner>[^()]*)\)")
REDIRECTION: Final = re.compile(r"\d?>>?(?:&\d|\s*[\w./\"$-]+)|<\S*")
EXEC: Final = re.compile(r"^Exec\w+=(?:/usr/bin/)?")
CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SEPARATORS: Final = frozenset({"&&", "||", ";", "|", "&"})
FURTHER: Final = "..."
"""At the end of a command: operands or options follow that the text leaves out."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `is_mention`: it is in running text, where a bare name stands for the command as such."""

    place: str
    words: tuple[str, ...]
    is_mention: bool

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def commands(path: Path) -> Iterator[Command]:
    """Yield every command of ours, and of others that we can check, with its page and line; also those of units."""
    text = path.read_text(encoding="utf-8")
    for block in read(name(path), text):
        if block.language in {"sh", "ini"}:
            for line, words in typed(block.text):
                started = EXEC.sub("", words) if block.language == "ini" else words
                yield from _known(f"{block.page}:{block.line + line}", started, is_mention=False)
    prose = without_blocks(text)
    for match in CODE.finditer(prose):
        line = prose.count("\n", 0, match.start()) + 1
        mentioned = " ".join(match[1].replace("\\|", "|").split())
        if mentioned.partition(" ")[0] in OURS.keys() | OTHERS and " " in mentioned:
            yield from _known(f"{name(path)}:{line}", mentioned, is_mention=True)


def typed(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line from 0, command line) of a block: without here-documents, continued lines as one."""
    text = HEREDOC.sub(lambda match: "\n" * match[0].count("\n"), text)
    ahead, start = "", 0
    for number, line in enumerate(text.splitlines()):
        start = start if ahead else number
        ahead += line
        if ahead.endswith("\\"):
            ahead = ahead[:-1]
            continue
        yield start, ahead
        ahead = ""


def _known(place: str, line: str, *, is_mention: bool) -> Iterator[Command]:
    inner = [match["inner"] for match in SUBSTITUTION.finditer(line)]
    for part in [SUBSTITUTION.sub("X", line), *inner]:
        for words in _split(part, is_mention=is_mention):
            if words[0] in OURS.keys() | OTHERS:
                yield Command(place, tuple(words), is_mention)


def _split(line: str, *, is_mention: bool) -> Iterator[list[str]]:
    """Yield the simple commands of a line. In running text `a | b` are alternatives: the last one is meant whole."""
    lexer = shlex.shlex(REDIRECTION.sub("", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    if is_mention and "|" in words:
        last = len(words) - words[::-1].index("|")
        words = [words[0], *words[last:]]
    part: list[str] = []
    for word in [*words, ";"]:
        if word not in SEPARATORS:
            part.append(word)
        elif part:
            yield part
            part = []


def fault(command: Command) -> str | None:
    """Return what is wrong with a command, or None."""
    program, *words = command.words
    if program in OURS:
        return _fault_of_ours(program, words, is_mention=command.is_mention)
    match program:
        case "make":
            return _fault_of_make(words)
        case "systemctl" | "journalctl":
            return _fault_of_units(program, words)
        case "python":
            module = words[words.index("-m") + 1] if "-m" in words else None
            return f"there is no module {module}" if module and find_spec(module) is None else None
        case _:
            topics = [topic for option, topic in pairwise(words) if option == "-t"]
            wrong = [topic for topic in topics if not TOPIC.match(topic)]
            return f"no such topic: {wrong}" if wrong else None


def _fault_of_ours(program: str, words: list[str], *, is_mention: bool) -> str | None:
    command, ahead = OURS[program], list(words)
    while isinstance(command, click.Group) and ahead and not ahead[0].startswith("-"):
        found = command.get_command(click.Context(command), ahead.pop(0))
        if found is None:
            return f"{program} has no such command"
        command = found
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--json", "--help", "-h", "--version"}
    strange = [word for word in ahead if word.startswith("-") and word.partition("=")[0] not in known]
    if strange:
        return f"no such option: {strange}"
    if is_mention and (_is_cut(ahead) or all(word.startswith("-") for word in ahead)):
        return None
    try:
        _parse(OURS[program], program, [_filled(word) for word in words], None)
    except click.ClickException as exc:
        return exc.format_message()
    except SystemExit as exc:
        return None if exc.code in {0, None} else f"ends with {exc.code}"
    return None


def _is_cut(words: list[str]) -> bool:
    """Return whether a command ends with `...` that is no option's value."""
    return words[-1:] == [FURTHER] and not "".join(words[-2:-1]).startswith("-")


def _filled(word: str) -> str:
    """Return a value for a placeholder: one of `on|off`, a number for N."""
    return "3" if word == "N" else word.strip("[]").partition("|")[0]


def _parse(command: click.Command, called: str, arguments: Iterable[str], parent: click.Context | None) -> None:
    """Parse as the program does. Raises click.UsageError where the program would; SystemExit where the beat ends."""
    context = command.make_context(called, list(arguments), parent=parent)
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        _, found, further = command.resolve_command(context, rest)
        assert found is not None
        _parse(found, f"{called} {rest[0]}", further, context)


def _fault_of_make(words: list[str]) -> str | None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    settings = set(re.findall(r"^([A-Z]+) \?=", text, re.MULTILINE))
    named = {word.partition("=")[0] for word in words if "=" in word}
    unknown = [word for word in words if "=" not in word and word not in targets] + sorted(named - settings)
    return f"the Makefile has no {unknown}" if unknown else None


def _fault_of_units(program: str, words: list[str]) -> str | None:
    files = [*(ROOT / "systemd").glob("*.service"), *(ROOT / "systemd").glob("*.timer")]
    units = {path.name.removesuffix(".service") for path in files} | UNITS
    if program == "journalctl":
        named = [unit for option, unit in pairwise(words) if option == "-u"]
    else:
        plain = [word for word in words if not word.startswith("-")]
        if plain[0] not in VERBS:
            return f"systemctl has no {plain[0]}"
        named = plain[1:]
    unknown = [unit for unit in named if re.sub("@.+$", "@", unit) not in units]
    return f"no unit of ours: {unknown}" if unknown else None

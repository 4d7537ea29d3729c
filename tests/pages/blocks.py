"""Reads the blocks of a page: commands, configuration and payloads that a reader pastes.

It knows Markdown as these pages use it: fenced blocks with a language, headings that begin with `#`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT, name

LANGUAGES: Final = frozenset({"sh", "ini", "toml", "yaml", "json", "python", "text", "mermaid"})
BLOCK: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
LIST: Final = re.compile(r"^ *(?:[-*]|\d+\.) ")
INDENTED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block; `heading` is the nearest one above it, `line` that of its first line of text."""

    page: str
    heading: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> tuple[Path, ...]:
    """Return the README and every page of docs/, but not the decisions, which nobody types."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@cache
def all_blocks() -> tuple[Block, ...]:
    """Return the blocks of all pages, in their order."""
    return tuple(block for path in pages() for block in read(name(path), path.read_text(encoding="utf-8")))


def read(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    prose = without_blocks(text)
    for match in BLOCK.finditer(text):
        above = HEADING.findall(prose[: match.start()])
        yield Block(
            page=page,
            heading=above[-1] if above else "",
            line=text.count("\n", 0, match.start()) + 2,
            language=match["language"],
            text=re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
        )


def without_blocks(text: str) -> str:
    """Return a page with its blocks blank; every character stays at its place."""
    return BLOCK.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def indented(text: str) -> Iterator[int]:
    """Yield the numbers of lines that Markdown shows as code because they are indented, outside lists."""
    is_in_list, before = False, ""
    for number, line in enumerate(without_blocks(text).splitlines(), start=1):
        if LIST.match(line):
            is_in_list = True
        elif line.strip() and not line.startswith(" "):
            is_in_list = False
        is_code = line.startswith(" " * INDENTED) and line.strip() and not is_in_list
        if is_code and not before.strip():
            yield number
        before = line

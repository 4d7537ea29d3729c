"""Reads Markdown as far as the tests of the documents need it: links, anchors, commands. No full parser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

LINK: Final = re.compile(r"(?<!!)\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)")
PICTURE: Final = re.compile(r"!\[[^\]]*\]\((?P<target>[^)\s]+)\)")
OUTSIDE: Final = re.compile(r"^https?://")
WELL_FORMED: Final = re.compile(r"https://(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:/[\w.~!$&'*+,;=:@%/?#-]*)?")
BLOCK: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED_BLOCK: Final = re.compile(r"^ +```.*?^ +```$", re.DOTALL | re.MULTILINE)
"""A block inside a list."""
REDIRECTION: Final = re.compile(r"\d?>(?:&\d|\s*\S+)|<\S*")
SUBSTITUTION: Final = re.compile(r"\"?\$\((?P<inner>.*?)\)\"?")
OURS: Final = ("fenced ", "fenced-beat ", "fencectl ")


def links(path: Path) -> list[str]:
    """Return the targets of all links."""
    return [match["target"] for match in LINK.finditer(_text(path))]


def pictures(path: Path) -> list[str]:
    """Return the targets of all pictures."""
    return [match["target"] for match in PICTURE.finditer(_text(path))]


def linked_file(path: Path, target: str) -> Path:
    """Return the file to which a link of a document leads."""
    place = target.partition("#")[0]
    return (path.parent / place).resolve() if place else path


def leads_somewhere(path: Path, target: str) -> bool:
    """Return whether file and heading exist. An external address is not requested, and must be well-formed."""
    if OUTSIDE.match(target):
        return WELL_FORMED.fullmatch(target) is not None
    found, anchor = linked_file(path, target), target.partition("#")[2]
    if not found.exists() or not found.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(found)


def commands(path: Path) -> Iterator[str]:
    """Yield what a reader should type: each command in shell blocks and indented lines."""
    blocks = [match["text"] for match in BLOCK.finditer(path.read_text(encoding="utf-8")) if match["language"] == "sh"]
    indented = re.findall(r"^ {4}(\S.*)$", _text(path), re.MULTILINE)
    for line in [*(line for block in blocks for line in block.splitlines()), *indented]:
        inner = [match["inner"] for match in SUBSTITUTION.finditer(line)]
        for command in [SUBSTITUTION.sub("X", line), *inner]:
            parts = re.split(r"\|\|?|&&|;|\s&(?:\s|$)", REDIRECTION.sub("", command))
            yield from (part.strip() for part in parts if part.strip().startswith(OURS))


def mentions(path: Path) -> Iterator[str]:
    """Yield commands that the text mentions in backquotes or blocks without a language; operands may be missing."""
    blocks = [match["text"] for match in BLOCK.finditer(path.read_text(encoding="utf-8")) if not match["language"]]
    spoken = re.findall(r"`((?:fenced|fenced-beat|fencectl) [^`]+)`", _text(path).replace("\n", " "))
    for line in [*(line.strip() for block in blocks for line in block.splitlines()), *spoken]:
        if line.startswith(OURS):
            yield line.partition("#")[0].strip()


def prose_lines(path: Path) -> Iterator[str]:
    """Return the lines of running text: without blocks, tables and indented commands."""
    for line in INDENTED_BLOCK.sub("", _text(path)).splitlines():
        if not line.startswith(("    ", "|")) and " " in line.strip():
            yield line


def _text(path: Path) -> str:
    """Return a document without its blocks."""
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Return the headings of a document, as links name them on GitHub and on the site (tests/site compares).

    The two name the second of two equal headings differently, so a link can only lead to the first.
    """
    headings = [LINK.sub(_label, heading) for heading in re.findall(r"^#+ (.*)$", _text(path), re.MULTILINE)]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _label(match: re.Match[str]) -> str:
    return match["label"]

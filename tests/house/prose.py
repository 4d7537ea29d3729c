"""Reads Markdown as far as the tests of the documents need it: links, anchors, running text. No full parser."""

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

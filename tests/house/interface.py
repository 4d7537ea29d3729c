"""docs/interface.md as tables of names, for the tests that compare it with the code."""

import re
from collections.abc import Iterator
from typing import Final

from tests.house.tree import ROOT

PAGE: Final = ROOT / "docs/interface.md"
NAME: Final = re.compile(r"`([^`]+)`")


def rows(header: str) -> Iterator[list[str]]:
    """Return the cells of each row of the tables with this first header."""
    is_inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_inside = False
        elif cells[0] == header:
            is_inside = True
        elif is_inside and not set(cells[0]) <= set("-"):
            yield cells


def names(cell: str) -> list[str]:
    """Return the texts between backquotes."""
    return NAME.findall(cell)


def table(header: str, column: int = 1) -> dict[str, list[str]]:
    """Return the first name of each row -> the names of another column."""
    return {names(cells[0])[0]: names(cells[column]) for cells in rows(header)}

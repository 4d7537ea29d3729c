"""Tables of `fencectl`. A line of a table is a string that still knows its cells. So a page is made of plain lines, and
a terminal can fit and colour what is a table in it (`screen`).

Pure: cells in, lines out.
"""

from collections.abc import Iterable, Sequence
from typing import Self

from fenced.model.text import one_line


class Row(str):
    """A line of a table as plain text. `table`: all rows of it with their cells, the head first; `number`: which one
    this is."""

    table: Sequence[Sequence[str]]
    number: int

    @classmethod
    def of(cls, line: str, table: Sequence[Sequence[str]], number: int) -> Self:
        """Make the line of that row."""
        made = cls(line)
        made.table, made.number = table, number
        return made


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines with columns as wide as their widest cell, the last one unpadded."""
    cells = [list(head), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return [Row.of(line, cells, number) for number, line in enumerate(lines)]

"""Lays out pages for a terminal: tables that fit it, long lines broken at words, colours for words that mean something.

`NO_COLOR` and `TERM=dumb` turn colours off. No meaning is in a colour alone. Not by rich: its table of 10,000 hosts
takes four seconds, this one a tenth of a second.
"""

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import click

from fenced.cli.fencectl.tables import Row
from fenced.model.text import one_line

GOOD: Final = "green"
DOUBTFUL: Final = "yellow"
BAD: Final = "red"
QUIET: Final = "cyan"
MEANINGS: Final = {
    **dict.fromkeys(("healthy", "OK", "yes", "open", "done", "active", "full", "won"), GOOD),
    **dict.fromkeys(
        ("suspect", "dumping", "fencing", "degraded", "running", "waits", "warning", "WARNING", "UNKNOWN"), DOUBTFUL
    ),
    **dict.fromkeys(("failed", "none", "CLOSED", "blocks", "critical", "CRITICAL", "offline", "no", "timed out"), BAD),
    **dict.fromkeys(("fenced", "restoring", "sleeping", "left", "maintenance", "cancelled", "standby"), QUIET),
}
"""What a whole word means, in a column of words or at the begin of a line."""
LEVELS: Final = frozenset({"OK", "WARNING", "CRITICAL", "UNKNOWN", "critical", "warning"})
"""Words that say how bad it is, at the begin of a line."""
COLUMNS: Final = frozenset({"STATE", "FENCEABLE", "NOW", "WAS", "UP", "FIT", "WEIGHT", "VERDICT"})
"""Columns whose words have a meaning."""
PROSE_MIN: Final = 24
"""A column with a cell of several words that is longer is prose: it is wrapped. Names and times are never broken."""
PROSE_WIDTH_MIN: Final = 20
GAP: Final = "  "


def draw(lines: Iterable[str], *, width: int) -> None:
    """Print lines on the terminal."""
    for line in layout(lines, width=width, is_coloured=has_colours(os.environ)):
        click.echo(line)


def has_colours(environ: Mapping[str, str]) -> bool:
    """Return whether the user wants colours (no-color.org)."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def layout(lines: Iterable[str], *, width: int, is_coloured: bool) -> Iterator[str]:
    """Yield the lines of the terminal. `width`: its columns."""
    for line in lines:
        if not isinstance(line, Row):
            yield from _plain(one_line(line), width, is_coloured=is_coloured)
        elif line.number == 0:
            yield from _table(line.table, width, is_coloured=is_coloured)


def _plain(line: str, width: int, *, is_coloured: bool) -> Iterator[str]:
    """Yield a line, broken at words; the level that it begins with has a colour."""
    body = line.lstrip()
    indent = " " * (len(line) - len(body))
    word = body.partition(" ")[0].removesuffix(":")
    parts = _wrapped(body, width - len(indent) - 4) if len(line) > width else [body]
    first = body if len(parts) == 1 else parts[0]
    if is_coloured and word in LEVELS:
        first = _coloured(word, word) + first[len(word) :]
    yield indent + first
    yield from (f"{indent}    {part}" for part in parts[1:])


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; a word that is longer is broken."""
    return textwrap.wrap(text, max(width, PROSE_WIDTH_MIN), break_on_hyphens=False) or [""]


def _table(rows: Sequence[Sequence[str]], width: int, *, is_coloured: bool) -> Iterator[str]:
    """Yield the table; where it can't be read, a block for each row."""
    widths = _fit(rows, width)
    if widths is None:
        yield from _cards(rows, width, is_coloured=is_coloured)
        return
    for number, row in enumerate(rows):
        parts = [_wrapped(cell, room) if len(cell) > room else (cell,) for cell, room in zip(row, widths, strict=True)]
        for cells in zip_longest(*parts, fillvalue=""):
            padded = [cell.ljust(room) for cell, room in zip(cells, widths, strict=True)]
            if not is_coloured:
                yield GAP.join(padded).rstrip()
            elif number == 0:
                yield click.style(GAP.join(padded).rstrip(), bold=True)
            else:
                shown = (_cell(title, cell, text) for title, cell, text in zip(rows[0], row, padded, strict=True))
                yield GAP.join(shown).rstrip()


def _fit(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the width of each column; None if they can't be narrow enough. What lacks is taken from prose, from the
    widest first."""
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    prose = [number for number, column in enumerate(columns) if _is_prose(column)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0:
        widest = max(prose, key=lambda number: widths[number], default=None)
        if widest is None or widths[widest] <= PROSE_WIDTH_MIN:
            return None
        widths[widest] -= 1
        excess -= 1
    return widths


def _is_prose(column: Iterable[str]) -> bool:
    return any(len(cell) > PROSE_MIN and " " in cell for cell in column)


def _cards(rows: Sequence[Sequence[str]], width: int, *, is_coloured: bool) -> Iterator[str]:
    head, *cells = rows
    label = max(map(len, head)) + len(GAP)
    for number, row in enumerate(cells):
        if number:
            yield ""
        for title, cell in zip(head, row, strict=True):
            if not cell:
                continue
            first, *others = _wrapped(cell, width - label)
            name = title.ljust(label)
            yield click.style(name, bold=True) + _cell(title, cell, first) if is_coloured else name + first
            yield from (" " * label + part for part in others)


def _cell(title: str, cell: str, text: str) -> str:
    return _coloured(cell, text) if title in COLUMNS else text


def _coloured(word: str, text: str) -> str:
    colour = MEANINGS.get(word)
    return text if colour is None else click.style(text, fg=colour, bold=True if colour == BAD else None)

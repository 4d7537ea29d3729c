"""Writes the table of docs/gates.md from the gates: `make docs-gates`."""

from typing import Final

from fenced.core.allowed.catalogue import table
from tests.house.tree import ROOT

PAGE: Final = ROOT / "docs" / "gates.md"
BEGIN: Final = "<!-- Written by `make docs-gates` from fenced/core/allowed/catalogue.py; a test compares it. -->\n\n"
END: Final = "\n<!-- End of what is written. -->"


def text() -> str:
    """Return the whole page with the table of today."""
    page = PAGE.read_text(encoding="utf-8")
    head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    return head + table() + tail


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

"""Citations are valid: files and headings of docs/, decisions, and the safety rules of docs/design.md by number.

This checks what code, tests and settings cite; `test_documents` checks the links of the documents.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.prose import anchors
from tests.house.tree import ROOT, files, name

PAGE: Final = re.compile(r"(?<![\w./-])(?:docs/)?(?P<page>(?:adr/)?[\w-]+\.md)(?:#(?P<heading>[\w-]+))?")
DECISION: Final = re.compile(r"\bADR (?P<number>\d+)\b")
RULE: Final = re.compile(r"(?<![\w/.-])S(?P<number>\d{1,2})(?![\w/-])")
GONE: Final = re.compile(r"\b(?:DESIGN|INTERFACE|STYLE|TESTBED)\b|\.\./shared\b")
"""How a specification outside the repository was cited."""
OF_THE_SITE: Final = (".ci/mkdocs.yml", "tests/site/")
"""They name pages by their place in the site, which building it checks."""
ROOT_PAGES: Final = frozenset({"README.md", "CHANGELOG.md"})
NOT_READ: Final = frozenset({".db", ".png", ".svg", ".gz", ".pem"})
RULES: Final = frozenset(range(1, 23)) | {24}


def _cited() -> Iterator[tuple[Path, str]]:
    for path in files():
        if path.suffix not in NOT_READ and path != Path(__file__):
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


CITED: Final = tuple(_cited())


def _page(page: str) -> Path:
    return ROOT / page if page in ROOT_PAGES else ROOT / "docs" / page


def _leads_somewhere(page: str, heading: str | None) -> bool:
    path = _page(page)
    return path.exists() and (heading is None or heading in anchors(path))


def test_pages_and_headings_exist() -> None:
    lost = {
        f"{name(path)}: {match[0]}"
        for path, text in CITED
        if path.suffix != ".md" and not name(path).startswith(OF_THE_SITE)
        for match in PAGE.finditer(text)
        if not _leads_somewhere(match["page"], match["heading"])
    }
    assert lost == set()


def test_decisions_exist() -> None:
    pages = {int(path.name[:4]) for path in (ROOT / "docs/adr").glob("[0-9]*.md")}
    lost = {
        f"{name(path)}: {match[0]}"
        for path, text in CITED
        for match in DECISION.finditer(text)
        if int(match["number"]) not in pages
    }
    assert lost == set()


def test_rules_exist() -> None:
    page = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    written = {int(number) for number in re.findall(r"^(?:\| )?S(\d+)\b", page, re.MULTILINE)}
    assert written == RULES
    lost = {
        f"{name(path)}: {match[0]}"
        for path, text in CITED
        for match in RULE.finditer(text)
        if int(match["number"]) not in RULES
    }
    assert lost == set()


def test_every_rule_is_promised() -> None:
    """To users, in docs/safety.md."""
    page = (ROOT / "docs/safety.md").read_text(encoding="utf-8")
    promised = {int(match["number"]) for match in RULE.finditer(page)}
    assert promised == RULES


def test_no_specification_outside_the_repository_is_cited() -> None:
    assert {f"{name(path)}: {match[0]}" for path, text in CITED for match in GONE.finditer(text)} == set()


@pytest.mark.parametrize("cited", ["design.md#no-such-heading", "docs/nothing.md", "adr/0099-nothing.md"])
def test_wrong_citations_are_found(cited: str) -> None:
    match = PAGE.fullmatch(cited)
    assert match is not None
    assert not _leads_somewhere(match["page"], match["heading"])

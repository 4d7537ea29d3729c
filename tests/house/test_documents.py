"""The documents: links work, named files exist, and generated parts are up to date."""

import re
from pathlib import Path
from typing import Final

import pytest

from fenced.core.allowed import catalogue
from fenced.core.allowed.gates import all_gates
from tests.house.gates import text as gates_text
from tests.house.prose import leads_somewhere, linked_file, links, pictures, prose_lines
from tests.house.states import text as states_text
from tests.house.tree import ROOT, files, functions, name

DOCUMENTS: Final = tuple(path for path in files() if path.suffix == ".md")
COLUMNS_MAX: Final = 120
SHIPPED: Final = re.compile(
    r"(?<![\w/.])(?:config|systemd|docs|tests|fenced)/[\w./-]+\.(?:toml|service|conf|acl|md|py)\b"
)


def _ids(paths: tuple[Path, ...]) -> list[str]:
    return [name(path) for path in paths]


@pytest.mark.parametrize("path", DOCUMENTS, ids=_ids(DOCUMENTS))
def test_links_lead_somewhere(path: Path) -> None:
    broken = [target for target in (*links(path), *pictures(path)) if not leads_somewhere(path, target)]
    assert broken == []


@pytest.mark.parametrize(
    "target",
    [
        "no-such-page", "gates.md#" + "no-such-heading", "#no-such-heading", "../../elsewhere.md",
        "http://example.org/", "https://example", "https://example.org/a b", "https:/example.org", "//example.org/x",
    ],
)  # fmt: skip
def test_links_that_lead_nowhere_are_found(target: str) -> None:
    assert not leads_somewhere(ROOT / "docs/operations.md", target)


@pytest.mark.parametrize("target", ["gates.md", "operations.md#arming", "#arming", "https://example.org/a?b=c#d"])
def test_links_that_lead_somewhere_are_not(target: str) -> None:
    assert leads_somewhere(ROOT / "docs/operations.md", target)


def test_documents_are_wrapped() -> None:
    """Except tables, what a reader types, and words without a place to break."""
    long = {name(path) for path in DOCUMENTS if any(len(line) > COLUMNS_MAX for line in prose_lines(path))}
    assert long == set()


def test_every_document_can_be_found() -> None:
    """Links from the README lead to it."""
    found: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        path = ahead.pop()
        if path in found or path.suffix != ".md" or not path.exists():
            continue
        found.add(path)
        ahead += [linked_file(path, target) for target in links(path)]
    lost = [name(path) for path in DOCUMENTS if path not in found]
    assert lost == []


def test_the_index_names_every_page() -> None:
    """Directly, so that docs/README.md is a table of contents on GitHub as the navigation is on the site."""
    index = ROOT / "docs/README.md"
    named = {linked_file(index, target) for target in links(index)}
    assert [name(path) for path in DOCUMENTS if path.parent == ROOT / "docs" and path not in {*named, index}] == []


def test_files_that_are_named_exist() -> None:
    missing = {
        f"{name(path)}: {named}"
        for path in DOCUMENTS
        for named in SHIPPED.findall(path.read_text(encoding="utf-8"))
        if not any((ROOT / folder / named).exists() for folder in ("", "fenced"))
    }
    assert missing == set()


def test_states_are_those_of_the_code() -> None:
    assert (ROOT / "docs/states.md").read_text(encoding="utf-8") == states_text(), "run: make docs-states"


def test_every_gate_is_explained() -> None:
    assert sorted(catalogue.GATES) == sorted([*_gates(), "release_grace"]), "this one is made by `confirming`"
    assert (ROOT / "docs/gates.md").read_text(encoding="utf-8") == gates_text(), "run: make docs-gates"


def test_decisions_are_numbered_once_and_listed() -> None:
    pages = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))
    numbers = [int(page[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    assert [page for page in pages if f"({page})" not in index] == []


def _gates() -> list[str]:
    """Return the names in the source: each gate is made by `judged("name", ...)`."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "fenced/core/allowed").glob("*.py"))
    assert all_gates.__module__ == "fenced.core.allowed.gates"
    assert any(function == "judged" for function, _ in functions(ROOT / "fenced/core/allowed/verdict.py"))
    return sorted(set(re.findall(r"judged\(\s*\"(\w+)\"", source)))

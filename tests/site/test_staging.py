"""The pages of the site: every document is one, and every link has the place of its target there."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from fenced.api.openapi import document
from fenced.api.routes import ROUTES
from tests.site.http_api import page
from tests.site.staging import CONFIGURATION, HTTP_API, pages, rewritten

KNOWN: Final = {"README.md": "index.md", "docs/gates.md": "gates.md", "docs/adr/0001-x.md": "adr/0001-x.md"}


class _Loader(yaml.SafeLoader):
    """Reads mkdocs' tags of Python objects as nothing."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def navigation() -> list[str]:
    """Return the pages that the navigation of the site names, in its order."""
    return [*_leaves(yaml.load(CONFIGURATION.read_text(encoding="utf-8"), _Loader)["nav"])]


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for child in node.values():
            yield from _leaves(child)
    else:
        for child in node:
            yield from _leaves(child)


def test_every_document_is_in_the_navigation_once() -> None:
    assert sorted(navigation()) == sorted([*pages().values(), HTTP_API]), "edit nav in .ci/mkdocs.yml"


@pytest.mark.parametrize(
    ("name", "link", "expected"),
    [
        ("README.md", "[g](docs/gates.md#who-counts)", "[g](gates.md#who-counts)"),
        ("docs/gates.md", "[r](../README.md)", "[r](index.md)"),
        ("docs/adr/0001-x.md", "[g](../gates.md)", "[g](../gates.md)"),
        ("docs/adr/0001-x.md", "[r](../../README.md#see-it)", "[r](../index.md#see-it)"),
        ("docs/gates.md", "[a](../config/mosquitto.acl)", "[a](files/config/mosquitto.acl.txt)"),
        ("docs/gates.md", "![p](pictures/p.svg)", "![p](pictures/p.svg)"),
        ("docs/gates.md", "[b](#below) [o](https://example.org/x)", "[b](#below) [o](https://example.org/x)"),
        ("docs/gates.md", "```\n[g](../README.md)\n```", "```\n[g](../README.md)\n```"),
    ],
)
def test_links_get_the_place_of_their_target(name: str, link: str, expected: str) -> None:
    assert rewritten(name, link, KNOWN)[0] == expected


def test_files_that_are_no_pages_come_along() -> None:
    _, linked = rewritten("docs/gates.md", "[a](../config/mosquitto.acl) ![p](pictures/p.svg)", KNOWN)
    assert linked == {"config/mosquitto.acl": "files/config/mosquitto.acl.txt", "docs/pictures/p.svg": "pictures/p.svg"}


def test_the_page_of_the_api_has_every_route_and_object() -> None:
    described = document(ROUTES)
    text = page(described)
    headings = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    routes = {f"`{method.upper()} {path}`" for path, methods in described["paths"].items() for method in methods}
    assert headings == routes | set(described["components"]["schemas"])
    anchors = {heading.lower() for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors

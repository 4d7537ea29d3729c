"""The pictures of terminals show what the programs print, and what the API answers, today."""

from typing import Final

import jsonschema  # type: ignore[import-untyped]  # brings no types
import pytest

from fenced.api.openapi import document
from fenced.api.routes import ROUTES
from tests.site.screens import PICTURES, pictures, recorded, screens

AGAIN: Final = "run: make docs-screenshots (or, if only the drawing changed: python -m tests.site screens --redraw)"
ANSWERS: Final = {
    "hosts": "/api/v1/hosts",
    "operation": "/api/v1/operations/{operation}",
    "explain": "/api/v1/hosts/{host}/explain",
    "readyz": "/readyz",
}


def test_pictures_show_what_the_programs_print() -> None:
    drawn = pictures(recorded())
    assert drawn.keys() == {path.name for path in PICTURES.glob("fencectl-*.svg")}, AGAIN
    assert [name for name, text in drawn.items() if (PICTURES / name).read_text() != text] == [], AGAIN


@pytest.mark.parametrize("name", ANSWERS)
def test_the_recording_is_what_the_api_answers(name: str) -> None:
    """With exactly the fields of today."""
    described = document(ROUTES)
    answer = described["paths"][ANSWERS[name]]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    faults = jsonschema.Draft202012Validator(answer | {"components": described["components"]}).iter_errors(
        recorded()[name]
    )
    assert [fault.message for fault in faults] == [], AGAIN


def test_what_was_recorded_is_the_story_that_the_pages_tell() -> None:
    shown = {name: "\n".join(lines) for name, lines in screens(recorded()).items()}
    assert {host["state"] for host in recorded()["hosts"]["items"]} == {"healthy", "maintenance", "fenced"}
    assert "restart node-2, done" in shown["operation"]
    assert "fenced: yes (device_verified, level 1)" in shown["operation"]
    assert "maintenance       CLOSED" in shown["explain"]
    assert "armed     yes" in shown["status"]


def test_pictures_load_nothing() -> None:
    for path in PICTURES.glob("*.svg"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "url(" not in text.replace("url(#", ""), path
        assert "href" not in text and "@import" not in text, path

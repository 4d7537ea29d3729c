"""docs/asyncapi.json is what the tables and the code say, valid, and true of real messages."""

import json
import subprocess
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.house.asyncapi import FILE, document, text
from tests.house.interface import table
from tests.house.tree import ROOT
from tests.needs import needs

SPECS: Final = (
    "@asyncapi/specs@6.11.1",
    "schemas/3.0.0.json",
    "d4571a420e6ffb7fcc7066c95a6db1202f299a3c51daa103d0706bf30f95e626",
)
"""The package, the file in it, and its digest."""


def test_it_is_what_the_tables_say() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: make docs-asyncapi"


@needs("npm")
@pytest.mark.integration
def test_it_is_valid() -> None:
    file = ROOT / "build/asyncapi-3.0.0.json"
    subprocess.run([ROOT / ".ci/fetch-npm", file, *SPECS], check=True, timeout=120)
    schema = json.loads(file.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(document())] == []
    broken = document()
    broken["channels"]["health"]["address"] = 7
    assert [*validator.iter_errors(broken)], "the validator accepts anything"


def test_every_topic_and_event_is_in_it() -> None:
    found = document()
    assert len(found["channels"]) == len(table("Topic"))
    named = {message["name"] for message in found["components"]["messages"].values() if "name" in message}
    assert named == {*table("Event of a host"), *table("Event of the fleet")}
    used = {ref["$ref"].rpartition("/")[2] for channel in found["channels"].values()
            for ref in channel["messages"].values()}  # fmt: skip
    assert used == set(found["components"]["messages"])


@pytest.mark.parametrize(
    ("message", "payload", "is_one"),
    [
        ("health", {"boot": "b1", "seq": 17, "status": "ok"}, True),
        ("health", {}, True),
        ("presence", "offline", True),
        ("presence", "away", False),
        ("evidence", {"kind": "maintenance", "alive": True, "ttl": 60}, True),
        ("evidence", {"alive": True}, False),
        ("hostFenced", {"type": "io.fenced.host.fenced"}, False),
    ],
)
def test_a_message_is_told_from_what_is_none(message: str, payload: Any, is_one: bool) -> None:
    schema = document()["components"]["messages"][message]["payload"]
    assert jsonschema.Draft202012Validator(schema).is_valid(payload) is is_one

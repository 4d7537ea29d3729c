"""`fenced agents`, as a person and as a program calls it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fenced.cli.agents import command
from tests.drivers.programs import METADATA, make_agent
from tests.needs import needs


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What agents said is kept in a place of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def test_installed_agents_are_listed_the_first_of_a_name_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, name in ((first, "fence_a"), (second, "fence_a"), (second, "fence_b")):
        directory.mkdir(exist_ok=True)
        make_agent(directory, "exit 1", name=name)
    (second / "fence_c").write_text("not executable")
    path = ["--agent-path", str(first), "--agent-path", str(second)]
    result = CliRunner().invoke(command, path)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.output.splitlines()]
    assert [row[:5] for row in rows] == [
        [name, "power", "outlet", "yes", "off, on, status"] for name in ("fence_a", "fence_b")
    ]
    entries = json.loads(CliRunner().invoke(command, [*path, "--json"]).output)
    assert [entry["path"] for entry in entries] == [f"{first}/fence_a", f"{second}/fence_b"]
    assert (first / "fence_a.asked").read_text().count("asked") == 1


def test_what_is_no_power_device_is_listed_with_why(tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 1", name="fence_port", metadata=METADATA.replace('"on"', '"on" automatic="1"'))
    make_agent(tmp_path, "exit 1", name="fence_blind", metadata=METADATA.replace('<action name="status"/>', ""))
    make_agent(tmp_path, "exit 1", name="fence_mute", metadata="nothing")
    found = json.loads(CliRunner().invoke(command, ["--json", "--agent-path", str(tmp_path)]).output)
    told = {entry["name"]: (entry["kind"], entry["usable"], bool(entry["why"])) for entry in found}
    assert told == {
        "fence_blind": ("power", False, True),
        "fence_mute": ("power", True, True),
        "fence_port": ("fabric", False, True),
    }
    assert "not usable: " in CliRunner().invoke(command, ["fence_port", "--agent-path", str(tmp_path)]).output


def test_one_agent_s_parameters_say_where_they_are_set(tmp_path: Path) -> None:
    make_agent(tmp_path, "exit 1")
    path = ["--agent-path", str(tmp_path)]
    lines = CliRunner().invoke(command, ["fence_made", *path]).output.splitlines()
    assert lines[:2] == ["fence_made: Made for a test", "actions: metadata, off, on, status"]
    cells = {line.split("\t")[0]: line.split("\t") for line in lines[2:]}
    assert "ipaddr" not in cells
    assert {name: row[1] for name, row in cells.items()} == {
        "action": "fenced",
        "ip": "address",
        "username": "username",
        "password": "password_file",
        "plug": "options (else the host's name)",
    }
    assert cells["ip"][2] == "yes"
    whole = json.loads(CliRunner().invoke(command, ["fence_made", "--json", *path]).output)
    assert [entry["name"] for entry in whole["parameters"] if entry["is_deprecated"]] == ["ipaddr"]


def test_what_is_no_agent_is_an_error(tmp_path: Path) -> None:
    missing = CliRunner().invoke(command, ["fence_none", "--agent-path", str(tmp_path)])
    assert missing.exit_code == 1
    assert "is not installed" in missing.output
    make_agent(tmp_path, "exit 1", metadata="nothing")
    mute = CliRunner().invoke(command, ["fence_made", "--agent-path", str(tmp_path)])
    assert mute.exit_code == 1
    assert "no metadata" in mute.output


@needs("fence_ipmilan")
def test_debian_s_agents_are_shown() -> None:
    result = CliRunner().invoke(command, ["fence_ipmilan"])
    assert "\naction\tfenced\t" in result.output
    assert "\nip\taddress\t" in result.output

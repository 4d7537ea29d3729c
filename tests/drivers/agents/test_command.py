"""`fenced agents` for operators and for programs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fenced.cli.agents import command
from tests.drivers.programs import METADATA, make_agent
from tests.needs import needs


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata cache is in a directory of the test."""
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
        [name, "power", "outlet", "with cuts_power = true", "off, on, status"] for name in ("fence_a", "fence_b")
    ]
    entries = json.loads(CliRunner().invoke(command, [*path, "--json"]).output)
    assert [entry["path"] for entry in entries] == [f"{first}/fence_a", f"{second}/fence_b"]
    assert (first / "fence_a.asked").read_text().count("asked") == 1


def test_agents_that_cut_no_power_are_listed_with_the_reason(tmp_path: Path) -> None:
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
    assert lines[2].startswith("not reviewed: ")
    assert "cuts_power = true" in lines[3]
    cells = {line.split("\t")[0]: line.split("\t") for line in lines[4:]}
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


def test_whether_an_agent_was_reviewed_is_shown(tmp_path: Path) -> None:
    more = '<parameter name="network-fencing"/><parameter name="ssh_path"/><parameter name="half_off"/></parameters>'
    metadata = METADATA.replace("</parameters>", more)
    for name in ("fence_virsh", "fence_made", "fence_dummy", "fence_scsi"):
        make_agent(tmp_path, "exit 1", name=name, metadata=metadata.replace("fence_made", name))
    found = json.loads(CliRunner().invoke(command, ["--json", "--agent-path", str(tmp_path)]).output)
    told = {entry["name"]: (entry["review"], entry["usable"], bool(entry["review_why"])) for entry in found}
    assert told == {
        "fence_dummy": ("not reviewed", True, True),
        "fence_made": ("not reviewed", True, True),
        "fence_scsi": ("refused", False, True),
        "fence_virsh": ("reviewed", True, True),
    }
    rows = CliRunner().invoke(command, ["--agent-path", str(tmp_path)]).output.splitlines()
    usable = {row.split("\t")[0]: row.split("\t")[3].split(":")[0] for row in rows}
    assert usable == {
        "fence_dummy": "with cuts_power = true",
        "fence_made": "with cuts_power = true",
        "fence_scsi": "no",
        "fence_virsh": "yes",
    }


def test_the_reviews_verdict_on_each_option_is_shown(tmp_path: Path) -> None:
    more = '<parameter name="network-fencing"/><parameter name="ssh_path"/><parameter name="half_off"/></parameters>'
    metadata = METADATA.replace("</parameters>", more).replace("fence_made", "fence_virsh")
    make_agent(tmp_path, "exit 1", name="fence_virsh", metadata=metadata)
    lines = CliRunner().invoke(command, ["fence_virsh", "--agent-path", str(tmp_path)]).output.splitlines()
    cells = {line.split("\t")[0]: line.split("\t") for line in lines if "\t" in line}
    assert cells["network-fencing"][6].startswith("refused: ")
    assert cells["ssh_path"][6].startswith("weakens it: ")
    assert cells["half_off"][6] == "not reviewed"
    assert (cells["action"][6], cells["ip"][6]) == ("", "")
    assert (cells["ip"][7], cells["plug"][7]) == ("a command line", "a session at the device")
    whole = json.loads(CliRunner().invoke(command, ["fence_virsh", "--json", "--agent-path", str(tmp_path)]).output)
    assert whole["review"] == "reviewed"
    assert {entry["name"]: entry["reaches"] for entry in whole["parameters"]}["plug"] == ["a session at the device"]


def test_a_program_that_is_no_agent_is_an_error(tmp_path: Path) -> None:
    missing = CliRunner().invoke(command, ["fence_none", "--agent-path", str(tmp_path)])
    assert missing.exit_code == 1
    assert "is not installed" in missing.output
    make_agent(tmp_path, "exit 1", metadata="nothing")
    mute = CliRunner().invoke(command, ["fence_made", "--agent-path", str(tmp_path)])
    assert mute.exit_code == 1
    assert "readable metadata" in mute.output


@needs("fence_ipmilan")
def test_debian_s_agents_are_shown() -> None:
    result = CliRunner().invoke(command, ["fence_ipmilan"])
    assert "\naction\tfenced\t" in result.output
    assert "\nip\taddress\t" in result.output

"""`fenced agents`, as a person and as a program calls it."""

import json
from pathlib import Path

from click.testing import CliRunner

from fenced.cli.agents import command
from tests.drivers.programs import make_agent
from tests.needs import needs


def test_installed_agents_are_listed_the_first_of_a_name_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, name in ((first, "fence_a"), (second, "fence_a"), (second, "fence_b")):
        directory.mkdir(exist_ok=True)
        make_agent(directory, "exit 1", name=name)
    (second / "fence_c").write_text("not executable")
    path = ["--agent-path", str(first), "--agent-path", str(second)]
    result = CliRunner().invoke(command, path)
    assert result.exit_code == 0
    assert result.output.splitlines() == [f"fence_a\t{first}/fence_a", f"fence_b\t{second}/fence_b"]
    assert [entry["name"] for entry in json.loads(CliRunner().invoke(command, [*path, "--json"]).output)] == [
        "fence_a",
        "fence_b",
    ]


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

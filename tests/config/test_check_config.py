"""`fenced check-config` as an operator or a program sees it: lines or JSON, exit 0 or 78."""

import grp
import json
import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fenced.cli.main import main
from tests.config.files import CLUSTERS, certificates, load_files, write
from tests.config.pieces import host, pdu
from tests.needs import needs_root
from tests.warm.programs import Ended
from tests.warm.programs import run as started

PLANNED = (
    CLUSTERS
    + '[[proxy]]\nname = "on-1"\nurl = "http://127.0.0.1:1"\nhost = "node-1"\n'
    + '[[proxy]]\nname = "px"\nurl = "http://127.0.0.1:2"\ncluster = "c1"\n'
    + host("node-1", pdu("a"), pdu("b", plug="2"), pdu("c", plug="3", more="level = 2\n"), more='cluster = "c1"')
)


def run(directory: Path, text: str, *arguments: str) -> Result:
    load_files(directory, text)
    return CliRunner().invoke(main, ["check-config", str(directory / "fenced.toml"), *arguments])


def test_every_mistake_is_a_line_and_the_last_counts_them(tmp_path: Path) -> None:
    result = run(
        tmp_path, '[detection]\ngrace = "5"\n[bus]\npassword = "geheim"\n[[host]]\nname = "a"\ncluster = "c9"\n'
    )
    assert result.exit_code == 78
    lines = result.stdout.splitlines()
    assert lines[0] == str(tmp_path / "fenced.toml")
    assert lines[-1] == "3 errors"
    assert any(line.startswith("  detection.grace = 5 (duration): not a duration") for line in lines)
    assert any(line.startswith("  host[0].cluster = c9 (name): a: there is no cluster") for line in lines)
    assert any(line.startswith("  warning: detection.observers = 2 (count)") for line in lines)
    assert "geheim" not in result.output


def test_json(tmp_path: Path) -> None:
    result = run(tmp_path, '[detection]\ngrace = "5"\n', "--format", "json")
    assert result.exit_code == 78
    answer = json.loads(result.stdout)
    assert answer["count"] == 1
    assert answer["errors"] == [
        {
            "file": str(tmp_path / "fenced.toml"),
            "path": "detection.grace",
            "value": "5",
            "unit": "duration",
            "reason": 'not a duration; write it as "250ms", "5s", "2m", "1h30m"',
        }
    ]
    assert {"file", "path", "value", "unit", "reason"} == set(answer["warnings"][0])


def test_a_good_file(tmp_path: Path) -> None:
    result = run(tmp_path, host("node-1", pdu()))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "0 errors"


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check-config", str(tmp_path / "nowhere.toml")])
    assert result.exit_code == 78
    assert "no such file" in result.stdout


def test_the_plan_of_a_host(tmp_path: Path) -> None:
    result = run(tmp_path, PLANNED, "--plan", "node-1")
    assert result.exit_code == 0
    plan = result.stdout[result.stdout.index("0 errors") :].splitlines()
    assert plan[:9] == [
        "0 errors",
        "node-1 (cluster c1, data centre dc1)",
        "  level 1",
        "    a (outlet), fence_apc_snmp|10.9.1.1:161|1",
        "      proxies = cluster, dc, engine",
        "      1. px",
        "      2. engine",
        "      left out: on-1, runs on the target itself",
        "    b (outlet), fence_apc_snmp|10.9.1.1:161|2",
    ]
    assert "  level 2" in plan


def test_the_plan_as_json(tmp_path: Path) -> None:
    result = run(tmp_path, PLANNED, "--plan", "node-1", "--format", "json")
    plan = json.loads(result.stdout)["plan"]
    assert [level["level"] for level in plan["levels"]] == [1, 2]
    device = plan["levels"][0]["devices"][0]
    assert device["tiers"] == [["px"], ["engine"]]
    assert device["excluded"] == [{"proxy": "on-1", "why": "runs on the target itself"}]


@pytest.mark.parametrize("name", ["node", "node-1.example.org", ""])
def test_no_plan_of_a_host_that_is_not_there(name: str, tmp_path: Path) -> None:
    result = run(tmp_path, PLANNED, "--plan", name)
    assert result.exit_code == 78
    assert result.stdout.splitlines()[-1] == "1 errors"
    result = run(tmp_path, PLANNED, "--plan", name, "--format", "json")
    assert result.exit_code == 78
    answer = json.loads(result.stdout)
    assert answer["count"] == 1
    assert (answer["errors"][0]["path"], answer["errors"][0]["value"]) == ("--plan", name)
    assert "no such host" in answer["errors"][0]["reason"]
    assert "plan" not in answer


def test_no_plan_where_there_are_mistakes(tmp_path: Path) -> None:
    result = run(tmp_path, PLANNED + "grac = 1\n", "--plan", "node-1")
    assert result.exit_code == 78
    assert result.stdout.splitlines()[-1] == "1 errors"


def test_the_plan_shows_the_failure_domains(tmp_path: Path) -> None:
    racked = PLANNED.replace('name = "px"', 'name = "px"\ndomain = "c1"')
    device = json.loads(run(tmp_path, racked, "--plan", "node-1", "--format", "json").stdout)["plan"]["levels"][0][
        "devices"
    ][0]
    assert device["domains"] == {"px": {"domain": "c1", "near": True}}
    assert "      1. px [c1, shared with the host]" in run(tmp_path, racked, "--plan", "node-1").stdout


def test_the_plan_shows_where_a_configuration_vouches_for_an_agent(tmp_path: Path) -> None:
    vouched = pdu("b", plug="2", more="cuts_power = true\n").replace("fence_apc_snmp", "fence_instant")
    text = host("node-1", pdu("a"), vouched)
    lines = run(tmp_path, text, "--plan", "node-1").stdout.splitlines()
    said = [line for line in lines if "vouches" in line]
    assert len(said) == 1
    assert "fence_instant" in said[0]
    plan = json.loads(run(tmp_path, text, "--plan", "node-1", "--format", "json").stdout)["plan"]
    devices = plan["levels"][0]["devices"]
    assert {device["name"]: device["cuts_power"] for device in devices} == {"a": False, "b": True}


def test_credentials_of_the_unit_are_a_note_for_a_person_and_an_error_without_them_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = '[bus]\nusername = "u"\npassword_credential = "bus"\n' + host("node-1", pdu())
    result = run(tmp_path, text)
    assert result.exit_code == 0, result.output
    assert "LoadCredential=bus:FILE" in result.stdout
    assert "bus.password_credential" in str(load_files(tmp_path, text).errors)  # `fenced run` needs it
    # In the unit they are checked.
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    missing = run(tmp_path, text)
    assert (missing.exit_code, "no such file" in missing.stdout) == (78, True)
    (tmp_path / "bus").write_text("geheim\n")
    assert run(tmp_path, text).exit_code == 0


async def check_as(user: str, file: Path) -> Ended:
    """Run the program in a process that has imported everything: the user may not be able to read the interpreter."""
    return await started(
        [sys.executable, "-m", "fenced.cli.main", "check-config", str(file), "--user", user], seconds=60
    )


@needs_root()
async def test_what_the_user_of_the_service_can_not_read_is_an_error() -> None:
    with tempfile.TemporaryDirectory(prefix="fenced-check-") as folder:
        directory = Path(folder)
        directory.chmod(0o755)
        tokens = directory / "tokens"
        tokens.write_text("admin:abcdefgh-12345678\n")
        tokens.chmod(0o600)
        file = directory / "fenced.toml"
        file.write_text('[api]\ntokens_file = "tokens"\n')
        file.chmod(0o644)
        denied = await check_as("nobody", file)
        assert denied.status == 78, denied.err
        assert "api.tokens_file" in denied.out
        assert "Permission denied" in denied.out
        assert "not checked" in denied.err
        os.chown(tokens, -1, grp.getgrnam("nogroup").gr_gid)
        tokens.chmod(0o640)
        by_group = await check_as("nobody", file)
        assert by_group.status == 0, by_group.out
        assert "members of the group nogroup can read it" in by_group.out
        assert f"chown nobody {tokens} && chmod 400 {tokens}" in by_group.out
        os.chown(tokens, pwd.getpwnam("nobody").pw_uid, -1)
        tokens.chmod(0o400)
        closed = await check_as("nobody", file)
        assert (closed.status, "members of the group" in closed.out) == (0, False)
        assert (await check_as("no-such-user", file)).status == 2


@needs_root()
def test_root_is_warned_of_secrets_that_a_services_group_can_read(tmp_path: Path) -> None:
    """Of the first file, and how many more there are. The group root has no members who are operators only."""
    names = ("tokens", "password", "key")
    for name, content in zip(names, ("", "geheim\n", certificates()["key"].decode()), strict=True):
        os.chown(write(tmp_path, name, content, mode=0o640), -1, grp.getgrnam("daemon").gr_gid)
    text = """
        [bus]
        url = "mqtts://b"
        username = "u"
        password_file = "password"
        cert_file = "tls/cert"
        key_file = "key"
        [api]
        tokens_file = "tokens"
        """
    found = [each for each in load_files(tmp_path, text).warnings if "members of the group" in each.reason]
    assert [(each.path, each.value) for each in found] == [("bus.key_file", str(tmp_path / "key"))]
    for words in ("the group daemon can", "and 2 more files", f"chown daemon {tmp_path}/key && chmod 400"):
        assert words in found[0].reason
    for name in names:
        os.chown(tmp_path / name, -1, 0)
    assert not any("members of the group" in each.reason for each in load_files(tmp_path, text).warnings)

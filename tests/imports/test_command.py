"""The files that `fenced import` writes: no password in the inventory, nothing overwritten, the result checked."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fenced.cli.main import main
from tests.imports.cibs import BMC, PDU, cib, level, stonith

NATIVES = "host,address,driver,device address,username,password,option:plug\n"
ROW = "node-{0},10.0.0.{0},{1},10.9.0.{0},fence,hunter{0},{2}\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.csv"
    path.write_text(NATIVES + ROW.format(1, "ipmi", "") + ROW.format(2, "ipmi", ""))
    return path


@pytest.fixture
def run() -> Callable[..., Result]:
    def call(*arguments: object, status: int = 0) -> Result:
        done = CliRunner().invoke(main, ["import", *map(str, arguments)])
        assert done.exit_code == status, done.output
        return done

    return call


def test_passwords_are_only_in_their_files(tmp_path: Path, table: Path, run: Callable[..., Result]) -> None:
    output, secrets = tmp_path / "out" / "rack.toml", tmp_path / "out" / "keys"
    output.parent.mkdir()
    done = run("csv", table, "-o", output, "--secrets", secrets)
    assert "hunter" not in output.read_text() + done.output
    devices = [host["device"][0] for host in tomllib.loads(output.read_text())["host"]]
    assert [device["password_file"] for device in devices] == ["keys/node-1-ipmi", "keys/node-2-ipmi"]
    files = sorted(secrets.iterdir())
    assert [(file.name, file.read_text(), file.stat().st_mode & 0o777) for file in files] == [
        ("node-1-ipmi", "hunter1\n", 0o400),
        ("node-2-ipmi", "hunter2\n", 0o400),
    ]


def test_without_a_folder_the_files_to_make_are_listed(table: Path, run: Callable[..., Result]) -> None:
    done = run("csv", table)
    assert 'password_file = "secrets/node-1-ipmi"' in done.stdout
    assert "make: secrets/node-2-ipmi" in done.stderr
    assert "hunter" not in done.output
    assert not (table.parent / "secrets").exists()


def test_password_files_that_the_source_names_need_not_exist_yet(tmp_path: Path, run: Callable[..., Result]) -> None:
    table = tmp_path / "hosts.csv"
    table.write_text(
        "host,address,driver,device address,username,password_file\n"
        "node-1,10.0.0.1,ipmi,10.9.0.1,fence,secrets/bmc-1\nnode-2,10.0.0.2,ipmi,10.9.0.2,fence,/nowhere/bmc-2\n"
    )
    done = run("csv", table, "-o", tmp_path / "rack.toml", status=78)
    assert [line for line in done.stderr.splitlines() if "ERROR" in line and "/nowhere/bmc-2" not in line] == []
    table.write_text(table.read_text().replace("/nowhere/bmc-2", "secrets/bmc-2"))
    run("csv", table, "-o", tmp_path / "rack.toml", "--force")
    for strange in ("secrets", "../outside", "secrets/bmc-1/deeper", "nul\0"):
        table.write_text(table.read_text().rpartition(",")[0] + f",{strange}\n")
        run("csv", table, "-o", tmp_path / "rack.toml", "--force", status=78)
    assert not (tmp_path.parent / "outside").exists()


def test_no_file_is_overwritten_without_force(tmp_path: Path, table: Path, run: Callable[..., Result]) -> None:
    output, secrets = tmp_path / "rack.toml", tmp_path / "keys"
    secrets.mkdir()
    (secrets / "node-2-ipmi").write_text("mine\n")
    done = run("csv", table, "-o", output, "--secrets", secrets, status=1)
    assert "node-2-ipmi: exists already" in done.output
    assert not output.exists()
    assert not (secrets / "node-1-ipmi").exists()
    output.write_text("mine\n")
    assert "rack.toml: exists already" in run("csv", table, "-o", output, status=1).output
    assert output.read_text() == "mine\n"
    run("csv", table, "-o", output, "--secrets", secrets, "--force")
    assert (secrets / "node-2-ipmi").read_text() == "hunter2\n"


def test_losses_are_listed_and_kept_in_the_file(tmp_path: Path, run: Callable[..., Result]) -> None:
    source, output = tmp_path / "hosts.csv", tmp_path / "rack.toml"
    source.write_text(NATIVES + ROW.format(1, "ipmi", "") + "node-2,10.0.0.2,,,,,\n")
    done = run("csv", source, "-o", output, status=3)
    assert "LOST: line 3: no power device of the source serves node-2" in done.stderr
    assert "no power device of the source serves node-2" in output.read_text()


def test_the_result_is_checked(tmp_path: Path, run: Callable[..., Result]) -> None:
    """Two hosts on one BMC: check-config refuses that, so the import reports it."""
    source = tmp_path / "hosts.csv"
    rows = ROW.format(1, "ipmi", "") + ROW.format(2, "ipmi", "").replace("10.9.0.2", "10.9.0.1")
    source.write_text(NATIVES + rows)
    done = run("csv", source, status=78)
    assert [line for line in done.stderr.splitlines() if line.startswith("ERROR: inventory: host[")]


def test_what_the_engine_adds_for_a_type_passes_the_check(tmp_path: Path, run: Callable[..., Result]) -> None:
    source = tmp_path / "hosts.xml"
    source.write_text(
        "<hosts><host><name>node-1</name><address>10.0.0.1</address><agents><agent><type>drac7</type>"
        "<address>10.9.0.1</address><username>fence</username></agent></agents></host></hosts>"
    )
    assert "privlvl" in run("ovirt", source, status=3).stdout


def test_native_drivers_are_used_where_they_can(tmp_path: Path, run: Callable[..., Result]) -> None:
    source, output = tmp_path / "cib.xml", tmp_path / "c1.toml"
    pdu = {name: value for name, value in PDU.items() if name not in {"username", "password"}}
    resources = (
        stonith("bmc", "fence_ipmilan", **BMC, ipport="6230", privlvl="operator", power_wait="4"),
        stonith("old", "fence_ipmilan", ip="10.0.0.2", pcmk_host_list="node-2"),
        stonith("pdu", "fence_apc_snmp", **pdu, community="c0mmunity"),
    )
    source.write_bytes(cib(*resources, topology=level("node-1", 1, "bmc") + level("node-1", 2, "pdu")))
    done = run("pacemaker", source, "--native", "-o", output)
    devices = [device for host in tomllib.loads(output.read_text())["host"] for device in host["device"]]
    assert [device["driver"] for device in devices] == ["ipmi", "snmp_outlet", "fence_ipmilan", "snmp_outlet"]
    assert devices[0]["address"] == "10.0.0.1:6230"
    assert devices[0]["options"] == {"privilege": "operator"}
    assert devices[1]["options"] == {"plug": "3", "version": "1"}
    assert "fence_ipmilan stays: it uses IPMI 1.5" in done.stderr
    assert "left out: power_wait" in done.stderr
    assert "c0mmunity" not in output.read_text() + done.output


def test_a_source_that_is_no_source_writes_nothing(tmp_path: Path, table: Path, run: Callable[..., Result]) -> None:
    output = tmp_path / "out.toml"
    assert "is not XML" in run("pacemaker", table, "-o", output, status=1).output
    assert "can't be read" in run("pacemaker", tmp_path / "absent", "-o", output, status=1).output
    assert not output.exists()


def test_one_file_for_each_import_except_of_kubernetes(table: Path, run: Callable[..., Result]) -> None:
    run("csv", table, table, status=2)


def test_text_that_toml_must_escape(tmp_path: Path, run: Callable[..., Result]) -> None:
    source = tmp_path / "hosts.csv"
    source.write_text('host,rack,option:a b\nn,"a ""b"" \\ é\x7f",\n')
    done = run("csv", source, status=78)  # an unprintable character in a rack is a mistake of the source
    assert tomllib.loads(done.stdout)["host"][0]["rack"] == 'a "b" \\ é\x7f'

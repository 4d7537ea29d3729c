"""`fenced setup` below a folder: files that fit each other, and nothing of a person's touched."""

import base64
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from fenced.config.load import load
from fenced.config.own_machine import OwnMachine
from fenced.drivers.catalogue import DriverCatalogue
from fenced.proxy.certificates import show
from fenced.setup import broker, daemon
from fenced.setup.accounts import Accounts, hashed
from fenced.setup.asked import Asked, Report
from fenced.setup.files import Done
from fenced.setup.fleet import Fleet, NotSetUp
from fenced.setup.run import run
from tests.imports.typed import assert_typed
from tests.needs import find, needs
from tests.setup.parts import FIRST, accounts, bundle, content, password_fits

# -- the first run ----------------------------------------------------------------------------------------------------


def test_the_configuration_it_makes_is_accepted(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    own = OwnMachine(hostname="fenced-a")
    loaded = load(root / "etc/fenced/fenced.toml", own_machine=own, environ={}, catalogue=DriverCatalogue())
    assert [str(error) for error in loaded.errors] == []
    assert loaded.configuration is not None
    assert [*loaded.configuration.inventory.hosts] == ["node-1", "node-2"]
    assert loaded.configuration.inventory.daemon.is_armed_by_file is False
    assert loaded.configuration.inventory.daemon.check.interval_seconds > 0.0, "no cluster would ever be ready"
    assert loaded.configuration.bus.username == "controller-fenced-a"


def test_each_account_has_the_password_that_its_machine_gets(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST, "--reader", "recovery")
    lines = accounts(root)
    assert [*lines] == ["controller-fenced-a", "node-1", "node-2", "recovery"]
    assert password_fits(lines["controller-fenced-a"], (root / "etc/fenced/secrets/bus").read_text())
    for name in ("node-1", "node-2", "recovery"):
        assert password_fits(lines[name], bundle(root, name)["password"])


@needs("openssl")
def test_every_certificate_is_of_the_authority(root: Path, setup: Callable[..., Result], tmp_path: Path) -> None:
    setup(*FIRST, "--proxy", "px1=10.0.0.9")
    (tmp_path / "beat.crt").write_text(bundle(root, "node-1")["beat.crt"])
    (tmp_path / "proxy.crt").write_text(bundle(root, "proxy-px1")["proxy.crt"])
    here = [root / "etc/fenced/tls/controller.crt", root / "etc/mosquitto/certs/fenced-broker.crt"]
    openssl = find("openssl")
    assert openssl is not None
    authority = ["-CAfile", str(root / "etc/fenced/authority/ca.crt")]
    for purpose, files in (
        ("sslclient", [here[0], tmp_path / "beat.crt"]),
        ("sslserver", [here[1], tmp_path / "proxy.crt"]),
    ):
        subprocess.run([openssl, "verify", "-purpose", purpose, *authority, *map(str, files)], check=True)
    assert {"bus.example.org", "127.0.0.1"} <= {*show(here[1])[0].addresses}
    assert show(tmp_path / "proxy.crt")[0].addresses == ("10.0.0.9",)
    assert bundle(root, "proxy-px1")["proxy.toml"].count('allow = ["CN=controller-fenced-a"]') == 1


def test_secrets_are_closed_to_others(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    loose = {path: oct(path.stat().st_mode) for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o7}
    secret = ("bus", ".key", ".tar.gz", ".passwd", ".acl", "setup.json", "hosts.toml")
    assert [path for path in loose if path.name.endswith(secret)] == []
    assert (root / "etc/fenced/authority").stat().st_mode & 0o77 == 0
    assert (root / "etc/fenced/bundles").stat().st_mode & 0o77 == 0


def test_a_dry_run_writes_nothing_and_lists_the_same_files(root: Path, setup: Callable[..., Result]) -> None:
    before = content(root)
    dry = setup(*FIRST, "--dry-run").output
    assert content(root) == before
    real = setup(*FIRST).output
    assert [line for line in dry.splitlines() if line.startswith("made ")] == [
        line for line in real.splitlines() if line.startswith("made ")
    ]


def test_on_a_terminal_it_asks_for_what_no_option_says(root: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "fenced.cli.main", "setup", "--root", str(root), "--name", "fenced-a"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as running:
        os.write(ours, b"dc-7\nbus.example.org\nnode-1=10.0.0.1 node-2\n")
        said, _ = running.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert running.returncode == 0, said
    assert [*accounts(root)] == ["controller-fenced-a", "node-1", "node-2"]
    assert 'site = "dc-7"' in (root / "etc/fenced/fenced.toml").read_text()
    assert 'bus = "mqtts://bus.example.org:8883"' in bundle(root, "node-1")["beat.toml"]


# -- later runs -------------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST, "--reader", "recovery", "--source", "storage")
    before = content(root)
    again = setup().output
    assert content(root) == before
    assert "made " not in again


def test_a_file_that_was_edited_stays_and_the_difference_is_shown(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    edited = root / "etc/mosquitto/conf.d/fenced.conf"
    edited.write_text(edited.read_text().replace("autosave_interval 30", "autosave_interval 60"))
    before = edited.read_text()
    said = setup().output
    assert edited.read_text() == before
    assert "-autosave_interval 60\n+autosave_interval 30" in said
    assert "NOT CHANGED" in said


def test_what_a_person_wrote_into_the_configuration_stays(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    for name in ("fenced.toml", "inventory/hosts.toml"):
        with (root / "etc/fenced" / name).open("a") as file:
            file.write("# mine\n")
    before = content(root)
    setup()
    assert content(root) == before


def test_a_new_host_gets_an_account_and_a_file_and_no_other_changes(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    before, lines = content(root), accounts(root)
    setup("--host", "node-3=10.0.0.3")
    after = content(root)
    changed = {path for path in before if before[path] != after.get(path)}
    assert changed == {"etc/mosquitto/fenced.passwd", "etc/fenced/setup.json"}
    assert after.keys() - before.keys() == {"etc/fenced/inventory/node-3.toml", "etc/fenced/bundles/node-3.tar.gz"}
    assert {name: line for name, line in accounts(root).items() if name in lines} == lines


def test_hosts_of_an_edited_inventory_get_accounts(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    (root / "etc/fenced/inventory/more.toml").write_text('[[host]]\nname = "node-9"\n')
    setup()
    assert password_fits(accounts(root)["node-9"], bundle(root, "node-9")["password"])


def test_sources_and_readers_keep_their_rights_until_revoked(root: Path, setup: Callable[..., Result]) -> None:
    acl = root / "etc/mosquitto/fenced.acl"
    setup(*FIRST, "--source", "storage", "--reader", "recovery")
    setup("--host", "node-3")
    assert "evidence/+/storage" in acl.read_text()
    setup("--revoke", "storage")
    assert "storage" not in acl.read_text()
    assert "user recovery" in acl.read_text()
    assert "storage" not in accounts(root)


def test_reissue_makes_a_new_password_and_archive(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    lines = accounts(root)
    (root / "etc/fenced/bundles/node-2.tar.gz").unlink()
    setup("--reissue", "node-2")
    assert accounts(root)["node-2"] != lines["node-2"]
    assert password_fits(accounts(root)["node-2"], bundle(root, "node-2")["password"])
    assert accounts(root)["node-1"] == lines["node-1"]


def test_before_the_broker_refuses_a_host_its_fencing_is_held(root: Path, setup: Callable[..., Result]) -> None:
    """From the broker's reload until the archive is installed the host is silent: an armed daemon would fence it."""
    assert "maintenance" not in setup(*FIRST).output
    assert "maintenance" not in setup("--host", "node-3").output
    said = setup("--reissue", "node-2", "--reissue", "controller-fenced-a").output
    assert (
        said.index("fencectl maintenance node-2 on")
        < said.index("reload mosquitto")
        < said.index("maintenance node-2 off")
    )
    assert "maintenance controller" not in said
    (root / "etc/mosquitto/fenced.passwd").unlink()
    said = setup().output
    assert [f"fencectl maintenance node-{number} on" in said for number in (1, 2, 3)] == [True] * 3


def test_every_fencectl_command_of_the_advice_can_be_typed(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    said = setup("--reissue", "node-2").output
    typed = [line.partition(". ")[2] for line in said.splitlines() if ". fencectl" in line]
    assert len(typed) == 3
    for line in typed:
        assert_typed(line)


def test_the_daemon_gets_back_an_account_that_the_broker_lost(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    password = (root / "etc/fenced/secrets/bus").read_text()
    (root / "etc/mosquitto/fenced.passwd").unlink()
    setup()
    assert (root / "etc/fenced/secrets/bus").read_text() == password
    assert password_fits(accounts(root)["controller-fenced-a"], password)


def test_the_broker_learns_the_daemons_password_again(root: Path, setup: Callable[..., Result]) -> None:
    """A run that ended between the two files leaves them apart."""
    setup(*FIRST)
    (root / "etc/fenced/secrets/bus").write_text("another\n")
    setup()
    assert password_fits(accounts(root)["controller-fenced-a"], "another")


def test_a_new_name_of_the_broker_makes_a_new_certificate(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    setup("--broker", "mqtt.example.org")
    assert "mqtt.example.org" in show(root / "etc/mosquitto/certs/fenced-broker.crt")[0].addresses


# -- renewal ----------------------------------------------------------------------------------------------------------


def asked(root: Path, *, days_later: int = 0) -> Asked:
    fleet = Fleet(
        site="s1", controller="a", broker=("bus",), hosts=("node-1",), proxies={"px1": ("10.0.0.9",)}
    )  # fmt: skip
    return Asked(fleet=fleet, root=root, now=lambda: datetime.now(UTC) + timedelta(days=days_later))


def made(report: Report) -> set[str]:
    return {str(each.path) for each in report.outcomes if each.done in {Done.MADE, Done.CHANGED}}


def test_certificates_are_renewed_before_they_end(root: Path) -> None:
    run(asked(root))
    lines = accounts(root)
    report = run(asked(root, days_later=800))
    assert made(report) == {
        f"{folder}/{name}.{suffix}"
        for folder, name in (("/etc/fenced/tls", "controller"), ("/etc/mosquitto/certs", "fenced-broker"))
        for suffix in ("crt", "key")
    }
    assert [line.partition(":")[0] for line in report.bundles] == ["/etc/fenced/bundles/proxy-px1.tar.gz"]
    assert {*bundle(root, "proxy-px1")} == {"ca.crt", "proxy.crt", "proxy.key", "install"}
    assert accounts(root) == lines


def test_a_hosts_certificate_outlives_them_and_is_renewed_without_a_new_password(root: Path) -> None:
    run(asked(root))
    lines = accounts(root)
    report = run(asked(root, days_later=3600))
    assert "/etc/fenced/bundles/node-1.tar.gz: a new certificate" in "\n".join(report.bundles)
    assert {*bundle(root, "node-1")} == {"ca.crt", "beat.crt", "beat.key", "install"}
    assert accounts(root) == lines


def test_a_renewal_renews_and_changes_nothing_else(root: Path) -> None:
    run(asked(root))
    (root / "etc/fenced/inventory/more.toml").write_text('[[host]]\nname = "node-9"\n')
    (root / "etc/mosquitto/fenced.acl").write_text("# mine\n")
    (root / "etc/mosquitto/conf.d/mine.conf").write_text("listener 8883\n")
    before = content(root)
    assert made(run(replace(asked(root), is_renewal=True))) == set()
    assert content(root) == before
    report = run(replace(asked(root, days_later=800), is_renewal=True))
    changed = {path for path, text in content(root).items() if before.get(path) != text}
    assert changed == {
        "etc/fenced/tls/controller.crt",
        "etc/fenced/tls/controller.key",
        "etc/mosquitto/certs/fenced-broker.crt",
        "etc/mosquitto/certs/fenced-broker.key",
        "etc/fenced/bundles/proxy-px1.tar.gz",
        "etc/fenced/setup.json",
    }
    assert report.is_broker_renewed
    assert [line.partition(" ")[0] for line in report.next] == ["copy"]


def test_while_an_archive_waits_its_machine_has_the_old_certificate(root: Path) -> None:
    run(asked(root))
    manifest = root / "etc/fenced/setup.json"
    old = json.loads(manifest.read_text())["given"]["proxy px1"]
    assert json.loads(manifest.read_text())["waiting"] == {}
    run(replace(asked(root, days_later=800), is_renewal=True))
    run(replace(asked(root, days_later=801), is_renewal=True))
    assert json.loads(manifest.read_text())["waiting"] == {"proxy px1": old}
    (root / "etc/fenced/bundles/proxy-px1.tar.gz").unlink()
    run(replace(asked(root), is_renewal=True))
    assert json.loads(manifest.read_text())["waiting"] == {}


def test_without_the_authoritys_key_a_renewal_names_what_is_due(root: Path) -> None:
    """Some keep the key off the machine. The certificate stays, so nothing else changes."""
    run(asked(root))
    (root / "etc/fenced/authority/ca.key").rename(root / "away.key")
    before = content(root)
    assert run(replace(asked(root), is_renewal=True)).problems == []
    report = run(replace(asked(root, days_later=800), is_renewal=True))
    assert [line.partition(": its certificate ends on")[0] for line in report.problems[:-1]] == [
        "/etc/fenced/tls/controller.crt",
        "proxy px1",
        "/etc/mosquitto/certs/fenced-broker.crt",
    ]
    assert "ca.key is not here" in report.problems[-1]
    with pytest.raises(NotSetUp, match="the authority's key back"):
        run(asked(root, days_later=800))
    assert content(root) == before
    (root / "away.key").rename(root / "etc/fenced/authority/ca.key")
    assert run(replace(asked(root, days_later=800), is_renewal=True)).is_broker_renewed


def test_a_renewal_where_setup_never_ran_makes_nothing(root: Path, setup: Callable[..., Result]) -> None:
    with pytest.raises(NotSetUp, match="nothing to renew"):
        run(replace(asked(root), is_renewal=True))
    assert not (root / "etc/fenced/authority/ca.key").exists()
    assert "--renew changes nothing but certificates" in setup("--renew", "--host", "node-9", status=2).output


def test_a_reissue_of_the_daemon_says_what_to_restart_and_in_which_order(
    root: Path, setup: Callable[..., Result]
) -> None:
    setup(*FIRST, "--proxy", "px1=10.0.0.9")
    before = content(root)
    said = setup("--reissue", "controller-fenced-a").output
    changed = {path for path, text in content(root).items() if before.get(path) != text}
    assert changed == {
        "etc/fenced/secrets/bus",
        "etc/fenced/tls/controller.crt",
        "etc/fenced/tls/controller.key",
        "etc/mosquitto/fenced.passwd",
        "etc/fenced/setup.json",
    }
    assert said.index("systemctl reload mosquitto && systemctl restart fenced") < said.index("if the old key was")
    assert "enable --now fenced" not in said


# -- rights of files --------------------------------------------------------------------------------------------------


def test_folders_are_closed_until_they_have_their_mode(
    root: Path, setup: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder to which anyone may write for a moment, anyone could put a file of the installation."""
    modes: dict[str, int] = {}
    chmod = Path.chmod

    def watched(path: Path, mode: int) -> None:
        if path.is_dir():
            modes[path.name] = path.stat().st_mode & 0o22
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", watched)
    before = os.umask(0)
    try:
        setup(*FIRST)
    finally:
        os.umask(before)
    assert {"fenced", "secrets", "bundles"} <= {*modes}
    assert {*modes.values()} == {0}


# -- a broker elsewhere -----------------------------------------------------------------------------------------------


def test_a_broker_on_another_machine_gets_an_archive(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST, "--broker-elsewhere")
    parts = bundle(root, "broker")
    assert parts["acl"].count("user controller-fenced-a") == 1
    assert password_fits(Accounts.parse(parts["passwd"]).lines["node-1"], bundle(root, "node-1")["password"])
    assert 'url = "mqtts://bus.example.org:8883"' in (root / "etc/fenced/fenced.toml").read_text()
    assert not (root / str(broker.CONFIGURATION).lstrip("/")).exists()


def test_a_broker_here_needs_mosquitto(tmp_path: Path) -> None:
    with pytest.raises(NotSetUp, match="install mosquitto"):
        run(Asked(fleet=asked(tmp_path).fleet, root=tmp_path, has_broker=True))
    assert not (tmp_path / str(daemon.FOLDER).lstrip("/")).exists()


@needs("mosquitto_passwd")
def test_the_hash_is_the_one_of_mosquittos_own_tool(tmp_path: Path) -> None:
    tool = find("mosquitto_passwd")
    assert tool is not None
    file = tmp_path / "passwd"
    file.write_text("node-1:s3cret\n")
    subprocess.run([tool, "-U", str(file)], check=True, timeout=30)
    theirs = file.read_text().strip().partition(":")[2]
    assert hashed("s3cret", salt=base64.b64decode(theirs.split("$")[3])) == theirs


def test_the_advice_names_the_hosts_without_a_power_device(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    (root / "etc/fenced/inventory/more.toml").write_text('[[host]]\nname = "node-9"\n')
    assert "/etc/fenced/inventory: node-1, node-2, node-9" in setup().output

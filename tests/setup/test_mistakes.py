"""`fenced setup` where an operator errs, is interrupted, or brings files of an earlier installation."""

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fenced.proxy.certificates import show
from fenced.setup.accounts import Accounts
from fenced.setup.files import alone
from fenced.setup.fleet import NotSetUp
from tests.needs import needs
from tests.setup.parts import FIRST, accounts, bundle, content, password_fits

Setup = Callable[..., Result]
BROKER = "etc/mosquitto/certs/fenced-broker.crt"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--reissue", "nodde-2"), "nodde-2"),
        (("--host", "node-4", "--revoke", "nosuch"), "nosuch"),
        (("--site", "site-2"), "site-1"),
        (("--name", "fenced-b"), "fenced-a"),
        (("--host", "n" * 65), "64"),
        (("--host", "hosts"), "inventory/hosts.toml exists"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_written(
    root: Path, setup: Setup, options: tuple[str, ...], word: str
) -> None:
    setup(*FIRST)
    before = content(root)
    assert word in setup(*options, status=1).output
    assert content(root) == before


def test_a_host_that_the_daemon_would_not_read_is_refused(root: Path, setup: Setup) -> None:
    (root / "etc/fenced").mkdir()
    (root / "etc/fenced/fenced.toml").write_text('[daemon]\nname = "fenced-a"\n[inventory]\nfiles = ["mine.toml"]\n')
    (root / "etc/fenced/mine.toml").write_text('[[host]]\nname = "node-1"\n')
    before = content(root)
    assert "inventory.files" in setup("--broker", "bus", "--host", "node-3", status=1).output
    assert content(root) == before


def test_a_second_name_of_the_broker_leaves_the_first_one_valid(root: Path, setup: Setup) -> None:
    """Every host connects under the first name."""
    setup(*FIRST)
    setup("--broker", "mqtt.example.org")
    assert {"mqtt.example.org", "bus.example.org"} <= {*show(root / BROKER)[0].addresses}
    setup("--host", "node-3")
    assert 'bus = "mqtts://mqtt.example.org:8883"' in bundle(root, "node-3")["beat.toml"]


def test_a_second_name_of_a_broker_elsewhere_makes_a_new_archive(root: Path, setup: Setup, tmp_path: Path) -> None:
    setup(*FIRST, "--broker-elsewhere")
    setup("--broker", "mqtt.example.org", "--broker-elsewhere")
    certificate = tmp_path / "broker.crt"
    certificate.write_text(bundle(root, "broker")["broker.crt"])
    assert {"mqtt.example.org", "bus.example.org"} <= {*show(certificate)[0].addresses}


def test_a_proxy_with_another_address_gets_a_new_certificate(root: Path, setup: Setup, tmp_path: Path) -> None:
    setup(*FIRST, "--proxy", "px1=10.0.0.9")
    inventory = root / "etc/fenced/inventory/hosts.toml"
    inventory.write_text(inventory.read_text().replace("10.0.0.9", "10.0.0.10"))
    assert "not valid for 10.0.0.10" in setup().output
    (tmp_path / "proxy.crt").write_text(bundle(root, "proxy-px1")["proxy.crt"])
    assert show(tmp_path / "proxy.crt")[0].addresses == ("10.0.0.10",)


def test_a_broker_elsewhere_stays_elsewhere_though_mosquitto_is_installed_here(root: Path, setup: Setup) -> None:
    setup(*FIRST, "--broker-elsewhere")
    lines = Accounts.parse(bundle(root, "broker")["passwd"]).lines
    setup("--host", "node-3")
    after = Accounts.parse(bundle(root, "broker")["passwd"]).lines
    assert {name: after[name] for name in lines} == lines
    assert "node-3" in after
    assert not (root / "etc/mosquitto/fenced.passwd").exists()


def test_a_broker_that_moves_keeps_its_accounts(root: Path, setup: Setup) -> None:
    setup(*FIRST)
    lines = accounts(root)
    setup("--broker-elsewhere")
    assert Accounts.parse(bundle(root, "broker")["passwd"]).lines == lines
    setup("--host", "node-3")
    setup("--broker-here")
    setup()
    assert {name: line for name, line in accounts(root).items() if name in lines} == lines
    assert password_fits(accounts(root)["node-3"], bundle(root, "node-3")["password"])


def test_a_password_that_the_broker_does_not_know_is_repaired(root: Path, setup: Setup) -> None:
    """A run that was interrupted after it had written the daemon's password leaves this."""
    setup(*FIRST)
    (root / "etc/fenced/secrets/bus").write_text("another\n")
    setup()
    assert password_fits(accounts(root)["controller-fenced-a"], "another")


def test_a_run_that_was_interrupted_leaves_files_that_later_runs_update(root: Path, setup: Setup) -> None:
    setup(*FIRST)
    (root / "etc/fenced/setup.json").unlink()
    setup(*FIRST)
    assert "NOT CHANGED" not in setup("--source", "storage").output
    assert "evidence/+/storage" in (root / "etc/mosquitto/fenced.acl").read_text()


def test_an_installation_by_hand_keeps_its_file_and_learns_what_to_set(root: Path, setup: Setup) -> None:
    (root / "etc/fenced/inventory").mkdir(parents=True)
    mine = root / "etc/fenced/fenced.toml"
    mine.write_text('[daemon]\nname = "fenced-a"\n[bus]\nurl = "mqtt://bus:1883"\nusername = "fenced"\n')
    before = mine.read_text()
    said = setup(*FIRST).output
    assert mine.read_text() == before
    assert 'username = "controller-fenced-a"' in said
    assert "mqtts://" in said


def test_two_runs_never_overlap(tmp_path: Path) -> None:
    with alone(tmp_path):
        other = multiprocessing.get_context("spawn").Process(target=_run_beside, args=(tmp_path,))
        other.start()
        other.join(60)
    assert other.exitcode == 0


def _run_beside(folder: Path) -> None:
    with pytest.raises(NotSetUp, match="another fenced setup"), alone(folder):
        pass


@needs("prlimit")
def test_a_file_that_can_not_be_written_leaves_nothing_half_written(root: Path, setup: Setup) -> None:
    """As on a full disk: an archive is larger than what may be written."""
    command = ["prlimit", "--fsize=10000", sys.executable, "-B", "-m", "fenced.cli.main", "setup", "--root", str(root)]
    done = subprocess.run([*command, *FIRST, "--name", "fenced-a"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "node-1.tar.gz: can't be written" in done.stderr
    assert "as root" not in done.stderr
    assert [*root.rglob("*.new")] == []
    setup()
    assert password_fits(accounts(root)["node-1"], bundle(root, "node-1")["password"])
    assert "NOT CHANGED" not in setup("--source", "storage").output

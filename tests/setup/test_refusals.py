"""`fenced setup` stops before it writes anything that would not fit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from cryptography import x509

from tests.setup.parts import FIRST, accounts, content


@pytest.mark.parametrize(
    ("line", "word"),
    [("password_file /etc/mosquitto/mine", "password_file"), ("listener 8883", "8883"), ("acl_file /a", "acl_file")],
)
def test_a_line_that_would_stop_the_broker_is_named_and_no_file_of_it_is_written(
    root: Path, setup: Callable[..., Result], line: str, word: str
) -> None:
    mine = root / "etc/mosquitto/conf.d/mine.conf"
    mine.write_text(f"# mine\n{line}\n")
    said = setup(*FIRST, status=1).output
    assert "/etc/mosquitto/conf.d/mine.conf:2" in said
    assert word in said
    assert {path.name for path in (root / "etc/mosquitto").rglob("*") if path.is_file()} == {
        "mine.conf",
        "mosquitto.conf",
    }


def test_nothing_is_reissued_while_the_broker_could_not_get_it(root: Path, setup: Callable[..., Result]) -> None:
    """Otherwise an archive would hold a password that the broker refuses, and its host would fall silent."""
    setup(*FIRST)
    (root / "etc/mosquitto/conf.d/mine.conf").write_text("acl_file /a\n")
    before = content(root)
    assert "mine.conf:1" in setup("--reissue", "node-2", "--reissue", "controller-fenced-a", status=1).output
    assert content(root) == before


@pytest.mark.parametrize("option", ["--reissue", "--revoke"])
def test_an_unknown_account_stops_it_before_anything_is_written(
    root: Path, setup: Callable[..., Result], option: str
) -> None:
    setup(*FIRST)
    before = content(root)
    assert "nod-2" in setup("--host", "node-3", option, "nod-2", status=1).output
    assert content(root) == before


def test_a_listener_where_client_ids_are_free_is_named(root: Path, setup: Callable[..., Result]) -> None:
    (root / "etc/mosquitto/conf.d/mine.conf").write_text("listener 1883 127.0.0.1\n")
    assert "use_username_as_clientid" in setup(*FIRST).output


def test_a_broken_inventory_stops_it_before_anything_is_written(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    (root / "etc/fenced/inventory/more.toml").write_text("[[host]\n")
    before = content(root)
    assert "more.toml" in setup("--host", "node-3", status=1).output
    assert content(root) == before


@pytest.mark.parametrize("name", ["node 1", "a:b", "n/1", "+", ""])
def test_a_name_that_would_break_a_file_is_refused(root: Path, setup: Callable[..., Result], name: str) -> None:
    assert "not a name" in setup("--host", name, status=1).output


@pytest.mark.parametrize(
    "options",
    [
        ("--host", "n" * 65),
        ("--broker", "bus.example.org\nallow_anonymous true"),
        ("--broker", "$(reboot)"),
        ("--proxy", "px1=10.0.0.9;reboot"),
        ("--broker-elsewhere", "--host", "broker"),
        ("--proxy", "px1", "--host", "proxy-px1"),
    ],
)
def test_a_name_that_would_break_or_share_a_file_is_refused_before_anything_is_written(
    root: Path, setup: Callable[..., Result], options: tuple[str, ...]
) -> None:
    setup(*options, status=1)
    assert not (root / "etc/fenced").exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("given", {"node-1": "soon"}),
        ("given", {"node-1": "2030-01-01"}),
        ("given", []),
        ("files", 1),
        ("named", {"a": 1}),
    ],
)
def test_a_manifest_that_setup_did_not_write_is_named(
    root: Path, setup: Callable[..., Result], part: str, value: object
) -> None:
    setup(*FIRST)
    manifest = root / "etc/fenced/setup.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), part: value}))
    assert "setup.json" in setup(status=1).output


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_lost_authority_is_not_replaced(root: Path, setup: Callable[..., Result], options: tuple[str, ...]) -> None:
    """The broker would refuse every host's certificate, and all of them would fall silent at once."""
    setup(*FIRST)
    shutil.rmtree(root / "etc/fenced/authority")
    before = content(root)
    assert "/etc/fenced/authority" in setup(*options, status=1).output
    assert content(root) == before


def test_no_authority_is_made_beside_certificates_of_a_lost_one(root: Path, setup: Callable[..., Result]) -> None:
    """Hosts with new archives would refuse the broker's old certificate, and the broker theirs."""
    setup(*FIRST)
    shutil.rmtree(root / "etc/fenced/authority")
    (root / "etc/fenced/setup.json").rename(root / "setup.json")
    before = content(root)
    setup(status=1)
    assert content(root) == before
    (root / "setup.json").rename(root / "etc/fenced/setup.json")

    said = setup(status=1).output
    aside = said[said.index("mv ") : said.index(" FOLDER")].split()[1:]
    for path in aside:
        (root / path.lstrip("/")).unlink()
    setup()
    authority = (root / "etc/fenced/authority/ca.crt").read_bytes()
    for path in ("etc/fenced/tls/ca.crt", "etc/mosquitto/ca_certificates/fenced-ca.crt"):
        assert (root / path).read_bytes() == authority
    issuer = x509.load_pem_x509_certificate(authority)
    for path in ("etc/fenced/tls/controller.crt", "etc/mosquitto/certs/fenced-broker.crt"):
        x509.load_pem_x509_certificate((root / path).read_bytes()).verify_directly_issued_by(issuer)


def test_two_clients_never_share_an_account(root: Path, setup: Callable[..., Result]) -> None:
    said = setup("--host", "storage", "--source", "storage", status=1).output
    assert "storage" in said
    assert not (root / "etc/fenced").exists()


def test_an_account_in_use_is_not_revoked(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    before = accounts(root)
    assert "still in the inventory" in setup("--revoke", "node-1", status=1).output
    assert accounts(root) == before

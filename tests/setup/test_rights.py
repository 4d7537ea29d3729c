"""A member of the group `fenced` is an operator and reads no secret: owners and modes of what setup makes and finds."""

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from fenced.setup import rights
from fenced.setup.files import Disk, Done, Manifest, Rule, Wanted
from fenced.setup.fleet import NotSetUp
from fenced.setup.rights import Rights
from tests.needs import needs_root
from tests.setup.parts import FIRST

DAEMONS = ("etc/fenced/secrets/bus", "etc/fenced/tls/controller.key")
SECRET = Rights(owner="nobody", mode=0o400, is_secret=True)
STRANGER = 64_990


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_daemons_secrets_are_open_to_its_user_only(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    assert [oct(mode(root / name)) for name in DAEMONS] == ["0o400", "0o400"]
    assert (rights.DAEMONS_SECRET.owner, rights.DAEMONS_SECRET.group) == ("fenced", "root")
    assert mode(root / "etc/fenced/inventory/hosts.toml") == 0o640
    setup("--reissue", "controller-fenced-a")
    assert [oct(mode(root / name)) for name in DAEMONS] == ["0o400", "0o400"]


@pytest.mark.parametrize("name", [*DAEMONS, "etc/mosquitto/certs/fenced-broker.key", "etc/fenced/authority"])
def test_what_setup_made_is_closed_again(root: Path, setup: Callable[..., Result], name: str) -> None:
    """Earlier versions gave the secrets mode 640, to the group."""
    setup(*FIRST)
    file = root / name
    before = mode(file)
    file.chmod(0o755 if file.is_dir() else 0o644)
    assert f"note: /{name}: was " in setup("--dry-run").output
    assert mode(file) != before
    assert f"note: /{name}: was " in setup().output
    assert mode(file) == before
    assert name not in setup().output


def test_a_key_of_a_person_stays_and_the_command_is_shown(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    key = root / "etc/fenced/tls/controller.key"
    key.chmod(0o640)
    key.write_text(key.read_text() + "\n")
    said = setup().output
    assert "run chown fenced:root /etc/fenced/tls/controller.key && chmod 400 /etc/fenced/tls/controller.key" in said
    assert mode(key) == 0o640


def test_secrets_that_persons_made_are_named(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    folder = root / "etc/fenced"
    with (folder / "fenced.toml").open("a") as file:
        file.write('[api]\ntokens_file = "tokens"\n')
    with (folder / "inventory/hosts.toml").open("a") as file:
        file.write('[[host.device]]\npassword_file = "../secrets/bmc"\nsecrets = { snmp_priv_passwd_file = "priv" }\n')
    places = ("tokens", "secrets/bmc", "secrets/unused", "inventory/priv")
    for place in places:
        (folder / place).write_text("S3cret-of-a-person\n")
        (folder / place).chmod(0o640)
    listed = " ".join(sorted(str(folder / place) for place in places))
    assert f"chown fenced:root {listed} && chmod 400 {listed}" in setup().output
    for place in places:
        (folder / place).chmod(0o400)
    assert "chown" not in setup().output


def test_what_is_no_secret_may_be_open_to_all(root: Path, setup: Callable[..., Result]) -> None:
    setup(*FIRST)
    inventory = root / "etc/fenced/inventory/hosts.toml"
    inventory.chmod(0o644)
    (root / "etc/fenced/fenced.toml").chmod(0o640)
    assert "note: " not in setup().output
    inventory.chmod(0o664)
    assert "hosts.toml: was " in setup().output


@needs_root()
@pytest.mark.parametrize("owner", [0, STRANGER])
def test_a_restored_secret_of_another_group_or_user_is_given_back(tmp_path: Path, owner: int) -> None:
    """`tar --numeric-owner`, or a machine without the users: the numbers are those of others there."""
    disk = Disk(tmp_path, Manifest(), is_dry=False, has_owners=True)
    wanted = Wanted(path=Path("/key"), content=b"k", rights=SECRET, rule=Rule.KEEP)
    assert disk.write(wanted).done is Done.MADE
    os.chown(tmp_path / "key", owner, STRANGER)
    (tmp_path / "key").chmod(0o640)
    outcome = disk.write(wanted)
    assert outcome.done is Done.SAME
    assert f"{STRANGER} 640" in outcome.note and "nobody:root 400" in outcome.note
    found = (tmp_path / "key").stat()
    assert (rights.shown(found), disk.write(wanted).note) == ("nobody:root 400", "")


@needs_root()
def test_a_file_that_the_services_group_reads_is_given_back_to_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path, Manifest(), is_dry=False, has_owners=True)
    wanted = Wanted(path=Path("/hosts.toml"), content=b"x", rights=Rights(group="nogroup", mode=0o640), rule=Rule.KEEP)
    disk.write(wanted)
    os.chown(tmp_path / "hosts.toml", 0, STRANGER)
    (tmp_path / "hosts.toml").write_bytes(b"a person's")
    outcome = disk.write(wanted)
    assert (outcome.done, outcome.note) == (
        Done.KEPT,
        f"/hosts.toml: is root:{STRANGER} 640; run chown root:nogroup /hosts.toml && chmod 640 /hosts.toml",
    )
    (tmp_path / "hosts.toml").write_bytes(b"x")
    disk.write(wanted)
    assert (tmp_path / "hosts.toml").stat().st_gid == grp.getgrnam("nogroup").gr_gid


@needs_root()
def test_a_persons_secret_of_another_group_or_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "DAEMONS_SECRET", SECRET)  # the machine of the tests may have no user fenced
    files = {
        "restored": (0, STRANGER, 0o640),
        "a stranger's": (STRANGER, STRANGER, 0o400),
        "open": (0, 0, 0o644),
        "the daemon's": (pwd.getpwnam("nobody").pw_uid, 0, 0o400),
        "a credential": (0, 0, 0o640),
    }
    for name, (owner, group, bits) in files.items():
        (tmp_path / name).touch()
        os.chown(tmp_path / name, owner, group)
        (tmp_path / name).chmod(bits)
    found = rights.exposed([*tmp_path.iterdir(), tmp_path / "gone"], has_owners=True)
    assert [path.name for path in found] == ["a stranger's", "open", "restored"]


@needs_root()
def test_a_secret_that_only_root_reads_may_be_a_credential(tmp_path: Path) -> None:
    disk = Disk(tmp_path, Manifest(), is_dry=False, has_owners=True)
    (tmp_path / "key").touch(mode=0o600)
    assert disk.check(Path("/key"), SECRET, is_ours=True) == ""
    assert mode(tmp_path / "key") == 0o600


def test_no_link_is_followed(tmp_path: Path) -> None:
    disk = Disk(tmp_path, Manifest(), is_dry=False, has_owners=False)
    (tmp_path / "real").write_text("x")
    (tmp_path / "real").chmod(0o644)
    (tmp_path / "key").symlink_to("real")
    assert disk.check(Path("/key"), SECRET, is_ours=True) == ""
    with pytest.raises(OSError, match="symbolic"):
        rights.given(tmp_path / "key", SECRET, has_owners=False)
    assert mode(tmp_path / "real") == 0o644


def test_a_dry_run_needs_no_user_yet(tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0o600)
    wanted = Rights(owner="no-such-user", mode=0o400, is_secret=True)
    assert Disk(tmp_path, Manifest(), is_dry=True, has_owners=True).check(Path("/key"), wanted) == ""
    with pytest.raises(NotSetUp, match="no-such-user"):
        Disk(tmp_path, Manifest(), is_dry=False, has_owners=True).check(Path("/key"), wanted)

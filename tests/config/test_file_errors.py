"""Every file error, at every key that names a path, gives a mistake with its place and never an exception.

The keys come from the tables, so that new keys are covered, too. Under root, the test reads as user nobody, because
root may read everything.
"""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fenced.config import agent_files, inventory_tables, load, stored_credentials, tables
from fenced.config.agent_files import load_proxy
from fenced.config.files import UnusableFile, read_text
from fenced.config.keys import Check, FileName, FolderName, Listed, SocketName
from fenced.config.mistakes import Mistake
from fenced.config.read import FILE_BYTES_MAX
from fenced.config.table import Table
from tests.config.drivers import MuteAgents
from tests.config.files import OWN_MACHINE, resolve
from tests.config.files import write as write_file

NOBODY: Final = 65534
HOST: Final = (
    '[[host]]\nname = "node-1"\n[[host.device]]\nname = "bmc"\ndriver = "redfish"\naddress = "https://10.9.0.1"\n'
)
PLACES: Final[dict[str, str]] = {
    "DaemonTable": "run [daemon]",
    "BusTable": 'run [bus]\nusername = "fenced"',
    "StoreTable": 'run [store]\nurl = "postgresql://u@h/db"',
    "ApiTable": "run [api]",
    "ProxyClientTable": 'run [proxy_client]\nvia = "http://127.0.0.1:3128"\nvia_username = "u"',
    "SoftFenceTable": "run [remedy.soft_fence]",
    "InventoryTable": "run [inventory]",
    "ProxyTable": 'run [[proxy]]\nname = "px1"\nurl = "https://10.0.0.1:8471"\n'
    'via = "http://127.0.0.1:3128"\nvia_username = "u"',
    "DeviceTable": f'run {HOST}username = "fence"',
    "ProxyAgentTable": 'proxy [proxy]\nlisten = "127.0.0.1:8471"',
    "CredentialTable": 'proxy [credentials.pdus]\naddresses = ["10.9.0.1"]',
}
"""By class of a table: which program reads it, and how it is written."""

ERRORS: Final = (
    "missing", "loop", "below_a_file/x", "folder", "fifo", "socket", "device", "n" * 300, "p/" * 3000, "nul\\u0000name",
    "locked", "locked_folder", "locked_folder/x", "binary", "huge",
)  # fmt: skip
FINE_SOCKETS: Final = frozenset({"missing", "socket"})
"""The daemon makes its socket, and replaces the one of a daemon that ended."""
FINE_FOLDERS: Final = frozenset({"missing", "folder", "locked_folder"})
"""A missing folder is created; one that this user can't enter may belong to another user of fenced."""


def _tables() -> Iterator[type[Table]]:
    for module in (tables, inventory_tables, agent_files, stored_credentials):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Table) and not found.__subclasses__():
                yield found


def _path_check(table: type[Table], key: str) -> tuple[FileName, bool] | None:
    """Return the check of a key that names a path, and whether the key is a list."""
    check = next((item for item in table.model_fields[key].metadata if isinstance(item, Check)), None)
    inner = check.item if isinstance(check, Listed) else check
    return (inner, isinstance(check, Listed)) if isinstance(inner, FileName) else None


KEYS: Final = sorted(
    {(table, key) for table in _tables() for key in table.model_fields if _path_check(table, key)}, key=str
)


def test_every_table_with_a_path_has_its_place() -> None:
    assert {table.__name__ for table, _ in KEYS} == PLACES.keys()
    assert {"tls_cert_file", "state_dir", "agent_path", "files", "password_file"} <= {key for _, key in KEYS}


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Act with the rights of the user nobody, if the test runs as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with every kind of broken file; not below pytest's folder, which no other user may enter."""
    path = Path(tempfile.mkdtemp(prefix="fenced-test-"))
    path.chmod(0o755)
    (path / "loop").symlink_to("loop")
    (path / "below_a_file").write_text("x")
    (path / "folder").mkdir()
    os.mkfifo(path / "fifo")
    (path / "device").symlink_to("/dev/zero")
    (path / "binary").write_bytes(b"\xff\xfe\x00")
    (path / "locked").write_text("x")
    (path / "locked").chmod(0)
    (path / "locked_folder").mkdir()
    (path / "locked_folder/x").write_text("x")
    (path / "locked_folder").chmod(0)
    with (path / "huge").open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path / "socket"))
        yield path
    shutil.rmtree(path)


def _load(program: str, path: Path) -> tuple[Mistake, ...]:
    """Return the errors. An exception fails the test."""
    environ: dict[str, str] = {}
    if program == "run":
        return load.load(path, own_machine=OWN_MACHINE, environ=environ, catalogue=MuteAgents(), resolve=resolve).errors
    return load_proxy(path, own_machine=OWN_MACHINE, environ=environ).errors


@pytest.fixture
def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], tuple[Mistake, ...]]:
    """Return a function that loads a text, without the border that turns exceptions into mistakes."""
    for module in (load, agent_files):
        monkeypatch.setattr(module, "whole", lambda path, mistakes, read: read())

    def of(program: str, text: str) -> tuple[Mistake, ...]:
        path = write_file(folder, "file.toml", text, mode=0o644)
        with _as_nobody():
            return _load(program, path)

    return of


@pytest.mark.parametrize("error", ERRORS, ids=lambda name: name[:20])
@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_broken_path_is_a_mistake_at_its_key(
    table: type[Table], key: str, error: str, loaded: Callable[[str, str], tuple[Mistake, ...]]
) -> None:
    found = _path_check(table, key)
    assert found is not None
    check, is_list = found
    program, _, text = PLACES[table.__name__].partition(" ")
    errors = loaded(program, f"{text}\n{key} = " + (f'["{error}"]' if is_list else f'"{error}"') + "\n")
    is_fine = error in (
        FINE_FOLDERS if isinstance(check, FolderName) else FINE_SOCKETS if isinstance(check, SocketName) else ()
    )
    is_judged_as_pair = error == "binary" and key.removeprefix("tls_") in {"cert_file", "key_file"}
    told = [mistake for mistake in errors if key in mistake.path or mistake.file.endswith(error)]
    if not (is_judged_as_pair or "not yet" in check.about):
        assert bool(told) is not is_fine, errors
    assert all(mistake.reason for mistake in errors)


SECRETS: Final = {
    "run": f'{HOST}secrets = {{ x_file = "%s" }}\n',
    "proxy": '[credentials.pdus]\naddresses = ["10.9.0.1"]\nsecrets = { x_file = "%s" }\n',
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda name: name[:20])
@pytest.mark.parametrize("program", SECRETS)
def test_a_broken_path_of_a_named_secret_is_a_mistake_at_its_key(
    program: str, error: str, loaded: Callable[[str, str], tuple[Mistake, ...]]
) -> None:
    errors = loaded(program, SECRETS[program] % error)
    assert any(mistake.path.endswith(("secrets.x_file", "secrets")) for mistake in errors), errors


@pytest.mark.parametrize("url", ["below_a_file/x", "loop", "fifo", "folder", "locked_folder/x", "n" * 300])
def test_a_store_path_that_can_be_no_file_is_a_mistake_at_its_key(
    url: str, folder: Path, loaded: Callable[[str, str], tuple[Mistake, ...]]
) -> None:
    errors = loaded("run", f'[daemon]\nstate_dir = "{folder}"\n[store]\nurl = "sqlite:///{url}"\n')
    assert [mistake.path for mistake in errors] == ["store.url"]


@pytest.mark.parametrize("program", ["run", "proxy"])
@pytest.mark.parametrize("error", [error for error in ERRORS if "\\u" not in error], ids=lambda name: name[:20])
def test_a_configuration_file_that_can_not_be_read_is_a_mistake(program: str, error: str, folder: Path) -> None:
    with _as_nobody():
        for name in (error, error + "\0"):
            errors = _load(program, folder / name)
            assert len(errors) == 1, errors
            assert errors[0].reason


@pytest.mark.parametrize("pattern", ["locked_folder/*.toml", "*/*.toml", "**/*.toml", "locked_folder/**"])
def test_a_folder_that_can_not_be_read_hides_no_hosts(
    pattern: str, loaded: Callable[[str, str], tuple[Mistake, ...]]
) -> None:
    """A pattern skips what it can't read, so all hosts in it would look as if they had been removed."""
    errors = loaded("run", f'[inventory]\nfiles = ["{pattern}"]\n')
    assert any("locked_folder" in mistake.reason for mistake in errors), errors


def test_an_unreadable_folder_of_the_default_pattern_is_a_mistake(
    folder: Path, loaded: Callable[[str, str], tuple[Mistake, ...]]
) -> None:
    inventory = folder / "inventory"
    inventory.mkdir(mode=0o700)
    try:
        assert [mistake.path for mistake in loaded("run", "")] == ["inventory.files[0]"]
        inventory.chmod(0o755)
        assert not loaded("run", "")
        (inventory / "a.toml").symlink_to("../loop")
        assert [Path(mistake.file).name for mistake in loaded("run", "")] == ["a.toml"]
    finally:
        shutil.rmtree(inventory)


def test_an_unexpected_exception_is_a_mistake_of_the_file(tmp_path: Path) -> None:
    class Broken(MuteAgents):
        def describing(self, *args: Any, **more: Any) -> Any:
            raise PermissionError(13, "Permission denied", "geheim")

    path = write_file(tmp_path, "fenced.toml", "")
    found = load.load(path, own_machine=OWN_MACHINE, environ={}, catalogue=Broken(), resolve=resolve)
    assert found.configuration is None
    assert [mistake.file for mistake in found.errors] == [str(path)]
    assert "PermissionError: Permission denied" in found.errors[0].reason
    assert "geheim" not in found.errors[0].reason


def test_a_file_that_grows_is_read_up_to_its_bound() -> None:
    """The kernel's files report a size of 0."""
    text, _ = read_text("/proc/self/status", bytes_max=1 << 20)
    assert text
    with pytest.raises(UnusableFile):
        read_text("/proc/self/status", bytes_max=10)

"""The script that installs the broker's files on another machine: explains conflicts, keeps a person's files."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.needs import needs, needs_root
from tests.setup.parts import bundle

pytestmark = [needs("mosquitto"), needs_root()]
TOOLS = {
    "systemctl": 'echo "$@" >> "$LOG"\n',
    "ss": 'cat "$LISTENING" 2>/dev/null || true\n',
}


class There:
    """The broker's machine below a folder; what it tells systemd is in `told`."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder, self._archive = folder, folder / "archive"
        self.etc = folder / "etc/mosquitto"
        (self.etc / "conf.d").mkdir(parents=True)
        (self.etc / "mosquitto.conf").write_text("persistence true\ninclude_dir /etc/mosquitto/conf.d\n")
        (folder / "bin").mkdir()
        for name, text in TOOLS.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}")
            (folder / "bin" / name).chmod(0o755)
        self.unpack(files)

    def unpack(self, files: dict[str, str]) -> None:
        self._archive.mkdir(exist_ok=True)
        for name, text in files.items():
            here = text.replace("/etc/", f"{self.folder}/etc/") if name == "install" else text
            (self._archive / name).write_text(here)
        (self._archive / "install").chmod(0o755)

    def install(self, *, status: int = 0) -> str:
        log = self.folder / "log"
        log.write_text("")
        environment = {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "LOG": str(log),
            "LISTENING": str(self.folder / "listening"),
        }
        command = [str(self._archive / "install")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def told(self) -> list[str]:
        lines = (self.folder / "log").read_text().splitlines()
        return [line for line in lines if line not in {"daemon-reload", "is-active --quiet mosquitto"}]


@pytest.fixture
def there(root: Path, setup: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> There:
    setup("--broker", "bus.example.org", "--host", "node-1", "--broker-elsewhere")
    return There(tmp_path_factory.mktemp("there"), bundle(root, "broker"))


def test_the_first_run_restarts_and_later_ones_reload_or_do_nothing(
    there: There, root: Path, setup: Callable[..., Result]
) -> None:
    there.install()
    assert there.told == ["restart mosquitto"]
    assert (there.etc / "fenced.passwd").stat().st_mode & 0o777 == 0o640
    assert "installed already" in there.install()
    assert there.told == []
    setup("--host", "node-2")
    there.unpack(bundle(root, "broker"))
    there.install()
    assert there.told == ["reload mosquitto"]
    assert "node-2:" in (there.etc / "fenced.passwd").read_text()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("listener 8883 0.0.0.0", "port 8883 is taken"),
        ("  allow_anonymous true", "sets allow_anonymous"),
        ("password_file /etc/mosquitto/passwd", "sets password_file"),
        ("per_listener_settings true", "one listener each"),
        ("auth_plugin /usr/lib/x.so", "a plugin may let in"),
    ],
)
def test_a_line_that_does_not_go_with_ours_is_named_and_nothing_is_written(there: There, line: str, why: str) -> None:
    (there.etc / "conf.d/mine.conf").write_text(f"# mine\n{line}\n")
    said = there.install(status=1)
    assert f"{there.etc}/conf.d/mine.conf:2: `{line.strip()}`: " in said
    assert why in said
    assert there.told == []
    assert {path.name for path in there.etc.rglob("*") if path.is_file()} == {"mine.conf", "mosquitto.conf"}


def test_another_listener_on_the_port_is_named(there: There) -> None:
    (there.folder / "listening").write_text("LISTEN 0 100 0.0.0.0:8883\n")
    assert "another program listens on port 8883" in there.install(status=1)
    (there.folder / "listening").unlink()
    there.install()
    (there.folder / "listening").write_text("LISTEN 0 100 0.0.0.0:8883\n")
    there.install()  # the broker itself


def test_what_a_person_edited_stays(there: There) -> None:
    there.install()
    access = there.etc / "fenced.acl"
    access.write_text(access.read_text() + "user mine\n")
    said = there.install()
    assert f"{access} was edited and stays" in said
    assert access.read_text().endswith("user mine\n")
    (there.etc / "conf.d/fenced.conf").write_text("# mine\n")
    assert "fenced.conf was edited and stays" in there.install()
    assert (there.etc / "conf.d/fenced.conf").read_text() == "# mine\n"

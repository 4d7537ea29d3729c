"""A machine below a folder, and the command there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fenced.cli.main import main


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a machine with Mosquitto as Debian installs it."""
    (tmp_path / "etc/mosquitto/conf.d").mkdir(parents=True)
    (tmp_path / "etc/mosquitto/mosquitto.conf").write_text("persistence true\ninclude_dir /etc/mosquitto/conf.d\n")
    return tmp_path


@pytest.fixture
def setup(root: Path) -> Callable[..., Result]:
    """Run the command below the root; fail the test unless it exits with `status`."""

    def call(*options: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, ["setup", "--root", str(root), "--name", "fenced-a", *options])
        assert done.exit_code == status, done.output
        return done

    return call

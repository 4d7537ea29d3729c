"""Builds the packages once in a run of the tests; the tests of their content and those in a real systemd share them."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import ROOT
from tests.shared import shared_folder

BUILDER: Final = ROOT / ".ci/packages"
AT: Final = "1790000000"
"""SOURCE_DATE_EPOCH of all builds: a tree that was unpacked from the source archive has no commit."""
BUILD_TIMEOUT_SECONDS: Final = 280


def build(out: Path, *arguments: str, **environment: str) -> str:
    """Build packages into `out`; return what the builder printed."""
    command = [sys.executable, str(BUILDER), "--out", str(out), *arguments]
    done = subprocess.run(
        command,
        env=os.environ | {"SOURCE_DATE_EPOCH": AT} | environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        cwd=out.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages(factory: pytest.TempPathFactory) -> Path:
    """Return the folder with all packages, each .deb and .rpm in the revisions 1 and 2, built once in this run."""
    with shared_folder(factory, "packages") as folder:
        out = folder / "dist"
        if not (folder / "done").exists():
            arguments = ["--wheels", str(folder / "wheels"), "--revision", "1", "--revision", "2"]
            build(out, *arguments, "--compression", "none")
            (folder / "done").touch()
        return out


@cache
def why_not_here() -> str:
    """Return why the daemon's .deb can't be built on this machine, or nothing."""
    command = ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        found = "missing"
    if found == "3.11" and sys.version_info[:2] == (3, 11):
        return ""
    return f"the daemon's .deb is for Debian 12, with Python 3.11: /usr/bin/python3 is {found}"

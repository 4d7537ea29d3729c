"""State directories: a temporary one is removed at the end, a given one stays, those of killed labs are swept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fenced.app.lab import KEPT, LabOptions, state_directory, sweep
from fenced.lab.errors import LabError


def ended_process() -> int:
    """Return the pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-ISc", ""]) as process:
        return process.pid


def test_our_own_directory_goes_with_us() -> None:
    with state_directory(LabOptions()) as directory:
        (directory / "file").touch()
        assert directory.stat().st_mode & 0o077 == 0
    assert not directory.exists()


def test_a_given_directory_stays_and_must_be_empty(tmp_path: Path) -> None:
    given = tmp_path / "lab"
    with state_directory(LabOptions(directory=given)) as directory:
        (directory / "file").touch()
    assert (given / "file").exists()
    with pytest.raises(LabError, match="not empty"), state_directory(LabOptions(directory=given)):
        pass


def test_only_what_dead_labs_left_is_swept(tmp_path: Path) -> None:
    dead = ended_process()
    left, kept, living = (tmp_path / name for name in (f"fenced-lab-{dead}-a", f"fenced-lab-{dead}-b", "x"))
    living = tmp_path / f"fenced-lab-{os.getpid()}-c"
    others = [tmp_path / "fenced-lab-notes", tmp_path / "fenced-lab-x-y", tmp_path / "fenced-laboratory-1-2"]
    for directory in (left, kept, living, *others):
        directory.mkdir()
    (kept / KEPT).touch()
    link = tmp_path / f"fenced-lab-{dead}-link"
    link.symlink_to(living)
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in (kept, living, link, *others)
    )

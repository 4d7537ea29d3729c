"""Packaging: the wheel has every file that the package needs, and the source archive has what an operator copies."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files, name


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return directory


def test_the_wheel_holds_the_whole_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("fenced-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        described = {entry for entry in archive.namelist() if ".dist-info/" in entry}
        shipped = set(archive.namelist()) - described
        metadata = {entry.rpartition("/")[2]: archive.read(entry).decode() for entry in described}
    ours = {name(path) for path in files() if path.is_relative_to(ROOT / "fenced")}
    copied = {name(path) for path in files() if path.is_relative_to(ROOT / "config")}
    copied |= {name(path) for path in files() if path.is_relative_to(ROOT / "systemd")}
    assert shipped == ours | {f"fenced/shipped/{each}" for each in copied}
    assert "fenced = fenced.cli.main:main" in metadata["entry_points.txt"]
    assert "fencectl = fenced.cli.fencectl:main" in metadata["entry_points.txt"]
    assert "fenced-beat = fenced.beat.fenced_beat:main" in metadata["entry_points.txt"]
    assert "Apache License" in metadata["LICENSE"]


def test_the_source_archive_holds_what_an_operator_copies(built: Path) -> None:
    (source,) = built.glob("fenced-*.tar.gz")
    with tarfile.open(source) as archive:
        shipped = {member.name.partition("/")[2] for member in archive.getmembers()}
    folders = {"fenced", "config", "systemd", "docs", "tests", ".ci"}
    wanted = {name(path) for path in files() if name(path).split("/")[0] in folders}
    wanted |= {"README.md", "CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "pyproject.toml"}
    assert wanted - shipped == set()


def test_the_archive_is_small(built: Path) -> None:
    """It contains nothing that a tool left behind."""
    assert all(path.stat().st_size < 3_000_000 for path in built.iterdir())

"""The set-up: pinned packages, one table of programs, and tests that fail under CI instead of being skipped."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.house.tree import ROOT, name, python_files
from tests.needs import PACKAGES, needs

PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.!+-]*)")
REQUIREMENT: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
ABSENT: Final = "ipmitool"
"""A program that is in no administrator-only directory, so an empty PATH hides it."""


def _project() -> Mapping[str, Any]:
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project


def _pins() -> list[str]:
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def _same(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# -- packages ---------------------------------------------------------------------------------------------------------


def test_every_line_is_one_version_of_one_package() -> None:
    pins = _pins()
    assert [line for line in pins if not PIN.fullmatch(line)] == []
    names = [_same(line.partition("==")[0]) for line in pins]
    assert len(names) == len(set(names))
    assert pins == sorted(pins, key=str.lower)
    assert "fenced" not in names


def test_every_dependency_is_pinned() -> None:
    project = _project()
    extras = project["project"]["optional-dependencies"]
    groups = [project["build-system"]["requires"], project["project"]["dependencies"], *extras.values()]
    wanted = {_same(REQUIREMENT.findall(line)[0]) for group in groups for line in group}
    assert len(wanted) > 20
    assert wanted <= {_same(line.partition("==")[0]) for line in _pins()}


def test_what_is_installed_is_what_is_pinned() -> None:
    """Otherwise the suite would pass with packages that no other installation has."""
    from importlib import metadata

    pinned = {_same(name): version for name, _, version in (line.partition("==") for line in _pins())}
    installed = {_same(each.name): each.version for each in metadata.distributions() if each.name}
    others = {name: version for name, version in installed.items() if pinned.get(name, version) != version}
    assert others == {}


# -- make -------------------------------------------------------------------------------------------------------------


def test_ci_runs_what_a_developer_runs() -> None:
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert re.search(r"^set -euo pipefail$", run, re.MULTILINE)
    assert re.search(r"^export CI=1$", run, re.MULTILINE)
    assert re.search(r"^make test$", run, re.MULTILINE)


def test_make_test_does_everything() -> None:
    printed = _make("test", "--dry-run", "--always-make")
    for wanted in (
        "make-venv",
        "debian-packages",
        "ruff format --check",
        "ruff check",
        "mypy",
        "lint-imports",
        "pytest",
    ):
        assert wanted in printed, f"make test does not run {wanted}"


def test_make_says_what_it_can_do() -> None:
    printed = _make("help")
    for target in (
        "demo",
        "test",
        "lint",
        "types",
        "contracts",
        "unit",
        "bench",
        "fuzz",
        "docs",
        "docs-serve",
        "docs-screenshots",
        "docs-states",
        "packages",
        "clean",
    ):
        assert re.search(rf"^ +{target} +\w", printed, re.MULTILINE), f"{target} is not explained"


def _make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_old_python_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo Python 3.9.2; exit 0; }\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run([ROOT / ".ci/make-venv", old, tmp_path / "venv"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Python 3.9.2" in done.stderr
    assert "3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


# -- programs of others -----------------------------------------------------------------------------------------------


def test_programs_are_looked_for_by_one_module() -> None:
    """So a test can't need what `make test` does not install."""
    others = {name(path) for path in python_files("tests") if "shutil.which" in path.read_text(encoding="utf-8")}
    assert {path for path in others if not path.startswith("tests/bench/")} == {"tests/needs.py", name(Path(__file__))}


def test_needs_refuses_a_program_that_no_package_installs() -> None:
    with pytest.raises(AssertionError, match="no-such-program"):
        needs("no-such-program")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which `ABSENT` is not found."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "PYTEST_", "COV_"))}
    return environment | {"PATH": str(tmp_path)}


def test_without_ci_a_missing_program_is_skipped_and_named(tmp_path: Path, bare: dict[str, str]) -> None:
    done = _run_suite(tmp_path, bare)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert re.search(rf"1 tests need {ABSENT} \(Debian package {PACKAGES[ABSENT]}\)", done.stdout)
    assert f"apt-get install --no-install-recommends {PACKAGES[ABSENT]}" in done.stdout


def test_under_ci_a_missing_program_fails(tmp_path: Path, bare: dict[str, str]) -> None:
    done = _run_suite(tmp_path, bare | {"CI": "true"})
    assert done.returncode == 1, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert PACKAGES[ABSENT] in done.stdout


def test_what_is_missing_is_what_make_installs(bare: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.needs"]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60)
    assert PACKAGES[ABSENT] in done.stdout.splitlines()
    assert set(done.stdout.splitlines()) <= set(PACKAGES.values())


def _run_suite(directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a suite of one test that needs `ABSENT`, with the real conftest, on an xdist worker."""
    suite = directory / "suite"
    (suite / "tests/warm").mkdir(parents=True)
    warm = ("tests/warm/__init__.py", "tests/warm/programs.py")
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py", "tests/needs.py", *warm):
        shutil.copy(ROOT / file, suite / file)
    (suite / "tests/test_it.py").write_text(
        f'"""One test."""\nfrom tests.needs import needs\n\n\n@needs("{ABSENT}")\ndef test_it() -> None:\n    pass\n'
    )
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, timeout=90)


# -- Debian packages --------------------------------------------------------------------------------------------------


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A directory of stub programs: apt-get records its arguments, sudo needs no password."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    _stub(folder / "apt-get", f'echo "$@" >> {tmp_path}/told')
    _stub(folder / "sudo", 'shift; exec "$@"')
    return folder


def _stub(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _install(stubs: Path, missing: str, **environment: str) -> tuple[str, list[str]]:
    """Return the output, and the arguments of apt-get, when these packages are missing."""
    _stub(stubs / "python", f"printf '{missing}'")
    environment = os.environ | {"PATH": os.pathsep.join([str(stubs), os.environ["PATH"]]), "APT": "yes"} | environment
    command = [ROOT / ".ci/debian-packages", stubs / "python"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = stubs.parent / "told"
    return done.stdout, told.read_text().splitlines() if told.exists() else []


def test_only_what_is_missing_is_installed_and_named(stubs: Path) -> None:
    said, told = _install(stubs, r"mosquitto\nopenipmi\n")
    assert "mosquitto openipmi" in said
    assert told[0].startswith("update")
    assert told[1].split()[:3] == ["-o", "DPkg::Lock::Timeout=400", "install"]
    assert told[1].split()[-2:] == ["mosquitto", "openipmi"]
    assert "--no-install-recommends" in told[1]


def test_nothing_runs_if_nothing_is_missing(stubs: Path) -> None:
    assert _install(stubs, "") == ("", [])


def test_nothing_is_installed_if_the_user_forbids_it(stubs: Path) -> None:
    said, told = _install(stubs, r"mosquitto\n", APT="no")
    assert "mosquitto" in said
    assert told == []

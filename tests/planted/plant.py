"""Plants a bug into a copy of the program and runs tests there until one fails: that one killed it.

The copy is made of hard links, so it costs little; the file with the bug is written anew. One rule: nothing is planted in
the tree that is tested, whatever goes wrong.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT
from tests.planted.bugs import Bug

RUN_SECONDS_MAX: Final = 150.0
NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis")
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
TESTS_FAILED: Final = 1
INTERRUPTED: Final = 2
"""pytest's exit status when collecting fails: a bug that breaks an import is killed by whoever imports it."""


class NotPlanted(Exception):
    """The bug's place is not there any more, or not only once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """`test`: who killed it, None: nobody. `said`: the end of what the last tests printed."""

    test: str | None
    said: str


def plant(bug: Bug, directory: Path) -> None:
    """A copy of the program with the bug in it. Raises NotPlanted."""
    source = ROOT / "fenced" / bug.file
    text = source.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise NotPlanted(f"{bug.name}: its line stands {text.count(bug.old)} times in fenced/{bug.file}, not once")
    for folder in ("fenced", "tests", "docs", "config", "systemd"):
        shutil.copytree(ROOT / folder, directory / folder, copy_function=os.link, ignore=NOT_COPIED)
    for file in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt", "LICENSE"):
        os.link(ROOT / file, directory / file)
    target = directory / "fenced" / bug.file
    target.unlink()
    target.write_text(text.replace(bug.old, bug.new), encoding="utf-8")


def hunt(bug: Bug, directory: Path) -> Killed:
    """Run its killers in the copy, one after the other, until one fails."""
    said = ""
    for killer in bug.killers:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-o",
            "addopts=",
        ]
        try:
            done = subprocess.run(
                [*command, "-m", "not integration", "-rfE", killer],
                cwd=directory, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Killed(test=f"{killer} (it never ended)", said="")
        said = done.stdout[-2000:]
        if done.returncode in {TESTS_FAILED, INTERRUPTED}:
            found = FAILED.search(done.stdout)
            return Killed(test=found.group(1) if found else killer, said=said)
    return Killed(test=None, said=said)

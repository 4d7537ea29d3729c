"""Plants a bug into a copy of the program and runs tests there until one fails, which kills the bug.

The copy is made of hard links, so it is cheap; the file with the bug is a new file, and the original replaces it
afterwards. Nothing is ever planted in the tree that is tested.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.house.tree import ROOT
from tests.planted.bug import STORIES, Bug

RUN_SECONDS_MAX: Final = 100.0
SEED_SECONDS: Final = 1.0
"""The longest that a seed may take on a busy machine, many in a row."""
SAID_MAX: Final = 3000
FOLDERS: Final = ("fenced", "tests")
FILES: Final = ("pyproject.toml",)
NOT_COPIED: Final = {"fenced": ("*.pyc.*",), "tests": ("__pycache__", ".hypothesis", "bench", "e2e", "lab")}
NO_TESTS: Final = frozenset({4, 5})
"""pytest's exit status if a named test does not exist, or none was left to run."""


class NotPlanted(Exception):
    """The bug's place is missing or not unique, or the program with it can't run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """`tests`: the tests that killed it (only the first, unless all were requested); none: it lives. `said`: how the
    last one failed."""

    tests: tuple[str, ...]
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """`seeds`: the seeds that noticed something, and what. `modules`: the modules that the simulation imports."""

    seeds: Mapping[int, str]
    modules: frozenset[str]

    def has(self, bug: Bug) -> bool:
        """Return whether the simulation imports the bug's file."""
        return not self.modules or f"fenced.{bug.file.removesuffix('.py').replace('/', '.')}" in self.modules


def changed(bug: Bug) -> str:
    """Return the text of the bug's file with the bug in it. Raises NotPlanted."""
    text = (ROOT / "fenced" / bug.file).read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise NotPlanted(f"{bug.name}: its line is found {text.count(bug.old)} times in fenced/{bug.file}, not once")
    return text.replace(bug.old, bug.new)


def copy_to(directory: Path) -> None:
    """Copy the program, without a bug."""
    directory.mkdir()
    for folder in FOLDERS:
        ignore = shutil.ignore_patterns(*NOT_COPIED[folder])
        shutil.copytree(ROOT / folder, directory / folder, copy_function=os.link, ignore=ignore)
    for file in FILES:
        os.link(ROOT / file, directory / file)


@contextmanager
def planted(bug: Bug, directory: Path) -> Iterator[None]:
    """Plant the bug in the copy for the duration of the block. Raises NotPlanted."""
    text = changed(bug)
    target = directory / "fenced" / bug.file
    _remove(target)
    target.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        _remove(target)
        os.link(ROOT / "fenced" / bug.file, target)


def _remove(source: Path) -> None:
    """Remove a file and its compiled form: two bugs may have the same size and second."""
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        compiled.unlink()
    source.unlink()


class Ground:
    """Sends requests to the warm process."""

    def __init__(self, process: "subprocess.Popen[str]", asks: IO[str], answers: IO[str]) -> None:
        self._process, self._asks, self._answers = process, asks, answers

    def hunt(self, bug: Bug, directory: Path) -> Killed:
        """Run the bug's killers in the copy until one fails: those named exactly first, then the wider ones.

        A bug inside functions is planted into the running program; if it survives there, it is planted into the files.
        """
        last = self._hunt_running(bug, directory) if bug.killers else Killed(tests=())
        if last.tests:
            return last
        for tests in (bug.killers, bug.wider):
            if tests:
                last = self.run(tests, directory)
            if last.tests:
                return last
        return last

    def run(self, tests: tuple[str, ...], directory: Path, *, is_whole: bool = False) -> Killed:
        """Run tests in one copy until one fails or (`is_whole`) all of them. Raises NotPlanted."""
        answer = self._ask({"tests": tests, "is_whole": is_whole}, directory, RUN_SECONDS_MAX)
        return _killed(answer, tests)

    def _hunt_running(self, bug: Bug, directory: Path) -> Killed:
        """Run its killers in the running program. Killed by no test if it can't be planted there. Raises NotPlanted."""
        source = ROOT / "fenced" / bug.file
        texts = {"sound": source.read_text(encoding="utf-8"), "planted": changed(bug)}
        swapped = {"file": str(directory / "fenced" / bug.file), **texts}
        tests = sorted(bug.killers, key=lambda test: test.startswith(STORIES))  # a story costs several times as much
        answer = self._ask({"tests": tests, "is_whole": False, "swapped": swapped}, directory, RUN_SECONDS_MAX)
        return Killed(tests=()) if answer.get("is_cold") else _killed(answer, bug.killers)

    def play(self, seeds: Sequence[int], directory: Path, *, is_whole: bool = False) -> Noticed:
        """Play seeds of the simulation in one copy until one notices something or (`is_whole`) all. Raises
        NotPlanted."""
        most = RUN_SECONDS_MAX + SEED_SECONDS * len(seeds)
        answer = self._ask({"seeds": [*seeds], "is_whole": is_whole}, directory, most)
        if answer.get("is_endless"):
            return Noticed(seeds={seeds[0]: "it never ended"}, modules=frozenset())
        noticed = {int(seed): text for seed, text in answer["noticed"].items()}
        return Noticed(seeds=noticed, modules=frozenset(answer["modules"]))

    def _ask(self, what: dict[str, Any], directory: Path, seconds: float) -> dict[str, Any]:
        """Send a request; return the copy's answer, or one that reports an endless run. Raises NotPlanted."""
        request = {**what, "directory": str(directory), "seconds": seconds, "said_max": SAID_MAX}
        print(json.dumps(request), file=self._asks, flush=True)
        line = self._answers.readline()
        assert line, f"the warm process ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        if answer.get("is_endless") or answer.get("is_cold"):
            return answer
        if "lost" in answer:
            raise NotPlanted(f"the tests of {directory} died: {answer['lost']}")
        if answer["is_broken"]:
            raise NotPlanted(f"the program with the bug in it is none: {answer['said']}")
        is_its_own = answer["program"].startswith(f"{directory}{os.sep}")
        if not is_its_own and answer.get("status") not in NO_TESTS:
            raise NotPlanted(f"tested was {answer['program']}, not the copy in {directory}")
        return answer


def _killed(answer: Mapping[str, Any], tests: Sequence[str]) -> Killed:
    if answer.get("is_endless"):
        return Killed(tests=(f"{tests[0]} (it never ended)",))
    if answer["status"] in NO_TESTS:
        return Killed(tests=(), said=f"no such test among {', '.join(tests)}")
    return Killed(tests=tuple(answer["failed"]), said=answer["said"])


@contextmanager
def ground(copy: Path, bugs: Iterable[Bug]) -> Iterator[Ground]:
    """Start the warm process beside a correct copy, with the killers of these bugs imported; end it and its children
    afterwards."""
    tests = sorted({killer.partition("::")[0] for bug in bugs for killer in bug.killers})
    command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("warm.py")), str(copy), *tests]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=inherited, cwd=Path(__file__).parent
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # A bug that is planted earlier would be imported as the correct program.
            assert process.stdout.readline(), f"the warm process ended with {process.wait()}"
            yield Ground(process, process.stdin, process.stdout)
        finally:
            process.stdin.close()

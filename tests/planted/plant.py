"""Plants a bug into a copy of the program and runs tests there until one fails, which kills the bug.

The copy is made of hard links, so it is cheap; the file with the bug is a new file, and the original replaces it
afterwards. Nothing is ever planted in the tree that is tested.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.house.tree import ROOT
from tests.needs import missing
from tests.planted.bug import STORIES, Bug
from tests.postgres import RUNNING, server
from tests.warm.programs import HUNTED

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
    """A correct copy of the program, and the warm process beside it, which runs its tests."""

    def __init__(self, copy: Path, process: "subprocess.Popen[str]", asks: IO[str], answers: IO[str]) -> None:
        self.copy = copy
        self._process, self._asks, self._answers = process, asks, answers

    def hunt(self, bug: Bug, *, is_wide: bool = False) -> Killed:
        """Plant the bug and run its killers until one fails, then (`is_wide`) the wider ones. Raises NotPlanted.

        A bug inside functions is planted into the running program; if it survives there, into the files alone.
        """
        killers = sorted(bug.killers, key=lambda test: test.startswith(STORIES))  # a story costs several times as much
        self._collect(killers)
        with planted(bug, self.copy):
            answer = self._ask_swapped(bug, {"tests": killers, "is_whole": False}) if killers else None
            last = _killed(answer, killers) if answer is not None else Killed(tests=())
            for tests in (killers, bug.wider if is_wide else ()):
                if tests and not last.tests:
                    last = self.run(tests)
        return last

    def notice(self, bug: Bug) -> Noticed:
        """Plant the bug and play its seeds of the simulation until one notices it. Raises NotPlanted."""
        self._collect(())
        with planted(bug, self.copy):
            answer = self._ask_swapped(bug, {"seeds": [*bug.seeds], "is_whole": False})
            return self.play(bug.seeds) if answer is None else _noticed(answer, bug.seeds)

    def run(self, tests: Sequence[str], *, is_whole: bool = False) -> Killed:
        """Run tests in the copy as it is until one fails or (`is_whole`) all of them. Raises NotPlanted."""
        return _killed(self._ask({"tests": [*tests], "is_whole": is_whole}), tests)

    def play(self, seeds: Sequence[int], *, is_whole: bool = False) -> Noticed:
        """Play seeds in the copy as it is until one notices something or (`is_whole`) all. Raises NotPlanted."""
        return _noticed(self._ask({"seeds": [*seeds], "is_whole": is_whole}, SEED_SECONDS * len(seeds)), seeds)

    def _collect(self, tests: Sequence[str]) -> None:
        """Have the correct program imported, which those tests use (none: the simulation)."""
        print(json.dumps({"collect": [*tests]}), file=self._asks, flush=True)
        assert self._answers.readline(), f"the warm process ended with {self._process.wait()}"

    def _ask_swapped(self, bug: Bug, what: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request with a bug for the running program. None if it can't be planted there. Raises NotPlanted."""
        source = ROOT / "fenced" / bug.file
        texts = {"sound": source.read_text(encoding="utf-8"), "planted": changed(bug)}
        answer = self._ask({**what, "swapped": {"file": str(self.copy / "fenced" / bug.file), **texts}})
        return None if answer.get("is_cold") else answer

    def _ask(self, what: dict[str, Any], more_seconds: float = 0.0) -> dict[str, Any]:
        """Send a request; return the copy's answer, or one that reports an endless run. Raises NotPlanted."""
        request = {
            **what, "directory": str(self.copy), "seconds": RUN_SECONDS_MAX + more_seconds, "said_max": SAID_MAX
        }  # fmt: skip
        print(json.dumps(request), file=self._asks, flush=True)
        line = self._answers.readline()
        assert line, f"the warm process ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        if answer.get("is_endless") or answer.get("is_cold"):
            return answer
        if "lost" in answer:
            raise NotPlanted(f"the tests of {self.copy} died: {answer['lost']}")
        if answer["is_broken"]:
            raise NotPlanted(f"the program with the bug in it is none: {answer['said']}")
        is_its_own = answer["program"].startswith(f"{self.copy}{os.sep}")
        if not is_its_own and answer.get("status") not in NO_TESTS:
            raise NotPlanted(f"tested was {answer['program']}, not the copy in {self.copy}")
        return answer


def _killed(answer: Mapping[str, Any], tests: Sequence[str]) -> Killed:
    if answer.get("is_endless"):
        return Killed(tests=(f"{tests[0]} (it never ended)",))
    if answer["status"] in NO_TESTS:
        return Killed(tests=(), said=f"no such test among {', '.join(tests)}")
    return Killed(tests=tuple(answer["failed"]), said=answer["said"])


def _noticed(answer: Mapping[str, Any], seeds: Sequence[int]) -> Noticed:
    if answer.get("is_endless"):
        return Noticed(seeds={seeds[0]: "it never ended"}, modules=frozenset())
    noticed = {int(seed): text for seed, text in answer["noticed"].items()}
    return Noticed(seeds=noticed, modules=frozenset(answer["modules"]))


@contextmanager
def ground(copy: Path) -> Iterator[Ground]:
    """Make a correct copy of the program and start the warm process beside it; end it and its children afterwards."""
    copy_to(copy)
    with contextlib.ExitStack() as stack:
        environment = {HUNTED: "yes"}
        if not missing(["postgres"]):  # one for all killers, each of which would start its own
            environment[RUNNING] = str(stack.enter_context(server()).port)
        yield stack.enter_context(_warm(copy, environment))


@contextmanager
def _warm(copy: Path, environment: Mapping[str, str]) -> Iterator[Ground]:
    command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("warm.py")), str(copy)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**inherited, **environment}, cwd=copy
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Ground(copy, process, process.stdin, process.stdout)
        finally:
            process.stdin.close()

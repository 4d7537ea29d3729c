"""Plants a bug into a copy of the program and runs tests there until one fails: that one killed it.

The copy is made of hard links, so it costs little; the file with the bug is written anew, and the sound one put back. One rule:
nothing is planted in the tree that is tested, whatever goes wrong.
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
"""What a seed may take on a busy machine, many in a row."""
SAID_MAX: Final = 3000
FOLDERS: Final = ("fenced", "tests")
FILES: Final = ("pyproject.toml",)
NOT_COPIED: Final = {"fenced": ("*.pyc.*",), "tests": ("__pycache__", ".hypothesis", "bench", "e2e", "lab")}
NO_TESTS: Final = frozenset({4, 5})
"""pytest's exit status where a named test is not there, or none was left to run."""


class NotPlanted(Exception):
    """The bug's place is not there any more, or not only once; or the program with it is no program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """`tests`: who killed it (the first alone, unless all were asked for); none: it lives. `said`: how the last one failed."""

    tests: tuple[str, ...]
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """`seeds`: those that found something, and what. `modules`: what the simulation has of the program."""

    seeds: Mapping[int, str]
    modules: frozenset[str]

    def has(self, bug: Bug) -> bool:
        """Whether the simulation plays the file of the bug at all."""
        return not self.modules or f"fenced.{bug.file.removesuffix('.py').replace('/', '.')}" in self.modules


def changed(bug: Bug) -> str:
    """The text of the bug's file with the bug in it. Raises NotPlanted."""
    text = (ROOT / "fenced" / bug.file).read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise NotPlanted(f"{bug.name}: its line stands {text.count(bug.old)} times in fenced/{bug.file}, not once")
    return text.replace(bug.old, bug.new)


def copy_to(directory: Path) -> None:
    """A copy of the program, sound as yet."""
    directory.mkdir()
    for folder in FOLDERS:
        ignore = shutil.ignore_patterns(*NOT_COPIED[folder])
        shutil.copytree(ROOT / folder, directory / folder, copy_function=os.link, ignore=ignore)
    for file in FILES:
        os.link(ROOT / file, directory / file)


@contextmanager
def planted(bug: Bug, directory: Path) -> Iterator[None]:
    """The bug stands in the copy for the time of the block. Raises NotPlanted."""
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
    """With what was compiled from it: two bugs may be of one size and one second."""
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        compiled.unlink()
    source.unlink()


class Ground:
    """The warm process, and what is asked of it."""

    def __init__(self, process: "subprocess.Popen[str]", asks: IO[str], answers: IO[str]) -> None:
        self._process, self._asks, self._answers = process, asks, answers

    def hunt(self, bug: Bug, directory: Path) -> Killed:
        """Run its killers in the copy until one fails: those that are named exactly first, then the wider ones. A bug
        within functions is planted into the sound program that runs already; one that lives there is planted anew."""
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
        """Tests of one copy, until one fails or (`is_whole`) all of them. Raises NotPlanted."""
        answer = self._ask({"tests": tests, "is_whole": is_whole}, directory, RUN_SECONDS_MAX)
        return _killed(answer, tests)

    def _hunt_running(self, bug: Bug, directory: Path) -> Killed:
        """By its killers, in the program that runs already; by nobody where it can't be planted there. Raises NotPlanted."""
        source = ROOT / "fenced" / bug.file
        texts = {"sound": source.read_text(encoding="utf-8"), "planted": changed(bug)}
        swapped = {"file": str(directory / "fenced" / bug.file), **texts}
        tests = sorted(bug.killers, key=lambda test: test.startswith(STORIES))  # a story costs several times as much
        answer = self._ask({"tests": tests, "is_whole": False, "swapped": swapped}, directory, RUN_SECONDS_MAX)
        return Killed(tests=()) if answer.get("is_cold") else _killed(answer, bug.killers)

    def play(self, seeds: Sequence[int], directory: Path, *, is_whole: bool = False) -> Noticed:
        """Seeds of the simulation of one copy, until one notices something or (`is_whole`) all. Raises NotPlanted."""
        most = RUN_SECONDS_MAX + SEED_SECONDS * len(seeds)
        answer = self._ask({"seeds": [*seeds], "is_whole": is_whole}, directory, most)
        if answer.get("is_endless"):
            return Noticed(seeds={seeds[0]: "it never ended"}, modules=frozenset())
        noticed = {int(seed): text for seed, text in answer["noticed"].items()}
        return Noticed(seeds=noticed, modules=frozenset(answer["modules"]))

    def _ask(self, what: dict[str, Any], directory: Path, seconds: float) -> dict[str, Any]:
        """An answer of the copy itself, or one that says that it is endless. Raises NotPlanted."""
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
    """Starts the warm process beside a copy that is sound, with the killers of these bugs at hand; ends it, and what it runs,
    on the way out."""
    tests = sorted({killer.partition("::")[0] for bug in bugs for killer in bug.killers})
    command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("warm.py")), str(copy), *tests]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=inherited, cwd=Path(__file__).parent
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Ground(process, process.stdin, process.stdout)
        finally:
            process.stdin.close()

"""Starts and ends the real programs of the lab as a user would run them: `fenced run`, `fenced proxy`, `fenced certs`.

Does not know what they do. If a program ends on its own, the lab ends, with the program's last log lines as the reason.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fenced.lab.errors import LabError
from fenced.lab.ground import Ground, dying_with_us, signal_group, spawn

END_TIMEOUT_SECONDS: Final = 8.0
SHORT_TIMEOUT_SECONDS: Final = 30.0
TAIL_LINES: Final = 15
RUN: Final = "from fenced.cli.main import main; main(prog_name='fenced')"
RUN_FENCECTL: Final = "from fenced.cli.fencectl import main; main(prog_name='fencectl')"
TAIL_BYTES: Final = 16384
PRINTED_LINES_MAX: Final = 50


def fenced_argv(*arguments: str) -> list[str]:
    """Return the command line of a fenced program of this installation, whatever else is called `fenced` on PATH."""
    return _argv(RUN, arguments)


def _argv(run: str, arguments: Sequence[str]) -> list[str]:
    """A package keeps its modules in a folder of its own, and its programs see no other: so do those started here."""
    if sys.flags.no_site:
        folder = str(Path(__file__).parents[2])
        return [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, {folder!r}); {run}", *arguments]
    return [sys.executable, "-c", run, *arguments]


class Program:
    """One long-running program with its log file."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, ground: Ground, name: str, arguments: Sequence[str], *, log: Path) -> "Program":
        """Start a program of fenced. Raises LabError if that fails."""
        return await cls.start_other(ground, f"fenced {name}", fenced_argv(*arguments), log=log)

    @classmethod
    async def start_other(cls, ground: Ground, name: str, argv: Sequence[str], *, log: Path) -> "Program":
        """Start any program. Raises LabError if that fails."""
        return cls(name, log, await spawn(ground.argv(argv), log))

    async def watch(self) -> None:
        """Wait for the program. Never returns: raises LabError when it ends."""
        raise self.error(await self.ended())

    async def ended(self) -> int:
        """Wait for the program, and return its exit status."""
        return await self._process.wait()

    def error(self, status: int) -> LabError:
        """Return the error for a program that ended by itself, with its last lines."""
        said = "\n".join(f"  {line}" for line in tail(self.log))
        return LabError(f"`{self.name}` ended by itself with exit status {status}; its last lines:\n{said}")

    def kill(self) -> None:
        """Kill it at once, as kill -9 does; `watch` notices it."""
        signal_group(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Send SIGTERM, and SIGKILL to the whole group if it takes too long; idempotent."""
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(END_TIMEOUT_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                pass
        signal_group(self._process.pid, signal.SIGKILL)
        await self._process.wait()


async def run_short(arguments: Sequence[str], *, log: Path) -> None:
    """Run a fenced program to its end. Raises LabError unless it exits with 0 in time."""
    await run_to_end(" ".join(["fenced", *arguments[:2]]), fenced_argv(*arguments), log=log)


async def run_to_end(name: str, argv: Sequence[str], *, log: Path, seconds: float = SHORT_TIMEOUT_SECONDS) -> None:
    """Run any program to its end, and append what it prints to the log. Raises LabError unless it exits with 0."""
    process = await spawn(dying_with_us(argv), log)
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError as exc:
        raise LabError(f"`{name}` did not end within {seconds:g} s") from exc
    finally:
        if process.returncode is None:
            signal_group(process.pid, signal.SIGKILL)
            await process.wait()
    if status != 0:
        said = "\n".join(f"  {line}" for line in tail(log))
        raise LabError(f"`{name}` failed with exit status {status}:\n{said}")


async def fencectl(urls: str, *arguments: str, log: Path) -> list[str]:
    """Run `fencectl` with these addresses to its end; return the last lines of its log. Raises LabError unless it
    exits with 0."""
    await run_to_end(f"fencectl {arguments[0]}", _argv(RUN_FENCECTL, ["--url", urls, *arguments]), log=log)
    return tail(log, lines=PRINTED_LINES_MAX)


def tail(log: Path, *, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log file; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []

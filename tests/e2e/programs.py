"""Run fenced programs as processes: start, wait, end by pid, with their output in a file."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from tests.warm.programs import ROOT, Ended, Warm, run

IS_COLD: Final = ContextVar("IS_COLD", default=False)
"""Start programs as users do. It takes a hundred times as long, and only its cost differs."""
FENCED: Final = [sys.executable, "-c", "from fenced.cli.main import main; main()"]
FENCECTL: Final = [sys.executable, "-m", "fenced.cli.fencectl"]
END_SECONDS: Final = 30.0


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run it beside the block. An error of the block is not wrapped into a group: people read its text."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        is_early = task.done()
        # Repeatedly: aiomqtt, cancelled while it disconnects, may raise an MqttError instead.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        assert not is_early, f"{name} ended before its time: {task if task.cancelled() else task.exception()!r}"


async def run_short(
    command: Sequence[str], *, seconds: float = 30.0, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end. Raises TimeoutError after killing it."""
    return await run(command, seconds=seconds, environment={**os.environ, **(environment or {})})


class Program:
    """A long-running program. Its standard output and error go to one file, over all its runs."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command, self._log = list(command), log
        self._environment = {**os.environ, **(environment or {})}
        self._process: Warm | asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def start(self) -> None:
        with self._log.open("ab") as log:
            if IS_COLD.get():
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, cwd=ROOT, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                    stdout=log, stderr=log,
                )  # fmt: skip
                return
            self._process = Warm(self._command, environment=self._environment, stdout=log.fileno(), stderr=log.fileno())
        await self._process.started()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self, seconds: float = END_SECONDS) -> int:
        """Return the exit status. Raises TimeoutError."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await (self._process.ended() if isinstance(self._process, Warm) else self._process.wait())

    async def kill(self) -> None:
        """Kill it as kill -9 does, and reap it; no effect if it has ended."""
        if self.is_running:
            self.signal(signal.SIGKILL)
            await self.wait()

    async def end(self, seconds: float = END_SECONDS) -> int:
        """Send SIGTERM; return the exit status."""
        if self.is_running:
            self.signal(signal.SIGTERM)
        return await self.wait(seconds)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a living process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""Run `fencectl` as a process, through pipes or on its own terminal."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.warm.programs import Warm, run

PROGRAM = (sys.executable, "-W", "error", "-m", "fenced.cli.fencectl")
DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Exit status and output. On a terminal `out` contains the error output."""

    code: int
    out: str
    err: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FENCED_")}
    return {**kept, "TERM": "xterm", "COLUMNS": "100", "LINES": "40", **more}


async def ctl(url: str, *words: str, **more: str) -> Run:
    """Run without a terminal."""
    return await run_plain("--url", url, *words, **more)


async def run_plain(*words: str, **more: str) -> Run:
    """Run without a terminal, and with no address."""
    done = await run([*PROGRAM, *words], seconds=DEADLINE_SECONDS, environment=environment(**more))
    assert "Traceback" not in done.err, done.err
    return Run(code=done.status, out=done.out, err=done.err)


async def on_terminal(
    url: str, *words: str, answers: tuple[tuple[str, str], ...] = (), meanwhile: Callable[[], None] | None = None,
    **more: str,
) -> Run:  # fmt: skip
    """Run on a terminal of 100 columns. For each (text, answer): type the answer once the text appears. `meanwhile`:
    what happens before the first answer. `more`: of the environment."""
    master, slave = pty.openpty()
    program = Warm(
        [*PROGRAM, "--url", url, *words], environment=environment(**more), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen = bytearray()
    left = list(answers)

    def read() -> None:
        try:
            data = os.read(master, 65536)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            loop.remove_reader(master)
            return
        seen.extend(data)
        if left and left[0][0].encode() in seen:
            if meanwhile is not None and len(left) == len(answers):
                meanwhile()
            os.write(master, left.pop(0)[1].encode() + b"\n")

    loop = asyncio.get_running_loop()
    loop.add_reader(master, read)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            code = await program.ended()
        await _drain(read, seen)
    finally:
        loop.remove_reader(master)
        os.close(master)
        program.kill()
    text = seen.decode()
    assert "Traceback" not in text, text
    return Run(code=code, out=text)


async def _drain(read: Callable[[], None], seen: bytearray) -> None:
    """Read what the process wrote last, which is still in the terminal after it ended."""
    size = -1
    while size != len(seen):
        size = len(seen)
        await asyncio.sleep(0.02)

"""Start our programs without importing them anew: a fork of a process that has imported them costs a hundredth.

A program is a process of its own with its own pid, descriptors, environment and folder, and ends as any other. What the
start itself does (what is imported, how fast, with which flags) is tested with `subprocess`.
"""

import asyncio
import atexit
import functools
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = (
    "fenced.cli.main", "fenced.cli.run", "fenced.cli.beat", "fenced.cli.proxy", "fenced.cli.check_config",
    "fenced.cli.fencectl.commands", "fenced.app.daemon", "fenced.app.proxy_agent", "uvloop",
    "tests.proxy.agent_program",
)  # fmt: skip
ANSWER_BYTES_MAX: Final = 64
SHARED: Final = "PYTEST_FENCED_PROGRAMS"
"""Where the parent listens that all workers of a run share. tests/planted passes on no variable of this prefix: its
copies have programs of their own."""

HUNTED: Final = "FENCED_TEST_HUNTED"
"""Set where a planted bug is looked for (tests/planted)."""


def share() -> None:
    """Have the workers that this process starts share one parent. It is started when the first of them needs it."""
    name, listener = _listener()
    os.environ[SHARED] = name

    def start_when_needed() -> None:
        select.select([listener], [], [])
        _start(listener)

    threading.Thread(target=start_when_needed, name="start of the programs' parent", daemon=True).start()


@functools.cache
def _address() -> str:
    """Return where the parent of this process's programs listens; start it, unless it is shared."""
    name = os.environ.get(SHARED)
    if name is None:
        name, listener = _listener()
        _start(listener)
    return f"\0{name}"


def _listener() -> tuple[str, socket.socket]:
    name = f"fenced-tests-{secrets.token_hex(16)}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}")
    listener.listen(64)
    return name, listener


def _start(listener: socket.socket) -> None:
    """Start the parent; it ends with this process.

    A process with a planted bug is the parent itself if it has imported all that programs need.
    """
    with listener:
        if HUNTED in os.environ and sys.modules.keys() >= {*MODULES}:
            _fork(listener)
            return
        command = [sys.executable, "-m", "tests.warm.parent", str(listener.fileno()), *MODULES]
        started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    atexit.register(started.communicate)


def _fork(listener: socket.socket) -> None:
    from tests.warm import parent

    ends, _held = os.pipe()  # the end of this process closes the other end
    with warnings.catch_warnings(action="ignore"):  # of threads: none of theirs is used in the fork
        child = os.fork()
    if child:
        os.close(ends)
        return
    atexit._clear()
    warnings.simplefilter("ignore")  # those that end a test must not end a program
    os.dup2(ends, 0)
    for first, last in ((3, listener.fileno()), (listener.fileno() + 1, parent.DESCRIPTORS_MAX)):
        os.closerange(first, last)
    try:
        parent.main(listener, [])
    finally:
        os._exit(0)


class Warm:
    """A program that runs; it is killed when nobody holds this any more."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        """Ask for a start of `python -c` or `python -m`.

        `environment`: all of it (None: that of this process). The streams are descriptors.
        """
        assert command[0] == sys.executable
        self._pid: int | None = None
        self._status: int | None = None
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        weakref.finalize(self, self._connection.close)
        self._connection.connect(_address())
        asked = {
            "arguments": list(command[1:]), "cwd": str(ROOT),
            "environment": dict(os.environ if environment is None else environment),
        }  # fmt: skip
        with open(os.devnull, "r+b") as nothing:
            streams = [nothing.fileno() if stream is None else stream for stream in (stdin, stdout, stderr)]
            socket.send_fds(self._connection, [json.dumps(asked).encode()], streams)
        self._connection.setblocking(False)

    async def started(self) -> None:
        """Wait until it has a pid."""
        if self._pid is None:
            self._take(await asyncio.get_running_loop().sock_recv(self._connection, ANSWER_BYTES_MAX))

    @property
    def pid(self) -> int:
        while self._pid is None:
            self._await_answer(None)
        return self._pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; as subprocess.Popen has it."""
        self._await_answer(0)
        return self._status

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, below zero for a signal. Raises TimeoutError."""
        while self._status is None:
            if not self._await_answer(timeout):
                raise TimeoutError(f"process {self._pid} did not end within {timeout} s")
        return self._status

    async def ended(self) -> int:
        while self._status is None:
            self._take(await asyncio.get_running_loop().sock_recv(self._connection, ANSWER_BYTES_MAX))
        return self._status

    def _await_answer(self, seconds: float | None) -> bool:
        if self._status is not None:
            return True
        if not select.select([self._connection], [], [], seconds)[0]:
            return False
        self._take(self._connection.recv(ANSWER_BYTES_MAX))
        return True

    def _take(self, answer: bytes) -> None:
        assert answer, "the parent of the programs has ended"
        if self._pid is None:
            self._pid = int(answer)
        else:
            self._status = int(answer)
            self._connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended."""

    status: int
    out: str
    err: str


async def run(command: Sequence[str], *, seconds: float, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a program without input to its end. Raises TimeoutError after killing it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        program = Warm(command, environment=environment, stdout=out.fileno(), stderr=err.fileno())
        try:
            async with asyncio.timeout(seconds):
                status = await program.ended()
        finally:
            program.kill()
        return Ended(status=status, out=_text(out), err=_text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()

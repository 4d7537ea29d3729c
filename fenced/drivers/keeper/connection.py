"""The daemon's side of one keeper process: its channel, the running calls and their output.

It speaks the keeper's messages and reads pipes; `client` decides what a call's end means. Every spawned call ends
exactly once, at the latest when the keeper dies, and its descriptors close with it.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fenced.drivers.output import Collector
from fenced.drivers.processes import MARKER_NAME, identity
from fenced.drivers.programs import KEEPER
from fenced.drivers.programs.keeper import MESSAGE_BYTES_MAX
from fenced.ports.devices import Started

READ_BYTES: Final = 64 * 1024
DRAINED_BYTES_MAX: Final = 1024 * 1024
"""How much to read from a pipe after its call has ended."""
FLOOD_PAUSE_SECONDS: Final = 0.01
"""The pause between reads from an agent that prints more than is kept, so that it does not slow down the others."""
END_SECONDS: Final = 12.0
"""After its daemon's death, a keeper goes on killing for 10 s at most (`keeper.END_SECONDS`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run without a shell and without the daemon's environment. `parameters` go to standard input."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    parameters: bytes
    kept_bytes_max: int = 64 * 1024

    def __repr__(self) -> str:
        return f"Program({self.argv[0]})"


class Stream:
    """The read end of a program's standard output or error."""

    __slots__ = ("_fd", "_loop", "_pause", "collector")

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, kept_max: int) -> None:
        self._loop = loop
        self._fd = fd
        self._pause: asyncio.TimerHandle | None = None
        self.collector = Collector(kept_max)
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        if self._read() == 0:
            self.close()
        elif self.collector.is_full:
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(FLOOD_PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self._on_readable)

    def _read(self) -> int | None:
        """Return the number of bytes read; 0 at the end, None if nothing is there now."""
        try:
            piece = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self.collector.take(piece)
        return len(piece)

    def finish(self) -> None:
        """Read what an ended program left in the pipe, even if another process still holds it open."""
        drained = 0
        while self._fd >= 0 and drained < DRAINED_BYTES_MAX:
            count = self._read()
            if not count:
                break
            drained += count
        self.close()

    def close(self) -> None:
        if self._fd < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        else:
            self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1


class Call:
    """One run of a program. `ended` is set last, when all other fields are final."""

    __slots__ = (
        "ended",
        "error_number",
        "id",
        "is_clean",
        "is_lost",
        "is_over_deadline",
        "process",
        "started",
        "status",
        "stderr",
        "stdout",
    )

    def __init__(self, call_id: bytes, stdout: Stream, stderr: Stream) -> None:
        self.id = call_id
        self.stdout = stdout
        self.stderr = stderr
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.process: Started | None = None
        self.status: int | None = None
        """Exit status, or minus the signal; None: not known."""
        self.error_number = 0
        """The errno of a failed start, else 0."""
        self.is_clean = False
        """Nothing that it started is left."""
        self.is_over_deadline = False
        self.is_lost = False
        """The keeper died during the call."""


class Connection:
    """A running keeper. `is_lost`: it is gone, and every call has ended as lost."""

    def __init__(
        self, *, marker: str, start: "Callable[[socket.socket], subprocess.Popen[bytes]] | None" = None
    ) -> None:
        """Start the process (some milliseconds): a plain keeper, or what `start` starts. Raises OSError."""
        self.marker = marker
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._calls: dict[bytes, Call] = {}
        self._last_id = 0
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._exited = asyncio.Event()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = (start or start_process)(theirs)
                self._handle = os.pidfd_open(self._process.pid)
            except OSError:
                self._channel.close()
                raise
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel, self._on_readable)
        self._loop.add_reader(self._handle, self._on_exit)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def calls_count(self) -> int:
        return len(self._calls)

    # -- requests -----------------------------------------------------------------------------------------------------

    def spawn(self, program: Program, *, limit_seconds: float, is_held: bool) -> Call:
        """Start a program; a held one waits for `feed`. Raises OSError if no descriptor is left."""
        self._last_id += 1
        call_id = b"%d" % self._last_id
        with contextlib.ExitStack() as on_failure:
            out_read, out_write = _pipe(on_failure)
            err_read, err_write = _pipe(on_failure)
            on_failure.pop_all()
        call = Call(
            call_id,
            Stream(self._loop, out_read, program.kept_bytes_max),
            Stream(self._loop, err_read, program.kept_bytes_max),
        )
        self._calls[call_id] = call
        environment = {**program.environment, MARKER_NAME: f"{self.marker}/{self._last_id}"}
        fields = [
            b"spawn",
            call_id,
            b"1" if is_held else b"0",
            b"" if is_held else program.parameters,
            b"%.3f" % limit_seconds,
            b"%d" % len(program.argv),
            *(os.fsencode(argument) for argument in program.argv),
            *(os.fsencode(f"{name}={value}") for name, value in environment.items()),
        ]
        self._send(b"\0".join(fields), (out_write, err_write))
        return call

    def feed(self, call: Call, parameters: bytes, *, until: float) -> None:
        """Give a held program its parameters and the end of file, but not after `until` by the keeper's clock."""
        self._send(b"\0".join((b"feed", call.id, b"%.6f" % until, parameters)))

    def kill(self, call: Call) -> None:
        """Kill a program and all that it started; `ended` is set later."""
        self._send(b"\0".join((b"kill", call.id)))

    def _send(self, message: bytes, fds: tuple[int, ...] = ()) -> None:
        assert len(message) <= MESSAGE_BYTES_MAX, "callers bound the parameters"
        if self.is_lost:
            close_all(fds)
            return
        self._outgoing.append((message, fds))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send as much as the channel takes; a thousand calls at once do not fit."""
        while self._outgoing:
            message, fds = self._outgoing[0]
            try:
                socket.send_fds(self._channel, [message], fds)
            except BlockingIOError:
                self._loop.add_writer(self._channel, self._flush)
                return
            except OSError:
                self._lose()
                return
            close_all(fds)
            self._outgoing.popleft()
        self._loop.remove_writer(self._channel)

    # -- reports ------------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        while not self.is_lost:
            try:
                message = self._channel.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._lose()
                return
            try:
                self._take(message.split(b"\0"))
            except (ValueError, IndexError):
                self.discard()  # not a keeper's message: end its calls as lost, with all that they started

    def _take(self, fields: list[bytes]) -> None:
        """Handle `started`, `failed` or `ended`. The forked child sends `failed`, so it may overtake `started`."""
        what, call_id, *values = fields
        call = self._calls.get(call_id)
        if call is None:
            return  # the call has been dropped
        if what == b"started":
            call.process = Started(pid=int(values[0]), pid_started=identity(values[1].decode("ascii")))
            call.started.set()
        elif what == b"failed":
            call.error_number = int(values[0])
        elif what == b"ended":
            call.status = int(values[0])
            call.is_clean = values[1] == b"1"
            call.is_over_deadline = values[2] == b"1"
            self.drop(call)

    def drop(self, call: Call) -> None:
        """End the call: read the rest of its output and close its descriptors."""
        self._calls.pop(call.id, None)
        call.stdout.finish()
        call.stderr.finish()
        call.started.set()
        call.ended.set()

    def _lose(self) -> None:
        """Handle the keeper's death: its agents die with it, but processes that they started may live on."""
        if self.is_lost:
            return
        self.is_lost = True
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._channel.close()
        for _message, fds in self._outgoing:
            close_all(fds)
        self._outgoing.clear()
        for call in tuple(self._calls.values()):
            call.is_lost = True
            self.drop(call)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._process.wait()
        self._exited.set()
        self._on_readable()  # reports that it sent before it died
        self._lose()

    # -- the end ------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the channel, which makes the keeper kill everything and exit; return when it has exited."""
        self._lose()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._exited.wait()
        except TimeoutError:
            await self.abandon()

    async def abandon(self) -> None:
        """Kill a keeper that does not answer; its agents die by their parent-death signal."""
        self.discard()
        await self._exited.wait()

    def discard(self) -> None:
        """Like `abandon`, without waiting for its exit."""
        self._lose()
        if not self._exited.is_set():
            self._process.kill()


def start_process(channel: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the keeper in a session of its own; it inherits only its channel and the daemon's standard error.

    -I -S: without `site` and the user's paths.
    """
    fd = channel.fileno()
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(KEEPER), str(fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[fd],
        env={"PATH": os.defpath, "LANG": "C"},
        cwd="/",
        start_new_session=True,
    )


def close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def _pipe(on_failure: contextlib.ExitStack) -> tuple[int, int]:
    fds = os.pipe()
    on_failure.callback(close_all, fds)
    return fds

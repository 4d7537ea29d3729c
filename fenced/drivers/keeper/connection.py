"""One life of the keeper process, seen from the daemon: its channel, the calls under way in it, their output.

Knows the keeper's messages and pipes, not agents. One rule: every call that was spawned ends exactly once, at the
latest when the keeper is lost, and its descriptors are closed with it.
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
"""What is still read from a pipe when its call has ended."""
FLOOD_PAUSE_SECONDS: Final = 0.01
"""An agent that prints more than is kept is read this seldom, so that it costs the others nothing."""
END_SECONDS: Final = 12.0
"""A keeper without its daemon kills for 10 s at most (`keeper.END_SECONDS`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run: no shell, nothing of ours in its environment. `parameters` go to standard input, never to argv."""

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
        """Bytes read; 0 at the end, None when there is nothing now."""
        try:
            piece = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self.collector.take(piece)
        return len(piece)

    def finish(self) -> None:
        """The program has ended: take what it left in the pipe, whoever else holds that open."""
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
    """One run of a program. `ended` is set last, when all else is known."""

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
        """Why the program could not be started."""
        self.is_clean = False
        """Nothing that it started is left."""
        self.is_over_deadline = False
        self.is_lost = False
        """The keeper died under it."""


class Connection:
    """A running keeper. `is_lost` once it is gone; then every call has ended as lost."""

    def __init__(
        self, *, marker: str, start: "Callable[[socket.socket], subprocess.Popen[bytes]] | None" = None
    ) -> None:
        """Starts the process (some milliseconds), a plain keeper unless `start` says otherwise. Raises OSError."""
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

    # -- asking -------------------------------------------------------------------------------------------------------

    def spawn(self, program: Program, *, limit_seconds: float, is_held: bool) -> Call:
        """Start a program; held: it waits for `feed`. Raises OSError when there is no descriptor left."""
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

    def feed(self, call: Call, parameters: bytes) -> None:
        """Give a held program its parameters and the end of file."""
        self._send(b"\0".join((b"feed", call.id, parameters)))

    def kill(self, call: Call) -> None:
        """Kill a program and all that it started; `ended` follows."""
        self._send(b"\0".join((b"kill", call.id)))

    def _send(self, message: bytes, fds: tuple[int, ...] = ()) -> None:
        assert len(message) <= MESSAGE_BYTES_MAX, "parameters are bounded before they come here"
        if self.is_lost:
            close_all(fds)
            return
        self._outgoing.append((message, fds))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send what the channel takes; a thousand calls at once are more than it does."""
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

    # -- hearing ------------------------------------------------------------------------------------------------------

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
                self.discard()  # what it says is no word of a keeper: its calls end as lost, with all that they started

    def _take(self, fields: list[bytes]) -> None:
        """started, failed or ended. `failed` comes from the forked child and may overtake `started`."""
        what, call_id, *values = fields
        call = self._calls.get(call_id)
        if call is None:
            return  # given up already
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
        """The call is over for us: what it printed is taken, its descriptors are closed."""
        self._calls.pop(call.id, None)
        call.stdout.finish()
        call.stderr.finish()
        call.started.set()
        call.ended.set()

    def _lose(self) -> None:
        """The keeper is gone: its agents die of it, but what they had started may live."""
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
        self._on_readable()  # what it said before it died
        self._lose()

    # -- ending -------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Tell the keeper to kill all and end, by closing its channel; returns when it has ended."""
        self._lose()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._exited.wait()
        except TimeoutError:
            await self.abandon()

    async def abandon(self) -> None:
        """Kill a keeper that does not answer; its agents get their parent-death signal."""
        self.discard()
        await self._exited.wait()

    def discard(self) -> None:
        """As `abandon`, without waiting for its end."""
        self._lose()
        if not self._exited.is_set():
            self._process.kill()


def start_process(channel: socket.socket) -> "subprocess.Popen[bytes]":
    """The keeper with nothing inherited but its channel and our standard error, out of reach of our terminal's signals.

    -I -S: no site, no user's paths.
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

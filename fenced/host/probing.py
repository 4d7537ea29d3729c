"""One TCP connection to one socket address: accepted, refused, silent, or never sent.

It says what happened to the probe, not what that means for a host. A probe that finds no descriptor is repeated until
it leaves or is cancelled.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from fenced.host import unreachable
from fenced.host.resolving import Where
from fenced.model.addresses import canonical

RETRY_SECONDS: Final = 0.05
BANNER_BYTES_MAX: Final = 255

UNREACHABLE_RETRY_SECONDS: Final = 0.5
"""A route may flap: the attempt is repeated until the time of the look is over."""

_REFUSED: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def is_this_machine(where: Where) -> bool:
    """Return whether the address is this machine's own, other than loopback: it is reached without any network.

    Sends nothing: the kernel chooses the address itself as the source.
    """
    family, address = where
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
            asking.connect(address)
            return canonical(str(asking.getsockname()[0])) == canonical(address[0])
    except OSError:
        return False


@dataclass(slots=True)
class Probe:
    """A connection to be tried. `sent`: loop time of the first attempt that left, if silence of it counts. `hindrance`:
    why it does not, as when none has left yet; `is_lack`: this machine lacked descriptors, ports or memory for it.
    `told`: the message of another machine, or of the host itself, that ended the last attempt."""

    where: Where
    sent: float | None = None
    hindrance: str = ""
    told: unreachable.Message | None = None
    is_lack: bool = False
    _socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._close()

    async def connect(self, sending: Callable[[], None]) -> bool:
        """Return True if the connection was accepted, False if it was refused, by whatever message of the host itself.

        Calls `sending` at each attempt, and tries again while this machine lacks something or the last router finds
        nobody there. Raises OSError if the attempt ran into the kernel's own timeout, or if something else than the
        host's silence ended it (then `hindrance` says what).
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.sent is None:
                self.sent = loop.time()
            sending()
            self.hindrance, self.is_lack = "", False
            try:
                await self._connect(loop)
            except OSError as exc:
                self.told = unreachable.message(self._socket) if self._socket is not None else None
                if exc.errno in _REFUSED or self._is_of_itself:
                    return False
                is_nobody_there = self.told is not None and self.told.is_nobody_there
                if not is_nobody_there:
                    self._note(exc)
                if not (self.is_lack or is_nobody_there):
                    raise
                await asyncio.sleep(RETRY_SECONDS if self.is_lack else UNREACHABLE_RETRY_SECONDS)
            else:
                return True

    @property
    def _is_of_itself(self) -> bool:
        """Whether the host rejected the attempt: a dead kernel says nothing."""
        return self.told is not None and canonical(self.told.by) == canonical(self.where[1][0])

    @property
    def refused_by(self) -> str:
        """Who else refused the attempt, as far as that is known; "": the host itself, or somebody in its name."""
        return self.told.by if self.told is not None and not self._is_of_itself else ""

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._close()
        family, address = self.where
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        unreachable.listen(self._socket)
        await loop.sock_connect(self._socket, address)

    def _note(self, exc: OSError) -> None:
        """Note why the attempt says nothing of the host. Only a timeout is silence: any other error is this machine's,
        or that of somebody on the way."""
        if exc.errno == errno.ETIMEDOUT:
            return
        is_exhausted = exc.errno == errno.EADDRNOTAVAIL and self.where[0] == socket.AF_INET
        self.is_lack = exc.errno in _LACKS or is_exhausted
        self.sent = None
        said = f", says {self.told.by} ({self.told.words})" if self.told is not None else ""
        self.hindrance = f"{reason(exc)} ({self.where[1][0]}{said})"

    async def banner(self, seconds: float) -> str:
        """Return what an accepted connection says within that time: the line of an SSH server, which others may precede
        (RFC 4253, 4.2), else the first line; "" if it says nothing."""
        assert self._socket is not None
        said = b""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                while len(said) < BANNER_BYTES_MAX and not _ssh_line(said):
                    more = await asyncio.get_running_loop().sock_recv(self._socket, BANNER_BYTES_MAX)
                    if not more:
                        break
                    said += more
        return _ssh_line(said) or _text(said.partition(b"\n")[0])

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def reason(exc: OSError) -> str:
    """Return the kernel's words for an error: asyncio puts its own in their place."""
    return os.strerror(exc.errno) if exc.errno else str(exc)


def _ssh_line(said: bytes) -> str:
    """Return the whole line of an SSH server; "" as long as there is none."""
    return next((_text(line) for line in said.split(b"\n")[:-1] if line.startswith(b"SSH-")), "")


def _text(line: bytes) -> str:
    return line[:BANNER_BYTES_MAX].decode("utf-8", "replace").strip()

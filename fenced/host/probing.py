"""One TCP connection to one socket address: accepted, refused, silent, or never sent.

It says what happened to the probe, not what that means for a host. A probe that finds no descriptor is repeated until
it leaves or is cancelled.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from fenced.host.resolving import Where
from fenced.model.addresses import canonical

RETRY_SECONDS: Final = 0.05
BANNER_BYTES_MAX: Final = 255

_REFUSED: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT})


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
    """A connection to be tried. `sent`: loop time of the attempt that left. `hindrance`: why none has left yet;
    `is_lack`: this machine lacked descriptors, ports or memory for it."""

    where: Where
    sent: float | None = None
    hindrance: str = ""
    is_lack: bool = False
    _socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._close()

    async def connect(self, sending: Callable[[], None]) -> bool:
        """Return True if the connection was accepted, False if it was refused.

        Calls `sending` at each attempt. Raises OSError if nobody is there as far as the network says, or if there is no
        way to send it (then `hindrance` says why).
        """
        loop = asyncio.get_running_loop()
        while True:
            self.sent = loop.time()
            sending()
            self.hindrance, self.is_lack = "", False
            try:
                await self._connect(loop)
            except OSError as exc:
                if exc.errno in _REFUSED:
                    return False
                self._note(exc)
                if not self.is_lack:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return True

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._close()
        family, address = self.where
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        await loop.sock_connect(self._socket, address)

    def _note(self, exc: OSError) -> None:
        """Note why nothing was sent, if so."""
        is_exhausted = exc.errno == errno.EADDRNOTAVAIL and self.where[0] == socket.AF_INET
        self.is_lack = exc.errno in _LACKS or is_exhausted
        if self.is_lack or exc.errno in _NO_WAY or exc.errno == errno.EADDRNOTAVAIL:
            self.sent = None
            self.hindrance = f"{exc.strerror or exc} ({self.where[1][0]})"

    async def banner(self, seconds: float) -> str:
        """Return the first line that an accepted connection says within that time; "" if it says nothing."""
        assert self._socket is not None
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                said = await asyncio.get_running_loop().sock_recv(self._socket, BANNER_BYTES_MAX)
                return said.decode("utf-8", "replace").partition("\n")[0].strip()
        return ""

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

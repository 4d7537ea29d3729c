"""Measures how long bytes may have waited in a socket before they were read.

A heartbeat that waited is older than the moment at which it is read, and an old heartbeat is no sign of life. What is
read after all bytes that a look found in the socket arrived after that look. So the measure holds in a flood, too, in
which the socket is never empty. The module knows nothing of MQTT. The clock must run on during suspend
(CLOCK_BOOTTIME), because messages also wait then.
"""

import asyncio
import fcntl
import ssl
import struct
import termios
import time
from collections.abc import Callable
from typing import Any, Final

LOOK_SECONDS: Final = 0.1
_COUNT: Final = struct.Struct("i")


class Waiting:
    """Checks the socket every 0.1 s, from `start` until `stop` or until `current` returns None, and at each `look`.

    `read_bytes`: how many bytes were read from the socket so far. Over TLS fewer than the socket held, which only makes
    the measure longer.
    """

    def __init__(self, current: Callable[[], Any | None], read_bytes: Callable[[], int]) -> None:
        self._current, self._read_bytes = current, read_bytes
        self._since = _boottime()
        """What is read now arrived later."""
        self._looked_at, self._held_until = self._since, 0
        """A look, and how many bytes will have been read once all that it found is."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """The longest time that the data now being read may have waited."""
        return _boottime() - self._since

    def start(self) -> None:
        if self._current() is not None:
            self.look()
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.start)

    def look(self) -> bool:
        """Return whether the socket is empty now."""
        sock = self._current()
        if sock is None:
            return False
        now, read = _boottime(), self._read_bytes()
        unread = _unread_bytes(sock)
        if read >= self._held_until or not unread:
            self._since = now if not unread else self._looked_at
            self._looked_at, self._held_until = now, read + unread
        return not unread

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _unread_bytes(sock: Any) -> int:
    """Return how many bytes wait in a socket, and decrypted in its TLS buffer."""
    decrypted = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
    (held,) = _COUNT.unpack(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(_COUNT.size)))
    return decrypted + int(held)


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)

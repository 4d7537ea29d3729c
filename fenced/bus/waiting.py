"""Measures how long bytes may have waited in a socket before they were read: the time since it was last seen empty.

A heartbeat that waited is older than the moment at which it is read, and an old heartbeat is no sign of life. The
module knows nothing of MQTT. The clock must run on during suspend (CLOCK_BOOTTIME), because messages also wait then.
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


class Waiting:
    """Checks the socket every 0.1 s, from `start` until `stop` or until `current` returns None."""

    def __init__(self, current: Callable[[], Any | None]) -> None:
        self._current = current
        self._emptied_at = _boottime()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """The longest time that the data now being read may have waited."""
        return _boottime() - self._emptied_at

    def start(self) -> None:
        sock = self._current()
        if sock is None or sock.fileno() < 0:
            return
        self._emptied_at = self._emptied_at if _holds_unread(sock) else _boottime()
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.start)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _holds_unread(sock: Any) -> bool:
    """Return whether bytes wait in a socket, or decrypted in its TLS buffer."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    return fcntl.ioctl(sock.fileno(), termios.FIONREAD, struct.pack("i", 0)) != struct.pack("i", 0)


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)

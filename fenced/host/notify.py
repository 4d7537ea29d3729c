"""Reports the state of this program to systemd (sd_notify(3)), one datagram per report; does nothing without systemd.

It never raises and never blocks; a notification that can't be sent is lost.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

STATUS_LENGTH_MAX = 200
MICROSECONDS_DIGITS_MAX = 18


class Notify:
    """`environment`: holds NOTIFY_SOCKET and WATCHDOG_USEC from systemd. Without the first, each call does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_seconds = _watchdog_seconds(environment)

    def ready(self, status: str = "") -> None:
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        self._send(*_status(text))

    def watchdog(self) -> None:
        """Feed the watchdog; call it only after progress."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Announce a reload; call `ready` when it is done."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        with (
            contextlib.suppress(OSError, ValueError),  # ValueError: a path that no file system can have
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _status(text: str) -> tuple[str, ...]:
    """Return the text as one line, because systemd would read a second line as another assignment."""
    return (f"STATUS={' '.join(text.split())[:STATUS_LENGTH_MAX]}",) if text else ()


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Return the interval for WATCHDOG=1: half of systemd's timeout. None: no watchdog, or another process's."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", "")
    is_number = microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= MICROSECONDS_DIGITS_MAX
    if not is_number or int(microseconds) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000

"""Telling systemd how we are (sd_notify(3)): one datagram per word, nothing where nobody listens.

Knows nothing of why. One rule: it never raises and never blocks; a notification that can't be sent is lost.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

STATUS_LENGTH_MAX = 200
MICROSECONDS_DIGITS_MAX = 18


class Notify:
    """`environment`: NOTIFY_SOCKET and WATCHDOG_USEC of systemd; without the first, every call does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_seconds = _watchdog_seconds(environment)

    def ready(self, status: str = "") -> None:
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        self._send(*_status(text))

    def watchdog(self) -> None:
        """Only to be called where progress was made."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """`ready` must follow when the reload is done."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        with (
            contextlib.suppress(OSError, ValueError),  # ValueError: an address that no file system could have
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _status(text: str) -> tuple[str, ...]:
    """One line, whatever the text holds: a second line would be a second word to systemd."""
    return (f"STATUS={' '.join(text.split())[:STATUS_LENGTH_MAX]}",) if text else ()


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How often WATCHDOG=1 is due: half of what systemd waits. None: no watchdog, or one of another process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", "")
    is_number = microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= MICROSECONDS_DIGITS_MAX
    if not is_number or int(microseconds) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000

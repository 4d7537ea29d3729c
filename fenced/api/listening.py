"""The sockets at which the API listens, by their place in the configuration.

They outlast a life of the daemon: it begins a new one after a hand-over, or above what the bus still shows. Meanwhile
callers wait in the kernel's queue, and none is refused. The next life serves them.
"""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from fenced.net.unix_socket import listening_at

BACKLOG: Final = 4096


class ApiError(Exception):
    """The server can't start; the text says why and what to do."""


class Listeners:
    """One TCP address and one path, open from when they are first asked for to the end of the block."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, socket.socket, contextlib.ExitStack]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for _place, _listening, stack in self._kept.values():
            stack.close()
        self._kept.clear()

    def tcp(self, listen: str) -> socket.socket:
        """Return the socket at `address:port` ([::1]:8470 for IPv6). Raises ApiError."""
        return self._at("tcp", listen, lambda: _tcp(listen))

    def local(self, path: Path, *, group: int) -> socket.socket:
        """Return the unix socket that this group id may open. Raises SocketError."""
        return self._at("local", str(path), lambda: listening_at(path, group=group, backlog=BACKLOG))

    def _at(
        self, kind: str, place: str, make: Callable[[], contextlib.AbstractContextManager[socket.socket]]
    ) -> socket.socket:
        if kind in self._kept and self._kept[kind][0] != place:  # the next life has another configuration
            self._kept.pop(kind)[2].close()
        if kind not in self._kept:
            stack = contextlib.ExitStack()
            self._kept[kind] = place, stack.enter_context(make()), stack
        return self._kept[kind][1]


def _tcp(listen: str) -> socket.socket:
    host, port = _split(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ApiError(
            f"api.listen: can't listen on {listen}: {exc.strerror or exc}; free the address or choose another"
        ) from exc


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ApiError(f"api.listen: {listen!r} is not address:port; write for example 127.0.0.1:8470")
    return host.removeprefix("[").removesuffix("]"), int(port)

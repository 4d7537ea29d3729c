"""The proxy agent's listening socket. It stays open while the TLS context for new connections is replaced.

Knows nothing of calls. Replacing the context loses no connection: open ones go on.
"""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from fenced.net.door import Door, connections_max

BACKLOG: Final = 4096


class ListenError(Exception):
    """Can't listen on the address; says which and why."""


class Listener:
    """Accepts connections for a runner while `open` is entered. New connections get the current context."""

    def __init__(self, listening: socket.socket, application: web.Application) -> None:
        """Create it before the application is set up."""
        self._listening = listening
        self._door = Door(listening, most=connections_max())
        self._door.watch(application)

    def use(self, context: ssl.SSLContext | None) -> None:
        """Use this context for new connections."""
        self._door.context = context

    @contextlib.asynccontextmanager
    async def open(self, runner: web.AppRunner) -> AsyncIterator[None]:
        """Accept connections while the block runs. The runner must be set up."""
        assert runner.server is not None
        try:
            async with self._door.open(runner.server):
                yield
        finally:
            self._listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ListenError(
            f"{host}:{port}: can't listen: {exc.strerror or exc}; stop the program that uses it, or change the address"
        ) from exc

"""The listening socket of a proxy agent: it stays while the TLS context that new connections get is exchanged.

Knows its door; nothing of calls. One rule: no connection is lost over an exchange; those that exist go on.
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
    """The address can't be listened on; says which and why."""


class Listener:
    """Accepts for a runner while `open` runs. New connections get the context of the moment."""

    def __init__(self, listening: socket.socket, application: web.Application) -> None:
        """Before the application is set up."""
        self._listening = listening
        self._door = Door(listening, most=connections_max())
        self._door.watch(application)

    def use(self, context: ssl.SSLContext | None) -> None:
        """New connections get this context from now on."""
        self._door.context = context

    @contextlib.asynccontextmanager
    async def open(self, runner: web.AppRunner) -> AsyncIterator[None]:
        """Accept while the block runs; the runner was set up."""
        assert runner.server is not None
        try:
            async with self._door.open(runner.server):
                yield
        finally:
            self._listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ListenError(f"{host}:{port}: can't listen: {exc.strerror or exc}; is another program there?") from exc

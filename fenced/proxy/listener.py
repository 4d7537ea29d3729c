"""The listening socket of a proxy agent: it stays while the TLS context that new connections get is exchanged.

Knows aiohttp's sites; nothing of calls. One rule: no connection is lost over an exchange; those that exist go on.
"""

import socket
import ssl
from typing import Final

from aiohttp import web

BACKLOG: Final = 4096


class ListenError(Exception):
    """The address can't be listened on; says which and why."""


class Listener:
    """Accepts for a runner that was set up."""

    def __init__(self, runner: web.AppRunner, listening: socket.socket) -> None:
        self._runner = runner
        self._listening = listening
        self._site: web.SockSite | None = None

    async def accept(self, context: ssl.SSLContext | None) -> None:
        """New connections get this context from now on. The old site ends only when the new one accepts. Raises OSError:
        then the old one goes on."""
        # A duplicate: ending a site closes its socket, and the queue of waiting connections must outlive it.
        duplicate = self._listening.dup()
        site = web.SockSite(self._runner, duplicate, backlog=BACKLOG, ssl_context=context)
        try:
            await site.start()
        except OSError:
            duplicate.close()
            raise
        before, self._site = self._site, site
        if before is not None:
            await before.stop()

    async def close(self) -> None:
        """Accept no more; idempotent."""
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        self._listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise ListenError(f"{host}:{port}: can't listen: {exc.strerror or exc}; is another program there?") from exc

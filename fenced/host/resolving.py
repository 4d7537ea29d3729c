"""Resolves names in threads of its own, a bounded number at once.

asyncio's pool of threads is for other work as well: lookups that hang there would delay power commands. A lookup that
nobody waits for any more keeps its place until its thread ends, so that a dead resolver costs no further threads.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from typing import Any, Final

LOOKUPS_MAX: Final = 16
ADDRESSES_MAX: Final = 8

Where = tuple[int, tuple[str, int]]
"""Address family and socket address."""

_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL})


class Unresolved(Exception):
    """The name was not resolved, so nothing was sent."""


class Resolving:
    """`lookups_max`: names at once; a further one waits."""

    def __init__(self, *, lookups_max: int = LOOKUPS_MAX) -> None:
        self._places = asyncio.Semaphore(lookups_max)

    async def addresses(self, host: str, port: int) -> list[Where]:
        """Return where the host is reached. Raises Unresolved if there is no such name, or no resolver answers."""
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            return await self._resolved(host, port)
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]

    async def _resolved(self, host: str, port: int) -> list[Where]:
        found = await self._look_up(host, port)
        if isinstance(found, UnicodeError):
            raise Unresolved(f"{host[:100]} is no name that a resolver takes") from found
        if isinstance(found, OSError):
            is_missing = isinstance(found, socket.gaierror) and found.errno in _NO_SUCH_NAME
            why = "there is no such name: " if is_missing else "no resolver answered for "
            raise Unresolved(why + host[:100]) from found
        return [(family, (str(where[0]), int(where[1]))) for family, _, _, _, where in found[:ADDRESSES_MAX]]

    async def _look_up(self, host: str, port: int) -> list[Any] | OSError | UnicodeError:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any] | OSError | UnicodeError] = loop.create_future()

        def ended(found: list[Any] | OSError | UnicodeError) -> None:
            self._places.release()
            if not answer.done():  # the caller may have left
                answer.set_result(found)

        def look_up() -> None:
            try:
                found: list[Any] | OSError | UnicodeError = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as exc:
                found = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended, found)

        await self._places.acquire()
        try:
            threading.Thread(target=look_up, name=f"look up {host[:50]}", daemon=True).start()
        except RuntimeError as exc:
            self._places.release()
            raise Unresolved(f"no thread could be started to look up {host[:100]}") from exc
        return await answer

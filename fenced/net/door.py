"""The door of an HTTP server: how many connections it has at once, and of strangers; how many of their requests begin in
one turn of the loop, and for how long it keeps connections of which nothing comes.

Knows sockets and when aiohttp serves a request, no request's meaning. One rule: whoever connects never takes what devices,
the store and the bus need. Of the descriptors connections have a share, the longest idle one makes way for a new one, and
an error of accepting ends nothing. Of the loop they have a few requests a turn, however many ask: what renews the lease
takes several turns, and each of them stays short. What comes before a request begins (a handshake, heads that are parsed)
is not counted out like that: strangers, who could all send it in one moment, are few.
"""

import asyncio
import contextlib
import errno
import functools
import resource
import socket
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from aiohttp import web

from fenced.model.addresses import source
from fenced.net.bodies import CLOSING

log = structlog.get_logger(__name__)

SHARE: Final = 4
"""Connections get one of so many parts of the process's descriptors."""
CONNECTIONS_MAX: Final = 16_384
STRANGERS_MAX: Final = 512
"""Connections of which nobody was let in yet, and half of all at most: a handshake and what one may send ahead cost a
millisecond or two, and 256 KiB."""
FIRST_REQUEST_SECONDS: Final = 10.0
"""From the connection, with its TLS handshake, to the head of its first request."""
IDLE_SECONDS: Final = 75.0
"""From the end of a request to the head of the next; its answer must have been read by then, too."""
REQUESTS_A_TURN: Final = 4
"""So many requests begin in one turn of the loop, refused ones too: two milliseconds' work or so."""
SWEEP_SECONDS: Final = 1.0
FULL_PAUSE_SECONDS: Final = 0.1
TOLD_SECONDS: Final = 60.0
OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def connections_max() -> int:
    """The share of a server, as far as the kernel lets this process open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(min(soft // SHARE, CONNECTIONS_MAX), 1)


@dataclass(slots=True, eq=False)
class Guest(asyncio.Protocol):
    """One connection: hands everything to aiohttp's protocol and keeps when it was last of use."""

    door: "Door"
    inner: asyncio.Protocol
    since: float
    source: str = ""
    serving: int = 0
    is_let_in: bool = False
    is_known: bool = False
    is_begun: bool = False
    transport: asyncio.Transport | None = None
    opening: "asyncio.Task[None] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without being declared as one
        self.inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.left(self)
        self.inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    def end(self) -> None:
        """At once; also in the midst of its handshake."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()


GUEST: Final = web.RequestKey("guest", Guest)


def let_in(request: web.Request) -> None:
    """Who asks has shown who he is, or needs not: his connection is no stranger's from now on."""
    guest = request.get(GUEST)
    if guest is not None:
        guest.door.know(guest)


class Door:
    """Accepts for one server while `open` runs. `context`: the TLS of new connections; it may be changed meanwhile."""

    def __init__(self, listening: socket.socket, *, most: int) -> None:
        """`most`: connections at once."""
        self._listening, self._most = listening, most
        self._strangers_most = min(STRANGERS_MAX, max(most // 2, 1))
        self._guests: dict[asyncio.Protocol, Guest] = {}
        self._strangers: set[Guest] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._told_at = float("-inf")
        self.context: ssl.SSLContext | None = None

    @property
    def connections(self) -> int:
        return len(self._guests)

    def watch(self, application: web.Application) -> None:
        """See when requests of this application begin and end; before it is set up."""

        @web.middleware
        async def serving(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            guest = self._guests.get(request.protocol)
            if guest is None:
                return await handler(request)
            guest.serving += 1
            guest.is_known = True
            request[GUEST] = guest
            try:
                await self._turn()
                response = await handler(request)
                is_refused = HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR
                if response.status in CLOSING or (is_refused and not guest.is_let_in):
                    response.force_close()
                return response
            finally:
                guest.serving -= 1
                guest.since = asyncio.get_running_loop().time()

        application.middlewares.insert(0, serving)

    async def _turn(self) -> None:
        """Wait until the loop came around often enough for those who asked before: REQUESTS_A_TURN begin each time."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._let_in)
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _let_in(self) -> None:
        let_in = 0
        while self._waiting and let_in < REQUESTS_A_TURN:
            turn = self._waiting.popleft()
            if not turn.done():  # who hung up meanwhile was cancelled
                turn.set_result(None)
                let_in += 1
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._let_in)

    @contextlib.asynccontextmanager
    async def open(self, server: Callable[[], asyncio.Protocol]) -> AsyncIterator[None]:
        """`server` makes the protocol of a connection. When the block ends, nothing is accepted any more."""
        self._listening.setblocking(False)
        async with asyncio.TaskGroup() as group:
            parts = (
                group.create_task(self._accept(group, server), name="door"),
                group.create_task(self._sweep(), name="door-sweep"),
            )
            try:
                yield
            finally:
                for part in parts:
                    part.cancel()
                for guest in self._guests.values():
                    if guest.opening is not None:
                        guest.opening.cancel()

    async def _accept(self, group: asyncio.TaskGroup, server: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except OSError as exc:
                await self._not_accepted(exc)
                continue
            if len(self._strangers) >= self._strangers_most:
                self._make_way(self._strangers)
            if len(self._guests) >= self._most and not self._make_way(self._guests.values()):
                self._tell(f"all {self._most} connections are in use")
                accepted.close()
                continue
            guest = Guest(self, server(), loop.time(), source(str(address[0])))
            self._guests[guest.inner] = guest
            self._strangers.add(guest)
            guest.opening = group.create_task(self._welcome(guest, accepted), name="door-welcome")
            guest.opening.add_done_callback(functools.partial(self._welcomed, guest, accepted))
            await asyncio.sleep(0)  # one a turn of the loop: accepting by itself lets nobody else run while more wait

    async def _welcome(self, guest: Guest, accepted: socket.socket) -> None:
        """Up to the handshake's end. Whatever goes wrong with one connection ends that one."""
        loop = asyncio.get_running_loop()
        guest.is_begun = True
        more: dict[str, Any] = {}
        if self.context is not None:
            more = {"ssl": self.context, "ssl_handshake_timeout": FIRST_REQUEST_SECONDS}
        # The peer is gone, this is no TLS, a certificate that we don't take, no handshake in time.
        with contextlib.suppress(OSError, ValueError):
            await loop.connect_accepted_socket(lambda: guest, accepted, **more)

    def _welcomed(self, guest: Guest, accepted: socket.socket, _: "asyncio.Task[None]") -> None:
        """A task that was cancelled before its first step has given the socket to nobody."""
        guest.opening = None
        if not guest.is_begun:
            accepted.close()
        if guest.transport is None:
            self.left(guest)

    def left(self, guest: Guest) -> None:
        """Its connection is over."""
        self._guests.pop(guest.inner, None)
        self._strangers.discard(guest)

    def know(self, guest: Guest) -> None:
        """Somebody was let in by it."""
        guest.is_let_in = True
        self._strangers.discard(guest)

    async def _not_accepted(self, error: OSError) -> None:
        if error.errno in OUT_OF_DESCRIPTORS:
            self._tell(error.strerror or str(error))
            self._make_way(self._guests.values())
            await asyncio.sleep(FULL_PAUSE_SECONDS)

    def _make_way(self, guests: Collection[Guest]) -> bool:
        """End one of these that is idle, if there is one: the longest, of the source that has most of those."""
        idle = [guest for guest in guests if not guest.serving]
        if not idle:
            return False
        of = Counter(guest.source for guest in idle)
        leaving = min(idle, key=lambda guest: (-of[guest.source], guest.since))
        self.left(leaving)
        leaving.end()
        return True

    async def _sweep(self) -> None:
        """Idle connections end. A look at all once in a while costs less than a timer for each request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for guest in list(self._guests.values()):
                patience = IDLE_SECONDS if guest.is_known else FIRST_REQUEST_SECONDS
                if not guest.serving and now - guest.since > patience:
                    guest.end()

    def _tell(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at > TOLD_SECONDS:
            self._told_at = now
            log.warning("connections_turned_away", reason=why, connections=len(self._guests))

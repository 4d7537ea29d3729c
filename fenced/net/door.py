"""The door of an HTTP server: it limits connections, strangers, and the requests that begin in one turn of the loop.

It knows sockets and when aiohttp serves a request, not what a request means. Clients must never take what devices, the
store and the bus need. Connections get a share of the descriptors; the one idle longest is dropped for a new one, and
an error of accept ends nothing. A turn of the loop begins only a few requests, because renewing the lease takes several
turns and each must stay short. What precedes a request (handshake, parsing of heads) is not limited this way, so the
number of strangers is.
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
from fenced.net.peers import Peer, peer_of

log = structlog.get_logger(__name__)

SHARE: Final = 4
"""Connections get one part in this many of the process's descriptors."""
CONNECTIONS_MAX: Final = 16_384
STRANGERS_MAX: Final = 512
"""The most connections without a request that was let in, and at most half of all: a handshake and what a stranger may
send ahead cost a millisecond or two, and 256 KiB."""
FIRST_REQUEST_SECONDS: Final = 10.0
"""From the connection, including its TLS handshake, to the head of its first request."""
IDLE_SECONDS: Final = 75.0
"""From the end of a request to the head of the next; the client must have read the answer by then, too."""
REQUESTS_A_TURN: Final = 4
"""Requests that may begin in one turn of the loop, including refused ones: about two milliseconds of work."""
SWEEP_SECONDS: Final = 1.0
FULL_PAUSE_SECONDS: Final = 0.1
WARNING_SECONDS: Final = 60.0
OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def connections_max() -> int:
    """Return a server's share of the files that the kernel lets this process open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(min(soft // SHARE, CONNECTIONS_MAX), 1)


@dataclass(slots=True, eq=False)
class Guest(asyncio.Protocol):
    """One connection: passes everything to aiohttp's protocol, and keeps the time of its last use.

    `peer`: the program at the other end of a unix socket; None for TCP.
    """

    door: "Door"
    inner: asyncio.Protocol
    since: float
    source: str = ""
    peer: Peer | None = None
    serving: int = 0
    is_let_in: bool = False
    is_known: bool = False
    is_begun: bool = False
    transport: asyncio.Transport | None = None
    opening: "asyncio.Task[None] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop does not declare its transport as one
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
        """End it at once, even during its handshake."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()


GUEST: Final = web.RequestKey("guest", Guest)


def let_in(request: web.Request) -> None:
    """Mark the caller as let in: the connection is no stranger's from now on."""
    guest = request.get(GUEST)
    if guest is not None:
        guest.door.know(guest)


def peer(request: web.Request) -> Peer | None:
    """Return the program at the other end of a unix socket; None for TCP."""
    guest = request.get(GUEST)
    return None if guest is None else guest.peer


def client_of(request: web.Request) -> str:
    """Return the key for limits on each client: the user of a unix socket, or where the connection comes from."""
    found = peer(request)
    return source(request.remote) if found is None else found.source


class Door:
    """Accepts for one server while `open` runs. `context`: TLS of new connections; it may be replaced meanwhile."""

    def __init__(self, listening: socket.socket, *, most: int) -> None:
        """`most`: the limit of connections."""
        self._listening, self._most = listening, most
        self._strangers_most = min(STRANGERS_MAX, max(most // 2, 1))
        self._guests: dict[asyncio.Protocol, Guest] = {}
        self._strangers: set[Guest] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._warned_at = float("-inf")
        self.context: ssl.SSLContext | None = None

    @property
    def connections(self) -> int:
        return len(self._guests)

    def watch(self, application: web.Application) -> None:
        """Follow the requests of this application; call it before the application is set up."""

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
        """Wait for a turn: each turn of the loop begins REQUESTS_A_TURN of the waiting requests, in order."""
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
            if not turn.done():  # a client that left cancelled its turn
                turn.set_result(None)
                let_in += 1
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._let_in)

    @contextlib.asynccontextmanager
    async def open(self, server: Callable[[], asyncio.Protocol]) -> AsyncIterator[None]:
        """`server` makes the protocol of a connection. After the block nothing is accepted."""
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
            try:
                peer = peer_of(accepted)
            except OSError:  # without proof of who it is, a program is not served
                accepted.close()
                continue
            if len(self._strangers) >= self._strangers_most:
                self._make_way(self._strangers)
            if len(self._guests) >= self._most and not self._make_way(self._guests.values()):
                self._warn(f"all {self._most} connections are in use")
                accepted.close()
                continue
            origin = source(str(address[0])) if peer is None else peer.source
            guest = Guest(self, server(), loop.time(), origin, peer)
            self._guests[guest.inner] = guest
            self._strangers.add(guest)
            guest.opening = group.create_task(self._welcome(guest, accepted), name="door-welcome")
            guest.opening.add_done_callback(functools.partial(self._welcomed, guest, accepted))
            await asyncio.sleep(0)  # one a turn of the loop: otherwise nothing else runs while more clients wait

    async def _welcome(self, guest: Guest, accepted: socket.socket) -> None:
        """Run until the end of the handshake. A failure ends only this connection."""
        loop = asyncio.get_running_loop()
        guest.is_begun = True
        more: dict[str, Any] = {}
        if self.context is not None:
            more = {"ssl": self.context, "ssl_handshake_timeout": FIRST_REQUEST_SECONDS}
        # The client left, does not speak TLS, has a certificate that is not accepted, or is too slow.
        with contextlib.suppress(OSError, ValueError):
            await loop.connect_accepted_socket(lambda: guest, accepted, **more)

    def _welcomed(self, guest: Guest, accepted: socket.socket, _: "asyncio.Task[None]") -> None:
        """Close the socket of a task that was cancelled before its first step, which gave it to no protocol."""
        guest.opening = None
        if not guest.is_begun:
            accepted.close()
        if guest.transport is None:
            self.left(guest)

    def left(self, guest: Guest) -> None:
        """Forget a connection that ended."""
        self._guests.pop(guest.inner, None)
        self._strangers.discard(guest)

    def know(self, guest: Guest) -> None:
        """Mark a connection as let in."""
        guest.is_let_in = True
        self._strangers.discard(guest)

    async def _not_accepted(self, error: OSError) -> None:
        if error.errno in OUT_OF_DESCRIPTORS:
            self._warn(error.strerror or str(error))
            self._make_way(self._guests.values())
            await asyncio.sleep(FULL_PAUSE_SECONDS)

    def _make_way(self, guests: Collection[Guest]) -> bool:
        """End one idle connection, if there is one: of the source with the most of them, the one idle longest."""
        idle = [guest for guest in guests if not guest.serving]
        if not idle:
            return False
        of = Counter(guest.source for guest in idle)
        leaving = min(idle, key=lambda guest: (-of[guest.source], guest.since))
        self.left(leaving)
        leaving.end()
        return True

    async def _sweep(self) -> None:
        """End idle connections. Checking all once a second costs less than a timer for each request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for guest in list(self._guests.values()):
                patience = IDLE_SECONDS if guest.is_known else FIRST_REQUEST_SECONDS
                if not guest.serving and now - guest.since > patience:
                    guest.end()

    def _warn(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._warned_at > WARNING_SECONDS:
            self._warned_at = now
            log.warning("connections_turned_away", reason=why, connections=len(self._guests))

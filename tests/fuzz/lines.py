"""Connections in virtual time that end in functions of a test: what a device receives, and what it answers when.

Knows no device. Nothing really waits, sends or draws random numbers, so the same example is the same run, and a call
that waits for a minute costs nothing.
"""

import asyncio
import itertools
import random
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar
from unittest.mock import patch

from fenced.drivers.ipmi.line import Line
from tests.world.loop import VirtualLoop

T = TypeVar("T")
PEER: Final = ("192.0.2.1", 1)
QUIET_SECONDS_MAX: Final = 3600.0
"""No call waits longer than this for nothing; it keeps a loop without timers from being stuck."""

DatagramPeer = Callable[[bytes], Iterable[tuple[float, bytes | OSError]]]
"""The results of a datagram, each after so many seconds; an OSError stands for an ICMP error."""


class Then(Enum):
    """What a server does after its answer."""

    STAYS = "stays"
    HANGS_UP = "hangs up"
    BREAKS = "breaks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One whole HTTP request as it arrived."""

    method: str
    path: str
    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The bytes of an answer, in the pieces in which they arrive, and what follows."""

    pieces: tuple[bytes, ...]
    then: Then = Then.STAYS

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


StreamPeer = Callable[[Asked], Told]


def _silent(_: bytes) -> Iterable[tuple[float, bytes]]:
    return ()


def _absent(_: Asked) -> Told:
    return Told(pieces=(), then=Then.BREAKS)


class LineLoop(VirtualLoop):
    """A virtual loop with a network: every datagram goes to `datagrams`, every HTTP request to `streams`.

    Work for threads runs at once.
    """

    def __init__(self, *, datagrams: DatagramPeer = _silent, streams: StreamPeer = _absent) -> None:
        super().__init__()
        self.datagrams = datagrams
        self.streams = streams
        self.open: set[object] = set()
        self._numbers_of_descriptors = itertools.count(1000)
        self._readers: dict[int, Callable[[], object]] = {}

    # -- datagrams ----------------------------------------------------------------------------------------------------

    async def create_datagram_endpoint(  # type: ignore[override] # as its callers use it
        self, protocol_factory: Callable[[], asyncio.DatagramProtocol], *, remote_addr: tuple[str, int]
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        protocol = protocol_factory()
        transport = _Datagrams(self, protocol)
        protocol.connection_made(transport)
        return transport, protocol

    def connected(self, _address: object) -> "FakeSocket":
        """Replaces Line._connected."""
        return FakeSocket(self, next(self._numbers_of_descriptors))

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        self._readers[fd] = callback

    def remove_reader(self, fd: Any) -> bool:
        return self._readers.pop(fd, None) is not None

    def readable(self, descriptor: int) -> None:
        """Call the reader of that socket."""
        if descriptor in self._readers:
            self._readers[descriptor]()

    # -- streams ------------------------------------------------------------------------------------------------------

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Return at once, without connecting."""

    async def create_connection(  # type: ignore[override] # as its callers use it
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: object, sock: socket.socket, **__: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        sock.close()
        protocol = protocol_factory()
        transport = _Stream(self, protocol)
        protocol.connection_made(transport)
        return transport, protocol

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        future: asyncio.Future[T] = self.create_future()
        future.set_result(func(*args))
        return future


class _Datagrams(asyncio.DatagramTransport):
    def __init__(self, loop: LineLoop, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        loop.open.add(self)

    def sendto(self, data: Any, addr: Any = None) -> None:
        for seconds, arrived in self._loop.datagrams(bytes(data)):
            self._loop.call_later(seconds, self._arrive, arrived)

    def abort(self) -> None:
        self._loop.open.discard(self)

    def _arrive(self, arrived: bytes | OSError) -> None:
        if self not in self._loop.open:
            return
        if isinstance(arrived, OSError):
            self._protocol.error_received(arrived)
        else:
            self._protocol.datagram_received(arrived, PEER)


class FakeSocket:
    """The part of a connected non-blocking UDP socket that Line uses."""

    def __init__(self, loop: LineLoop, descriptor: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._arrived: deque[bytes | OSError] = deque()
        loop.open.add(self)

    def fileno(self) -> int:
        return self._descriptor

    def send(self, datagram: bytes) -> int:
        for seconds, arrived in self._loop.datagrams(datagram):
            self._loop.call_later(seconds, self._arrive, arrived)
        return len(datagram)

    def recv(self, size: int) -> bytes:
        if not self._arrived:
            raise BlockingIOError
        arrived = self._arrived.popleft()
        if isinstance(arrived, OSError):
            raise arrived
        return arrived[:size]

    def close(self) -> None:
        self._loop.open.discard(self)

    def _arrive(self, arrived: bytes | OSError) -> None:
        self._arrived.append(arrived)
        self._loop.readable(self._descriptor)


class _Stream(asyncio.Transport):
    """A connection to a server that receives whole requests, one after the other."""

    def __init__(self, loop: LineLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._heard = b""
        self._is_paused = False
        self._coming: deque[bytes | Then] = deque()
        loop.open.add(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return PEER if name == "peername" else default

    def is_closing(self) -> bool:
        return self not in self._loop.open

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        self._heard += bytes(data)
        while (asked := self._request()) is not None:
            told = self._loop.streams(asked)
            self._coming += [*told.pieces, told.then]
            self._loop.call_soon(self._deliver)

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._deliver)

    def close(self) -> None:
        self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    def _request(self) -> Asked | None:
        head, end, rest = self._heard.partition(b"\r\n\r\n")
        if not end:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        length = int(fields.get(b"content-length", b"0"))
        if len(rest) < length:
            return None
        self._heard = rest[length:]
        method, _, target = head.split(b"\r\n")[0].decode("latin-1").partition(" ")
        return Asked(method=method, path=target.rpartition(" ")[0], head=head, body=rest[:length])

    def _deliver(self) -> None:
        """Deliver one piece per turn, as long as the reader accepts them."""
        if self._is_paused or not self._coming or self.is_closing():
            return
        match self._coming.popleft():
            case bytes() as piece:
                self._protocol.data_received(piece)
            case Then.HANGS_UP:
                self._protocol.eof_received()
                self._lose(None)
            case Then.BREAKS:
                self._lose(ConnectionResetError("reset"))
            case Then.STAYS:
                pass
        self._loop.call_soon(self._deliver)

    def _lose(self, exc: Exception | None) -> None:
        if self in self._loop.open:
            self._loop.open.discard(self)
            self._loop.call_soon(self._protocol.connection_lost, exc)


def play(main: Callable[[], Coroutine[Any, Any, T]], loop: LineLoop, *, seed: int = 0) -> T:
    """Run it in that loop. Clocks are the loop's, and random numbers come from `seed`.

    Raises what it raises, unhandled exceptions of tasks, and AssertionError if a connection stays open.
    """
    dice = random.Random(seed)

    async def waited() -> T:
        patience = loop.call_later(QUIET_SECONDS_MAX, lambda: None)
        try:
            return await main()
        finally:
            patience.cancel()

    with (
        patch("time.clock_gettime", lambda _: loop.time()),
        patch("os.urandom", dice.randbytes),
        patch("secrets.token_bytes", dice.randbytes),
        patch("secrets.randbelow", dice.randrange),
        patch.object(Line, "_connected", loop.connected),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        result = runner.run(waited())
    for fault in loop.faults:
        raise fault
    assert not loop.open, "a connection stays open"
    return result

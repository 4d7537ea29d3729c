"""A UDP socket to one BMC, with a small inbox.

`send` hands a datagram to the kernel at once or fails: a command that waited in a buffer could act after its deadline.
The socket is connected, so it receives only this BMC's datagrams, and a closed port is reported at once (ICMP).
"""

import asyncio
import socket
from collections import deque
from types import TracebackType
from typing import Final, Self

from fenced.ports.devices import DeviceError, DeviceUnreachable

INBOX_MAX: Final = 16
"""Limit for unread datagrams; only one request is open at a time."""
RECEIVE_BYTES: Final = 2048

SocketAddress = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""As the socket module returns it. The last form belongs to families that `resolve` drops."""
Address = tuple[socket.AddressFamily, SocketAddress]


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """Return a BMC's addresses in the resolver's order; numeric ones need no lookup. Raises DeviceUnreachable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):  # a name
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (socket.gaierror, UnicodeError) as exc:
            raise DeviceUnreachable(f"{host} can't be resolved: {exc}", may_be_done=False) from exc
    addresses = tuple(
        dict.fromkeys(
            (family, address) for family, _, _, _, address in found if family in (socket.AF_INET, socket.AF_INET6)
        )
    )
    if not addresses:
        raise DeviceUnreachable(f"{host} has no IPv4 or IPv6 address", may_be_done=False)
    return addresses


class Line:
    """Use it as a context manager."""

    def __init__(self, who: str, address: Address) -> None:
        """`who`: the BMC's name in messages."""
        self._who = who
        self._inbox: deque[bytes] = deque()
        self._failure: OSError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = self._connected(address)
        self._loop.add_reader(self._socket.fileno(), self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        """Send now. If it raises DeviceError, the datagram was not sent and never will be."""
        try:
            self._socket.send(datagram)
        except (BlockingIOError, InterruptedError) as exc:
            raise DeviceError(
                f"{self._who}: the kernel's send buffers are full; nothing was sent", may_be_done=False
            ) from exc
        except OSError as exc:
            raise self._unreachable(exc) from exc

    async def receive(self, seconds: float) -> bytes | None:
        """Return the next datagram; None if none comes within that time. Raises DeviceUnreachable."""
        if not self._inbox and self._failure is None:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(max(0.0, seconds), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if not self._inbox:
            self._take()  # a busy loop may handle the timer before a datagram that arrived in time
        if self._inbox:
            return self._inbox.popleft()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise self._unreachable(failure) from failure
        return None

    def _connected(self, address: Address) -> socket.socket:
        family, destination = address
        try:
            made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as exc:
            raise DeviceError(
                f"{self._who}: no socket ({exc}); raise the limit of open files", may_be_done=False
            ) from exc
        try:
            made.connect(destination)
        except OSError as exc:
            made.close()
            raise self._unreachable(exc) from exc
        return made

    def _take(self) -> None:
        """Receive all waiting datagrams; drop those beyond the limit, as the network might."""
        for _ in range(INBOX_MAX):
            try:
                datagram = self._socket.recv(RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as exc:
                self._failure = exc
                break
            if len(self._inbox) < INBOX_MAX:
                self._inbox.append(datagram)
        if self._inbox or self._failure is not None:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _unreachable(self, exc: OSError) -> DeviceUnreachable:
        return DeviceUnreachable(
            f"{self._who}: {exc.strerror or exc}; check that its LAN channel is enabled", may_be_done=False
        )

"""Servers beside a synchronous test: ours on a loop in a thread, and one that answers what a test says.

Hypothesis shrinks only what it can call, so the tests are synchronous and the servers run
in threads. Each server here ends with its block.
"""

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS: Final = 20.0


@contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Enter an async context manager on a loop in a thread, for the duration of the block."""
    ready, leave = threading.Event(), asyncio.Event()
    given: list[T] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        loops.append(asyncio.get_running_loop())
        try:
            async with make() as made:
                given.append(made)
                ready.set()
                await leave.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="server of a test")
    thread.start()
    try:
        assert ready.wait(PATIENCE_SECONDS)
        yield given[0]
    finally:
        for loop in loops:
            loop.call_soon_threadsafe(leave.set)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the server does not end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One whole HTTP answer."""

    status: int
    kind: str
    body: bytes


def exchange(port: int, request: bytes, *, is_whole: bool = False) -> Answered | None:
    """Send these bytes; return None if the server hung up without an answer.

    `is_whole` False: close the sending side after.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(request)
            if not is_whole:
                connection.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(connection, method="GET")
            response.begin()
            body = response.read()
        except (http.client.BadStatusLine, ConnectionError, OSError):
            return None
        return Answered(status=response.status, kind=response.headers.get_content_type(), body=body)


def written(method: str, target: str, body: bytes, headers: list[tuple[str, bytes]]) -> bytes:
    """Return a request as it goes over the wire; `headers` may contain another length."""
    names = {name.lower() for name, _ in headers}
    given = list(headers)
    if not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", b"%d" % len(body)))
    if "content-type" not in names:
        given.append(("Content-Type", b"application/json"))
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close"]
    lines += [name.encode() + b": " + value for name, value in given]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Impostor:
    """Listens on loopback, answers the first bytes of each connection with `answer`, then hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="impostor")

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.connections += 1
                connection.settimeout(PATIENCE_SECONDS)
                try:
                    connection.recv(65536)
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass


def http_answer(body: bytes, *, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    """Return a whole answer with that body."""
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body

"""A TCP relay between the daemon and PostgreSQL that cuts or holds a connection at a chosen message."""

import asyncio
import contextlib
from enum import Enum

COMMIT = b"COMMIT\x00"
FAREWELL = b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection due to administrator command\x00\x00"
GOODBYE = b"E" + (len(FAREWELL) + 4).to_bytes(4, "big") + FAREWELL
"""What a server that stops says on each connection, also on one where nobody waits for an answer."""


class Fault(Enum):
    """What happens to the next message that commits."""

    NONE = "none"
    CUT_BEFORE = "the connection ends before the server sees it"
    CUT_AFTER = "the server commits, and the connection ends before it answers"
    SWALLOWED = "neither side hears of it, and the connection stays"
    UNANSWERED = "the server commits, and the answer never comes"


class Relay:
    """Relays to the server. `fault` counts for one message, after `passing` others that commit; `is_open` False refuses
    all connections."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.fault = Fault.NONE
        self.passing = 0
        self.is_open = True
        self.port = 0
        self._clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()

    def tell(self, message: bytes) -> None:
        """Send all clients a message as if it were the server's."""
        for client in self._clients:
            client.write(message)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.closing(writer):
            if not self.is_open:
                return
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
            self._clients.add(writer)
            is_held = asyncio.Event()
            up = asyncio.create_task(self._up(reader, to_server, is_held))
            down = asyncio.create_task(self._down(from_server, writer, is_held))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._clients.discard(writer)
                up.cancel()
                down.cancel()
                await asyncio.wait({up, down})
                to_server.close()

    async def _up(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, is_held: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                fault = Fault.NONE
                if COMMIT in data and self.passing:
                    self.passing -= 1
                elif COMMIT in data:
                    fault, self.fault = self.fault, Fault.NONE
                if fault in {Fault.CUT_AFTER, Fault.UNANSWERED}:
                    is_held.set()
                if fault is Fault.CUT_BEFORE:
                    return
                if fault is Fault.SWALLOWED:
                    continue
                to_server.write(data)
                await to_server.drain()
                if fault is Fault.CUT_AFTER:
                    await asyncio.sleep(0.3)  # time for the server to read it
                    return

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_held: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if is_held.is_set():
                    continue
                writer.write(data)
                await writer.drain()

"""Relays TCP connections between two networks: for each connection accepted here, it opens one there.

Knows no protocol. Silence is not translated: a relayed connection ends only if the other side really ended.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

CONNECTIONS_MAX: Final = 256
CHUNK_BYTES: Final = 65536
CONNECT_TIMEOUT_SECONDS: Final = 5.0


@asynccontextmanager
async def relay(
    listener: socket.socket, make: Callable[[], socket.socket], target: tuple[str, int]
) -> AsyncIterator[None]:
    """Relay to `target` while the block runs; `make` returns a socket of the network in which the target is."""
    carried: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) and len(carried) < CONNECTIONS_MAX:
            task.set_name(f"relay to {target[0]}:{target[1]}")
            carried.add(task)
            task.add_done_callback(carried.discard)
            # asyncio's server would log a cancelled handler as an error.
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await _carry(reader, writer, make(), target)
        writer.transport.abort()

    server = await asyncio.start_server(accepted, sock=listener, backlog=1024)
    try:
        yield
    finally:
        server.close()
        for task in tuple(carried):
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: socket.socket, target: tuple[str, int]
) -> None:
    there.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await asyncio.get_running_loop().sock_connect(there, target)
        for each in (there, writer.get_extra_info("socket")):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far_reader, far_writer = await asyncio.open_connection(sock=there)
    except BaseException:
        there.close()
        raise
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(reader, far_writer, writer), name="relay forth")
            tasks.create_task(_copy(far_reader, writer, far_writer), name="relay back")
    finally:
        far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
        other.transport.abort()

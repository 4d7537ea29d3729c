"""A proxy that accepts every connection and never answers: the candidate that a race must not wait for.

Speaks no protocol, on purpose. Connections are limited in number and time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

HELD_MAX: Final = 256
HELD_MAX_SECONDS: Final = 60.0
READ_BYTES: Final = 4096


@asynccontextmanager
async def black_hole(listener: socket.socket) -> AsyncIterator[None]:
    """Accept connections on the listening socket and discard their input while the block runs."""
    held: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) and len(held) < HELD_MAX:
            task.set_name("black hole")
            held.add(task)
            task.add_done_callback(held.discard)
            await _swallow(reader)
        writer.transport.abort()

    server = await asyncio.start_server(accepted, sock=listener, backlog=1024)
    try:
        yield
    finally:
        server.close()
        for task in tuple(held):
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def _swallow(reader: asyncio.StreamReader) -> None:
    """Discard input until the other side gives up, or for HELD_MAX_SECONDS."""
    try:
        async with asyncio.timeout(HELD_MAX_SECONDS):
            while await reader.read(READ_BYTES):
                pass
    except (OSError, TimeoutError, asyncio.CancelledError):
        # The connection ends either way; asyncio's server would log a cancelled handler as an unhandled error.
        return

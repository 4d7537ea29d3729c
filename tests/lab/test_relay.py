"""Relaying bytes between two networks, and a proxy that never answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from fenced.lab.blackhole import black_hole
from fenced.lab.ground import tcp_socket
from fenced.lab.relay import relay
from tests.net import free_port, until

ENDED = (ConnectionResetError, asyncio.IncompleteReadError)


class Echo:
    """A server that echoes its input and counts open connections."""

    def __init__(self) -> None:
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        self.open -= 1
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, tuple[str, int]]]:
    served = Echo()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    yield served, server.sockets[0].getsockname()
    server.close()
    await until(lambda: served.open == 0, what="all echoes ended")


async def test_it_carries_both_ways_and_passes_an_end_on(echo: tuple[Echo, tuple[str, int]]) -> None:
    served, target = echo
    listener = socket.create_server(("127.0.0.1", 0))
    async with relay(listener, tcp_socket, target):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        sent = b"beat" * 100_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent
        writer.close()
        await until(lambda: served.open == 0, what="the end arrives over there")


async def test_many_at_once(echo: tuple[Echo, tuple[str, int]]) -> None:
    _, target = echo
    listener = socket.create_server(("127.0.0.1", 0))

    async def ask(number: int) -> bool:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"%d\n" % number)
        answer = await reader.readline()
        writer.close()
        return answer == b"%d\n" % number

    async with relay(listener, tcp_socket, target):
        assert all(await asyncio.gather(*(ask(number) for number in range(100))))


async def test_a_failed_connection_over_there_ends_the_one_here() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with relay(listener, tcp_socket, ("127.0.0.1", free_port())):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        with pytest.raises(ENDED):
            await reader.readexactly(1)
        writer.close()


async def test_the_end_of_the_relay_ends_what_it_carried(echo: tuple[Echo, tuple[str, int]]) -> None:
    served, target = echo
    listener = socket.create_server(("127.0.0.1", 0))
    async with relay(listener, tcp_socket, target):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"x")
        assert await reader.read(1) == b"x"
    with pytest.raises(ENDED):
        await reader.readexactly(1)
    writer.close()
    await until(lambda: served.open == 0, what="the far side ended")


async def test_the_black_hole_takes_everything_and_says_nothing() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(black_hole(listener))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"POST /v1/call HTTP/1.1\r\n\r\n" * 10_000)
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    with pytest.raises(ENDED):
        await reader.readexactly(1)
    writer.close()

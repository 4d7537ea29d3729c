"""Connections to the API: bounded, timed out while idle, and isolated from each other."""

import asyncio
import contextlib
import itertools
import os
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import pytest
import uvloop
from aiohttp import web
from structlog.testing import capture_logs

from fenced.net import door as module
from fenced.net.door import Door, connections_max, let_in
from tests.net import until

HOLDING = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"


class House:
    """A server behind a door. `/hold`: requests that wait for `let_go`; `/known`: lets its caller in."""

    def __init__(self, most: int) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listening.getsockname()[1])
        self.door = Door(self.listening, most=most)
        self.let_go = asyncio.Event()
        self.held = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_get("/hold", self._hold)
        application.router.add_get("/", self._hello)
        application.router.add_get("/known", self._known)
        application.router.add_get("/refused", self._refuse)
        self.door.watch(application)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        try:
            async with self.door.open(runner.server):
                yield
        finally:
            self.let_go.set()
            await runner.cleanup()
            self.listening.close()

    async def _hold(self, _: web.Request) -> web.Response:
        self.held += 1
        await self.let_go.wait()
        return web.Response(text="late")

    async def _hello(self, _: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def _refuse(self, _: web.Request) -> web.Response:
        return web.Response(status=429)

    async def _known(self, request: web.Request) -> web.Response:
        let_in(request)
        return web.Response(text="known")

    async def connect(
        self, sent: bytes = b"", *, local: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        before = self.door.connections
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(local, 0))
        writer.write(sent)
        await until(lambda: self.door.connections > before or reader.at_eof())
        return reader, writer

    async def get(self) -> str:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{self.port}/") as answer:
            return await answer.text()


async def test_the_longest_idle_connection_is_dropped_for_a_new_one() -> None:
    house = House(most=6)
    async with house.open():
        first, second, third = [await house.connect() for _ in range(3)]
        assert await house.get() == "hello"
        assert await first[0].read() == b""
        assert house.door.connections <= 3 and not second[0].at_eof() and not third[0].at_eof()
        for _, writer in (first, second, third):
            writer.close()


KNOWN = b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_strangers_are_few_and_take_no_room_from_known_clients() -> None:
    """Everything that strangers may send before a request begins could arrive at once and block the loop."""
    house = House(most=40)
    async with house.open():
        known = [await house.connect(KNOWN) for _ in range(3)]
        for reader, _ in known:
            assert b"known" in await reader.readuntil(b"known")
        strangers = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(60)]
        await until(lambda: is_over(strangers[39]) or house.door.connections > 20 + len(known))
        assert house.door.connections == 20 + len(known)
        assert not any(reader.at_eof() for reader, _ in known)
        assert await house.get() == "hello"
        for client in strangers:
            client.close()
        for _, writer in known:
            writer.close()


def is_over(client: socket.socket) -> bool:
    """Return whether the other side closed it."""
    try:
        return client.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_a_crowd_of_strangers_loses_its_own_connections_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second loopback address plays the second machine."""
    monkeypatch.setattr(module, "source", str)
    house = House(most=20)
    async with house.open():
        other, writer = await house.connect(local="127.0.0.2")
        strangers = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(30)]
        await until(lambda: is_over(strangers[18]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"hello" in await other.readuntil(b"hello")
        writer.close()
        for client in strangers:
            client.close()


@pytest.mark.parametrize(("path", "is_ended"), [(b"/refused", True), (b"/", False)])
async def test_a_refused_strangers_connection_is_closed(path: bytes, is_ended: bool) -> None:
    house = House(most=20)
    async with house.open():
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b"Connection: close" in head) is is_ended
        writer.close()


async def test_while_all_connections_are_busy_a_new_one_is_turned_away() -> None:
    house = House(most=2)
    async with house.open():
        holding = []
        for number in (1, 2):
            holding.append(await house.connect(HOLDING))
            await until(lambda number=number: house.held == number)
        with capture_logs() as logs:
            with pytest.raises(aiohttp.ClientError):
                await house.get()
            with pytest.raises(aiohttp.ClientError):
                await house.get()
        assert [line["event"] for line in logs] == ["connections_turned_away"]
        house.let_go.set()
        for reader, writer in holding:
            assert b"late" in await reader.readuntil(b"late")
            writer.close()
        assert await house.get() == "hello"


async def test_idle_connections_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent from the start, stuck in a request head, silent after an answer; a served one goes on."""
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(module, "FIRST_REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.3)
    house = House(most=10)
    async with house.open():
        serving, serving_writer = await house.connect(HOLDING)
        idle = [await house.connect(sent) for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
        for reader, writer in idle:
            await reader.read()
            writer.close()
        assert not serving.at_eof()
        house.let_go.set()
        assert b"late" in await serving.readuntil(b"late")
        serving_writer.close()


async def test_few_requests_begin_in_one_turn_of_the_loop() -> None:
    """Renewing the lease takes several turns, so each must stay short under any load."""
    house = House(most=200)
    turn, begun, accepted = 0, Counter[int](), [0]

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            begun[turn] = house.held
            accepted.append(house.door.connections)
            await asyncio.sleep(0)

    async with house.open():
        clients = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(60)]
        counting = asyncio.create_task(count(), name="turns")
        await until(lambda: house.door.connections == 60)
        for client in clients:
            client.sendall(HOLDING)
        await until(lambda: house.held == 60)
        counting.cancel()
        for client in clients:
            client.close()
    assert max(after - before for before, after in itertools.pairwise(accepted)) == 1
    assert max(begun[number + 1] - begun[number] for number in range(1, turn)) <= module.REQUESTS_A_TURN


async def test_a_client_that_leaves_while_queued_is_skipped() -> None:
    house = House(most=100)
    async with house.open():
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", house.port)) as client:
                client.sendall(HOLDING)
        assert await house.get() == "hello"
        await until(lambda: house.door.connections == 0 or house.held == 30)
        house.let_go.set()
        await until(lambda: house.door.connections == 0)


@contextlib.contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Let this process open only `more` further files; take all others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + more, hard))
    taken: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    for _ in range(more):
        os.close(taken.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_running_out_of_descriptors_ends_nothing(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        house = House(most=100)
        async with house.open():
            clients = [socket.socket() for _ in range(8)]
            with few_descriptors(3), capture_logs() as logs:
                for client in clients:
                    client.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        client.connect(("127.0.0.1", house.port))
                await until(lambda: any(line["event"] == "connections_turned_away" for line in logs))
            assert await house.get() == "hello"
            for client in clients:
                client.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())


def test_a_server_has_a_share_of_the_descriptors() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 1 <= connections_max() <= soft // 3

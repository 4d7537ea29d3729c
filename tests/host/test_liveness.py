"""Liveness probes on real sockets: what counts as an answer and what does not."""

import asyncio
import errno
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from fenced.host.liveness import TcpLiveness
from tests.needs import needs, needs_root
from tests.net import free_port


@asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[int]:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accepted, host, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@contextmanager
def full() -> Iterator[int]:
    """Yield a port with a full backlog: the kernel stays silent, like a host that is gone."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def ask(address: str, *ports: int, agents: tuple[str, ...] = (), seconds: float = 5.0) -> str | None:
    return await TcpLiveness().ask(address, ports=ports, agents=agents, timeout_seconds=seconds)


async def test_a_port_that_accepts_is_an_answer() -> None:
    async with listening() as port:
        assert await ask("127.0.0.1", port) == f"tcp {port}"
        assert await ask("localhost", port) == f"tcp {port}"


async def test_an_agent_that_accepts_is_an_answer() -> None:
    async with listening() as port:
        assert await ask("", agents=(f"https://127.0.0.1:{port}",)) == f"proxy 127.0.0.1:{port}"
        assert await ask("127.0.0.1", free_port(), agents=(f"http://127.0.0.1:{port}/x",)) == f"proxy 127.0.0.1:{port}"


async def test_on_loopback_a_refusal_is_no_answer() -> None:
    assert await ask("127.0.0.1", free_port()) is None
    assert await ask("127.77.0.1", free_port()) is None
    assert await ask("localhost", free_port()) is None


async def test_silence_is_no_answer_and_ends_in_time() -> None:
    with full() as port:
        started = time.monotonic()
        assert await ask("127.0.0.1", port, free_port(), seconds=0.2) is None
        assert time.monotonic() - started < 30, "it waited for the kernel's timeout of two minutes"


async def test_the_first_answer_ends_the_probe() -> None:
    async with listening() as port:
        with full() as silent:
            assert await ask("127.0.0.1", silent, port, seconds=60) == f"tcp {port}"


async def test_without_a_target_there_is_no_answer() -> None:
    assert await ask("127.0.0.1") is None
    assert await ask("", 22) is None
    assert await ask("a" * 300, 22) is None
    assert await ask("127.0.0.1", agents=("", "https://", "https://[::1", "https://a:999999")) is None


async def test_an_unknown_name_is_silent_and_a_failed_lookup_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails_with(code: int) -> str | None:
        async def lookup(*_: object, **__: object) -> None:
            raise socket.gaierror(code, "raised by the test")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        return await ask("node-1.invalid", 22, seconds=1)

    assert await fails_with(socket.EAI_NONAME) is None
    assert await fails_with(socket.EAI_AGAIN) == "not asked: no resolver answered for node-1.invalid"


async def test_a_probe_that_can_not_be_sent_is_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_descriptors(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", no_descriptors)
    assert await ask("127.0.0.1", 22, seconds=0.2) == "not asked: Too many open files"


async def test_many_hosts_at_once_each_get_their_full_timeout() -> None:
    liveness = TcpLiveness(sockets_max=5)
    async with listening() as port:
        with full() as silent:
            questions = [
                liveness.ask("127.0.0.1", ports=(silent,), agents=(), timeout_seconds=0.1) for _ in range(20)
            ] + [liveness.ask("127.0.0.1", ports=(port,), agents=(), timeout_seconds=0.1) for _ in range(200)]
            answers = await asyncio.gather(*questions)
    assert answers == [None] * 20 + [f"tcp {port}"] * 200


@needs("ip")
@needs_root()
async def test_a_refusal_of_another_machine_is_an_answer() -> None:
    """A network namespace plays another machine: its kernel refuses, and is silent once its link is down."""
    space = f"fenced-liveness-{free_port()}"
    inside, outside = f"i{free_port()}", f"o{free_port()}"
    commands = [
        f"ip netns add {space}",
        f"ip link add {outside} type veth peer name {inside} netns {space}",
        f"ip addr add 198.18.7.1/30 dev {outside}",
        f"ip -n {space} addr add 198.18.7.2/30 dev {inside}",
        f"ip link set {outside} up",
        f"ip -n {space} link set {inside} up",
    ]
    try:
        for command in commands:
            if subprocess.run(command.split(), capture_output=True, check=False).returncode != 0:
                pytest.skip(f"no network namespaces here: {command}")
        assert await ask("198.18.7.2", 22, seconds=5) == "tcp 22"
        subprocess.run(f"ip -n {space} link set {inside} down".split(), check=True)
        assert await ask("198.18.7.2", 22, seconds=0.5) is None
    finally:
        subprocess.run(f"ip link delete {outside}".split(), capture_output=True, check=False)
        subprocess.run(f"ip netns delete {space}".split(), capture_output=True, check=False)

"""The beat over HTTP: with the real API behind TLS, and with servers that refuse, hang up or do not answer."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from fenced.api.server import build_app, serve
from fenced.model.api_tokens import REPORTER, ApiToken
from fenced.model.inventory import Secret
from tests.api.conftest import TOKENS, expose
from tests.beat.program import beating
from tests.bus.test_brokers import Authority, authority
from tests.fakes.control import FakeClock, FakeControl
from tests.net import free_port, until

pytestmark = pytest.mark.integration

OPERATOR: Final = next(token.secret.reveal() for token in TOKENS if token.role == "operator")
VIEWER: Final = next(token.secret.reveal() for token in TOKENS if token.role == "viewer")
OF_NODE_1: Final = ApiToken(role=REPORTER, reports="node-1", secret=Secret("of-node-1-alone"))


@contextlib.asynccontextmanager
async def api(
    ours: Authority | None = None, *, port: int = 0, tokens: tuple[ApiToken, ...] = (*TOKENS, OF_NODE_1)
) -> AsyncIterator[tuple[str, FakeControl]]:
    """Yield the address of the real API, and what is behind it."""
    control = FakeControl()
    app = build_app(
        control,
        tokens=tokens,
        has_tcp_writes=not tokens,
        requests_per_second=1000,
        metrics=expose,
        clock=FakeClock(),
    )
    certificate, key = ours.issue("api") if ours is not None else ("", "")
    async with serve(app, f"127.0.0.1:{port}", tls_cert_file=str(certificate), tls_key_file=str(key)) as serving:
        yield serving.url, control


def token_file(folder: Path, token: str) -> Path:
    file = folder / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    return file


async def test_heartbeats_over_https(tmp_path: Path) -> None:
    """A proxy in the environment is not used. `stopping` comes when the machine shuts down."""
    ours = authority(tmp_path, "ca")
    token = token_file(tmp_path, OF_NODE_1.secret.reveal())
    options = ("--ca-file", str(ours.file), "--token-file", str(token), "--role", "db")
    proxy = f"http://127.0.0.1:{free_port()}"
    proxies = {"HTTPS_PROXY": proxy, "https_proxy": proxy}
    async with api(ours) as (url, control), relayed(url) as (url, connections):
        with beating(tmp_path, url, *options, systemctl="stopping", environment=proxies) as beat:
            await until(lambda: len(control.healths) >= 3, what="three heartbeats")
            assert await beat.ended() == 0
    assert len(connections) == 1
    first, second, *_, last = control.healths
    assert first.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (first.host, first.status.value, first.interval_seconds, first.roles) == ("node-1", "ok", 0.1, ("db",))
    assert first.sequence is not None
    assert second.sequence is not None
    assert second.sequence > first.sequence
    assert last.status.value == "stopping"
    assert beat.log == "INFO beat_connected\n"


@contextlib.asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[str, list[int]]]:
    """Put a counter of connections before a server."""
    port = int(url.rpartition(":")[2])
    connections: list[int] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                writer.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections


async def test_a_token_that_is_refused_until_it_is_renewed(tmp_path: Path) -> None:
    async with api() as (url, control):
        token = token_file(tmp_path, "unknown-9")
        with beating(tmp_path, url, "--token-file", str(token)) as beat:
            await beat.logged("beat_not_taken status=ok reason=the API does not accept the token")
            token_file(tmp_path, VIEWER)
            await beat.logged("beat_not_taken status=ok reason=the token may not report this host")
            token.unlink()
            await beat.logged("beat_not_taken status=ok reason=token_file: no such file")
            assert not control.healths
            token_file(tmp_path, OPERATOR)
            await beat.logged("beat_connected")
            assert control.healths
    assert beat.log.count("WARNING") <= 4  # a file that is being written is empty for a moment
    assert beat.log.count("(401") == beat.log.count("(403") == 1
    assert OPERATOR not in beat.log


async def test_a_host_that_the_daemon_does_not_know(tmp_path: Path) -> None:
    async with api(tokens=()) as (url, _):
        with beating(tmp_path, url, "--host", "nobody") as beat:
            await beat.logged("set host to its name in the inventory (404: ")


async def test_a_server_that_is_restarted(tmp_path: Path) -> None:
    port = free_port()
    with beating(tmp_path, f"http://127.0.0.1:{port}") as beat:
        await beat.logged("beat_unreachable reason=Connection refused")
        for _ in (1, 2):
            async with api(port=port, tokens=()) as (_, control):
                await until(lambda: len(control.healths) >= 2, what="two heartbeats")
        assert await beat.ended() == 0


class Scripted:
    """An HTTP server that gives these answers in turn, and the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.requests: list[bytes] = []
        self.times: list[float] = []
        self.connections = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"Content-Length: ([0-9]+)", head)
                assert found is not None
                self.requests.append(head + await reader.readexactly(int(found[1])))
                self.times.append(time.monotonic())
                answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
                writer.write(answer)
                if not answer or b"close" in answer or b"HTTP/1.0" in answer or b"gzip" in answer:
                    break


DONE: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


async def test_one_connection_is_kept(tmp_path: Path) -> None:
    server = Scripted(DONE, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", DONE)
    async with server.running() as url:
        with beating(tmp_path, url) as beat:
            await until(lambda: len(server.requests) >= 6, what="six heartbeats")
            assert await beat.ended() == 0
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /api/v1/health/node-1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n0\r\n\r\n",
    ],
)
async def test_a_server_that_closes_each_connection(tmp_path: Path, answer: bytes) -> None:
    """That is no loss: the next heartbeat opens another connection, at its time."""
    server = Scripted(answer)
    async with server.running() as url:
        with beating(tmp_path, url, interval="300ms") as beat:
            await until(lambda: len(server.requests) >= 3, what="three heartbeats")
            assert await beat.ended() == 0
    assert beat.log == "INFO beat_connected\n"
    assert server.connections == len(server.requests)
    assert server.times[2] - server.times[0] >= 0.5


async def test_a_connection_that_ends_under_a_request(tmp_path: Path) -> None:
    """The heartbeat is sent once more at once; a server that never answers is a loss."""
    server = Scripted(DONE, b"", DONE, b"", b"")
    async with server.running() as url:
        with beating(tmp_path, url) as beat:
            await beat.logged("beat_disconnected reason=closed without a reason")
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    assert bodies[1] == bodies[2]
    assert beat.log.startswith("INFO beat_connected\nWARNING beat_disconnected")


@pytest.mark.parametrize(
    ("answer", "why", "least"),
    [
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", "too many requests (429)", 0.9),
        (b'HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 17\r\n\r\n{"detail":"busy"}', "now (503: busy)", 0.9),
        (b"HTTP/1.1 503 X\r\nRetry-After: tomorrow\r\nContent-Length: 0\r\n\r\n", "takes no reports now (503)", 0.0),
        (b"HTTP/1.1 301 X\r\nLocation: https://b/\r\nContent-Length: 0\r\n\r\n", "(301: https://b/)", 0.0),
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n[]", "the API refused the heartbeat (500)", 0.0),
        (b'HTTP/1.1 400 X\r\nContent-Length: 12\r\n\r\n{"detail":1}', "the API refused the heartbeat (400: 1)", 0.0),
    ],
)
async def test_refusals(tmp_path: Path, answer: bytes, why: str, least: float) -> None:
    server = Scripted(answer, answer, DONE)
    async with server.running() as url:
        with beating(tmp_path, url) as beat:
            await beat.logged("beat_not_taken status=ok reason=")
            await beat.logged("beat_connected")
            assert await beat.ended() == 0
    assert why in beat.log
    assert beat.log.count("WARNING") == 1
    assert server.times[1] - server.times[0] >= least


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-x\r\n\r\n", "this is no HTTP server"),
        (b"HTTP/1.1 204 No Content\r\n", "the API did not answer within 1 s"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "the answer is too long"),
    ],
)
async def test_what_is_no_answer(tmp_path: Path, answer: bytes, why: str) -> None:
    server = Scripted(answer)
    async with server.running() as url:
        with beating(tmp_path, url) as beat:
            await beat.logged(why)

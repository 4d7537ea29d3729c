"""`GET events`: live, resumed, bounded, and ended with the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from fenced.api.call import STREAMS_PER_CLIENT_MAX
from fenced.api.server import build_app, reconfigure, serve
from fenced.model.positions import Position
from fenced.ports.control import Happened, Unavailable
from tests.api.conftest import TOKENS, Api, expose
from tests.api.test_border import token
from tests.fakes.control import FakeClock, FakeControl
from tests.net import until


async def read_event(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the fields of the next event; skip comments and `retry`."""
    fields: dict[str, str] = {}
    while True:
        line = (await response.content.readline()).decode().rstrip("\n")
        if not line and "data" in fields:
            return fields
        name, _, value = line.partition(": ")
        if name in ("id", "data"):
            fields[name] = value


async def test_events_come_as_they_happen(api: Api) -> None:
    async with api.client.get("/api/v1/events") as response:
        assert response.content_type == "text/event-stream"
        await until(lambda: api.control.watchers == 1)
        api.control.emit("suspected", "node-1")
        api.control.emit("fenced", "node-1")
        first, second = await read_event(response), await read_event(response)
    assert (first["id"], second["id"]) == ("1", "2")
    assert '"io.fenced.host.fenced"' in second["data"]


async def test_a_reader_resumes_after_its_last_event(api: Api) -> None:
    for kind in ("suspected", "fencing", "fenced"):
        api.control.emit(kind, "node-1")
    async with api.client.get("/api/v1/events", headers={"Last-Event-ID": "1"}) as response:
        assert [(await read_event(response))["id"] for _ in range(2)] == ["2", "3"]
    async with api.client.get("/api/v1/events", headers={"Last-Event-ID": "never"}) as response:
        assert response.status == 422


async def test_the_engine_drops_a_reader_that_left(api: Api) -> None:
    async with api.client.get("/api/v1/events"):
        await until(lambda: api.control.watchers == 1)

    async def is_gone() -> bool:
        api.control.emit("healthy", "node-1")  # the server notices when it writes
        return api.control.watchers == 0

    await until(is_gone)


async def test_streams_of_one_client_are_bounded(api: Api) -> None:
    open_streams = []
    for _ in range(STREAMS_PER_CLIENT_MAX):
        response = await api.client.get("/api/v1/events")
        assert response.status == 200
        open_streams.append(response)
    async with api.client.get("/api/v1/events") as refused:
        assert refused.status == 429
        assert refused.headers["Retry-After"]
    for response in open_streams:
        response.close()


async def test_streams_end_with_the_server() -> None:
    control = FakeControl()
    app = build_app(control, tokens=(), requests_per_second=100, metrics=expose, clock=FakeClock())
    async with aiohttp.ClientSession() as client:
        async with serve(app, "127.0.0.1:0") as serving:
            response = await client.get(f"{serving.url}/api/v1/events")
            await until(lambda: control.watchers == 1)
        async with asyncio.timeout(5):
            await response.read()
    assert control.watchers == 0


async def test_a_stream_that_fails_ends_and_is_counted(api: Api) -> None:
    for failure, status in ((Unavailable("too slow"), 200), (RuntimeError("a bug"), 200)):
        async with api.client.get("/api/v1/events") as response:
            await until(lambda: api.control.watchers == 1)
            api.control.failure = failure
            api.control.changed.set()
            async with asyncio.timeout(5):
                text = await response.text()
        assert ("reconnect" in text) is isinstance(failure, Unavailable)
        await until(lambda: len(api.answers) > 0)
        assert api.answers.pop() == ("/api/v1/events", status)
        api.control.failure = None


async def test_streams_of_a_revoked_or_demoted_token_end_at_once() -> None:
    """So do streams without a token, once one is needed. All others go on."""
    control = FakeControl()
    app = build_app(control, tokens=(), requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:

        async def open_as(bearer: str = "") -> aiohttp.ClientResponse:
            before = control.watchers
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            response = await client.get("/api/v1/events", headers=headers)
            await until(lambda: control.watchers == before + 1)
            return response

        async def ends(response: aiohttp.ClientResponse) -> None:
            async with asyncio.timeout(5):
                await response.read()

        anonymous = await open_as()
        reconfigure(app, tokens=TOKENS, requests_per_second=100)
        await ends(anonymous)
        await until(lambda: control.watchers == 0)
        viewer, operator, admin = await open_as("look-only-1"), await open_as("work-2"), await open_as("all-3")
        less = [token("viewer", "work-2"), token("admin", "all-3"), token("viewer", "other-5")]
        reconfigure(app, tokens=less, requests_per_second=100)
        await ends(viewer)
        await ends(operator)
        control.emit("fenced", "node-1")
        assert (await read_event(admin))["id"] == "1"
        assert control.watchers == 1
        admin.close()


class Counting(FakeControl):
    """A control that counts the events it gave to watchers."""

    given = 0

    async def watch(self, *, after: Position | None) -> AsyncIterator[Happened]:
        async with contextlib.aclosing(super().watch(after=after)) as messages:  # type: ignore[type-var]
            async for happened in messages:
                self.given += 1
                yield happened


async def test_a_stream_that_is_not_read_ends_too() -> None:
    """It keeps neither its slot nor its unsent data."""
    control = Counting()
    app = build_app(control, tokens=TOKENS, requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0") as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, limit=1024)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer work-2\r\n\r\n")
        await until(lambda: control.watchers == 1)
        is_stuck = False
        while not is_stuck:
            before = control.given
            for _ in range(5_000):
                control.emit("fenced", "node-1")
            await asyncio.sleep(0.05)
            is_stuck = control.given == before
        reconfigure(app, tokens=TOKENS[:1], requests_per_second=100)
        await until(lambda: control.watchers == 0)
        got = b""
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(65536):
                got = (got + more)[-100:]
        assert not got.endswith(b"0\r\n\r\n"), "the stream was not cut, it waited for its reader"
        writer.close()

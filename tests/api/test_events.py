"""`GET events`: live, resumed, bounded, ended with the server."""

import asyncio

import aiohttp

from fenced.api.call import STREAMS_PER_CLIENT_MAX
from fenced.api.server import build_app, serve
from fenced.ports.control import Unavailable
from tests.api.conftest import Api, expose
from tests.fakes.control import FakeClock, FakeControl
from tests.net import until


async def read_event(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The next event's fields; comments and `retry` are passed over."""
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


async def test_a_reader_comes_back_where_it_was(api: Api) -> None:
    for kind in ("suspected", "fencing", "fenced"):
        api.control.emit(kind, "node-1")
    async with api.client.get("/api/v1/events", headers={"Last-Event-ID": "1"}) as response:
        assert [(await read_event(response))["id"] for _ in range(2)] == ["2", "3"]
    async with api.client.get("/api/v1/events", headers={"Last-Event-ID": "never"}) as response:
        assert response.status == 422


async def test_the_engine_is_rid_of_a_reader_that_left(api: Api) -> None:
    async with api.client.get("/api/v1/events"):
        await until(lambda: api.control.watchers == 1)

    async def is_gone() -> bool:
        api.control.emit("healthy", "node-1")  # a write finds out
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
        assert ("come back" in text) is isinstance(failure, Unavailable)
        await until(lambda: len(api.answers) > 0)
        assert api.answers.pop() == ("/api/v1/events", status)
        api.control.failure = None

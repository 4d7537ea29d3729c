"""`/live`: fragments of an open page, as events happen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

import aiohttp
import pytest

from fenced.api.server import end_streams, reconfigure
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState, State
from fenced.ports.control import StormView, Unavailable
from tests.api.conftest import TOKENS, Api
from tests.api.test_storms import LASTS
from tests.net import until
from tests.page.visitor import visitor

NODE = HostName("node-1")


@dataclass(slots=True)
class Reader:
    """An open stream."""

    response: aiohttp.ClientResponse

    async def fragment(self) -> tuple[str, str]:
        """Return the id and the text of the next one."""
        identity, lines = "", list[str]()
        async with asyncio.timeout(30):
            while line := (await self.response.content.readline()).decode():
                if line.startswith("id:"):
                    identity = line[3:].strip()
                elif line.startswith("data:"):
                    lines.append(line[5:].strip())
                elif line == "\n" and lines:
                    return identity, "\n".join(lines)
        raise EOFError


@contextlib.asynccontextmanager
async def live(api: Api, page: str, *, after: str = "", last: str = "", cookie: str = "") -> AsyncIterator[Reader]:
    headers = {**({"Last-Event-ID": last} if last else {}), **({"Cookie": cookie} if cookie else {})}
    async with api.client.get(f"/live?page={quote(page, safe='')}&after={after}", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Reader(response)


def change(api: Api, name: HostName, state: State) -> None:
    """Let a host change, and tell it."""
    api.control.states[name] = replace(api.control.states[name], state=state)
    api.control.emit("changed", name)


async def test_the_square_of_a_host_changes_with_it(api: Api) -> None:
    async with live(api, "/") as reader:
        await until(lambda: api.control.watchers == 1)
        change(api, NODE, State.FAILED)
        identity, text = await reader.fragment()
    assert identity == "1"
    assert '<a id="h-node-1" class=failed' in text
    assert 'id="h-node-2"' not in text
    for section in ("daemon", "counts", "listed"):
        assert f'<section id="{section}"' in text
    assert "/hosts/node-1" in text[text.index('id="listed"') :]


async def test_nothing_is_lost_between_the_page_and_its_stream(api: Api) -> None:
    async with visitor(api) as browser:
        page = await browser.get("/")
    position = page.text.partition('data-at="')[2].partition('"')[0]
    change(api, NODE, State.FAILED)
    async with live(api, "/", after=position) as reader:
        assert 'id="h-node-1" class=failed' in (await reader.fragment())[1]
    async with live(api, "/", after=position, last="1") as reader:
        change(api, HostName("node-2"), State.HEALTHY)
        identity, text = await reader.fragment()
        assert identity == "2"
        assert 'id="h-node-1"' not in text


async def test_a_burst_is_one_fragment(api: Api) -> None:
    async with live(api, "/") as reader:
        await until(lambda: api.control.watchers == 1)
        for state in (State.SUSPECT, State.FENCING, State.FENCED):
            change(api, NODE, state)
        identity, text = await reader.fragment()
    assert identity == "3"
    assert text.count('id="h-node-1"') == 1
    assert "class=fenced" in text


async def test_a_page_of_a_host_hears_only_of_it(api: Api) -> None:
    async with live(api, "/hosts/node-1") as reader:
        await until(lambda: api.control.watchers == 1)
        change(api, HostName("node-2"), State.FAILED)
        change(api, NODE, State.SUSPECT)
        _, text = await reader.fragment()
    assert '<section id="state"' in text
    assert "suspect" in text[: text.index("</h1>")]
    for section in ("power", "seen", "why", "history"):
        assert f'<section id="{section}"' in text


async def test_an_operation_grows_without_events(api: Api) -> None:
    begun = await api.control.act(HostName("node-2"), Action.STATUS, by="t", reason="", is_forced=False)
    async with live(api, f"/operations/{begun.operation}") as reader:
        first = (await reader.fragment())[1]
        assert "running" in first
        api.control.finish(begun.operation, OperationState.DONE)
        while "running" in (text := (await reader.fragment())[1]):
            pass
    assert "done" in text


@pytest.mark.parametrize("page", ["/storms", "/pauses"])
async def test_holds_are_told(api: Api, page: str) -> None:
    async with live(api, page) as reader:
        await until(lambda: api.control.watchers == 1)
        api.control.storms = [StormView(storm=LASTS, silent=LASTS.hosts)]
        await api.control.pause(match="rack=r7", by="alice", reason="r", until=None)
        api.control.emit("paused", "node-1")
        assert "r7" in (await reader.fragment())[1]


@pytest.mark.parametrize("page", ["/login", "/hosts", "/nope", "/hosts/node-1/off"])
async def test_a_page_without_anything_that_moves_has_no_stream(api: Api, page: str) -> None:
    async with api.client.get(f"/live?page={quote(page, safe='')}") as response:
        assert response.status == 422
    async with api.client.get("/live?page=/&after=never") as response:
        assert response.status == 422


async def test_a_stream_ends_with_the_session_the_store_and_the_server(guarded_api: Api) -> None:
    control = guarded_api.control

    def lose_the_store() -> None:
        control.failure = Unavailable("no store")
        control.changed.set()

    async with visitor(guarded_api, "work-2") as browser:
        cookie = f"fenced_session={browser.cookies['fenced_session']}"
        ends: tuple[Callable[[], None], ...] = (
            lambda: end_streams(guarded_api.app),
            lose_the_store,
            lambda: reconfigure(guarded_api.app, tokens=TOKENS[:1], requests_per_second=1000),
        )
        for end in ends:
            control.failure = None
            async with live(guarded_api, "/", cookie=cookie) as reader:
                await until(lambda: control.watchers == 1)
                end()
                with pytest.raises(EOFError):
                    await reader.fragment()
            await until(lambda: control.watchers == 0)
    async with guarded_api.client.get("/live?page=/", headers={"Cookie": cookie}, allow_redirects=False) as response:
        assert response.status == 303


async def test_a_host_that_is_gone_ends_its_stream(api: Api) -> None:
    async with live(api, "/hosts/node-1") as reader:
        await until(lambda: api.control.watchers == 1)
        del api.control.states[NODE]
        api.control.emit("removed", NODE)
        with pytest.raises(EOFError):
            await reader.fragment()


async def test_streams_of_one_client_are_bounded(api: Api) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(live(api, "/"))
        async with api.client.get("/live?page=/") as response:
            assert response.status == 429

"""Rate limits: strangers and revoked tokens use up nothing of the clients with a valid token."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from fenced.api.server import build_app, reconfigure, serve
from fenced.model.addresses import source
from tests.api.conftest import TOKENS, Api, expose, start
from tests.api.test_border import ACT, STATUS, bearer, token
from tests.fakes.control import FakeClock, FakeControl


async def flood(api: Api, count: int, path: str = "/api/v1/hosts", **headers: str) -> list[int]:
    """Send `count` requests and return their statuses."""
    statuses = []
    for _ in range(count):
        async with api.client.get(path, headers=headers) as response:
            statuses.append(response.status)
    return statuses


async def test_strangers_use_up_nothing_of_token_holders() -> None:
    """Nor does one token use up another's: a leaked viewer token or a busy dashboard locks no admin out."""
    async for api in start(tokens=TOKENS, per_second=5):
        assert await flood(api, 7) == [401] * 5 + [429] * 2
        assert await flood(api, 2, Authorization="Bearer wrong") == [429] * 2
        assert await flood(api, 7, path="/openapi.json") == [200] * 5 + [429] * 2
        assert await flood(api, 7, **bearer("look-only-1")) == [200] * 5 + [429] * 2
        assert await flood(api, 5, **bearer("all-3")) == [200] * 5
        async with api.client.post(ACT, json=STATUS, headers=bearer("work-2")) as response:
            assert response.status == 202


async def test_a_token_without_the_role_is_counted_as_that_token() -> None:
    async for api in start(tokens=TOKENS, per_second=5):
        for expected in [403] * 5 + [429]:
            async with api.client.post(ACT, json=STATUS, headers=bearer("look-only-1")) as response:
                assert response.status == expected
        assert await flood(api, 1) == [401]


@pytest.mark.parametrize("per_second", [5])
async def test_all_addresses_of_this_machine_are_one_source(per_second: float) -> None:
    """127.0.0.0/8 has sixteen million addresses, and any local program may use them."""
    async for api in start(per_second=per_second):
        statuses = []
        for number in range(1, 9):
            connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{number}", 0))
            async with aiohttp.ClientSession(api.url, connector=connector) as client, client.get("/metrics") as answer:
                statuses.append(answer.status)
        assert statuses == [200] * 5 + [429] * 3


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("127.0.0.1", "127.9.9.9", True),
        ("127.0.0.1", "::1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_which_addresses_are_one_source(one: str, other: str, is_same: bool) -> None:
    assert (source(one) == source(other)) is is_same


async def test_a_request_whose_token_was_revoked_is_not_carried_out() -> None:
    """The body arrives slowly, and the token is revoked meanwhile."""
    control = FakeControl()
    app = build_app(control, tokens=TOKENS, requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b'{"action":'
            begun.set()
            await go_on.wait()
            yield b'"off","reason":"x"}'

        asking = asyncio.create_task(client.post(ACT, data=slowly(), headers=bearer("work-2")))
        await begun.wait()
        # An answer on a second connection shows that the first request was let in by now.
        async with client.get("/api/v1/hosts", headers=bearer("work-2")) as response:
            assert response.status == 200
        reconfigure(app, tokens=[token("viewer", "work-2")], requests_per_second=100)
        go_on.set()
        async with await asking as response:
            assert response.status in (401, 403)
    assert control.calls == []

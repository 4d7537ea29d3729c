"""Who may do what over TCP: without tokens, with those of people and hosts; and what every answer has."""

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from fenced.api.access import EXPIRING_SECONDS, Access
from fenced.api.callers import Owner
from fenced.api.handlers import FLAWS_MAX
from fenced.api.server import build_app, expiring_tokens, reconfigure, serve
from fenced.model.api_tokens import ApiToken
from fenced.model.inventory import Secret
from fenced.ports.reloading import Flaw, OtherFile, ReloadVerdict
from tests.api.conftest import TOKENS, Api, expose, start
from tests.api.test_border import ACT, STATUS, bearer
from tests.fakes.control import FakeClock, FakeControl
from tests.fakes.samples import START
from tests.net import until
from tests.net_http import say

HEALTH = "/api/v1/health"
PEOPLE = (
    ApiToken(role="operator", person="alice", secret=Secret("alice-old"), until=START + 60),
    ApiToken(role="operator", person="alice", secret=Secret("alice-new")),
    ApiToken(role="viewer", person="bob", secret=Secret("bob-1"), until=START + 60),
    ApiToken(role="reporter", reports="node-1", secret=Secret("node-1-token")),
)


@pytest.fixture
async def closed() -> AsyncIterator[Api]:
    """Neither tokens nor `tcp_writes`: the default."""
    async for made in start(has_tcp_writes=False):
        yield made


@pytest.fixture
async def people() -> AsyncIterator[Api]:
    """Tokens of people and of a host."""
    async for made in start(tokens=PEOPLE):
        yield made


async def test_tcp_without_tokens_only_reads(closed: Api) -> None:
    """Every local user and every program of this machine could call it."""
    for path in ("/api/v1/hosts", "/metrics", "/readyz"):
        async with closed.client.get(path) as response:
            assert response.status == 200
    for method, path, body in (
        ("POST", ACT, STATUS),
        ("POST", "/api/v1/hosts/node-2/confirm-off", {"reason": "x"}),
        ("PUT", "/api/v1/hosts/node-2/maintenance", {"reason": "x"}),
        ("POST", "/api/v1/fleet/arm", None),
        ("POST", f"{HEALTH}/node-1", None),
    ):
        async with closed.client.request(method, path, json=body) as response:
            assert response.status == 403, path
            problem = await response.json()
        assert problem["rule"] == "tcp_writes"
        assert "api.socket" in problem["detail"]
        assert "tokens_file" in problem["detail"]
    assert closed.control.calls == []


async def test_a_reload_that_ends_tcp_writes_holds_at_once() -> None:
    control = FakeControl()
    app = build_app(control, tokens=(), has_tcp_writes=True, requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:
        stream = await client.get("/api/v1/events")
        await until(lambda: control.watchers == 1)
        reconfigure(app, tokens=(), requests_per_second=100)
        async with client.post(ACT, json=STATUS) as response:
            assert response.status == 403
        async with asyncio.timeout(5):
            await stream.read()  # whoever it was had more rights
    assert control.calls == []


async def test_a_token_of_a_person_names_the_person(people: Api) -> None:
    for token in ("alice-old", "alice-new"):  # both are valid while one replaces the other
        async with people.client.post(ACT, json=STATUS, headers={**bearer(token), "X-Fenced-By": "eve"}) as response:
            assert response.status == 202
    assert [call[3] for call in people.control.calls] == ["alice (token, operator) claiming eve"] * 2


async def test_an_expired_token_opens_nothing(people: Api) -> None:
    people.clock.at = START + 59.9
    async with people.client.get("/api/v1/hosts", headers=bearer("alice-old")) as response:
        assert response.status == 200
    people.clock.at = START + 60
    for method, path, body in (("GET", "/api/v1/hosts", None), ("POST", ACT, STATUS)):
        async with people.client.request(method, path, json=body, headers=bearer("alice-old")) as response:
            assert response.status == 401
            assert (await response.json())["rule"] == "expired"
    assert people.control.calls == []
    async with people.client.get("/api/v1/hosts", headers=bearer("alice-new")) as response:
        assert response.status == 200


async def test_with_expired_tokens_alone_tcp_stays_closed() -> None:
    async for api in start(tokens=PEOPLE[2:3]):
        api.clock.at = START + 1e6
        async with api.client.get("/api/v1/hosts") as response:
            assert response.status == 401


async def test_a_stream_ends_with_its_token(people: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenced.api.events.KEEP_ALIVE_SECONDS", 0.01)
    async with people.client.get("/api/v1/events", headers=bearer("bob-1")) as response:
        await until(lambda: people.control.watchers == 1)
        people.clock.at = START + 61
        async with asyncio.timeout(5):
            await response.read()


async def test_expiry_goes_by_the_wall_clock() -> None:
    """The daemon's steady clock may be years away from the wall clock."""
    for ahead, status in ((1e8, 200), (-1e8, 200), (-1e8 - 61, 401)):
        app = build_app(
            FakeControl(),
            tokens=PEOPLE,
            requests_per_second=100,
            metrics=expose,
            clock=FakeClock(START + 1e8 if ahead > 0 else START - 1e8),
            ahead_seconds=functools.partial(float, ahead),
        )
        async with (
            serve(app, "127.0.0.1:0") as serving,
            aiohttp.ClientSession(serving.url) as client,
            client.get("/api/v1/hosts", headers=bearer("bob-1")) as response,
        ):
            assert response.status == status


async def test_a_hosts_token_reports_this_host_and_nothing_else(people: Api) -> None:
    mine = bearer("node-1-token")
    async with people.client.post(f"{HEALTH}/node-1", headers=mine, data=b"") as response:
        assert response.status == 204
    for method, path, body in (
        ("POST", f"{HEALTH}/node-2", None),
        ("POST", f"{HEALTH}/NODE-1", None),
        ("POST", f"{HEALTH}/node-1%2F", None),
        ("GET", "/api/v1/hosts", None),
        ("GET", "/api/v1/hosts/node-1", None),
        ("GET", "/api/v1/events", None),
        ("GET", "/metrics", None),
        ("POST", "/api/v1/hosts/node-1/actions", STATUS),
        ("POST", "/api/v1/fleet/disarm", None),
    ):
        async with people.client.request(method, path, json=body, headers=mine) as response:
            assert response.status == 403, path
            assert (await response.json())["rule"] == "role"
    assert [beat.host for beat in people.control.healths] == ["node-1"]
    assert people.control.calls == []


async def test_a_token_that_became_a_hosts_own_acts_no_more() -> None:
    """A reload may give a token other rights while a request of it is under way."""
    access = Access(owner=Owner(uid=1, group=1))
    access.replace(PEOPLE, has_tcp_writes=False)
    token = PEOPLE[1]
    request = make_mocked_request("GET", "/", headers=bearer(token.secret.reveal()))
    principal = access.principal(request, None, wall_now=START)
    assert access.is_valid(principal, wall_now=START)
    for changed in (
        replace(token, role="viewer"),
        replace(token, person="bob"),
        replace(token, role="reporter", person="", reports="node-1"),
        replace(token, until=START - 1),
    ):
        access.replace([changed], has_tcp_writes=False)
        assert not access.is_valid(principal, wall_now=START)


async def test_tokens_that_end_soon_are_announced_without_names() -> None:
    """Whoever has a successor already is not: the exchange is under way."""
    soon = START + EXPIRING_SECONDS - 60
    for tokens, count in (
        (PEOPLE, 1),
        ([replace(PEOPLE[0], until=soon)], 1),
        ([replace(PEOPLE[0], until=soon + 120)], 0),
        ([replace(PEOPLE[0], until=START - 1)], 0),
    ):
        app = build_app(FakeControl(), tokens=tokens, requests_per_second=1, metrics=expose, clock=FakeClock())
        said = expiring_tokens(app)
        assert said.startswith(f"{count} API tokens") if count else said == ""
        assert "alice" not in said
        assert "bob" not in said


async def test_listed_names_are_ours_and_with_tokens_a_list_closes_all_others() -> None:
    for tokens in ((), TOKENS):
        async for api in start(tokens=tokens, hosts=("fenced.example.org",)):
            for host, status in (
                ("fenced.example.org:8470", 200),
                ("FENCED.example.org.", 200),
                ("localhost", 200),
                ("evil.example", 403),
                ("fenced.example.org.evil.example", 403),
            ):
                async with api.client.get("/api/v1/hosts", headers={"Host": host, **bearer("all-3")}) as response:
                    assert response.status == status, (host, bool(tokens))
            origin = {"Host": "fenced.example.org", "Origin": "http://fenced.example.org", **bearer("all-3")}
            async with api.client.post(ACT, json=STATUS, headers=origin) as response:
                assert response.status == 202


async def test_head_is_a_get_without_its_body(guarded_api: Api) -> None:
    for path in ("/api/v1/hosts", "/api/v1/hosts/node-1", "/metrics", "/readyz", "/openapi.json"):
        async with guarded_api.client.get(path, headers=bearer("look-only-1")) as got:
            length = len(await got.read())
        async with guarded_api.client.head(path, headers=bearer("look-only-1")) as response:
            assert (response.status, await response.read()) == (200, b"")
            assert int(response.headers["Content-Length"]) == length
    async with guarded_api.client.head("/api/v1/events", headers=bearer("look-only-1")) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
    assert guarded_api.control.watchers == 0
    for path, headers, status in (("/api/v1/hosts", {}, 401), (ACT, bearer("all-3"), 405)):
        async with guarded_api.client.head(path, headers=headers) as response:
            assert response.status == status


async def test_every_answer_forbids_guessing_and_shows_no_version(people: Api) -> None:
    port = int(people.url.rpartition(":")[2])
    for sent, status in (
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n", 415),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
    ):
        heard = await say(port, sent)
        assert heard.statuses == (status,), sent
        assert "X-Content-Type-Options: nosniff" in heard.text
        assert "Server: fenced\r\n" in heard.text
        assert "aiohttp" not in heard.text


async def test_a_reload_is_an_admins_and_its_verdict_has_all_mistakes() -> None:
    flaws = tuple(Flaw(place=f"fenced.toml: key{number}", reason="wrong") for number in range(FLAWS_MAX + 5))
    verdicts = [
        ReloadVerdict(changes=("a: 1 -> 2",), warnings=("w",), restart=("power.warm_agents",)),
        ReloadVerdict(refused="1005 errors", flaws=flaws),
        ReloadVerdict(refused="bus.url changed", restart=("bus.url",)),
    ]
    asked: list[str] = []

    async def reload(file: str) -> ReloadVerdict:
        asked.append(file)
        if file == "/other":
            raise OtherFile("this daemon reads /etc/fenced/fenced.toml, not /other")
        return verdicts.pop(0)

    app = build_app(
        FakeControl(), tokens=TOKENS, requests_per_second=100, metrics=expose, clock=FakeClock(), reload=reload
    )
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:

        async def ask(token: str, file: str = "/etc/fenced/fenced.toml") -> tuple[int, dict[str, Any]]:
            async with client.post("/api/v1/reload", json={"file": file}, headers=bearer(token)) as response:
                return response.status, await response.json()

        for token in ("look-only-1", "work-2"):
            assert (await ask(token))[0] == 403
        assert asked == []
        status, body = await ask("all-3", "/other")
        assert (status, body["rule"]) == (409, "file")
        accepted = {"changes": ["a: 1 -> 2"], "warnings": ["w"], "restart": ["power.warm_agents"]}
        assert await ask("all-3") == (200, accepted)
        status, body = await ask("all-3")
        assert (status, body["rule"], body["detail"], len(body["errors"])) == (
            409,
            "reload",
            "1005 errors",
            FLAWS_MAX + 1,
        )
        assert body["errors"][0] == {"path": "fenced.toml: key0", "reason": "wrong"}
        assert body["errors"][-1]["reason"] == "and 5 more"
        status, body = await ask("all-3")
        assert (status, body["errors"]) == (409, [{"path": "bus.url", "reason": "needs a restart"}])

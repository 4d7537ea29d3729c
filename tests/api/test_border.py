"""The border: roles, rate limits, faults, pages of other sites, hostile bodies, TLS."""

import contextlib
import json
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenced.api.access import Access
from fenced.api.callers import Owner
from fenced.api.limits import CLIENTS_MAX, RateLimit
from fenced.api.listening import ApiError
from fenced.api.server import SERVICES, build_app, reconfigure, serve
from fenced.api.times import parse_until
from fenced.model.api_tokens import ApiToken
from fenced.model.inventory import Secret
from fenced.model.moments import rfc3339
from tests.api.certificates import make_certificate
from tests.api.conftest import TOKENS, Api, expose
from tests.api.ctl import ctl
from tests.fakes.control import FakeClock, FakeControl
from tests.fakes.samples import START

ACT = "/api/v1/hosts/node-2/actions"
STATUS = {"action": "status"}


def token(role: str, text: str) -> ApiToken:
    return ApiToken(role=role, secret=Secret(text))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("method", "path", "body", "viewer", "operator", "admin"),
    [
        ("GET", "/api/v1/hosts", None, 200, 200, 200),
        ("GET", "/api/v1/operations/1-7", None, 200, 200, 200),
        ("GET", "/metrics", None, 200, 200, 200),
        ("POST", ACT, STATUS, 403, 202, 202),
        ("PUT", "/api/v1/hosts/node-2/maintenance", {"reason": "x"}, 403, 200, 200),
        ("POST", "/api/v1/pauses", {"reason": "x"}, 403, 201, 201),
        ("POST", "/api/v1/fleet/disarm", None, 403, 200, 200),
        ("POST", "/api/v1/health/node-1", None, 403, 204, 204),
        ("POST", "/api/v1/hosts/node-2/confirm-off", {"reason": "x"}, 403, 403, 202),
    ],
)
async def test_roles(
    guarded_api: Api, method: str, path: str, body: object, viewer: int, operator: int, admin: int
) -> None:
    client = guarded_api.client
    for headers in ({}, bearer("wrong"), {"Authorization": "Basic YTpi"}, bearer("")):
        async with client.request(method, path, json=body, headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    for token, status in (("look-only-1", viewer), ("work-2", operator), ("all-3", admin)):
        async with client.request(method, path, json=body, headers=bearer(token)) as response:
            assert response.status == status
            if status == 403:
                assert (await response.json())["rule"] == "role"


async def test_liveness_and_the_document_need_no_token(guarded_api: Api) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        async with guarded_api.client.get(path) as response:
            assert response.status == 200


async def test_the_proven_role_is_recorded_with_the_claimed_name(guarded_api: Api) -> None:
    for headers in (bearer("work-2"), {**bearer("all-3"), "X-Fenced-By": "alice"}):
        async with guarded_api.client.post(ACT, json=STATUS, headers=headers) as response:
            assert response.status == 202
    assert [call[3] for call in guarded_api.control.calls] == ["operator", "alice (admin)"]


async def test_tokens_are_replaced_while_it_runs_whole_or_not_at_all() -> None:
    app = build_app(FakeControl(), tokens=TOKENS, requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:

        async def status(token: str) -> int:
            async with client.get("/api/v1/hosts", headers=bearer(token)) as response:
                return response.status

        with pytest.raises(ValueError, match="unknown role"):
            reconfigure(app, tokens=[token("viewer", "n"), token("root", "m")], requests_per_second=100)
        assert await status("work-2") == 200
        reconfigure(app, tokens=[token("operator", "new-4")], requests_per_second=100)
        assert (await status("work-2"), await status("new-4")) == (401, 200)


def test_secrets_are_not_kept_in_the_clear() -> None:
    access = Access(owner=Owner(uid=1, group=1))
    access.replace(TOKENS, has_tcp_writes=False)
    assert "work-2" not in repr(access)


async def test_a_client_over_its_limit_gets_retry_after(narrow_api: Api) -> None:
    statuses = []
    for _ in range(8):
        async with narrow_api.client.get("/api/v1/hosts") as response:
            statuses.append(response.status)
            retry_after = response.headers.get("Retry-After")
    assert statuses == [200] * 5 + [429] * 3
    assert retry_after == "1"
    async with narrow_api.client.get("/healthz") as response:
        assert response.status == 200  # health checks have no limit
    narrow_api.clock.at += 0.21
    async with narrow_api.client.get("/api/v1/hosts") as response:
        assert response.status == 200


def test_the_limit_remembers_a_bounded_number_of_clients() -> None:
    limit = RateLimit(1.0)
    for number in range(CLIENTS_MAX + 10):
        assert limit.wait_seconds(f"client-{number}", START) == 0.0
    assert limit.clients == CLIENTS_MAX
    assert limit.wait_seconds(f"client-{CLIENTS_MAX}", START) == pytest.approx(1.0)
    assert limit.wait_seconds("client-0", START) == 0.0


async def test_a_page_of_another_site_can_not_act_through_a_browser(api: Api) -> None:
    host = api.url.removeprefix("http://")
    for origin, status in (
        ("https://evil.example", 403),
        ("null", 403),
        (f"http://{host}", 202),
    ):
        async with api.client.post(ACT, json=STATUS, headers={"Origin": origin}) as response:
            assert response.status == status, origin
    rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
    async with api.client.post(ACT, json=STATUS, headers=rebound) as response:
        assert response.status == 403
        assert (await response.json())["rule"] == "host"


PATHS = (
    "/api/v1/hosts", "/api/v1/events", "/metrics", "/healthz", "/readyz", "/openapi.json", "/api/v1/nothing", ACT,
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_without_tokens_a_foreign_host_header_is_refused(api: Api, method: str, path: str) -> None:
    for host in (
        "evil.example",
        "127.0.0.1.evil.example:8470",
        "0.0.0.0",
        "localhost.evil.example",
        "[fd00::1]",
        "a b",
        "127.0.0.1:8470,evil",
        "127.0.0.1,evil.example",
        "127.0.0.1:evil",
        "127.0.0.1@evil.example",
        "evil@127.0.0.1",
        "127.0.0.1/evil",
        "127.0.0.1?evil",
        "127.0.0.1#evil",
        "[::1]evil",
        "[::1",
        "::1",
        "",
    ):
        async with api.client.request(method, path, headers={"Host": host}) as response:
            assert response.status == 403, host
            if method != "HEAD":
                assert response.content_type == "application/problem+json"
                assert (await response.json())["rule"] == "host"
    assert api.control.calls == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8470", "localhost.", "127.0.0.1", "127.3.2.1:1", "[::1]:8470", "[::ffff:127.0.0.1]"],
)
async def test_loopback_names_and_addresses_are_ours(api: Api, host: str) -> None:
    for path in ("/api/v1/hosts", "/metrics"):
        async with api.client.get(path, headers={"Host": host}) as response:
            assert response.status == 200, path


async def test_with_tokens_every_host_header_is_accepted(guarded_api: Api) -> None:
    headers = {"Host": "fenced.example.org:9", "Authorization": "Bearer look-only-1"}
    async with guarded_api.client.get("/metrics", headers=headers) as response:
        assert response.status == 200


async def test_every_fault_of_a_body_is_reported(api: Api) -> None:
    body = {"action": "explode", "reason": "a\nb", "force": "yes", "by": "x" * 65}
    async with api.client.post(ACT, json=body) as response:
        assert response.status == 422
        problem = await response.json()
    assert {fault["path"] for fault in problem["errors"]} == {"action", "reason", "force", "by"}
    assert all(fault["reason"] for fault in problem["errors"])
    assert api.control.calls == []


@pytest.mark.parametrize(
    "until", ["", "yesterday", "2h ago", "2020-01-01T00:00:00Z", "2027-01-15T09:00:00", "9999d", 3600, True, "-1h"]
)
async def test_a_bad_until_is_refused(api: Api, until: object) -> None:
    body = {"reason": "x", "until": until}
    for method, path in (("PUT", "/api/v1/hosts/node-1/maintenance"), ("POST", "/api/v1/pauses")):
        async with api.client.request(method, path, json=body) as response:
            assert response.status == 422
            assert [fault["path"] for fault in (await response.json())["errors"]] == ["until"]


@pytest.mark.parametrize("ahead", [-1e9, 2.3e9])
def test_until_is_read_by_the_wall_clock_and_kept_by_the_steady_clock(ahead: float) -> None:
    """The steady clock is decades away from the wall clock, which shows START."""
    wall = rfc3339(START + 3600.0)
    assert parse_until(wall, START + ahead, ahead) == START + ahead + 3600.0
    assert parse_until("2h", START + ahead, ahead) == START + ahead + 7200.0
    with pytest.raises(ValueError, match="passed"):
        parse_until("2020-01-01T00:00:00Z", START + ahead, ahead)


@pytest.mark.parametrize(
    "query", ["state=dead", "limit=0", "limit=1001", "limit=ten", "after=", "sate=fenced", "state=dead&limit=0"]
)
async def test_a_bad_query_is_refused(api: Api, query: str) -> None:
    async with api.client.get(f"/api/v1/hosts?{query}") as response:
        assert response.status == 422
        assert len((await response.json())["errors"]) == query.count("&") + 1


async def test_a_body_larger_than_64_kib_is_refused(api: Api) -> None:
    body = json.dumps({"action": "status", "padding": "x" * 70_000})
    async with api.client.post(ACT, data=body) as response:
        assert response.status == 413
        assert response.content_type == "application/problem+json"
    async with api.client.post(ACT, data=json.dumps({"action": "status", "padding": "x" * 60_000})) as response:
        assert response.status == 202


async def test_a_bomb_is_refused(api: Api) -> None:
    for body in (b"[" * 60_000, b'{"a":' * 10_000, b'{"action":"status","x":' + b"[" * 5_000, b"\xff\xfe", b"1" * 9000):
        async with api.client.post(ACT, data=body) as response:
            assert response.status == 422


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from(
    ["action", "reason", "force", "by", "host", "until", "match", "boot", "seq", "status", "interval", "roles"]
)
bodies = st.binary(max_size=200) | st.dictionaries(known_keys | st.text(max_size=8), json_values, max_size=8).map(
    lambda value: json.dumps(value).encode()
)
TARGETS = (
    ("POST", ACT),
    ("POST", "/api/v1/hosts/node-2/confirm-off"),
    ("PUT", "/api/v1/hosts/node-2/maintenance"),
    ("DELETE", "/api/v1/hosts/node-2/maintenance"),
    ("POST", "/api/v1/pauses"),
    ("POST", "/api/v1/fleet/disarm"),
    ("POST", "/api/v1/store/release"),
    ("POST", "/api/v1/health/node-1"),
    ("POST", "/api/v1/operations/1-7/cancel"),
)


async def test_no_body_breaks_the_server(api: Api) -> None:
    """Every answer is below 500 and valid JSON, and the loop still runs afterwards."""
    answers = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target=st.sampled_from(TARGETS), body=bodies)
    def collect(target: tuple[str, str], body: bytes) -> None:
        answers.append((target, body))

    collect()
    for (method, path), body in answers:
        async with api.client.request(method, path, data=body) as response:
            assert response.status < 500, (path, body)
            if response.status != 204:
                await response.json(content_type=None)
    async with api.client.get("/healthz") as response:
        assert response.status == 200


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=80))
def test_no_name_breaks_the_parsers_of_times(name: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_until(name, START) > START


async def test_listening_fails_with_what_to_do(tmp_path: Path) -> None:
    app = build_app(FakeControl(), tokens=(), requests_per_second=10, metrics=expose, clock=FakeClock())
    assert app[SERVICES].limit.clients == 0
    with pytest.raises(ApiError, match="address:port"):
        async with serve(app, "nonsense"):
            pass
    with pytest.raises(ApiError, match="tls_cert_file"):
        async with serve(app, "127.0.0.1:0", tls_cert_file=str(tmp_path / "none.pem")):
            pass


async def test_tls_end_to_end(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    app = build_app(FakeControl(), tokens=(), requests_per_second=100, metrics=expose, clock=FakeClock())
    async with serve(app, "127.0.0.1:0", tls_cert_file=str(cert), tls_key_file=str(key)) as serving:
        assert serving.url.startswith("https://")
        trusting = await ctl(serving.url, "--ca-file", str(cert), "hosts")
        assert trusting.code == 0, trusting
        doubting = await ctl(serving.url, "hosts")
        assert doubting.code == 4
        assert "--ca-file" in doubting.err
        assert (await ctl(serving.url, "--ca-file", str(key), "hosts")).code == 4


async def test_a_port_in_use_is_reported(api: Api) -> None:
    app = build_app(FakeControl(), tokens=(), requests_per_second=10, metrics=expose, clock=FakeClock())
    with pytest.raises(ApiError, match="can't listen on"):
        async with serve(app, api.url.removeprefix("http://")):
            pass

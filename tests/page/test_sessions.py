"""Who gets in: a token becomes a session, which is good at every controller and ends with the token."""

import pytest

from fenced.api.page.sessions import SESSION_SECONDS
from fenced.api.server import reconfigure
from fenced.model.api_tokens import ApiToken
from fenced.model.inventory import Secret
from tests.api.conftest import TOKENS, Api, start
from tests.page.visitor import Visitor, visitor

OPERATOR = "work-2"
NEW = (*TOKENS[:1], ApiToken(role="operator", secret=Secret("work-3")), *TOKENS[2:])


async def test_without_a_session_every_page_leads_to_the_login_and_back(guarded_api: Api) -> None:
    async with visitor(guarded_api) as browser:
        answer = await browser.get("/hosts/node-1?at=10m")
        assert (answer.status, answer.location) == (303, "/login?next=%2Fhosts%2Fnode-1%3Fat%3D10m")
        form = (await browser.get(answer.location)).form("/login")
        answer = await browser.post("/login", {**form.fields, "secret": OPERATOR})
        assert (answer.status, answer.location) == (303, "/hosts/node-1?at=10m")
        assert (await browser.get(answer.location)).status == 200


async def test_the_cookie_is_kept_from_scripts_and_other_sites(guarded_api: Api) -> None:
    async with visitor(guarded_api) as browser:
        cookie = (await browser.log_in(OPERATOR)).cookies["fenced_session"]
    words = {word.strip().lower() for word in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", f"max-age={SESSION_SECONDS:.0f}"} <= words
    assert "secure" not in words  # the test's server has no TLS
    assert OPERATOR not in cookie


@pytest.mark.parametrize("secret", ["", "work-3", "look-only", "\x00", "ä" * 5000])
async def test_a_wrong_token_is_refused_in_words(guarded_api: Api, secret: str) -> None:
    async with visitor(guarded_api) as browser:
        answer = await browser.log_in(secret)
        assert (answer.status, browser.cookies) == (403, {})
        assert "no token of this daemon" in answer.text
        assert answer.has_form("/login")


async def test_a_token_of_a_host_opens_nothing() -> None:
    token = ApiToken(role="reporter", reports="node-1", secret=Secret("node-1-token"))
    async for api in start(tokens=(*TOKENS, token)):
        async with visitor(api) as browser:
            assert (await browser.log_in("node-1-token")).status == 403
            assert browser.cookies == {}


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", "", "/\n/x"]
)
async def test_the_login_leads_to_no_other_site(guarded_api: Api, wanted: str) -> None:
    async with visitor(guarded_api) as browser:
        form = (await browser.get("/login")).form("/login")
        answer = await browser.post("/login", {**form.fields, "secret": OPERATOR, "next": wanted})
        assert (answer.status, answer.location) == (303, "/")


async def test_a_session_is_good_at_every_controller_with_the_token(guarded_api: Api) -> None:
    async for other in start(tokens=TOKENS):
        async with visitor(guarded_api, OPERATOR) as first, visitor(other) as second:
            second.cookies = dict(first.cookies)
            assert (await second.get("/")).status == 200
            answer = await second.fill("/pauses", "/pauses", match="*", reason="switch work")
            assert answer.status == 303
        assert [pause.reason for pause in other.control.pauses] == ["switch work"]


async def test_a_form_of_one_controller_is_obeyed_by_another(guarded_api: Api) -> None:
    """As where both are behind one name."""
    async for other in start(tokens=TOKENS):
        async with visitor(guarded_api, OPERATOR) as first, visitor(other) as second:
            form = (await first.get("/pauses")).form("/pauses")
            second.cookies = dict(first.cookies)
            assert (await second.post("/pauses", {**form.fields, "reason": "switch work"})).status == 303
        async with visitor(guarded_api) as first, visitor(other) as second:
            form = (await first.get("/login")).form("/login")
            assert (await second.post("/login", {**form.fields, "secret": OPERATOR})).status == 303


async def test_a_session_ends_with_its_token(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as browser, visitor(guarded_api, "all-3") as admin:
        reconfigure(guarded_api.app, tokens=NEW, requests_per_second=1000)
        assert (await browser.get("/")).location == "/login?next=%2F"
        assert (await admin.get("/")).status == 200


async def test_a_session_ends_after_twelve_hours_unless_it_is_used(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as idle, visitor(guarded_api, OPERATOR) as used:
        before = dict(used.cookies)
        for _ in range(3):
            guarded_api.clock.at += SESSION_SECONDS * 0.6
            assert (await used.get("/")).status == 200
        assert used.cookies != before
        assert (await idle.get("/")).status == 303


async def test_a_forged_cookie_opens_nothing(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as browser:
        (name, good), = browser.cookies.items()  # fmt: skip
        version, mark, ends, nonce, signature = good.split(".")
        later = f"{version}.{mark}.{int(ends) + 3600}.{nonce}.{signature}"
        for forged in (
            later, good[:-1] + ("0" if good[-1] != "0" else "1"), f"{version}.{mark}.{ends}.{nonce}.", "....", "1.2.3",
            f"{version}.{'0' * 24}.{ends}.{nonce}.{signature}", f"2.{mark}.{ends}.{nonce}.{signature}", "é" * 40,
            f"{version}.{mark}.{ends}.{nonce}.{signature}é",
        ):  # fmt: skip
            browser.cookies = {name: forged.encode("ascii", "replace").decode()}
            assert (await browser.get("/")).status == 303, forged


async def test_who_logs_out_is_out(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as browser:
        answer = await browser.fill("/", "/logout")
        assert (answer.status, answer.location, browser.cookies) == (303, "/login", {})
        assert (await browser.get("/")).status == 303


async def test_the_cookie_opens_no_route_of_the_api(guarded_api: Api) -> None:
    """So no page of another site can use it there."""
    async with visitor(guarded_api, OPERATOR) as browser:
        assert (await browser.get("/api/v1/hosts")).status == 401


async def test_a_bearer_token_opens_pages_too(guarded_api: Api) -> None:
    async with visitor(guarded_api) as browser:
        assert (await browser.get("/", Authorization=f"Bearer {OPERATOR}")).status == 200
        assert (await browser.get("/", Authorization="Bearer wrong")).status == 401


async def test_without_tokens_nobody_logs_in(api: Api) -> None:
    async with visitor(api) as browser:
        assert (await browser.get("/")).status == 200
        assert "has no tokens" in (await browser.get("/login")).text


# -- forms ------------------------------------------------------------------------------------------------------------


async def _refused(browser: Visitor, fields: dict[str, str], **headers: str) -> str:
    answer = await browser.post("/pauses", fields, **headers)
    assert answer.status == 403, answer.text
    return answer.text


async def test_a_form_needs_its_token_and_its_origin(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as browser, visitor(guarded_api, "all-3") as other:
        good = {**(await browser.get("/pauses")).form("/pauses").fields, "reason": "r"}
        foreign = (await other.get("/pauses")).form("/pauses").fields["form"]
        assert "not of your session" in await _refused(browser, {**good, "form": ""})
        assert "not of your session" in await _refused(browser, {**good, "form": good["form"][:-1] + "x"})
        assert "not of your session" in await _refused(browser, {**good, "form": foreign})
        assert "does not say" in await _refused(browser, good, Origin="")
        assert "another site" in await _refused(browser, good, Origin="https://evil.example")
        assert "another site" in await _refused(browser, good, Origin="null")
        assert guarded_api.control.pauses == []
        assert (await browser.post("/pauses", good)).status == 303
        assert len(guarded_api.control.pauses) == 1


@pytest.mark.parametrize("token", ["%ff%fe.%ff", "%ed%b2%80.%ed%b2%80", "%00", "." * 60, "a" * 60_000])
async def test_a_token_of_any_bytes_is_refused(guarded_api: Api, token: str) -> None:
    async with visitor(guarded_api, OPERATOR) as browser, browser.client.post(
        f"{guarded_api.url}/pauses", data=f"form={token}&match=*&reason=r".encode(),
        headers={"Origin": guarded_api.url, "Content-Type": "application/x-www-form-urlencoded",
                 "Cookie": f"fenced_session={browser.cookies['fenced_session']}"},
    ) as response:  # fmt: skip
        assert response.status in {403, 422}
    assert guarded_api.control.pauses == []


async def test_a_form_without_tokens_needs_the_same(api: Api) -> None:
    async with visitor(api) as browser:
        good = {**(await browser.get("/pauses")).form("/pauses").fields, "reason": "r"}
        assert "not of your session" in await _refused(browser, {**good, "form": "0.0"})
        assert "another site" in await _refused(browser, good, Origin="https://evil.example")
        assert (await browser.post("/pauses", good)).status == 303


async def test_each_form_has_another_token(guarded_api: Api) -> None:
    """A compressed page with a token that stays can be guessed by its length."""
    async with visitor(guarded_api, OPERATOR) as browser:
        tokens = {(await browser.get("/pauses")).form("/pauses").fields["form"] for _ in range(3)}
    assert len(tokens) == 3


async def test_a_token_is_in_no_address_and_no_page(guarded_api: Api) -> None:
    async with visitor(guarded_api, OPERATOR) as browser:
        for path in ("/", "/hosts/node-1", "/pauses", "/operations/1-7"):
            answer = await browser.get(path)
            assert OPERATOR not in answer.text
            assert browser.cookies["fenced_session"] not in answer.text
            assert all("form=" not in link for link in answer.reader.links)


# -- roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "acts", "confirms"), [("look-only-1", False, False), (OPERATOR, True, False), ("all-3", True, True)]
)
async def test_a_role_sees_and_may_what_it_has(guarded_api: Api, secret: str, acts: bool, confirms: bool) -> None:
    async with visitor(guarded_api, secret) as browser:
        host = await browser.get("/hosts/node-2")
        assert ("/hosts/node-2/off" in host.reader.links) is acts
        assert ("/hosts/node-2/confirm-off" in host.reader.links) is confirms
        assert (await browser.get("/pauses")).has_form("/pauses") is acts
        assert (await browser.get("/hosts/node-2/off")).status == (200 if acts else 403)
        assert (await browser.get("/hosts/node-2/confirm-off")).status == (200 if confirms else 403)
        token = (await browser.get("/")).form("/logout").fields["form"]
        for path, may in (("/pauses", acts), ("/hosts/node-2/status", acts), ("/hosts/node-2/confirm-off", confirms)):
            answer = await browser.post(path, {"form": token, "match": "*", "reason": "r", "typed": "node-2"})
            assert (answer.status == 403) is not may, (path, answer.text)


async def test_over_tcp_without_tokens_the_page_only_shows() -> None:
    async for api in start(has_tcp_writes=False):
        async with visitor(api) as browser:
            page = await browser.get("/pauses")
            assert not page.has_form("/pauses")
            answer = await browser.post("/pauses", {"match": "*", "reason": "r"})
            assert answer.status == 403
            assert "over TCP without tokens the API only reads" in answer.text
        assert api.control.pauses == []

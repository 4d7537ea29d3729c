"""Unwanted bodies: compressed, endless, slow, or from strangers. The server unpacks none and waits only briefly."""

import time

import pytest

from fenced.api import border
from tests.api.conftest import Api
from tests.net_http import bomb, request, say

ACT = "/api/v1/hosts/node-2/actions"
TOKEN = "Authorization: Bearer work-2"
GOOD = b'{"action":"status"}'
ENCODED = {
    "gzip": ["Content-Encoding: gzip"],
    "x-gzip in capitals": ["Content-Encoding: X-GZIP"],
    "deflate": ["Content-Encoding: deflate"],
    "br": ["Content-Encoding: br"],
    "zstd": ["Content-Encoding: zstd"],
    "a list": ["Content-Encoding: identity, gzip"],
    "two headers": ["Content-Encoding: identity", "Content-Encoding: gzip"],
    "unknown": ["Content-Encoding: cheese"],
}


def port(api: Api) -> int:
    return int(api.url.rpartition(":")[2])


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("headers", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("token", [(), (TOKEN,)])
async def test_a_compressed_body_is_refused_and_the_connection_ends(
    guarded_api: Api, token: tuple[str, ...], headers: list[str], is_chunked: bool
) -> None:
    sent = request("POST", ACT, *token, *headers, body=GOOD, is_chunked=is_chunked)
    heard = await say(port(guarded_api), sent)
    assert heard.statuses == (415,) and heard.is_closed
    assert "application/problem+json" in heard.text
    assert guarded_api.control.calls == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/metrics", "/api/v1/events", "/nothing"])
async def test_a_compressed_body_is_refused_on_every_path(guarded_api: Api, path: str) -> None:
    heard = await say(port(guarded_api), request("POST", path, "Content-Encoding: gzip", body=bomb(1)))
    assert heard.statuses == (415,) and heard.is_closed


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, gzip", "identity"])
async def test_a_compressed_transfer_is_refused(guarded_api: Api, coding: str) -> None:
    sent = request("POST", ACT, TOKEN, f"Transfer-Encoding: {coding}") + b"5\r\nhello\r\n0\r\n\r\n"
    heard = await say(port(guarded_api), sent)
    assert heard.statuses in ((), (400,), (415,)) and heard.is_closed
    assert guarded_api.control.calls == []


async def test_the_identity_encoding_is_accepted(guarded_api: Api) -> None:
    sent = request("POST", ACT, TOKEN, "Content-Encoding: identity", body=GOOD)
    assert (await say(port(guarded_api), sent, patience=0.2)).statuses == (202,)


async def test_bombs_cost_no_more_than_bodies_of_their_size(guarded_api: Api) -> None:
    """Unpacked while parsed, behind a 401, 40 bombs of 194 kB blocked the loop for 35 s."""
    plain, packed = bytes(60_000), bomb(60)

    async def cost(body: bytes, *headers: str) -> float:
        started = time.process_time()
        for _ in range(10):
            await say(port(guarded_api), request("POST", ACT, *headers, body=body))
        return time.process_time() - started

    floor = await cost(plain)
    assert await cost(packed, "Content-Encoding: gzip") < 5 * floor + 0.1


@pytest.mark.parametrize(
    ("headers", "status"),
    [((), 401), (("Authorization: Bearer wrong",), 401), (("Authorization: Bearer look-only-1",), 403)],
)
async def test_a_strangers_connection_ends_with_the_answer(
    guarded_api: Api, headers: tuple[str, ...], status: int
) -> None:
    heard = await say(port(guarded_api), request("POST", ACT, *headers, body=GOOD) * 2)
    assert heard.statuses == (status,) and heard.is_closed


async def test_a_foreign_host_or_origin_ends_the_connection(api: Api) -> None:
    for header in ("Origin: http://evil.example", "X-Nothing: 1"):
        sent = request("POST", ACT, header, body=GOOD)
        if header.startswith("X"):
            sent = sent.replace(b"Host: 127.0.0.1", b"Host: evil.example")
        heard = await say(port(api), sent)
        assert heard.statuses == (403,) and heard.is_closed


async def test_a_body_that_is_too_large_ends_the_connection(guarded_api: Api) -> None:
    heard = await say(port(guarded_api), request("POST", ACT, TOKEN, body=bytes(70_000), length=10_000_000))
    assert heard.statuses == (413,) and heard.is_closed


async def test_a_slow_body_times_out(guarded_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "BODY_TIMEOUT_SECONDS", 0.2)
    for is_chunked in (False, True):
        head = request("POST", ACT, TOKEN, length=None if is_chunked else 1000, is_chunked=is_chunked)
        heard = await say(port(guarded_api), head, *[b"1\r\n{\r\n"] * 60, pause=0.05)
        assert heard.statuses == (408,) and heard.is_closed


@pytest.mark.parametrize("headers", [("Authorization: Bearer wrong",), (TOKEN,)])
async def test_an_unread_body_is_not_waited_for(guarded_api: Api, headers: tuple[str, ...]) -> None:
    """After a rejection, and with a GET, which takes no body."""
    heard = await say(
        port(guarded_api), request("GET", "/api/v1/hosts", *headers, is_chunked=True), *[b"1\r\n{\r\n"] * 40, pause=0.1
    )
    assert heard.statuses[0] in (200, 401) and heard.is_closed


async def test_a_caller_is_admitted_before_100_continue(guarded_api: Api) -> None:
    """`Expect: 100-continue`: the 100 asks for the body."""
    for headers, statuses in (
        ((TOKEN,), (100, 202)),
        ((), (401,)),
        ((TOKEN, "Content-Encoding: gzip"), (415,)),
        (("Authorization: Bearer look-only-1",), (403,)),
    ):
        head = request("POST", ACT, *headers, "Expect: 100-continue", length=len(GOOD))
        heard = await say(port(guarded_api), head, GOOD if 202 in statuses else b"", patience=2.0, pause=0.1)
        assert heard.statuses == statuses, headers


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 24)


async def test_an_upgrade_is_ignored_and_hides_no_body(guarded_api: Api) -> None:
    for path in ("/api/v1/events", "/api/v1/hosts"):
        heard = await say(port(guarded_api), request("GET", path, *UPGRADE) + bomb(20))
        assert heard.statuses[0] == 401 and heard.is_closed
        heard = await say(port(guarded_api), request("GET", path, *UPGRADE, "Content-Encoding: gzip") + bomb(20))
        assert heard.statuses[0] == 415 and heard.is_closed


async def test_a_multipart_body_is_a_plain_body(guarded_api: Api) -> None:
    parts = b"".join(b"--x\r\nContent-Encoding: gzip\r\n\r\n%d\r\n" % number for number in range(1500)) + b"--x--\r\n"
    sent = request("POST", ACT, TOKEN, "Content-Type: multipart/form-data; boundary=x", body=parts[:60_000])
    heard = await say(port(guarded_api), sent, patience=1.0)
    assert heard.statuses == (422,)
    assert guarded_api.control.calls == []


async def test_invalid_http_is_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A flood of it would fill the disk, and the log would show a token of a broken header."""
    heard = await say(port(api), b"GET / HTTP/1.1\r\nAuthorization Bearer tok-in-a-broken-line\r\n\r\n")
    assert heard.statuses == (400,) and heard.is_closed
    assert caplog.text == ""


async def test_a_duplicate_key_is_refused(guarded_api: Api) -> None:
    twice = GOOD.rstrip(b"}") + b", " + GOOD.lstrip(b"{")
    heard = await say(port(guarded_api), request("POST", ACT, TOKEN, body=twice), patience=0.2)
    assert heard.statuses == (422,) and "occurs twice" in heard.text
    assert guarded_api.control.calls == []

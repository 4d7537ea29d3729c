"""Any request to the API: never a 5xx, and every answer is one that the OpenAPI document describes.

Requests are made from the document: its paths, queries and bodies, changed until they are rubbish; and raw bytes.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import jsonschema  # type: ignore[import-untyped]  # brings no types
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenced.api.openapi import document
from fenced.api.routes import ROUTES
from fenced.api.server import build_app, serve
from tests.api.conftest import expose
from tests.fakes.control import FakeClock, FakeControl
from tests.fuzz.given import changed, fuzz, hostile
from tests.fuzz.served import Answered, beside, exchange, written

DOCUMENT: Final = document(ROUTES)
STREAM: Final = "/api/v1/events"
GOOD: Final[dict[str, Any]] = {
    "action": "status", "reason": "tests", "by": "me", "force": True, "host": "node-1", "until": "2h", "match": "*",
    "boot": "b", "seq": 3, "status": "ok", "interval": 2.5, "workloads": 1, "roles": ["spm"],
}  # fmt: skip
NAMES: Final = st.sampled_from(
    ["node-1", "node-2", "node-3", "1-7", "nobody", "..", "%00", "%ff", "%2e%2e", "%2F"]
) | st.text(min_size=1, max_size=8).map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe=""))
HEADERS: Final = st.sampled_from(
    [
        ("Origin", b"http://["), ("Origin", b"http://]@x"), ("Origin", b"null"), ("Origin", b"http://127.0.0.1"),
        ("Origin", b"\xff"), ("Authorization", b"Bearer \xff\xfe"), ("Authorization", b"Basic x"),
        ("X-Fenced-By", b"\x80\x81"), ("X-Fenced-By", b"a" * 100), ("Last-Event-ID", b"9" * 19),
        ("Content-Encoding", b"gzip"), ("Content-Encoding", b"deflate"), ("Content-Encoding", b"br"),
        ("Content-Encoding", b"zstd"), ("Content-Encoding", b"x"), ("Transfer-Encoding", b"chunked"),
        ("Content-Type", b"text/plain; charset=klingon"), ("Content-Type", b"\xff"), ("Content-Length", b"-1"),
        ("Content-Length", b"5"), ("Accept", b"\xff, */*;q=x"), ("Expect", b"100-continue"), ("Expect", b"x"),
        ("X", b"y" * 9000), ("Cookie", b"a=\xff"), ("Range", b"bytes=-"), ("Upgrade", b"websocket"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request; `template` None: of no route."""

    template: str | None
    method: str
    target: str
    body: bytes = b""
    headers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def wire(self) -> bytes:
        return written(self.method, self.target, self.body, self.headers)


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """A request to a path of the document, with arbitrary contents."""
    template = draw(st.sampled_from(sorted(DOCUMENT["paths"])))
    method = draw(st.sampled_from(sorted(DOCUMENT["paths"][template])))
    path = template
    for name in ("host", "operation", "pause"):
        path = path.replace(f"{{{name}}}", draw(NAMES))
    known = [
        each["name"] for each in DOCUMENT["paths"][template][method].get("parameters", ()) if each["in"] == "query"
    ]
    word = st.sampled_from(known) if known else st.text(max_size=4)
    value = st.sampled_from(["1", "0", "-1", "1e3", "fenced", "9" * 30, "%00", "%ff", ""]) | st.text(max_size=4)
    query = draw(st.lists(st.tuples(word | st.just("x"), value), max_size=3))
    if template == STREAM:
        headers = [("Last-Event-ID", draw(st.sampled_from([b"x", b"-1", b"9" * 19, b"\xc2\xb2", b"1 2", b"\xff"])))]
    else:
        headers = draw(st.lists(HEADERS, max_size=2, unique_by=lambda header: header[0]))
    return Asked(
        template=template,
        method=method.upper(),
        target=path + ("?" + "&".join(f"{quote(key)}={quote(said, safe='%')}" for key, said in query) if query else ""),
        body=draw(hostile([json.dumps(GOOD).encode()], tuple(GOOD)) | changed(GOOD) | st.just(b"")),
        headers=headers,
    )


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """The port of a real server in front of the fake engine."""
    app = build_app(
        FakeControl(), tokens=(), requests_per_second=1e9, has_tcp_writes=True, metrics=expose, clock=FakeClock()
    )
    async with serve(app, "127.0.0.1:0") as serving:
        yield serving.port


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with beside(served) as port:
        yield port


@fuzz(150)
@given(asked())
@example(
    Asked(template="/api/v1/fleet/arm", method="POST", target="/api/v1/fleet/arm", headers=[("Origin", b"http://[")])
)
@example(
    Asked(
        template="/api/v1/fleet/arm",
        method="POST",
        target="/api/v1/fleet/arm",
        body=b"no gzip",
        headers=[("Content-Encoding", b"gzip")],
    )
)
@example(
    Asked(
        template="/api/v1/fleet/arm",
        method="POST",
        target="/api/v1/fleet/arm",
        body=b"zz\r\n{}",
        headers=[("Transfer-Encoding", b"chunked")],
    )
)
def test_an_answer_is_one_that_the_document_describes(port: int, asked: Asked) -> None:
    answer = exchange(port, asked.wire)
    if answer is None:
        return  # hung up: the request was no HTTP
    assert answer.status < 500 or (answer.status, asked.template) == (503, "/readyz"), answer
    if answer.kind == "text/plain" and answer.status in (400, 417):
        return  # the HTTP library's own error about invalid HTTP, before any route
    assert_described(asked, answer)


def assert_described(asked: Asked, answer: Answered) -> None:
    """The status is listed for the route, and the body fits its schema."""
    if answer.status in (404, 405) and answer.kind == "application/problem+json":
        jsonschema.validate(json.loads(answer.body), _schema({"$ref": "#/components/schemas/Problem"}))
        return
    assert asked.template is not None
    listed = DOCUMENT["paths"][asked.template][asked.method.lower()]["responses"]
    assert str(answer.status) in listed, (answer.status, asked)
    content = listed[str(answer.status)].get("content")
    if not content:
        assert answer.body == b""
        return
    assert answer.kind in content, (answer.kind, content)
    if answer.kind.endswith("json"):
        jsonschema.validate(json.loads(answer.body), _schema(content[answer.kind].get("schema", {})))


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": DOCUMENT["components"]}


@fuzz(80)
@given(st.binary(max_size=120) | asked().flatmap(lambda each: hostile([each.wire])))
def test_any_bytes_on_the_connection(port: int, request: bytes) -> None:
    answer = exchange(port, request)
    assert answer is None or answer.status < 500 or answer.status == 505, answer


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
def test_a_body_that_is_too_large_is_refused(port: int, size: int) -> None:
    wire = written("POST", "/api/v1/fleet/arm", b'{"reason":"' + b"x" * size + b'"}', [])
    answer = exchange(port, wire)
    assert answer is None or answer.status == 413

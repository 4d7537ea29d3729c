"""For any call with a valid certificate the answer is bounded and has no secret, and the agent keeps running."""

import http.client
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenced.proxy.protocol import CALL_BYTES_MAX
from fenced.proxy.state import ProxyState
from fenced.proxy.tls import client_context
from tests.net_http import bomb
from tests.proxy.bed import ProxyProcess, tls_files


class Wire:
    """Raw requests of a daemon with a valid certificate, over one connection."""

    def __init__(self, px1: ProxyProcess, name: str = "fenced-a") -> None:
        context = client_context(tls_files(px1.certificates, name))
        self._connection = http.client.HTTPSConnection("127.0.0.1", px1.port, context=context, timeout=10)

    def post(
        self, body: bytes, *, kind: str = "application/json", path: str = "/v1/call", more: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        self._connection.request("POST", path, body=body, headers={"Content-Type": kind, **(more or {})})
        response = self._connection.getresponse()
        return response.status, response.read()

    @property
    def is_closed(self) -> bool:
        """Return whether the proxy closed the connection after its answer."""
        return self._connection.sock is None

    def close(self) -> None:
        self._connection.close()


SECRET = "S3cret-in-the-call"
CALL = {
    "id": "1",
    "store": "s",
    "device": {"driver": "unknown", "plug_id": "p", "unit_id": "u", "password": SECRET, "options": {"a": 1}},
    "what": "status",
    "timeout": 1.0,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def wire(shared_px1: ProxyProcess) -> Iterator["Wire"]:
    wire = Wire(shared_px1)
    yield wire
    wire.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_gets_a_bounded_answer(wire: Wire, body: bytes) -> None:
    status, answer = wire.post(body)
    assert status == 422
    assert len(answer) < 8192


@pytest.mark.parametrize("old", ['"device": {', '"driver": '])
def test_a_call_with_a_duplicate_key_is_refused(wire: Wire, old: str) -> None:
    text = json.dumps(CALL)
    assert text.count(old) == 1
    again = '"device": {}, "device": {' if old.endswith("{") else '"driver": "fence_other", "driver": '
    status, answer = wire.post(text.replace(old, again).encode())
    assert status == 422 and b"occurs twice" in answer and SECRET.encode() not in answer


@settings(max_examples=150, deadline=None)
@given(
    field=st.sampled_from([*CALL, *(f"device.{name}" for name in CALL["device"]), "permit", "device.sessions"]),  # type: ignore[attr-defined]
    value=JSON_VALUES,
)
def test_a_call_with_one_field_changed_gets_a_bounded_answer_without_the_secret(
    wire: Wire, field: str, value: object
) -> None:
    call = json.loads(json.dumps(CALL))
    table, _, name = field.rpartition(".")
    (call[table] if table else call)[name] = value
    status, answer = wire.post(json.dumps(call).encode())
    assert status in (200, 422)
    assert len(answer) < 8192
    assert SECRET.encode() not in answer


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": {"driver": "../../bin/sh"}}, "device.driver"),
        ({"device": {"driver": "fence_a/../../x"}}, "device.driver"),
        ({"device": {"options": {"a": {"b": 1}}}}, "device.options"),
        ({"timeout": 1e9}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"what": "cycle"}, "what"),
        ({"what": "off"}, "carries a permit"),
        ({"what": "soft_off"}, "carries a permit"),
        ({"what": "off", "permit": {"token": "4", "boot": "b", "not_after": 1}}, "permit.token"),
        ({"what": "off", "permit": {"token": "4-1\n", "boot": "b", "not_after": 1}}, "permit.token"),
        ({"permit": {"token": "4-1", "boot": "b", "not_after": 1}}, "carries a permit"),
    ],
)
def test_a_call_out_of_bounds_gets_the_name_of_the_field(wire: Wire, changes: dict[str, object], said: str) -> None:
    call = json.loads(json.dumps(CALL))
    for name, value in changes.items():
        call[name] = call[name] | value if isinstance(value, dict) and name in call else value
    status, answer = wire.post(json.dumps(call).encode())
    assert (status, SECRET.encode() in answer) == (422, False)
    assert said in json.loads(answer)["detail"]


FLOOR = {"store": "s", "shard": "main", "epoch": 5, "holder": "a", "is_first": True}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_of_a_floor_gets_a_bounded_answer(wire: Wire, body: bytes) -> None:
    status, answer = wire.post(body, path="/v1/floor")
    assert status == 422
    assert len(answer) < 8192


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1}, {"epoch": 10**19}, {"epoch": "x"}, {"epoch": None}, {"holder": ""}, {"holder": "a b"},
        {"holder": "a" * 65}, {"shard": ""}, {"shard": "../x"}, {"shard": "a" * 65}, {"store": ""},
        {"store": "s" * 1025}, {"is_first": "yes"},
    ],
)  # fmt: skip
def test_a_floor_out_of_bounds_is_refused(wire: Wire, change: dict[str, object]) -> None:
    assert wire.post(json.dumps({**FLOOR, **change}).encode(), path="/v1/floor")[0] == 422


def test_a_floor_that_a_web_page_or_a_stranger_sends_is_refused(wire: Wire, shared_px1: ProxyProcess) -> None:
    body = json.dumps(FLOOR).encode()
    assert wire.post(body, kind="text/plain", path="/v1/floor")[0] == 415
    assert wire.post(body.replace(b"{", b'{"epoch": 4, ', 1), path="/v1/floor")[0] == 422, "a key twice"
    stranger = Wire(shared_px1, "fenced-b")
    try:
        assert stranger.post(body, path="/v1/floor")[0] == 403
    finally:
        stranger.close()
    with ProxyState(shared_px1.state_dir, machine_boot="any", is_owner=False) as state:
        assert ("s", "main") not in state.floors


@pytest.mark.parametrize("path", ["/v1/call", "/v1/status", "/healthz", "/elsewhere"])
def test_a_packed_body_is_refused_and_the_connection_ends(shared_px1: ProxyProcess, path: str) -> None:
    wire = Wire(shared_px1)
    assert wire.post(bomb(1), path=path, more={"Content-Encoding": "gzip"})[0] == 415
    assert wire.is_closed
    assert wire.post(json.dumps(CALL).encode(), more={"Content-Encoding": "identity"})[0] == 200
    wire.close()


def test_a_stranger_is_hung_up_on(shared_px1: ProxyProcess) -> None:
    """A valid certificate with a name that is not allowed sends a body that is too large."""
    wire = Wire(shared_px1, name="fenced-b")
    assert wire.post(json.dumps(CALL).encode())[0] == 403 and wire.is_closed
    wire.close()
    wire = Wire(shared_px1)
    assert wire.post(bytes(CALL_BYTES_MAX + 1))[0] == 413 and wire.is_closed
    wire.close()


def test_other_requests(shared_px1: ProxyProcess) -> None:
    wire = Wire(shared_px1)
    assert wire.post(b"{}", kind="text/plain")[0] == 415
    assert wire.post(b"{}", path="/elsewhere")[0] == 404
    assert wire.post(b"{}", path="/v1/status")[0] == 405
    assert wire.post(json.dumps(CALL).encode())[0] == 200
    assert wire.post(b" " * (CALL_BYTES_MAX + 1) + json.dumps(CALL).encode())[0] == 413
    wire.close()
    assert "S3cret" not in shared_px1.stderr

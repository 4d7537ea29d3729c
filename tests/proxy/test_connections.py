"""What can go wrong between a daemon and its proxies: certificates, dead machines, hostile answers, hostile calls."""

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceTimedOut, DeviceUnreachable, LoginRefused
from fenced.proxy.client import ProxyCaller
from fenced.proxy.protocol import ANSWER_BYTES_MAX, CALL_BYTES_MAX
from fenced.proxy.tls import CertificateError, TlsFiles, client_context, common_name
from tests.net import free_port, until
from tests.proxy.bed import PX1, Bed, ProxyProcess, caller_of, certs, make_certificates, permit_of, send, tls_files
from tests.proxy.devices import device, log


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("other")
    make_certificates(directory)
    return directory


def mixed(own: Path, other: Path) -> TlsFiles:
    """We trust the proxy; it does not know who signed our certificate."""
    return TlsFiles(ca_file=own / "ca.crt", cert_file=other / "fenced-a.crt", key_file=other / "fenced-a.key")


async def test_the_daemon_does_not_trust_a_proxy_of_another_authority(
    bed: Bed, other_authority: Path, tmp_path: Path
) -> None:
    async with caller_of(other_authority, {PX1: bed.px1.url}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(LoginRefused, match=r"proxy px1: TLS failed.*certs show") as refused:
                await call
            assert not refused.value.may_be_done
    assert log(tmp_path / "bmc") == []


async def test_the_daemon_does_not_trust_a_proxy_at_an_address_it_has_no_certificate_for(
    bed: Bed, tmp_path: Path
) -> None:
    async with caller_of(bed.certificates, {PX1: f"https://localhost:{bed.px1.port}"}) as caller:
        with pytest.raises(LoginRefused, match=r"TLS failed \(Hostname mismatch"):
            await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5)


async def test_a_proxy_does_not_serve_a_daemon_of_another_authority(
    bed: Bed, other_authority: Path, tmp_path: Path
) -> None:
    from tests.proxy.bed import STORE, BootClock

    caller = ProxyCaller(
        store=STORE, urls={PX1: bed.px1.url}, tls=mixed(bed.certificates, other_authority), clock=BootClock()
    )
    try:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(LoginRefused, match="hangs up when it sees our certificate") as refused:
                await call
            assert not refused.value.may_be_done
    finally:
        await caller.close()
    assert log(tmp_path / "bmc") == []


async def test_a_proxy_does_not_serve_a_name_that_is_not_on_its_list(bed: Bed, tmp_path: Path) -> None:
    async with caller_of(bed.certificates, {PX1: bed.px1.url}, name="fenced-b") as caller:
        with pytest.raises(LoginRefused, match="CN=fenced-b is not in this proxy's allow list"):
            await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5)
        with pytest.raises(LoginRefused, match="allow list"):
            await send(caller, device(tmp_path / "bmc"), Power.OFF)
    assert log(tmp_path / "bmc") == []
    await until(lambda: "caller not allowed" in bed.px1.stderr)


def test_a_client_without_a_certificate_gets_nothing(bed: Bed) -> None:
    context = ssl.create_default_context(cafile=bed.certificates / "ca.crt")
    connection = http.client.HTTPSConnection("127.0.0.1", bed.px1.port, context=context, timeout=5)
    with pytest.raises(OSError):
        connection.request("GET", "/healthz")
        connection.getresponse()
    connection.close()


def test_a_proxys_certificate_is_no_daemons(bed: Bed) -> None:
    context = client_context(tls_files(bed.certificates, "px2"))
    connection = http.client.HTTPSConnection("127.0.0.1", bed.px1.port, context=context, timeout=5)
    with pytest.raises(OSError):
        connection.request("GET", "/healthz")
        connection.getresponse()
    connection.close()


def test_a_name_is_one_common_name_wholly() -> None:
    assert common_name({"subject": ((("commonName", "fenced-a"),),)}) == "fenced-a"
    assert common_name({"subject": ((("commonName", "a"),), (("commonName", "b"),))}) is None
    assert common_name({"subject": ((("organizationName", "fenced-a"),),)}) is None
    assert common_name(None) is None


def test_files_that_do_not_fit_are_named(certificates: Path, tmp_path: Path) -> None:
    pair = TlsFiles(
        ca_file=certificates / "ca.crt",
        cert_file=certificates / "fenced-a.crt",
        key_file=certificates / "px1.key",
    )
    with pytest.raises(CertificateError, match=r"px1\.key: can't be read, or don't belong together"):
        client_context(pair)
    with pytest.raises(CertificateError, match="nothing"):
        client_context(TlsFiles(ca_file=tmp_path / "nothing", cert_file=pair.cert_file, key_file=pair.cert_file))


async def test_a_closed_port_is_unreachable_and_nothing_was_done(certificates: Path, tmp_path: Path) -> None:
    async with caller_of(certificates, {PX1: f"https://127.0.0.1:{free_port()}"}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(DeviceUnreachable, match="does fenced proxy run there") as dead:
                await call
            assert not dead.value.may_be_done and dead.value.is_end_known


async def test_a_black_hole_ends_by_the_deadline_and_nothing_was_done(certificates: Path, tmp_path: Path) -> None:
    async with black_hole() as port, caller_of(certificates, {PX1: f"https://127.0.0.1:{port}"}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=0.3),
            send(caller, device(tmp_path / "bmc"), Power.OFF, permit_of(attempt=0.3)),
        ):
            with pytest.raises(DeviceTimedOut, match="no connection") as dead:
                await call
            assert not dead.value.may_be_done and dead.value.is_end_known


async def test_a_proxy_that_dies_after_it_got_the_command_leaves_doubt(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=30)
    command = asyncio.ensure_future(own_bed.set(spec, Power.OFF))
    await until(lambda: log(tmp_path / "bmc") == ["off started"])
    own_bed.px1.kill()
    with pytest.raises(DeviceUnreachable, match="connection was lost") as lost:
        await command
    assert lost.value.may_be_done and not lost.value.is_end_known


async def test_a_cancelled_read_ends_at_the_proxy_too(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", read_seconds=30)
    read = asyncio.ensure_future(bed.caller.read(PX1, spec, timeout_seconds=20))
    await until(lambda: log(tmp_path / "bmc") == ["read started"])
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    await until(lambda: log(tmp_path / "bmc") == ["read started", "read cancelled"])


async def test_a_slow_read_ends_with_the_proxys_own_word(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", read_seconds=30)
    with pytest.raises(DeviceTimedOut):
        await bed.caller.read(PX1, spec, timeout_seconds=0.5)
    await until(lambda: log(tmp_path / "bmc") == ["read started", "read cancelled"])


async def test_a_thousand_reads_at_once(bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    powers = await asyncio.gather(*(bed.caller.read(PX1, spec, timeout_seconds=30) for _ in range(1000)))
    assert powers == [Power.ON] * 1000
    status = await bed.caller.status(PX1, timeout_seconds=5)
    assert (status.name, status.in_flight.reads, status.in_flight.commands) == ("px1", 0, 0)


# -- hostile answers --------------------------------------------------------------------------------------------------

CLOCK = {"boot": "b", "monotonic": 1.0}
GOOD = {"id": "1", "outcome": "on", "power": "on", "clock": CLOCK}
STATUS = {"name": "px1", "version": "1", "clock": CLOCK, "in_flight": {"reads": 0, "commands": 0}}


def reply(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def answer(**changes: object) -> bytes:
    return reply(json.dumps(GOOD | changes).encode())


HOSTILE = {
    "oversized": reply(b"[" + b"1," * ANSWER_BYTES_MAX + b"1]"),
    "endless": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"10000\r\n" + b"x" * 65536 + b"\r\n10000\r\n" + b"x" * 65536 + b"\r\n",
    "not json": reply(b"<html>hello</html>"),
    "no object": reply(b"[]"),
    "no fields": reply(b"{}"),
    "wrong outcome": answer(outcome="great"),
    "another outcome": answer(outcome="off"),
    "another id": answer(id="2"),
    "wrong clock": answer(clock={"boot": "", "monotonic": "soon"}),
    "clock not a number": reply(json.dumps(GOOD | {"clock": {"boot": "b", "monotonic": float("nan")}}).encode()),
    "no power": answer(power=None),
    "redirect": reply(b"", status="307 Temporary Redirect", more="Location: http://127.0.0.1:1/v1/call\r\n"),
    "server error": reply(b"oops", status="500 Internal Server Error"),
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
    "compressed": reply(b"\x1f\x8b\x08\x00\x00", more="Content-Encoding: gzip\r\n"),
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "not utf-8": reply(b"\xff\xfe"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_is_an_error_that_leaves_a_command_in_doubt(name: str, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    async with (
        hostile(HOSTILE[name]) as port,
        caller_of(None, {PX1: f"http://127.0.0.1:{port}"}) as caller,
    ):
        with pytest.raises(DeviceError) as read:
            await caller.read(PX1, spec, timeout_seconds=2)
        assert len(str(read.value)) < 1000
        with pytest.raises(DeviceError) as commanded:
            await send(caller, spec, Power.OFF, permit_of(attempt=2))
        assert commanded.value.may_be_done and not commanded.value.is_end_known


async def test_a_proxy_that_hangs_after_it_got_the_call(tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc")
    async with hostile(None) as port, caller_of(None, {PX1: f"http://127.0.0.1:{port}"}) as caller:
        with pytest.raises(DeviceTimedOut, match="no answer within"):
            await caller.read(PX1, spec, timeout_seconds=0.3)
        with pytest.raises(DeviceTimedOut, match="no answer within") as hung:
            await send(caller, spec, Power.OFF, permit_of(attempt=0.3))
        assert hung.value.may_be_done and not hung.value.is_end_known


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "422 Unprocessable", "503 Unavailable"])
async def test_an_answer_of_a_proxy_that_judged_nothing_leaves_no_doubt(status: str, tmp_path: Path) -> None:
    async with (
        hostile(reply(b"no", status=status)) as port,
        caller_of(None, {PX1: f"http://127.0.0.1:{port}"}) as caller,
    ):
        with pytest.raises(DeviceError) as refused:
            await send(caller, device(tmp_path / "bmc"), Power.OFF)
        assert not refused.value.may_be_done and refused.value.is_end_known


@pytest.mark.parametrize("clock", [{"boot": "b", "monotonic": 1e12}, {"boot": "b" * 2000, "monotonic": 1.0}])
async def test_a_clock_that_cannot_be_sends_nothing(clock: dict[str, object], tmp_path: Path) -> None:
    status = json.dumps(STATUS | {"clock": clock}).encode()
    async with (
        hostile(None, status=status) as port,
        caller_of(None, {PX1: f"http://127.0.0.1:{port}"}) as caller,
    ):
        with pytest.raises(DeviceError) as refused:
            await send(caller, device(tmp_path / "bmc"), Power.OFF)
        assert not refused.value.may_be_done


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server on loopback; its port. Connections that are still open at the end are closed."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handle(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Takes connections and never says a word."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async with serving(handle) as port:
        yield port


@asynccontextmanager
async def hostile(answer: bytes | None, *, status: bytes = json.dumps(STATUS).encode()) -> AsyncIterator[int]:
    """A good status, unless another is given; to every call these bytes, or, without any, silence."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(reply(status, more="Connection: close\r\n"))
        elif answer is None:
            await reader.read()
        else:
            writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with serving(handle) as port:
        yield port


# -- hostile calls ----------------------------------------------------------------------------------------------------


class Wire:
    """Raw requests of a daemon with a good certificate, over one connection."""

    def __init__(self, px1: ProxyProcess) -> None:
        context = client_context(tls_files(px1.certificates))
        self._connection = http.client.HTTPSConnection("127.0.0.1", px1.port, context=context, timeout=10)

    def post(self, body: bytes, *, kind: str = "application/json", path: str = "/v1/call") -> tuple[int, bytes]:
        self._connection.request("POST", path, body=body, headers={"Content-Type": kind})
        response = self._connection.getresponse()
        return response.status, response.read()

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
        ({"what": "off", "permit": {"token": "4", "boot": "b", "not_after": 1}}, "permit.token"),
        ({"what": "off", "permit": {"token": "4-1\n", "boot": "b", "not_after": 1}}, "permit.token"),
        ({"permit": {"token": "4-1", "boot": "b", "not_after": 1}}, "carries a permit"),
    ],
)
def test_a_call_out_of_bounds_is_told_which_field(wire: Wire, changes: dict[str, object], said: str) -> None:
    call = json.loads(json.dumps(CALL))
    for name, value in changes.items():
        call[name] = call[name] | value if isinstance(value, dict) and name in call else value
    status, answer = wire.post(json.dumps(call).encode())
    assert (status, SECRET.encode() in answer) == (422, False)
    assert said in json.loads(answer)["detail"]


def test_other_requests(shared_px1: ProxyProcess) -> None:
    wire = Wire(shared_px1)
    assert wire.post(b"{}", kind="text/plain")[0] == 415
    assert wire.post(b"{}", path="/elsewhere")[0] == 404
    assert wire.post(b"{}", path="/v1/status")[0] == 405
    assert wire.post(json.dumps(CALL).encode())[0] == 200
    assert wire.post(b" " * (CALL_BYTES_MAX + 1) + json.dumps(CALL).encode())[0] == 413
    wire.close()
    assert "S3cret" not in shared_px1.stderr


def test_certificates_are_not_overwritten_and_keys_are_private(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    from click.testing import CliRunner

    from fenced.cli.certs import command

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, arguments)
        return result.exit_code, result.output

    before = (tmp_path / "px1.key").read_bytes()
    assert (tmp_path / "px1.key").stat().st_mode & 0o777 == 0o600
    for arguments in (("init", str(tmp_path)), ("proxy", str(tmp_path), "--name", "px1", "--address", "127.0.0.1")):
        status, output = run(*arguments)
        assert (status, "exists already" in output) == (1, True)
    assert (tmp_path / "px1.key").read_bytes() == before
    certs("proxy", str(tmp_path), "--name", "px1", "--address", "px1.example.org", "--force")
    assert (tmp_path / "px1.key").read_bytes() != before
    shown = certs("show", str(tmp_path))
    assert shown.count("its own") == 5 and "px1.example.org" in shown and "client" in shown
    for name in ("ca", "../x", "a b", ""):
        assert run("daemon", str(tmp_path), "--name", name)[0] == 1
    assert "no URL" in run("proxy", str(tmp_path), "--name", "p", "--address", "https://px1:8471")[1]
    assert "no authority here" in run("daemon", str(tmp_path / "empty"), "--name", "d")[1]

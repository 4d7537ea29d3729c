"""Failures between a daemon and its proxies: certificates, dead machines, hostile answers."""

import asyncio
import http.client
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fenced.model.power import Power
from fenced.ports.devices import DeviceError, LoginRefused, ProxyTimedOut, ProxyUnreachable
from fenced.proxy.protocol import ANSWER_BYTES_MAX
from fenced.proxy.tls import CertificateError, TlsFiles, client_context, common_name
from tests.drivers.certificate import make_certificate
from tests.drivers.old_tls import s_server
from tests.needs import needs
from tests.net import free_port, until
from tests.proxy.bed import PX1, Bed, caller_of, make_certificates, permit_of, send, tls_files
from tests.proxy.devices import device, log


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("other")
    make_certificates(directory)
    return directory


@pytest.fixture
def mixed(certificates: Path, other_authority: Path, tmp_path: Path) -> Path:
    """A daemon that trusts the proxies but whose certificate another authority signed."""
    shutil.copy(certificates / "ca.crt", tmp_path)
    for name in ("fenced-a.crt", "fenced-a.key"):
        shutil.copy(other_authority / name, tmp_path)
    return tmp_path


async def test_the_daemon_does_not_trust_a_proxy_of_another_authority(
    bed: Bed, other_authority: Path, tmp_path: Path
) -> None:
    async with caller_of(other_authority, {PX1: bed.px1.url}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(LoginRefused, match=r"proxy px1: TLS handshake: .*certs show") as refused:
                await call
            assert not refused.value.may_be_done
    assert log(tmp_path / "bmc") == []


async def test_the_daemon_does_not_trust_a_proxy_at_an_address_it_has_no_certificate_for(
    bed: Bed, tmp_path: Path
) -> None:
    async with caller_of(bed.certificates, {PX1: f"https://localhost:{bed.px1.port}"}) as caller:
        with pytest.raises(
            LoginRefused, match=r"TLS handshake: its certificate is for another name \(Hostname mismatch"
        ):
            await caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5)


async def test_a_proxy_does_not_serve_a_daemon_of_another_authority(bed: Bed, mixed: Path, tmp_path: Path) -> None:
    async with caller_of(mixed, {PX1: bed.px1.url}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(LoginRefused, match="hangs up when it sees our certificate") as refused:
                await call
            assert not refused.value.may_be_done
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


@needs("openssl")
async def test_a_proxy_with_too_old_a_tls_is_reported_with_what_it_offers(certificates: Path, tmp_path: Path) -> None:
    certificate, key, _ = make_certificate(tmp_path, is_rsa=True)
    async with (
        s_server(certificate, key, "-tls1", "-cipher", "ALL:@SECLEVEL=0") as port,
        caller_of(certificates, {PX1: f"https://127.0.0.1:{port}"}) as caller,
    ):
        with pytest.raises(LoginRefused, match=r"TLS handshake: no common version \(.*it offers TLSv1 ") as refused:
            await send(caller, device(tmp_path / "pdu"), Power.OFF)
        assert not refused.value.may_be_done


async def test_a_closed_port_is_unreachable_and_nothing_was_done(certificates: Path, tmp_path: Path) -> None:
    async with caller_of(certificates, {PX1: f"https://127.0.0.1:{free_port()}"}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=5),
            send(caller, device(tmp_path / "bmc"), Power.OFF),
        ):
            with pytest.raises(ProxyUnreachable, match="does fenced proxy run there") as dead:
                await call
            assert not dead.value.may_be_done and dead.value.is_end_known


async def test_a_black_hole_ends_by_the_deadline_and_nothing_was_done(certificates: Path, tmp_path: Path) -> None:
    async with black_hole() as port, caller_of(certificates, {PX1: f"https://127.0.0.1:{port}"}) as caller:
        for call in (
            caller.read(PX1, device(tmp_path / "bmc"), timeout_seconds=0.3),
            send(caller, device(tmp_path / "bmc"), Power.OFF, permit_of(attempt=0.3)),
        ):
            with pytest.raises(ProxyTimedOut, match="no connection") as dead:
                await call
            assert not dead.value.may_be_done and dead.value.is_end_known


async def test_a_proxy_that_dies_after_it_got_the_command_leaves_doubt(own_bed: Bed, tmp_path: Path) -> None:
    spec = device(tmp_path / "bmc", set_seconds=30)
    command = asyncio.ensure_future(own_bed.set(spec, Power.OFF))
    await until(lambda: log(tmp_path / "bmc") == ["off started"])
    own_bed.px1.kill()
    with pytest.raises(ProxyUnreachable, match="connection was lost") as lost:
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
    with pytest.raises(ProxyTimedOut):
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
    "says two things": reply(b'{"outcome":"off","power":"off",' + json.dumps(GOOD).encode()[1:]),
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
        with pytest.raises(ProxyTimedOut, match="no answer within"):
            await caller.read(PX1, spec, timeout_seconds=0.3)
        with pytest.raises(ProxyTimedOut, match="no answer within") as hung:
            await send(caller, spec, Power.OFF, permit_of(attempt=0.3))
        assert hung.value.may_be_done and not hung.value.is_end_known


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "422 Unprocessable", "503 Unavailable"])
async def test_a_call_that_the_proxy_rejected_unstarted_leaves_no_doubt(status: str, tmp_path: Path) -> None:
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
    """Run a server on loopback and yield its port. Connections that are still open at the end are closed."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Accept connections and never answer."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async with serving(handle) as port:
        yield port


@asynccontextmanager
async def hostile(answer: bytes | None, *, status: bytes = json.dumps(STATUS).encode()) -> AsyncIterator[int]:
    """Answer the status request well, unless another status is given, and every call with these bytes, or
    with silence.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(reply(status, more="Connection: close\r\n"))
        elif answer is None:
            await reader.read()
        else:
            writer.write(answer)
        await writer.drain()

    async with serving(handle) as port:
        yield port

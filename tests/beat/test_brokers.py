"""The beat and brokers that refuse, freeze, speak TLS or only MQTT 3.1.1: what it logs, and that it goes on."""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from fenced.beat.fenced_beat import Delays
from fenced.bus.embedded import EmbeddedBroker
from fenced.model.bus_urls import BusUrl
from tests.beat.program import FILE, HEALTH, PRESENCE, Beating, beating, listening, next_health, next_message, url
from tests.bus.parts import Mosquitto, mosquitto
from tests.bus.test_brokers import Authority, authority
from tests.needs import find, needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

RESIDENT_KILOBYTES_MAX: Final = 25_000
"""As VmRSS in /proc/PID/status."""


@contextlib.contextmanager
def frozen(broker: Mosquitto) -> Iterator[None]:
    broker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.process.send_signal(signal.SIGCONT)


async def test_a_frozen_broker_is_left_and_found_again(tmp_path: Path) -> None:
    """The service goes on, keeps no heartbeat for later, and its goodbye holds back the last will."""
    async with mosquitto(tmp_path) as broker, listening(broker.port) as witness:
        with beating(tmp_path, url(broker)) as beat:
            assert (await next_message(witness, PRESENCE)).payload == b"online"
            await beat.logged("beat_connected")
            with frozen(broker):
                await beat.logged("beat_disconnected reason=the broker did not acknowledge within 1 s")
            await beat.logged("beat_connected", 2)
            assert (await next_message(witness, PRESENCE)).payload == b"online"
            async with listening(broker.port) as reader:
                first = await next_health(reader)
                assert (await next_health(reader))["seq"] - first["seq"] >= 90, "heartbeats came in a burst"
            assert await beat.ended() == 0
    assert beat.log.count("WARNING") == 1


async def test_with_qos_0_the_keepalive_finds_a_frozen_broker(tmp_path: Path) -> None:
    """A broker that answers the login and nothing else."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            heard.append(await reader.read(4096))
            writer.write(b"\x20\x0b\x00\x00\x08\x13\x00\x01\x24\x00\x21\x00\x10")
            while more := await reader.read(4096):
                heard.append(more)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}") as beat:
            await beat.logged("did not answer within the keepalive time")
    assert b"\xc0\x00" in b"".join(heard), "a ping, after the keepalive time of the broker"
    assert b'"status":"ok"' in b"".join(heard)
    assert all(packet[0] >> 1 & 3 == 0 for packet in heard[1:] if packet[0] >> 4 == 3), "the broker allows only QoS 0"


async def test_a_wrong_password_until_it_is_renewed(tmp_path: Path) -> None:
    passwords = tmp_path / "passwd"
    program = find("mosquitto_passwd")
    assert program is not None
    subprocess.run([program, "-c", "-b", str(passwords), "node-1", "right"], check=True, capture_output=True)
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    more = f"allow_anonymous false\npassword_file {passwords}"
    async with mosquitto(tmp_path, more=more) as broker:
        with beating(tmp_path, url(broker), "--username", "node-1", "--password-file", str(secret)) as beat:
            await beat.logged("beat_unreachable reason=the broker refused the connection: ")
            assert re.search("(bad user name|not authorized).*; check username and the password", beat.log)
            secret.write_text("right\n")
            await beat.logged("beat_connected")
            secret.unlink()
            broker.stop()
            await broker.start()
            await beat.logged("beat_unreachable reason=password_file: no such file")
    assert "right" not in beat.log


async def test_an_access_list_that_refuses(tmp_path: Path) -> None:
    """MQTT 5 reports it; the connection stays, each reason is logged once, and recovery is logged."""
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write fenced/v1/lab/presence/node-1\n")
    async with mosquitto(tmp_path, more=f"allow_anonymous true\nacl_file {acl}") as broker:
        with beating(tmp_path, url(broker)) as beat:
            why = f"beat_not_taken status=ok reason=the broker refused {HEALTH}: not authorized; "
            await beat.logged(why)
            acl.write_text("topic readwrite #\n")
            broker.process.send_signal(signal.SIGHUP)
            await beat.logged("beat_connected")
            assert beat.log.count("WARNING") == beat.log.count("see its access list") == 1
            acl.write_text("topic read #\n")
            broker.stop()
            await broker.start()
            await beat.logged(f"beat_not_taken status=online reason=the broker refused {PRESENCE}")


def tls_lines(ours: Authority, *more: str) -> str:
    certificate, key = ours.issue("broker")
    return "\n".join(
        ("allow_anonymous true", f"cafile {ours.file}", f"certfile {certificate}", f"keyfile {key}", *more)
    )


async def test_tls_with_a_client_certificate_within_25_megabytes(tmp_path: Path) -> None:
    """The bound is that of the whole process with its libraries. A renewed authority applies to the next connection."""
    ours = authority(tmp_path, "ca")
    mine, my_key = ours.issue("node-1")
    file = tmp_path / "trusted.pem"
    file.write_bytes(ours.file.read_bytes())
    options = ["--ca-file", str(file), "--cert-file", str(mine), "--key-file", str(my_key)]
    async with mosquitto(tmp_path, more=tls_lines(ours, "require_certificate true")) as broker:
        with beating(tmp_path, f"mqtts://127.0.0.1:{broker.port}", *options) as beat:
            await beat.logged("beat_connected")
            file.write_bytes(authority(tmp_path, "stranger").file.read_bytes())
            broker.stop()
            await broker.start()
            await beat.logged("beat_unreachable reason=TLS handshake: the certificate is not accepted: ")
            file.write_bytes(ours.file.read_bytes())
            await beat.logged("beat_connected", 2)
            assert resident_kilobytes(beat) < RESIDENT_KILOBYTES_MAX
            assert await beat.ended() == 0
        for scheme, more, why in (
            ("mqtts", ["--ca-file", str(file)], "beat_unreachable reason="),  # without a client certificate
            ("mqtt", [], "before it answered the login; is the URL's port right?"),
        ):
            with beating(tmp_path, f"{scheme}://127.0.0.1:{broker.port}", *more) as beat:
                await beat.logged(why)
        with beating(tmp_path, f"mqtts://localhost:{broker.port}", *options) as beat:
            await beat.logged("beat_unreachable reason=TLS handshake: the certificate is not accepted: ")
            assert re.search("(mismatch|doesn't match).*; check ca_file, and the name in the URL", beat.log)


def resident_kilobytes(beat: Beating) -> int:
    status = Path(f"/proc/{beat.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1])


async def test_mqtts_at_a_port_without_tls(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        with beating(tmp_path, f"mqtts://127.0.0.1:{broker.port}") as beat:
            await beat.logged("beat_unreachable reason=TLS handshake: ")


async def test_a_broker_that_speaks_only_3_1_1(tmp_path: Path) -> None:
    """amqtt, as the daemon runs it."""
    broker = EmbeddedBroker(BusUrl(scheme="embedded", host="127.0.0.1", port=(port := free_port())))
    await broker.start()
    try:
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}", systemctl="stopping") as beat:
            async with listening(port, is_version_5=False) as reader:
                assert (await next_message(reader, PRESENCE)).payload == b"online"
                await next_health(reader)
                assert await beat.ended() == 0
                assert (await next_message(reader, PRESENCE)).payload == b"offline"
        assert beat.log == "INFO beat_connected\n"
    finally:
        await broker.stop()


@contextlib.asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that sends these bytes after each first packet, one for each connection, and the packets."""
    packets: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            packets.append(await reader.read(4096))
            writer.write(answers[min(len(packets), len(answers)) - 1])

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], packets


@pytest.mark.parametrize("refusal", [b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01", b""])
async def test_it_falls_back_to_3_1_1(tmp_path: Path, refusal: bytes) -> None:
    """Where the broker refuses version 5 in its own words, in those of 3.1.1, or hangs up. Version 5 is tried again."""
    async with scripted(refusal, b"\x20\x02\x00\x05", refusal, b"\x20\x02\x00\x05") as (port, packets):
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}") as beat:
            await until(lambda: len(packets) >= 3)
        assert [packet[8] for packet in packets[:3]] == [5, 4, 5]
    assert "reason=the broker refused the connection: not authorized" in beat.log


async def test_what_is_no_broker(tmp_path: Path) -> None:
    for text, why in {
        b"HTTP/1.1 400 Bad Request\r\n\r\n": "",
        b"\x20\xff\xff\xff\xff\xff": "no MQTT packet",
        b"\x20\xff\xff\x7f": "too large",
        b"\x40\x02\x00\x01": "no MQTT broker",
        b"\x20\x09\x00\x00\xff\x13": "",
        b"\x20\x06\x00\x00\x03\x1f\x00\x09": "no MQTT 5",
    }.items():
        async with scripted(text) as (port, _):
            with beating(tmp_path, f"mqtt://127.0.0.1:{port}") as beat:
                await beat.logged("beat_unreachable reason=")
                assert why in beat.log


async def test_another_client_of_the_same_name(tmp_path: Path) -> None:
    """Mosquitto only closes the connection, so it is a suspicion after the third time."""
    async with mosquitto(tmp_path) as broker:
        with beating(tmp_path, url(broker)) as one, beating(tmp_path, url(broker)) as two:
            await until(lambda: "another client" in one.log + two.log, what="the suspicion")
    assert re.search("lost 3 times within 10 minutes: .*client id fenced-beat-lab-node-1", one.log + two.log)


async def test_a_name_that_can_not_be_resolved(tmp_path: Path) -> None:
    for name in ("name.invalid", "a..b", "a" * 70 + ".invalid"):
        with beating(tmp_path, f"mqtt://{name}") as beat:
            await beat.logged(f"beat_unreachable reason=can't resolve {name}: ")


HASTY: Final = """
import runpy, socket, sys, time
sys.argv = sys.argv[1:]
{more}
beat = runpy.run_path(sys.argv[0])
beat['main'].__globals__['CONNECT_TIMEOUT_SECONDS'] = 0.2
sys.exit(beat['main']())
"""
"""Runs the file with less patience."""

HANGING_RESOLVER: Final = """
def resolve(host, *more, **flags):
    if flags:
        raise socket.gaierror(1, 'a name')
    sys.stderr.write('lookup\\n')
    time.sleep(600)

socket.getaddrinfo = resolve
"""


async def test_a_frozen_broker_gets_few_last_wills(tmp_path: Path) -> None:
    """It finds every login in its queue when it goes on. Those after a silence are without a last will."""
    logins: list[bool] = []
    ended: list[bool] = []
    is_frozen = True

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            packet = await reader.read(4096)
            logins.append(bool(packet[9] & 0x04))
            if not is_frozen:
                writer.write(b"\x20\x03\x00\x00\x00")
            while await reader.read(4096):
                pass
        ended.append(True)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        program = [sys.executable, "-IS", "-c", HASTY.format(more=""), FILE]
        with beating(tmp_path, address, "--qos", "0", program=program):
            await until(lambda: len(logins) >= 4, what="four logins without an answer")
            is_frozen = False
            await until(lambda: len(logins) >= 6 and logins[-1], what="a login with a last will")
        await until(lambda: len(ended) == len(logins), what="the end of all connections")
    assert logins[:4] == [True, True, False, False]


async def test_a_resolver_that_hangs(tmp_path: Path) -> None:
    """The resolver has no timeout. The service lives on, and only one lookup waits at a time."""
    program = [sys.executable, "-IS", "-c", HASTY.format(more=HANGING_RESOLVER), FILE]
    with beating(tmp_path, "mqtt://broker.example.org", program=program) as beat:
        await beat.logged("beat_unreachable reason=the resolver does not answer for broker.example.org")
        await asyncio.sleep(1)
        assert await beat.ended() == 0
    assert beat.log.count("lookup") == beat.log.count("beat_unreachable") == 1


async def test_sigterm_ends_an_attempt_to_connect(tmp_path: Path) -> None:
    """Also one whose server accepts and is silent."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, beating(tmp_path, f"mqtts://127.0.0.1:{server.getsockname()[1]}") as beat:
        connection, _ = server.accept()
        with connection:
            assert await beat.ended() == 0
    assert beat.log == ""


def test_delays_are_random_and_bounded() -> None:
    """Ten thousand hosts that lose one broker come back spread over an interval."""
    first = sorted(Delays(5.0).after_a_loss(60.0) for _ in range(1000))
    assert 0.1 <= first[0] < 1 < 4 < first[-1] <= 5
    assert all(sum(low <= delay < low + 2.5 for delay in first) >= 300 for low in (0, 2.5))
    assert Delays(0.1).after_a_loss(60.0) <= 0.2
    delays = Delays(5.0)
    bounds = (0.2, 0.4, 0.8, 1.6, 3.2, 5, 5)
    assert all(bound / 2 <= delays.next() <= bound for bound in bounds)
    assert delays.after_a_loss(1.0) >= 2.5, "a connection that does not last slows the next attempts down"
    delays = Delays(0.1)
    assert [delays.next() for _ in bounds]
    assert delays.after_a_loss(60.0) <= 0.2

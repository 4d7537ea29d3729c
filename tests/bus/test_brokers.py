"""Brokers other than a plain Mosquitto: amqtt in this process (MQTT 3.1.1), TLS, and one that sends nonsense."""

import asyncio
import datetime
import gc
import ipaddress
import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fenced.bus.embedded import EmbeddedBroker
from fenced.bus.reading import Incoming
from fenced.model.bus_urls import BusUrl
from fenced.ports.bus import BusConnected, BusError, Health, Message, Presence
from tests.bus.parts import heard, mosquitto, other, refusal, running, settings
from tests.bus.test_reading import BEAT_SENT
from tests.drivers.certificate import make_certificate
from tests.drivers.old_tls import RSA_ONLY, s_server
from tests.needs import needs
from tests.net import free_port, until

pytestmark = pytest.mark.integration


def message(payload: bytes) -> Message:
    return Message(
        topic="fenced/v1/lab/event/node-1", payload=payload, is_retained=False, correlation=b"dropped in 3.1.1"
    )


# -- embedded ---------------------------------------------------------------------------------------------------------


async def test_the_embedded_broker_end_to_end(caplog: pytest.LogCaptureFixture) -> None:
    url = BusUrl(scheme="embedded", host="127.0.0.1", port=free_port())
    caplog.set_level(logging.DEBUG)
    before = asyncio.all_tasks()
    broker = EmbeddedBroker(url)
    with heard() as complaints:
        await broker.start()
        async with other(url.port, is_version_5=False) as host:
            await host.publish("fenced/v1/lab/presence/node-1", b"online", qos=1, retain=True)
            await host.subscribe("fenced/v1/lab/event/+", qos=1)
            async with running(settings(url.port)) as bus:
                await host.publish("fenced/v1/lab/health/node-1", b'{"seq":1}', qos=1)
                await until(lambda: len(bus.events) >= 3)
                async with asyncio.TaskGroup() as group:
                    for number in range(100):
                        sent = bus.client.publish(message(b"%d" % number), timeout_seconds=10)
                        group.create_task(sent, name=f"publish-{number}")
                got = {(await anext(host.messages)).payload for _ in range(100)}
        assert got == {b"%d" % number for number in range(100)}
        assert isinstance(bus.events[0], BusConnected)
        assert bus.of(Presence)[0].is_retained
        assert bus.of(Health)[0].sequence == 1
        await broker.stop()
        await broker.stop()
        gc.collect()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert not complaints
    loud = [record for record in caplog.records if record.name.startswith(("amqtt", "transitions", "fenced.bus"))]
    assert not loud


async def test_the_embedded_broker_can_be_restarted_and_clients_reconnect() -> None:
    broker = EmbeddedBroker(BusUrl(scheme="embedded", host="127.0.0.1", port=(port := free_port())))
    await broker.start()
    async with running(settings(port)) as bus:
        await broker.stop()
        await bus.lost()
        await broker.start()
        await bus.connected(2)
        await bus.client.publish(message(b"1"), timeout_seconds=5)
    await broker.stop()


async def test_a_client_with_a_will_reaches_the_embedded_broker() -> None:
    """amqtt itself does not answer an MQTT 5 connection with a will; both versions must end in 3.1.1, quickly."""
    broker = EmbeddedBroker(BusUrl(scheme="embedded", host="127.0.0.1", port=(port := free_port())))
    await broker.start()
    will = Message(topic="fenced/v1/lab/controller/a", payload=b"offline", is_retained=True)
    for changes in ({"is_version_5_tried": False}, {"connect_timeout_seconds": 60.0}):
        async with running(settings(port, **changes), will=lambda: will) as bus:
            await bus.client.publish(message(b"1"), timeout_seconds=5)
    await broker.stop()


async def test_a_port_in_use_is_reported() -> None:
    url = BusUrl(scheme="embedded", host="127.0.0.1", port=free_port())
    first, second = EmbeddedBroker(url), EmbeddedBroker(url)
    await first.start()
    with pytest.raises(BusError, match=f"can't listen on 127.0.0.1:{url.port}"):
        await second.start()
    await first.stop()


def test_the_embedded_broker_stays_on_loopback() -> None:
    for host in ("10.0.0.1", "0.0.0.0", "::"):
        with pytest.raises(ValueError, match="loopback"):
            BusUrl(scheme="embedded", host=host, port=1883)


# -- TLS --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A private certificate authority in a folder."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Issue a certificate and key for a server on 127.0.0.1, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            _builder(name, self.name, key).add_extension(address, critical=False).sign(self.key, hashes.SHA256())
        )
        return _write(self.folder / name, certificate, key)


def authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    certificate = _builder(name, name, key).add_extension(constraints, critical=True).sign(key, hashes.SHA256())
    _write(folder / name, certificate, key)
    return Authority(folder=folder, name=name, key=key, certificate=certificate)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )


def _write(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    certificate_file, key_file = path.with_suffix(".pem"), path.with_suffix(".key")
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def test_no_decrypted_message_waits_where_the_event_loop_does_not_see_it(tmp_path: Path) -> None:
    ours = authority(tmp_path, "ca")
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(*ours.issue("broker"))
    near, far = socket.socketpair()
    is_over, sizes = threading.Event(), (1, 2, 600, 1, 5000)

    def serve() -> None:
        with accepting.wrap_socket(near, server_side=True) as sock:
            for count in sizes:
                sock.sendall(BEAT_SENT * count)
            is_over.wait(60)

    server = threading.Thread(target=serve)
    server.start()
    heard: list[bytes] = []
    context = ssl.create_default_context(cafile=str(ours.file))
    with context.wrap_socket(far, server_hostname="127.0.0.1") as sock:
        sock.setblocking(False)
        incoming = Incoming(
            sock,
            is_version_5=True,
            on_message=lambda topic, payload, is_retained: heard.append(payload),
            read_packet=lambda: None,
        )
        while len(heard) < sum(sizes):
            assert select.select([incoming], [], [], 30)[0], f"{len(heard)} heard, and the socket looks empty"
            incoming.read()
        is_over.set()
        server.join()
    assert set(heard) == {b"{}"}


@needs("mosquitto")
async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    ours = authority(tmp_path, "ca")
    certificate, key = ours.issue("broker")
    mine, my_key = ours.issue("fenced-a")
    more = (
        f"allow_anonymous true\ncafile {ours.file}\ncertfile {certificate}\nkeyfile {key}\n"
        "require_certificate true\nuse_identity_as_username true"
    )
    tls = {"is_tls": True, "ca_file": str(ours.file), "cert_file": str(mine), "key_file": str(my_key)}
    with heard() as complaints:
        async with mosquitto(tmp_path, more=more) as broker:
            async with running(settings(broker.port, **tls)) as bus:
                async with asyncio.TaskGroup() as group:
                    for number in range(300):
                        sent = bus.client.publish(message(b"x" * 20000), timeout_seconds=20)
                        group.create_task(sent, name=f"publish-{number}")
                broker.stop()
                await bus.lost()
                await broker.start()
                await bus.connected(2)
            stranger = authority(tmp_path, "stranger")
            assert "TLS handshake: its certificate is of an unknown authority" in await refusal(
                broker.port, {**tls, "ca_file": str(stranger.file)}
            )
            assert await refusal(broker.port, {"is_tls": True, "ca_file": str(ours.file)})  # no client certificate
            assert "Hostname mismatch" in await refusal(broker.port, {**tls, "host": "localhost"})
            assert "No such file" in await refusal(broker.port, {**tls, "ca_file": "/nowhere.pem"})
            assert await refusal(broker.port, {})  # no TLS
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints


@needs("openssl")
async def test_a_broker_with_old_tls_is_reported_with_its_offer(tmp_path: Path) -> None:
    certificate, key, _ = make_certificate(tmp_path, is_rsa=True)
    tls = {"is_tls": True, "ca_file": str(certificate)}
    async with s_server(certificate, key, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as port:
        assert "TLS handshake: no common version (TLSV1_ALERT_PROTOCOL_VERSION; it offers TLSv1.1" in await refusal(
            port, tls
        )
    async with s_server(certificate, key, "-tls1_2", "-cipher", RSA_ONLY) as port:
        assert "TLS handshake: no common cipher" in await refusal(port, tls)


# -- others -----------------------------------------------------------------------------------------------------------


async def test_an_unreadable_packet_ends_the_connection() -> None:
    """paho would read the same packet for ever. The client disconnects, leaves nothing behind, and reconnects."""

    async def corrupt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(bytes.fromhex("2003000000"))
        asked = await reader.read(4096)
        packet_number = asked[asked.index(b"fenced/v1") - 5 : asked.index(b"fenced/v1") - 3]
        writer.write(bytes.fromhex("900a") + packet_number + bytes.fromhex("00 00 01 01 01 01 00 00"))
        writer.write(bytes.fromhex("3003 00ff 61"))  # PUBLISH: a topic of 255 bytes in a packet of three
        await reader.read()
        writer.close()

    server = await asyncio.start_server(corrupt, "127.0.0.1", 0)
    with heard() as complaints:
        async with running(settings(server.sockets[0].getsockname()[1])) as bus:
            assert (await bus.lost()).why.startswith("connection lost: ")
            await bus.connected(3)
        server.close()
        await server.wait_closed()
        gc.collect()
        await asyncio.sleep(0)
        assert not complaints


@needs("mosquitto")
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_both_event_loops(factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    async def story() -> None:
        with heard() as complaints:
            async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
                for number in (1, 2, 3):
                    await bus.connected(number)
                    async with other(broker.port) as host:
                        await host.publish("fenced/v1/lab/health/node-1", b"{}", qos=1)
                        await until(lambda number=number: len(bus.of(Health)) == number)
                    async with asyncio.TaskGroup() as group:
                        for _ in range(50):
                            group.create_task(bus.client.publish(message(b"{}"), timeout_seconds=10), name="publish")
                    broker.stop(is_killed=True)
                    await broker.start()
            gc.collect()
            await asyncio.sleep(0)
            assert not complaints

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(story())

"""The beat as a program and a daemon's bus, through Mosquitto with TLS: which orders shut the machine down."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import aiomqtt
import pytest

from fenced.bus.embedded import EmbeddedBroker
from fenced.model.bus_urls import BusUrl
from fenced.model.names import BootId, HostName, OperationId, Token
from fenced.ports.bus import Evidence, Health, HealthStatus, Presence, ShutdownOrder
from tests.beat.program import ALONE, FILE, Beating, beating, listening, next_health
from tests.beat.test_brokers import tls_lines
from tests.beat.test_interpreters import VERSIONS, interpreter
from tests.bus.parts import Running, mosquitto, other, running, settings
from tests.bus.test_brokers import authority
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

NODE: Final = HostName("node-1")
COMMAND: Final = "fenced/v1/lab/command/node-1"
OBEY: Final = ("--obey", "shutdown")


class Site:
    """A broker, a daemon's bus, another client, and the folder of one host with no workloads."""

    def __init__(self, folder: Path, port: int, ca_file: Path, daemon: Running, client: aiomqtt.Client) -> None:
        self.folder, self.port, self.daemon, self.client = folder, port, daemon, client
        self._options = ("--ca-file", str(ca_file), "--boot", "b-1")
        self.workloads, self.down, self.script = folder / "workloads", folder / "down", folder / "shutdown"
        self.workloads.write_text("0\n")
        self.runs('echo down >> "$1"')

    def runs(self, line: str) -> None:
        """Make `line` the host's shutdown program; $1 is the file `down`."""
        self.script.write_text(f"#!/bin/sh\n{line}\n")
        self.script.chmod(0o755)

    @contextlib.asynccontextmanager
    async def host(
        self,
        *,
        interval: str = "5s",
        state: Path | None = None,
        obey: tuple[str, ...] = OBEY,
        program: list[str] = ALONE,
    ) -> AsyncIterator[Beating]:
        """Run the host's beat during the block, from its first heartbeat."""
        more = ("--workloads-file", str(self.workloads))
        command = ("--shutdown-command", str(self.script), "--shutdown-command", str(self.down))
        environment = {"STATE_DIRECTORY": str(state)} if state else {}
        before = len(self.beats())
        with beating(
            self.folder, f"mqtts://127.0.0.1:{self.port}", *self._options, *more, *obey, *command, interval=interval,
            environment=environment, program=program,
        ) as beat:  # fmt: skip
            await until(lambda: len(self.beats()) > before, what="a heartbeat")
            await beat.logged("beat_connected")
            yield beat

    def beats(self, status: HealthStatus = HealthStatus.OK) -> list[Health]:
        return [it for it in self.daemon.of(Health) if it.status is status]

    def order(self, **changes: Any) -> ShutdownOrder:
        """Return an order that belongs to the newest heartbeat."""
        values: dict[str, Any] = {
            "id": OperationId("5-1"), "token": Token(epoch=5, sequence=1), "boot": BootId("b-1"),
            "seq": self.beats()[-1].sequence, "within_seconds": 30.0, "reason": "nobody needs it",
        }  # fmt: skip
        return ShutdownOrder(**(values | changes))

    async def send(self, **changes: Any) -> None:
        await self.daemon.client.command(NODE, self.order(**changes))

    async def refused(self, beat: Beating, why: str, times: int = 1) -> None:
        """Wait until the host refused an order, for this reason, and said `busy`."""
        await until(lambda: len(self.daemon.of(Evidence)) >= times, what=f"busy, number {times}")
        said = self.daemon.of(Evidence)[-1]
        assert (said.source, said.evidence_kind, said.is_alive, said.ttl_seconds) == ("beat", "busy", True, 60)
        assert not said.is_retained
        assert "WARNING beat_order_refused" in beat.log
        assert why in beat.log.splitlines()[-1]
        assert not self.down.exists()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    ours = authority(tmp_path, "ca")
    tls = ssl.create_default_context(cafile=str(ours.file))
    async with (
        mosquitto(tmp_path, more=tls_lines(ours)) as broker,
        running(settings(broker.port, is_tls=True, ca_file=str(ours.file))) as daemon,
        other(broker.port, tls_context=tls) as client,
    ):
        yield Site(tmp_path, broker.port, ours.file, daemon, client)


async def test_it_obeys(site: Site) -> None:
    async with site.host(interval="200ms") as beat:
        site.workloads.write_text("0\n")
        await site.send()
        await until(site.down.exists, what="the shutdown")
        await until(lambda: len(site.beats(HealthStatus.STOPPING)) >= 2, what="heartbeats that say stopping")
        count = len(site.beats())
        await site.send()  # a duplicate
        await site.send(token=Token(epoch=5, sequence=2))
        await beat.logged("beat_order_ignored", 2)
        assert await beat.ended() == 0
        await until(lambda: any(not it.is_online for it in site.daemon.of(Presence)), what="offline")
    assert site.down.read_text() == "down\n"
    assert len(site.beats()) == count, "after `stopping` no heartbeat says ok"
    assert not site.daemon.of(Evidence)
    assert "INFO beat_order_obeyed id=5-1 token=5-1 reason=nobody needs it\n" in beat.log


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_obeys_under_every_python(site: Site, version: str) -> None:
    program = [interpreter(version), "-IS", "-W", "error", FILE]
    async with site.host(program=program) as beat:
        await site.send(boot=BootId("b-0"))
        await site.refused(beat, "another boot")
        site.workloads.write_text("0\n")
        await site.send(token=Token(epoch=5, sequence=2))
        await until(site.down.exists, what="the shutdown")
        await beat.logged("beat_order_obeyed")
        assert "Traceback" not in beat.log


async def test_over_mqtt_3_1_1(site: Site, tmp_path: Path) -> None:
    """There a message has no expiry, and the daemon's built-in broker keeps retained ones."""
    broker = EmbeddedBroker(BusUrl(scheme="embedded", host="127.0.0.1", port=(port := free_port())))
    await broker.start()
    options = ("--boot", "b-1", *OBEY, "--workloads-file", str(site.workloads))
    command = ("--shutdown-command", str(site.script), "--shutdown-command", str(site.down))
    body: dict[str, object] = {"id": "1", "boot": "b-1", "within": 30, "do": "shutdown", "reason": ""}
    try:
        async with listening(port, is_version_5=False) as reader:
            with beating(tmp_path, f"mqtt://127.0.0.1:{port}", *options, *command, interval="5s") as beat:
                body["seq"] = (await next_health(reader))["seq"]
                await beat.logged("beat_connected")
                late = {"token": "5-1", "within": 0.001}
                await reader.publish(COMMAND, json.dumps(body | late), qos=1)
                await beat.logged("beat_order_refused id=1 token=5-1 reason=it is late")
                await reader.publish(COMMAND, json.dumps(body | {"token": "5-2"}), qos=1)
                await until(site.down.exists, what="the shutdown")
    finally:
        await broker.stop()


async def test_the_heartbeats_say_how_many_workloads_run(site: Site) -> None:
    async with site.host(interval="200ms") as beat:
        for number in (3, 0):
            site.workloads.write_text(f"{number}\n")
            await until(lambda number=number: site.beats()[-1].workloads == number)
        site.workloads.unlink()
        await beat.logged("WARNING beat_workloads_not_said reason=")
        heard: list[bytes] = []
        await site.client.subscribe("fenced/v1/lab/health/node-1")
        async for message in site.client.messages:
            assert isinstance(message.payload, bytes)
            heard.append(message.payload)
            if len(heard) == 2:
                break
    assert all("workloads" not in json.loads(payload) for payload in heard)
    assert beat.log.count("beat_workloads_not_said") == 1


async def test_another_boot(site: Site) -> None:
    async with site.host() as beat:
        await site.send(boot=BootId("b-0"))
        await site.refused(beat, "another boot")


async def test_an_old_token(site: Site, tmp_path: Path) -> None:
    """Also after a restart of the program, which keeps the highest one on disk."""
    state = tmp_path / "state"
    state.mkdir()
    async with site.host(state=state) as beat:
        await site.send(boot=BootId("b-0"))
        await site.refused(beat, "another boot")
        await site.send(token=Token(epoch=4, sequence=9))
        await site.refused(beat, "not above 5-1", 2)
    async with site.host(state=state) as beat:
        site.workloads.write_text("0\n")
        await site.send(token=Token(epoch=5, sequence=0))
        await site.refused(beat, "not above 5-1", 3)
        await site.send()
        await beat.logged("beat_order_ignored")
        assert not site.down.exists()
        await site.send(token=Token(epoch=5, sequence=2))
        await until(site.down.exists, what="the shutdown")


async def test_a_late_order(site: Site) -> None:
    """Its own clock counts, also while the program or the machine was frozen."""
    async with site.host() as beat:
        beat.process.send_signal(signal.SIGSTOP)
        sent = time.monotonic()
        await site.send(within_seconds=1.0)
        await asyncio.sleep(max(sent + 1.2 - time.monotonic(), 0.0))
        beat.process.send_signal(signal.SIGCONT)
        await site.refused(beat, "it is late: ")


async def test_a_heartbeat_of_an_earlier_program(site: Site) -> None:
    async with site.host():
        before = site.beats()[-1].sequence
    async with site.host() as beat:
        await site.send(seq=before)
        await site.refused(beat, "did not send")


def works(site: Site) -> None:
    site.workloads.write_text("2\n")


def stays_old(site: Site) -> None:
    os.utime(site.workloads, (time.time() - 16, time.time() - 16))


def goes(site: Site) -> None:
    site.workloads.unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [(works, "2 workloads run here"), (stays_old, "more than 3 intervals ago"), (goes, "No such file")],
)
async def test_workloads(site: Site, change: Callable[[Site], None], why: str) -> None:
    async with site.host() as beat:
        change(site)
        await site.send()
        await site.refused(beat, why)


async def test_a_retained_order(site: Site) -> None:
    """Neither one that is kept for it, nor one that comes live and is marked as retained."""
    body = {"id": "1", "token": "9-1", "boot": "b-1", "within": 30, "do": "shutdown", "reason": ""}
    async with site.host() as beat:
        body["seq"] = site.beats()[-1].sequence
        await site.client.publish(COMMAND, json.dumps(body), qos=1, retain=True)
        await beat.logged("beat_order_ignored reason=it is retained")
    async with site.host(interval="200ms") as beat:
        count = len(site.beats())
        await until(lambda: len(site.beats()) > count + 2)
        assert "beat_order" not in beat.log
    assert not site.down.exists()
    assert not site.daemon.of(Evidence)


async def test_what_is_no_order(site: Site) -> None:
    async with site.host() as beat:
        await site.client.publish(COMMAND, b"shutdown", qos=1)
        await site.refused(beat, "it is no JSON")


async def test_without_obey_it_hears_no_order(site: Site) -> None:
    async with site.host(obey=(), interval="200ms") as beat:
        await site.send()
        count = len(site.beats())
        await until(lambda: len(site.beats()) > count + 2)
    assert "beat_order" not in beat.log
    assert not site.down.exists()


async def test_a_shutdown_that_fails_is_told(site: Site) -> None:
    site.runs("exit 4")
    async with site.host() as beat:
        count = len(site.beats())
        await site.send()
        await site.refused(beat, "failed with status 4")
        assert len(site.beats(HealthStatus.STOPPING)) == 1
        await until(lambda: len(site.beats()) > count, what="it says ok again, at once")


async def test_a_broker_that_lets_it_hear_no_orders(tmp_path: Path) -> None:
    """The heartbeats go on. A scripted broker, because Mosquitto grants every subscription and then sends nothing."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.read(4096)
            writer.write(b"\x20\x05\x00\x00\x02\x24\x00")  # QoS 0 at most: nothing waits for an acknowledgement
            while packet := await reader.read(4096):
                seen.append(packet)
                if packet[0] == 0x82:
                    writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x87")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    (tmp_path / "workloads").write_text("0")
    async with server:
        port = server.sockets[0].getsockname()[1]
        options = ("--obey", "shutdown", "--workloads-file", str(tmp_path / "workloads"))
        with beating(tmp_path, f"mqtt://127.0.0.1:{port}", *options, "--qos", "0") as beat:
            await beat.logged("WARNING beat_orders_not_heard reason=the broker refused fenced/v1/lab/command/node-1")
            await until(lambda: b"".join(seen).count(b'"status":"ok"') >= 2, what="heartbeats")

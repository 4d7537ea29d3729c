"""The bus fails, comes back, makes requests: announcements wait, no host is suspected,
each request is answered once.
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fenced.lab.relay import relay
from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import SITE, Configuration
from tests.e2e.events import following
from tests.e2e.hosts import beating
from tests.e2e.programs import FENCED, Program, run_short
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

SLOW = 'off) sleep 1; printf off > "$dir/$plug" ;;'


class Line:
    """The daemon's link to the broker, cut and mended while all others keep theirs."""

    def __init__(self) -> None:
        self.port = free_port()
        self._stack = contextlib.AsyncExitStack()

    async def mend(self, broker_port: int) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        await self._stack.enter_async_context(relay(listener, socket.socket, ("127.0.0.1", broker_port)))

    async def cut(self) -> None:
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def bed_on_a_line(folder: Path, devices: dict[str, list[dict[str, Any]]]) -> AsyncIterator[tuple[Bed, Line]]:
    """Yield a bed whose daemon reaches the broker over its own link."""
    line = Line()

    def through_the_line(configuration: Configuration) -> None:
        configuration.change("bus", url=f"mqtt://127.0.0.1:{line.port}")

    async with bed(folder, devices, is_started=False, change=through_the_line) as it:
        assert it.broker is not None
        await line.mend(it.broker.port)
        try:
            await it.start()
            await it.healthy()
            yield it, line
        finally:
            await line.cut()


async def test_an_announcement_survives_the_broker(tmp_path: Path) -> None:
    """The broker is killed during an OFF: the fence goes on, and is announced once there is a broker again."""
    agent = Agent(tmp_path / "agents", "fence_made", SLOW)
    devices = {"node-1": [agent.device("a")], "node-2": [agent.device("b")]}
    async with bed_on_a_line(tmp_path, devices) as (it, line):
        assert it.broker is not None
        operation = await it.api.act("node-1", "off", force=True)
        await until(lambda: "off a" in agent.calls, what="the OFF is sent")
        it.hosts.kill("node-1")
        it.broker.stop(is_killed=True)
        await line.cut()
        ended = await it.api.ended(operation)
        assert (ended["state"], agent.power("a")) == ("done", "off")
        assert not it.story.of("node-1", "host.fenced")
        assert (await it.api.call("GET", "/readyz")).status == 503

        async def is_waiting() -> bool:
            return (await it.api.metrics())["fenced_outbox_pending"] > 0

        await until(is_waiting, what="the announcement waits")
        connections, messages = it.story.connections, it.story.state_messages
        it.story.states.clear()
        await it.broker.start()
        await until(lambda: it.story.connections > connections, what="the follower is back")
        await line.mend(it.broker.port)
        fenced = await it.story.event("node-1", "host.fenced", seconds=40)
        assert fenced.data["operation"] == operation
        assert it.story.states["node-1"]["token"] == fenced.data["token"]
        # The new broker is empty: every host's state is published again, and no host is suspected for the outage.
        await until(lambda: set(it.story.states) == {"node-1", "node-2"}, what="all states again")
        assert it.story.state_messages > messages
        await until(lambda: "fleet.bus_back" in it.story.kinds(), what="bus_back")
        await asyncio.sleep(2.5)  # a whole grace of listening
        assert not it.story.of(None, "host.suspected", "host.revoked")
        assert not it.story.repeated


async def test_an_outage_of_the_daemons_bus_fences_no_host(tmp_path: Path) -> None:
    """Only the daemon is cut off, for twice the grace, and one host dies meanwhile: that one is fenced, later."""
    agent = Agent(tmp_path / "agents")
    devices = {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 5)}
    async with bed_on_a_line(tmp_path, devices) as (it, line):
        assert it.broker is not None
        await line.cut()
        it.hosts.kill("node-1")
        await asyncio.sleep(3.5)
        hosts = (await it.api.get("hosts"))["items"]
        assert {host["state"] for host in hosts} == {"healthy"}
        await line.mend(it.broker.port)
        await it.story.event("node-1", "host.fenced", seconds=30)
        assert {event.body["subject"] for event in it.story.of(None, "host.suspected")} == {"node-1"}
        assert {"fleet.bus_lost", "fleet.bus_back"} <= set(it.story.kinds())


def request(action: str, identity: str, *, age: float = 0.0) -> bytes:
    body = {"id": identity, "action": action, "reason": "moved away", "by": "scheduler", "at": time.time() - age}
    return json.dumps(body).encode()


async def test_requests_of_the_bus(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")

    def obedient(configuration: Configuration) -> None:
        configuration.change("bus", accept_requests=["off", "fence", "maintenance_on"], request_max_age="5s")

    devices = {name: [agent.device(name)] for name in ("node-1", "node-2")}
    async with bed(tmp_path, devices, change=obedient) as it:
        assert it.broker is not None
        topic = f"fenced/v1/{SITE}/request/node-1"
        await it.ctl("maintenance", "node-1", "on", "--reason", "may be switched off while it is heard")
        async with aiomqtt.Client("127.0.0.1", it.broker.port, protocol=aiomqtt.ProtocolVersion.V5) as five:

            async def answer(identity: str, number: int = 1) -> dict[str, Any]:
                def replies() -> list[dict[str, Any]]:
                    return [heard.body for heard in it.story.replies if heard.topic.endswith(f"/{identity}")]

                await until(lambda: len(replies()) >= number, what=f"answer {number} to {identity}")
                return replies()[number - 1]

            await five.publish(topic, request("off", "old", age=60), qos=1)
            assert (await answer("old"))["rule"] == "stale"
            await five.publish(topic, request("on", "on-1"), qos=1)
            assert (await answer("on-1"))["rule"] == "accept_requests"
            await five.publish(topic, request("off", "kept"), qos=1, retain=True)
            first = await answer("kept")
            assert first["accepted"] is True  # it was sent just now: only later subscribers see it as retained
            await it.story.event("node-1", "host.fenced")
            await five.publish(topic, request("off", "kept"), qos=1)
            again = await answer("kept", 2)
            assert again == first
            assert agent.calls.count("off node-1") == 1

            metrics = await it.api.metrics()
            assert metrics['fenced_bus_messages_total{kind="request",result="refused"}'] == 2

            # MQTT 5: the requester names the response topic and its own correlation data.
            await five.subscribe("somewhere/else")
            properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # theirs has no types
            properties.ResponseTopic, properties.CorrelationData = "somewhere/else", b"17"
            await five.publish(topic, request("restart", "five"), qos=1, properties=properties)
            async with asyncio.timeout(10):
                reply = await anext(aiter(five.messages))
            assert isinstance(reply.payload, bytes)
            body = json.loads(reply.payload)
            assert (body["id"], body["rule"]) == ("five", "accept_requests")
            told: Any = reply.properties
            assert told.CorrelationData == b"17"

            # A retained request that arrives at a new subscription is refused, whatever its age.
            await five.publish(f"fenced/v1/{SITE}/request/node-2", request("fence", "ghost"), qos=1, retain=True)
            await answer("ghost")
            await it.story.event("node-2", "operation.refused")  # comes by the outbox, the answer beside it
            assert [event.data["rule"] for event in it.story.of("node-2", "operation.refused")] == ["alive"]
        await it.daemon.kill()
        async with aiomqtt.Client("127.0.0.1", it.broker.port) as other:
            await other.publish(f"fenced/v1/{SITE}/request/node-2", request("fence", "later"), qos=1, retain=True)
        await it.start()
        assert (await answer("later"))["rule"] == "retained"
        metrics = await it.api.metrics()
        assert metrics['fenced_bus_messages_total{kind="request",result="retained"}'] >= 1
        assert "off node-2" not in agent.calls


async def test_the_broker_inside(tmp_path: Path) -> None:
    """A first run: only the daemon, and `fenced beat` as a host's reporter."""
    agent = Agent(tmp_path / "agents")
    port = free_port()

    def embedded(configuration: Configuration) -> None:
        configuration.change("bus", url=f"embedded://127.0.0.1:{port}")

    devices = {name: [agent.device(name)] for name in ("node-1", "node-2")}
    async with bed(tmp_path, devices, is_started=False, alive=(), change=embedded) as it:
        await it.start()
        beat = Program(
            [*FENCED, "beat", "--bus", f"mqtt://127.0.0.1:{port}", "--site", SITE, "--host", "node-1",
             "--interval", "250ms"],
            log=tmp_path / "beat.log",
        )  # fmt: skip
        await beat.start()
        try:
            async with following(port) as story, beating(port, ["node-2"]):
                await story.state("node-1", "healthy")
                await story.state("node-2", "healthy")
                await beat.kill()
                fenced = await story.event("node-1", "host.fenced", seconds=30)
                assert fenced.data["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
                await story.event("node-1", "host.restored")
                assert it.story.events == []
        finally:
            await beat.kill()
        assert await it.daemon.end() == 0


async def test_without_its_package_the_broker_inside_is_refused_and_named(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "fenced.toml").write_text(
        f'[daemon]\nname = "a"\nstate_dir = "{tmp_path}/state"\n[bus]\nurl = "embedded://127.0.0.1:{port}"\n'
        '[api]\nlisten = "127.0.0.1:0"\n[[host]]\nname = "node-1"\n'
    )
    code = "import sys; sys.modules['amqtt'] = None; from fenced.cli.main import main; main()"
    ended = await run_short([sys.executable, "-c", code, "run", "-c", str(tmp_path / "fenced.toml")])
    assert ended.status == 1
    assert "fenced[embedded]" in ended.err

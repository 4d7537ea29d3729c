"""Three reporters and the real daemon: the beat over MQTT, over HTTP, and the shell script for appliances."""

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.beat.program import beating, running
from tests.bus.parts import Mosquitto
from tests.e2e.agents import Agent
from tests.e2e.bed import Api, bed
from tests.e2e.configuration import SITE
from tests.house.tree import ROOT
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto", "mosquitto_pub")]


@contextlib.asynccontextmanager
async def appliance(folder: Path, broker: Mosquitto, host: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run config/beat.sh as the init of an appliance does, in its own process group."""
    (folder / "mosquitto_pub").write_text(f"-h 127.0.0.1\n-p {broker.port}\n")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder)}
    command = ["sh", str(ROOT / "config/beat.sh"), host, SITE, "1"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


async def test_the_daemon_hears_each_kind_of_reporter(tmp_path: Path) -> None:
    """One host dies, one shuts down, one is an appliance that loses and finds the broker."""
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in ("node-1", "node-2", "node-3")}
    async with bed(tmp_path, devices, alive=()) as it:
        assert it.broker is not None
        options = ("--site", SITE, "--interval", "250ms")
        bus = ("--bus", f"mqtt://127.0.0.1:{it.broker.port}", "--host", "node-1")
        with (
            running(tmp_path, *bus, *options) as dying,
            beating(tmp_path, it.api.url, "--host", "node-2", *options, systemctl="stopping") as leaving,
        ):
            async with appliance(tmp_path, it.broker, "node-3") as script:
                await it.healthy(["node-1", "node-2", "node-3"])
                dying.process.kill()
                fenced = await it.story.event("node-1", "host.fenced", seconds=40)
                assert fenced.data["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
                assert await leaving.ended() == 0
                await it.story.state("node-2", "left")
                connections = it.story.connections
                it.broker.stop()
                await it.broker.start()
                await until(lambda: it.story.connections > connections, what="the follower is back")
                heard = await beats(it.api)

                async def is_heard_again() -> bool:
                    return await beats(it.api) >= heard + 2

                await until(is_heard_again, what="two heartbeats of the appliance, through the new broker")
                assert script.poll() is None
        assert [event.body["subject"] for event in it.story.of(None, "host.fenced")] == ["node-1"]


async def beats(api: Api) -> float:
    """Return how many heartbeats the daemon has accepted."""
    return (await api.metrics())['fenced_bus_messages_total{kind="health",result="ok"}']

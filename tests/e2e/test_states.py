"""What the bus still shows after the daemon's restart: an old state is replaced, a lost `fenced` is revoked (S22)."""

import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from fenced.model.names import Token
from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import SITE
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def show(it: Bed, host: str, **body: Any) -> None:
    """Publish a state as an earlier life of the daemon would have."""
    assert it.broker is not None
    async with aiomqtt.Client("127.0.0.1", it.broker.port) as client:
        whole = {"host": host, "proof": None, "controller": "fenced-a", **body}
        await client.publish(f"fenced/v1/{SITE}/state/{host}", json.dumps(whole), qos=1, retain=True)


def rev(it: Bed, host: str) -> Token:
    return Token.parse(it.story.states[host]["rev"])


async def test_an_old_state_does_not_stand_and_a_lost_fenced_is_revoked(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in ("node-1", "node-2")}
    async with bed(tmp_path, devices) as it:
        old = it.story.states["node-1"]
        await it.daemon.kill()
        await show(it, "node-2", state="fenced", token="1-900", rev="1-901", proof="device_verified")
        await until(lambda: it.story.states["node-2"]["state"] == "fenced", what="the lost state")
        await it.start()

        revoked = await it.story.event("node-2", "host.revoked")
        assert (revoked.data["replaces"], revoked.data["alive"]) == ("1-900", False)
        assert Token.parse(revoked.data["token"]) > Token(epoch=1, sequence=900)
        await it.story.state("node-2", "healthy")
        assert it.story.states["node-2"]["token"] == revoked.data["token"]
        await it.api.ended(await it.api.act("node-2", "off", force=True))
        fenced = await it.story.event("node-2", "host.fenced")
        assert fenced.data["replaces"] == "1-900"

        await until(lambda: rev(it, "node-1").epoch == 2, what="the new life's state")
        messages = it.story.state_messages
        await show(it, **old)
        await until(lambda: it.story.state_messages >= messages + 2, what="the old state and its answer")
        await until(lambda: rev(it, "node-1").epoch == 2, what="the new life's state again")
        metrics = await it.api.metrics()
        assert metrics['fenced_bus_messages_total{kind="state",result="ok"}'] >= 1
        assert metrics['fenced_bus_messages_total{kind="state",result="retained"}'] >= 1
        assert len(it.story.of("node-2", "host.revoked")) == 1 and not it.story.of("node-1", "host.revoked")


async def test_a_store_that_forgot_its_epochs_goes_on_above_them(tmp_path: Path) -> None:
    """As after a snapshot of the whole machine: only the bus knows of the lost time."""
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {name: [agent.device(name)] for name in ("node-1", "node-2")}) as it:
        await it.daemon.kill()
        await show(it, "node-2", state="fenced", token="9-1", rev="9-2", proof="device_verified")
        await until(lambda: it.story.states["node-2"]["state"] == "fenced", what="the state of the lost time")
        await it.start()
        revoked = await it.story.event("node-2", "host.revoked", seconds=40)
        assert revoked.data["replaces"] == "9-1" and Token.parse(revoked.data["token"]).epoch == 10
        await it.story.state("node-2", "healthy")
        await it.ready()
        assert (await it.api.metrics())["fenced_epoch"] == 10

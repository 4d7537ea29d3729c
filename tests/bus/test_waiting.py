"""Messages that wait on their way: in the daemon's socket, and at a broker that queues them."""

import asyncio
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.ports.bus import Health, Message
from tests.bus.parts import mosquitto, other, running, settings
from tests.needs import find, needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto", "mosquitto_pub")]


async def test_a_message_shows_how_long_it_may_have_waited(tmp_path: Path) -> None:
    """While the loop is blocked, it waits in the daemon's socket."""
    publish = find("mosquitto_pub")
    assert publish is not None
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus:
        command = [publish, "-p", str(broker.port), "-t", "fenced/v1/lab/health/node-1", "-m", "{}"]
        for count, seconds in ((1, 0.0), (2, 2.0)):
            subprocess.run(command, check=True)
            time.sleep(seconds)
            await until(lambda count=count: len(bus.of(Health)) == count)
            await asyncio.sleep(0.5)
    at_once, held_up = bus.of(Health)
    assert held_up.waited_seconds >= 2.0
    assert 0.0 <= at_once.waited_seconds < held_up.waited_seconds
    assert held_up.reached <= held_up.received - 2.0


async def test_a_message_may_expire_on_its_way(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, running(settings(broker.port)) as bus, other(broker.port) as reader:
        await reader.subscribe("fenced/v1/lab/event/+", qos=1)
        kept = Message(topic="fenced/v1/lab/event/node-1", payload=b"{}", is_retained=False, expiry_seconds=1000)
        for sent in (kept, replace(kept, expiry_seconds=None)):
            await bus.client.publish(sent, timeout_seconds=10.0)
        first, second = [await anext(reader.messages) for _ in range(2)]
    assert 0 < getattr(first.properties, "MessageExpiryInterval", 0) <= 1000
    assert not hasattr(second.properties, "MessageExpiryInterval")

"""The cost of receiving a burst of heartbeats, compared with a subscriber that drops it."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

from fenced.ports.bus import Health
from tests.bus.parts import mosquitto, other, running, settings
from tests.e2e.programs import background
from tests.needs import find, needs
from tests.net import until


@pytest.mark.integration
@needs("mosquitto", "mosquitto_pub")
async def test_a_burst_costs_less_than_a_subscriber_that_drops_it(tmp_path: Path) -> None:
    """`make bench` measures the share of a core. Here both receive the same, in turns, in this process."""
    count = 2000
    body = json.dumps({"boot": "3f2b8c1e-8d1a-4a2b-9a70-3f7a8d0c1b2a", "seq": 17, "status": "ok", "interval": 5})
    publisher = find("mosquitto_pub")
    assert publisher is not None
    lines = tmp_path / "lines"
    lines.write_text((body + "\n") * count)
    async with mosquitto(tmp_path) as broker:

        async def seconds(has_all: Callable[[], bool]) -> float:
            """Return the processor seconds until the messages published now have arrived."""
            before = time.process_time()
            with lines.open() as source:
                topic = ["-t", "fenced/v1/lab/health/node-1"]
                process = subprocess.Popen([publisher, "-p", str(broker.port), *topic, "-l"], stdin=source)
            await until(has_all)
            spent = time.process_time() - before
            assert process.wait(10) == 0
            return spent

        async def ours() -> float:
            async with running(settings(broker.port)) as bus:
                return await seconds(lambda: len(bus.of(Health)) >= count)

        async def floor() -> float:
            heard = 0

            async def drop(client: aiomqtt.Client) -> None:
                nonlocal heard
                async for _ in client.messages:
                    heard += 1

            async with other(broker.port, is_version_5=False) as client, background(drop(client), "drop"):
                await client.subscribe("fenced/v1/lab/health/+", qos=1)
                return await seconds(lambda: heard >= count)

        pairs = [(await ours(), await floor()) for _ in range(3)]
    least, bare = min(ours for ours, _ in pairs), min(floor for _, floor in pairs)
    assert least < 0.7 * bare, f"{least / count * 1e6:.0f} microseconds a message beside {bare / count * 1e6:.0f}"

"""A client that is told to stop stops, in whatever moment that comes."""

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from fenced.bus.client import BusClient
from fenced.ports.bus import BusEvent
from tests.bus.parts import CountingTelemetry, WallClock, mosquitto, settings
from tests.needs import needs

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def test_a_stop_in_the_turn_of_the_subscription_is_heard(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        client = BusClient(
            settings(broker.port), is_host=lambda _: True, telemetry=CountingTelemetry(), clock=WallClock()
        )

        def stop(event: BusEvent) -> None:
            task.cancel()

        task: asyncio.Task[NoReturn] = asyncio.create_task(client.run(stop))
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()

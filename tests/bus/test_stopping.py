"""A cancelled client stops, whatever it is doing."""

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from fenced.bus.client import BusClient
from fenced.ports.bus import BusEvent
from tests.bus.parts import CountingTelemetry, WallClock, mosquitto, settings
from tests.needs import needs

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def test_a_cancellation_in_the_turn_of_the_subscription_stops_it(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        client = BusClient(
            settings(broker.port), is_host=lambda _: True, telemetry=CountingTelemetry(), clock=WallClock()
        )

        def stop(event: BusEvent) -> None:
            task.cancel()

        task: asyncio.Task[NoReturn] = asyncio.create_task(client.run(stop))
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()

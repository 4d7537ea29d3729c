"""Hundreds of clients read the API without a pause, refused or not; a host is still fenced and announced,
the lease kept.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import Program
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

POLLERS, STREAMS = 300, 100
LEASE_SECONDS = 6.0
SLOWER_AT_MOST = 8
"""Than without readers, which themselves take most of the machine."""


def limited(configuration: Configuration) -> None:
    configuration.change("api", requests_per_second=50)
    configuration.change("store", lease_ttl=f"{LEASE_SECONDS:g}s")


async def fenced(it: Bed, name: str) -> float:
    """Return how long it takes from a host's last beat until its fence is announced."""
    it.hosts.kill(name)
    started = time.monotonic()
    await it.story.event(name, "host.fenced")
    return time.monotonic() - started


async def test_readers_who_never_wait_delay_no_fence_and_cost_no_lease(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    counts = tmp_path / "counts"
    names = [f"node-{number}" for number in range(1, 7)]
    async with bed(tmp_path, {name: [agent.device(name)] for name in names}, change=limited) as it:
        floor = max(await fenced(it, "node-2"), await fenced(it, "node-3"))
        command = [sys.executable, "-m", "tests.e2e.readers", it.api.url, str(POLLERS), str(STREAMS), str(counts)]
        readers = Program(command, log=tmp_path / "readers.log")
        await readers.start()
        try:
            await until(lambda: counts.exists() and json.loads(counts.read_text()).get("429", 0) > POLLERS)
            before, began = json.loads(counts.read_text()), time.monotonic()
            with_readers = max(await fenced(it, "node-4"), await fenced(it, "node-5"))
            # In all longer than a lease, under full load all the time.
            await asyncio.sleep(began + LEASE_SECONDS + 0.5 - time.monotonic())
            after = json.loads(counts.read_text())
            assert readers.is_running, readers.log
        finally:
            await readers.kill()
        assert after["429"] - before["429"] > POLLERS, "they asked all the time"
        assert with_readers < SLOWER_AT_MOST * floor, f"{with_readers:.1f} s, without readers {floor:.1f} s"
        for word in ("lease_not_renewed", "lease_lost", "outbox_unreadable"):
            assert word not in it.daemon.log
        for states in it.story.controllers.values():
            assert states["state"] == "active"
        assert it.story.kinds("node-1") == ["host.healthy"], "nobody else was suspected"

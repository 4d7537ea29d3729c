"""Two controllers of the virtual data centre on one store: the first one active, the second one a standby."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from fenced.model.names import HostName
from tests.world.daemon import Daemon
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")
RACK = Rack(other_daemons=("fenced-b",))
TTL_SECONDS = 15.0
ACCEPTED = "daemon.accept_requests"


def play(work: Coroutine[Any, Any, None]) -> None:
    run(work)


async def both(rack: Rack = RACK) -> tuple[World, Daemon, Daemon]:
    """Return a world whose first controller is active and whose second one is a standby for some minutes."""
    world = World(rack)
    world.begin()
    first, second = world.daemons.values()
    await first.start()
    await asyncio.sleep(2.0)
    await second.start()
    await asyncio.sleep(120.0)
    return world, first, second


def records(world: World, kind: type) -> list[Any]:
    return [entry.record for entry in world.disk.durable.entries.values() if isinstance(entry.record, kind)]

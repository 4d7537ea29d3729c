"""Like `owner`, for a Python agent: `warm_owner.py MARKER AGENT [held]`. The first call is plain, the second warm.

Prints the keeper's pid, the template's, then pid and start of the warm agent.
"""

import asyncio
import sys
from pathlib import Path

from fenced.drivers.keeper.client import Keeper
from fenced.ports.devices import Started
from tests.drivers.keeper.warm import program, warmed


async def main() -> None:
    """Run the agent; held: never feed it."""

    async def told(started: Started) -> None:
        print(started.pid, started.pid_started, flush=True)
        if sys.argv[3:] == ["held"]:
            await asyncio.Event().wait()

    path = Path(sys.argv[2])
    async with Keeper(marker=sys.argv[1], has_warm_agents=True) as keeper:
        print(keeper.pid, flush=True)
        print(await warmed(keeper, path, "quick"), flush=True)
        await keeper.run(program(path, "go"), timeout_seconds=300, on_started=told)


asyncio.run(main())

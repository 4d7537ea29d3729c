"""A stand-in for the daemon in a separate process, so that a test can kill it: `owner.py MARKER SCRIPT [held]`."""

import asyncio
import os
import sys

from fenced.drivers.keeper.client import Keeper
from fenced.drivers.keeper.connection import Program
from fenced.ports.devices import Started


async def main() -> None:
    """Run the script; held: never feed it."""
    program = Program(argv=("/bin/sh", "-c", sys.argv[2]), environment={"PATH": os.defpath}, parameters=b"go\n")

    async def never(started: Started) -> None:
        print(started.pid, started.pid_started, flush=True)
        await asyncio.Event().wait()

    async with Keeper(marker=sys.argv[1]) as keeper:
        print(keeper.pid, flush=True)
        await keeper.run(program, timeout_seconds=300, on_started=never if sys.argv[3:] == ["held"] else None)


asyncio.run(main())

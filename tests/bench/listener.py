"""The floor for receiving: a bare aiomqtt subscriber that drops everything. `python -m tests.bench.listener PORT`.

Prints `ready`, and at the end of its standard input how many messages came.
"""

import asyncio
import sys

import aiomqtt
import uvloop

from tests.e2e.configuration import SITE


async def main(port: int) -> None:
    """Run until standard input ends."""
    count = 0

    async def drop() -> None:
        nonlocal count
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe(f"fenced/v1/{SITE}/health/+")
            print("ready", flush=True)
            async for _ in client.messages:
                count += 1

    task = asyncio.create_task(drop(), name="drop")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()
    print(count, flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

"""A program: subscribes to all heartbeats with aiomqtt and does nothing with them: the floor for whoever hears them.

python -m tests.e2e.subscriber PORT
"""

import contextlib
import sys

import aiomqtt
import uvloop

from tests.e2e.configuration import SITE


async def run(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"fenced/v1/{SITE}/health/+")
        async for _ in client.messages:
            pass


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(int(sys.argv[1])))

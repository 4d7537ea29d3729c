"""A program: heartbeats of many hosts over one connection. Those named in the file STOPPED send none any more.

python -m tests.e2e.publisher PORT HOSTS INTERVAL STOPPED
"""

import asyncio
import contextlib
import sys
from pathlib import Path

import aiomqtt

from tests.e2e.hosts import Beating

SLICES = 20


async def run(port: int, number: int, interval: float, stopped: Path) -> None:
    """Send in slices over the interval, as independent hosts would."""
    hosts = Beating(port, interval=interval)
    names = [f"node-{n}" for n in range(number)]
    hosts.boot(*names)
    loop = asyncio.get_running_loop()
    async with aiomqtt.Client("127.0.0.1", port) as client:
        due, turn = loop.time(), 0
        while True:
            silent = set(stopped.read_text().split()) if stopped.exists() else set()
            for name in names[turn % SLICES :: SLICES]:
                if name not in silent:
                    await client.publish(*hosts.message(name))
            turn += 1
            due += interval / SLICES
            await asyncio.sleep(max(due - loop.time(), 0.0))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))

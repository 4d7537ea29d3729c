"""A program: many readers of the API that ignore every `Retry-After`: event streams, and request after request.

python -m tests.e2e.readers URL POLLERS STREAMS COUNTS
COUNTS: a file with the number of answers by status, as JSON.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path

import aiohttp

ASKED = ("hosts", "hosts/node-1/explain", "operations", "hosts/node-9", "proxies", "pauses")


async def poll(client: aiohttp.ClientSession, heard: Counter[int], start: int) -> None:
    """Request for ever: ignore `Retry-After`, and send the next request right after an error."""
    for path in cycle(ASKED[start % len(ASKED) :] + ASKED[: start % len(ASKED)]):
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with client.get(f"/api/v1/{path}") as answer:
                await answer.read()
                heard[answer.status] += 1


async def follow(client: aiohttp.ClientSession, heard: Counter[int]) -> None:
    """Follow the stream from the first event on, again and again."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with client.get("/api/v1/events", headers={"Last-Event-ID": "0"}) as answer:
                heard[answer.status] += 1
                async for _ in answer.content:
                    pass


async def run(url: str, pollers: int, streams: int, counts: Path) -> None:
    heard: Counter[int] = Counter()
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(pollers):
            group.create_task(poll(client, heard, number), name=f"poller-{number}")
        for number in range(streams):
            group.create_task(follow(client, heard), name=f"stream-{number}")
        while True:
            await asyncio.sleep(0.2)
            fresh = counts.with_suffix(".new")
            fresh.write_text(json.dumps(heard))
            fresh.rename(counts)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))

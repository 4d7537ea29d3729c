"""A program: subscribes to all heartbeats with aiomqtt and only counts them: the floor for any receiver.

python -m tests.e2e.subscriber PORT SEEN LATE_SECONDS: SEEN is a file with the number of heartbeats, and the hosts of
which none came for LATE_SECONDS at some time: on a busy machine those were late for every receiver.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import aiomqtt
import uvloop

from tests.e2e.configuration import SITE

WRITE_SECONDS = 0.2


async def run(port: int, seen: Path, late_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    heard: dict[str, float] = {}
    late: set[str] = set()
    count, written = 0, 0.0
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"fenced/v1/{SITE}/health/+")
        async for message in client.messages:
            now, topic = loop.time(), str(message.topic)
            if now - heard.get(topic, now) > late_seconds:
                late.add(topic.rpartition("/")[2])
            heard[topic] = now
            count += 1
            if now - written > WRITE_SECONDS:
                written = now
                new = seen.with_suffix(".new")
                new.write_text(json.dumps({"count": count, "late": sorted(late)}))
                new.replace(seen)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))

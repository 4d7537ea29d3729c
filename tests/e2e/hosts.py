"""Many hosts over one connection: each sends its heartbeats while it `lives`, with its own boot id."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable

import aiomqtt

from tests.e2e.configuration import SITE
from tests.e2e.programs import background


class Beating:
    """`interval` seconds between two beats of a host; all hosts of one turn are sent together. `workloads`: how many a
    host says that it has; not named: it does not say. `stopping`: hosts that shut down."""

    def __init__(self, port: int, *, interval: float = 0.25) -> None:
        self._port, self._interval = port, interval
        self.boots: dict[str, str] = {}
        self.workloads: dict[str, int] = {}
        self.stopping: set[str] = set()
        self._sequences: dict[str, int] = {}

    def boot(self, *names: str) -> None:
        """Start these hosts, with new boot ids."""
        for name in names:
            self.boots[name] = str(uuid.uuid4())
            self._sequences[name] = 0

    def kill(self, *names: str) -> None:
        """Stop these hosts without a last message."""
        for name in names:
            del self.boots[name]

    def message(self, name: str) -> tuple[str, bytes]:
        """Return the next heartbeat of a host: topic and payload."""
        self._sequences[name] += 1
        payload: dict[str, object] = {
            "boot": self.boots[name], "seq": self._sequences[name], "interval": self._interval,
            "status": "stopping" if name in self.stopping else "ok",
        }  # fmt: skip
        if name in self.workloads:
            payload["workloads"] = self.workloads[name]
        return f"fenced/v1/{SITE}/health/{name}", json.dumps(payload).encode()

    async def run(self) -> None:
        """Send for ever, over restarts of the broker too; ends by cancellation."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self._port) as client:
                    await self._beat(client)
            await asyncio.sleep(0.05)

    async def _beat(self, client: aiomqtt.Client) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for topic, payload in [self.message(name) for name in self.boots]:
                await client.publish(topic, payload)
            due = max(due + self._interval, loop.time())
            await asyncio.sleep(due - loop.time())


@contextlib.asynccontextmanager
async def beating(port: int, names: Iterable[str], *, interval: float = 0.25) -> AsyncIterator[Beating]:
    """Let these hosts live for the duration of the block, or until they are killed."""
    hosts = Beating(port, interval=interval)
    hosts.boot(*names)
    async with background(hosts.run(), "heartbeats"):
        yield hosts

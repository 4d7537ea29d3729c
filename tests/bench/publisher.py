"""Heartbeats of many hosts, in a separate process: `python -m tests.bench.publisher PORT HOSTS INTERVAL SAID`.

Spread evenly over the interval; each beat names the interval SAID. Reads one command a line on standard input and
answers each with a line of JSON: `sent` so far; `stop K` evenly spread hosts stop for good (when each spoke last);
`pause` all, until the next `sent`.
"""

import asyncio
import json
import sys
import time
import uuid
from typing import Any, Final

from tests.bench.mqtt import Client, connected, publish_packet
from tests.bench.report import percentile
from tests.e2e.configuration import SITE

TICK_SECONDS: Final = 0.01


def boot_of(number: int) -> str:
    """Return the boot id of `node-NUMBER`: always the same one, so that a store can know it before."""
    return str(uuid.UUID(int=number, version=4))


class Hosts:
    """`node-0` to `node-N`. `last`: when each sent its last beat, on the wall clock."""

    def __init__(self, client: Client, count: int, interval: float, said: float) -> None:
        self._client, self._count, self._interval, self._said = client, count, interval, said
        self._boots = [boot_of(number) for number in range(count)]
        self._sequences = [0] * count
        self._stopped: set[int] = set()
        self._is_paused = False
        self.sent = 0
        self.last = [0.0] * count
        self.late: list[float] = []

    async def run(self) -> None:
        """Send for ever. What a late turn missed is sent in the next."""
        began, done, turn = time.monotonic(), 0, 0
        while True:
            turn += 1
            due = began + turn * TICK_SECONDS
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            self.late.append(time.monotonic() - due)
            upto = int((time.monotonic() - began) * self._count / self._interval)
            if not self._is_paused:
                self._send(done, upto)
            done = upto

    def _send(self, start: int, stop: int) -> None:
        packets = []
        for number in (beat % self._count for beat in range(start, stop)):
            if number in self._stopped:
                continue
            self._sequences[number] += 1
            body = (
                f'{{"boot":"{self._boots[number]}","seq":{self._sequences[number]},"status":"ok",'
                f'"interval":{self._said:g}}}'
            )
            packets.append(publish_packet(f"fenced/v1/{SITE}/health/node-{number}", body.encode()))
            self.last[number] = time.time()
        self.sent += len(packets)
        assert self._client.transport is not None
        self._client.transport.write(b"".join(packets))

    def obey(self, word: str, number: int) -> dict[str, Any]:
        if word == "stop":
            self._stopped = set(range(0, self._count, max(1, self._count // number)))
            return {"last": {f"node-{index}": self.last[index] for index in sorted(self._stopped)}}
        self._is_paused = word == "pause"
        return {"sent": self.sent, "late_p99": percentile(self.late or [0.0], 99)}


async def main(port: int, count: int, interval: float, said: float) -> None:
    """Run until standard input ends."""
    loop = asyncio.get_running_loop()
    async with connected(port, "publisher") as client:
        hosts = Hosts(client, count, interval, said)
        task = asyncio.create_task(hosts.run(), name="beats")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            word, _, number = line.strip().partition(" ")
            print(json.dumps(hosts.obey(word, int(number or 1))), flush=True)
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))

"""The page of ten thousand hosts: how long the server takes, how large it is, and how soon an event is on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.agent import Agent
from tests.bench.ground import Ground, ground
from tests.bench.report import Report, median, percentile
from tests.bench.row import Row

ANSWER_MS = 50.0
PACKED_KB = 100.0
EVENT_MS = 1000.0
HEARD_SECONDS_MAX = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 10_000
    requests: int = 60
    events: int = 10


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    size = size or Size()
    async with _fleet(folder, size.hosts) as it, aiohttp.ClientSession(auto_decompress=False) as client:
        url = it.api.url
        floor = [(await _timed(client, f"{url}/healthz"))[0] for _ in range(size.requests)]
        for what, path in (("the fleet", "/"), ("the fleet, filtered", "/?name=ode-12"), ("a host", "/hosts/node-0")):
            answers = [await _timed(client, url + path) for _ in range(size.requests)]
            report.line(
                f"{what}: p95 of an answer", percentile([took for took, _ in answers], 95), "ms", limit=ANSWER_MS,
                floor=median(floor), floor_name="GET /healthz", is_limit_absolute=True,
            )  # fmt: skip
            if path == "/":
                report.line(
                    "the fleet: its page, compressed", answers[-1][1] / 1000, "kB", limit=PACKED_KB,
                    is_limit_absolute=True,
                )  # fmt: skip
        late = [await _until_shown(it, url, number) for number in range(size.events)]
        report.line(
            "an event on an open page of the fleet: slowest", max(late), "ms", limit=EVENT_MS, is_limit_absolute=True
        )
    report.notes.append(
        f"{size.hosts} hosts in 50 clusters and 250 racks, each heard; answers compressed, one after another"
    )


async def _timed(client: aiohttp.ClientSession, address: str) -> tuple[float, int]:
    """Return milliseconds and bytes."""
    began = time.perf_counter()
    async with client.get(address, headers={"Accept-Encoding": "gzip"}) as response:
        body = await response.read()
        assert response.status == 200, body[:300]
    return 1000 * (time.perf_counter() - began), len(body)


async def _until_shown(it: Ground, url: str, number: int) -> float:
    """Return how many milliseconds after a request the page has the host in maintenance."""
    host = f"node-{number}"
    async with aiohttp.ClientSession() as client, client.get(f"{url}/live?page=/") as stream:
        assert stream.status == 200
        await stream.content.readline()
        began = time.perf_counter()
        async with client.put(f"{url}/api/v1/hosts/{host}/maintenance", json={"reason": "measured"}) as answer:
            assert answer.status == 200
        async with asyncio.timeout(60):
            async for line in stream.content:
                if f'id="h-{host}" class=maintenance'.encode() in line:
                    return 1000 * (time.perf_counter() - began)
    raise AssertionError("the stream ended")


@asynccontextmanager
async def _fleet(folder: Path, count: int) -> AsyncIterator[Ground]:
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(count)]
    hosts = {name: [agent.device(f"plug-{name}")] for name in names}
    about: dict[str, dict[str, Any]] = {
        name: {"cluster": f"c{number % 50 + 1}", "rack": f"r{number % 250}"} for number, name in enumerate(names)
    }
    tables: dict[str, dict[str, Any]] = {
        "daemon": {"armed": False},
        "detection": {
            "startup_quiet": "0s", "probe_ports": [], "heartbeat_interval": "60s", "grace": "10m", "grace_max": "10m",
        },
        "api": {"tcp_writes": True},
    }  # fmt: skip
    async with ground(folder, hosts, tables=tables, about=about) as it:
        it.beat(*names)
        await it.ear.until("host.healthy", names, seconds=HEARD_SECONDS_MAX)
        yield it


ROW = Row(name="page", title="the page of the whole fleet", measure=measure)
"""Row of the page."""

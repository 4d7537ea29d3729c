"""How far a standby is behind, with 2,000 beats and 20 fences a second.

Seconds: from the moment at which the event stream of the active controller shows a fence until that of the standby
does. Records: how many newer ones the store has by then. The standby looks in intervals, and that is the floor: what
came within one is behind by then, however fast the standby is.
"""

import asyncio
import bisect
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from fenced.engine.standby import LOOK_SECONDS
from tests.bench.agent import Agent
from tests.bench.controllers import Controller, Pair, event_stream, pair, plug_of
from tests.bench.databases import database_seconds, durable_server
from tests.bench.heartbeats import HEALTH, ask, publishing
from tests.bench.processes import cost
from tests.bench.report import Report, percentile
from tests.bench.row import Row
from tests.e2e.programs import background

LAG: Final = 'fenced_standby_lag_records{shard="main"}'
FENCED: Final = "io.fenced.host.fenced"
SAMPLE_SECONDS: Final = 0.02
GAUGE_SECONDS: Final = 0.25
HEALTHY_SECONDS_MAX: Final = 90.0
LAST_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 1000
    rate: float = 2000.0
    fences: float = 20.0
    seconds: float = 15.0
    interval_seconds: float = 5.0
    """What a beat says. The hosts beat more often."""


@dataclass(slots=True)
class Newest:
    """The newest record of the store over time."""

    times: list[float] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    def at(self, moment: float) -> int:
        return self.sequences[max(bisect.bisect_right(self.times, moment) - 1, 0)]


@dataclass(slots=True, kw_only=True)
class Seen:
    """When each stream showed the fence of each host, the number of its record, and what was sampled beside it."""

    active: Mapping[str, float]
    standby: Mapping[str, float]
    newest: Newest
    numbers: Mapping[str, int] = field(default_factory=dict)
    gauge: list[float] = field(default_factory=list)
    seconds: float = 0.0
    used: dict[str, float] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    size = size or Size()
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(size.hosts)]
    dark = [f"dark-{number}" for number in range(round(size.fences * size.seconds))]
    hosts = {host: [agent.device(plug_of(host))] for host in (*names, *dark)}
    interval = f"{1000 * size.interval_seconds:.0f}ms"
    tables: dict[str, dict[str, Any]] = {
        "detection": {
            "startup_quiet": "0s", "bus_settle": "1s", "probe_ports": [], "grace": "60s",
            "heartbeat_interval": interval, "watch_interval": "10m",
        },
        "power": {"verify_interval": "100ms"}, "check": {"interval": "0s"},
    }  # fmt: skip
    with durable_server() as database:
        async with (
            pair(folder, hosts, database, lease_ttl="15s", tables=tables) as it,
            publishing(it.ground.broker.port, size.hosts, size.hosts / size.rate, size.interval_seconds) as publisher,
        ):
            await it.ground.ear.until("host.healthy", names, seconds=HEALTHY_SECONDS_MAX)
            seen = await _seen(it, dark, size)
            sent = (await ask(publisher, "pause"))["sent"]
            await asyncio.sleep(1.0)
            for one in it.controllers:
                seen.missed[one.name] = sent - round((await one.api.metrics())[HEALTH])
    _tell(report, size, seen)


async def _seen(it: Pair, dark: list[str], size: Size) -> Seen:
    """Fence one host after the other at the rate, and watch."""
    newest = Newest()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        active = await stack.enter_async_context(event_stream(it.active.api, session, FENCED))
        standby = await stack.enter_async_context(event_stream(it.standby.api, session, FENCED))
        seen = Seen(active=active, standby=standby, newest=newest)
        connection = await stack.enter_async_context(_connection(it))
        await stack.enter_async_context(background(_sample(connection, newest), "newest record"))
        await stack.enter_async_context(background(_read_gauge(it.standby, seen.gauge), "gauge"))
        before, began = _used(it), time.monotonic()
        await _fence(it, dark, size.fences)
        await it.ground.ear.until("host.fenced", dark, seconds=LAST_SECONDS_MAX)
        seen.seconds = time.monotonic() - began
        seen.used = {name: (used - before[name]) / seen.seconds for name, used in _used(it).items()}
        async with asyncio.timeout(LAST_SECONDS_MAX):
            while not (set(active) >= set(dark) and set(standby) >= set(dark)):  # noqa: ASYNC110 - streams end on their own
                await asyncio.sleep(SAMPLE_SECONDS)
    seen.numbers = {
        row["host"]: row["number"]
        for row in await it.rows(
            'SELECT host, max(sequence) AS number FROM records WHERE body LIKE \'%"kind":"host_fenced"%\' GROUP BY host'
        )
    }
    return seen


async def _fence(it: Pair, hosts: list[str], rate: float) -> None:
    """Request so many a second; a request that takes long delays no other."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, host in enumerate(hosts):
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0.0))
            group.create_task(it.active.api.act(host, "off", force=True), name=f"off of {host}")


@contextlib.asynccontextmanager
async def _connection(it: Pair) -> AsyncIterator[asyncpg.Connection]:
    connection = await it.database.connect(it.database_name)
    try:
        yield connection
    finally:
        await connection.close()


async def _sample(connection: asyncpg.Connection, newest: Newest) -> None:
    while True:
        newest.sequences.append(await connection.fetchval("SELECT sequence FROM lease"))
        newest.times.append(time.time())
        await asyncio.sleep(SAMPLE_SECONDS)


async def _read_gauge(standby: Controller, gauge: list[float]) -> None:
    while True:
        gauge.append((await standby.api.metrics())[LAG])
        await asyncio.sleep(GAUGE_SECONDS)


def _used(it: Pair) -> dict[str, float]:
    """Return the processor seconds of each part so far."""
    return {
        "active one": cost(it.active.program.pid).own,
        "standby": cost(it.standby.program.pid).own,
        "database": database_seconds(it.database),
    }


def _tell(report: Report, size: Size, seen: Seen) -> None:
    behind = [seen.standby[host] - at for host, at in seen.active.items() if host in seen.standby]
    records = [seen.newest.at(seen.standby[host]) - number for host, number in seen.numbers.items()]
    a_look = LOOK_SECONDS * (seen.newest.sequences[-1] - seen.newest.sequences[0]) / seen.seconds
    for percent in (50, 99, 100):
        report.line(
            f"a fence is known at the standby, p{percent} of {len(behind)}", percentile(behind, percent), "s",
            floor=LOOK_SECONDS, floor_name="between two looks",
        )  # fmt: skip
        report.line(
            f"newer records by then, p{percent}", percentile(records, percent), "",
            floor=a_look, floor_name="written between two looks",
        )  # fmt: skip
    report.line("fenced_standby_lag_records, most", max(seen.gauge), "")
    report.line("fences a second", len(behind) / seen.seconds, "", floor=size.fences, floor_name="requested")
    for name, missed in seen.missed.items():
        report.line(f"beats missed by {name}", missed, "")
    for name, share in seen.used.items():
        report.line(f"share of a core: {name}", 100 * share, "%")
    report.notes.append(
        f"{size.rate:.0f} beats a second of {size.hosts} hosts, heard by both; the fenced hosts are mute"
    )


ROW = Row(
    name="standby", title="how far a standby is behind", measure=measure, needs=("mosquitto", "postgres"),
    bound_seconds=240.0,
)  # fmt: skip

"""Row 8: a host really falls silent; how long until it is proven off and announced, with the default settings."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import Ground, ground
from tests.bench.report import Report, median, percentile
from tests.bench.row import Row

LIMIT_SECONDS = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    daemons: int = 6
    hosts: int = 4
    interval_seconds: float = 5.0
    settle_seconds: float = 12.0
    detection: dict[str, Any] = field(default_factory=dict)
    """Besides startup_quiet; the row itself changes nothing else."""
    gates: dict[str, Any] = field(default_factory=dict)
    floor_seconds: float = 20.0 + 5.0 + 1.0
    seconds_max: float = 90.0


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Daemons side by side, one victim each: a second fence of one fleet would wait for the budget."""
    size = size or Size()
    async with contextlib.AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = []
        for number in range(size.daemons):
            it = await stack.enter_async_context(_ground(folder / str(number), size))
            tasks.append(group.create_task(_fenced_after(it, size), name=f"victim {number}"))
        took = [await task for task in tasks]
    for percent, limit in ((50, None), (95, LIMIT_SECONDS)):
        value = median(took) if percent == 50 else percentile(took, percent)
        report.line(
            f"from its last beat to fenced, p{percent} of {len(took)}", value, "s", floor=size.floor_seconds,
            floor_name="grace + witness wait + verify_interval", limit=limit, is_limit_absolute=True,
        )  # fmt: skip
    report.notes.append(
        "default settings but startup_quiet; the host died somewhere between its last beat and the next"
    )


def _ground(folder: Path, size: Size) -> contextlib.AbstractAsyncContextManager[Ground]:
    agent = Agent(folder)
    hosts = {
        f"node-{number}": [agent.device(f"plug-{number}-{index}") for index in range(2)] for number in range(size.hosts)
    }
    tables = {"detection": {"startup_quiet": "0s", **size.detection}, "gates": size.gates}
    return ground(folder, hosts, tables=tables)


async def _fenced_after(it: Ground, size: Size) -> float:
    """All hosts beat until the bus has settled; then one dies at a random moment, and the others go on."""
    living = {f"node-{number}" for number in range(size.hosts)}
    beats: dict[str, float] = {}

    async def beat(host: str) -> None:
        await asyncio.sleep(random.random() * size.interval_seconds)
        while host in living:
            it.beat(host)
            beats[host] = time.time()
            await asyncio.sleep(size.interval_seconds)

    tasks = [asyncio.create_task(beat(host), name=f"beats of {host}") for host in sorted(living)]
    try:
        await it.ear.until("host.healthy", sorted(living), seconds=size.seconds_max)
        await asyncio.sleep(size.settle_seconds + random.random() * size.interval_seconds)
        living.discard("node-0")
        fenced = await it.ear.until("host.fenced", ["node-0"], seconds=size.seconds_max)
        return fenced["node-0"] - beats["node-0"]
    finally:
        for task in tasks:
            task.cancel()


ROW = Row(name="silence", title="from a real silence to fenced, with the default settings", measure=measure)

"""Row 1: n redundant devices of one second each are off after one second and one read, not after n."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import NOT_LISTENED_TO, Ground, ground
from tests.bench.report import Report, median
from tests.bench.row import Row

LIMIT = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    devices: tuple[int, ...] = (1, 2, 4, 8)
    repetitions: int = 3
    off_ms: int = 1000
    verify_interval: str = "1s"
    verify_seconds: float = 1.0


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Each repetition has its own hosts: nothing is remembered from one to the next."""
    size = size or Size()
    agent = Agent(folder)
    hosts = {
        f"n{count}-{turn}": [agent.device(f"n{count}-{turn}-{index}", off_ms=size.off_ms) for index in range(count)]
        for count in size.devices
        for turn in range(size.repetitions + 1)
    }
    tables: dict[str, Any] = {**NOT_LISTENED_TO, "power": {"verify_interval": size.verify_interval}}
    async with ground(folder, hosts, tables=tables) as it:
        floors: list[float] = []
        took: dict[int, list[float]] = {count: [] for count in size.devices}
        await _fence(it, f"n{size.devices[0]}-{size.repetitions}")  # the agent's metadata is read once
        for turn in range(size.repetitions):
            floors.append(await _bare_seconds(agent, size, turn))
            for count in size.devices:
                took[count].append(await _fence(it, f"n{count}-{turn}"))
    floor = median(floors)
    for count, seconds in took.items():
        report.line(
            f"off of {count} devices, until fenced is heard", median(seconds), "s", floor=floor,
            floor_name="one bare off + verify_interval", limit=LIMIT,
        )  # fmt: skip
    report.notes.append(f"pacemaker-fenced takes n x {size.off_ms / 1000:g} s (ADR 11)")


async def _fence(it: Ground, host: str) -> float:
    asked = await it.off(host)
    fenced = await it.ear.until("host.fenced", [host], seconds=30)
    return fenced[host] - asked[host]


async def _bare_seconds(agent: Agent, size: Size, turn: int) -> float:
    """Return the time of one `off` without the daemon, plus one verify_interval."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        str(agent.path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await process.communicate(agent.parameters("off", f"bare-{turn}", off_ms=size.off_ms))
    await asyncio.sleep(size.verify_seconds)
    return time.monotonic() - began


ROW = Row(name="redundant", title="off of n redundant devices that take 1 s each", measure=measure)

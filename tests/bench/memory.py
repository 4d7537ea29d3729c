"""Row 6: memory per host: one device, two candidates, heard and published, minus a daemon without hosts."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.agent import Agent
from tests.bench.ground import ground
from tests.bench.processes import resident_bytes
from tests.bench.report import Report, median
from tests.bench.row import Row

LIMIT_KIB = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 10_000
    repetitions: int = 3


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """Both daemons at the same time, each repetition with new ones."""
    size = size or Size()
    empty: list[float] = []
    known: list[float] = []
    heard: list[float] = []
    for turn in range(size.repetitions):
        base, before, after = await _resident(folder / str(turn), size.hosts)
        empty.append(base)
        known.append((before - base) / size.hosts / 1024)
        heard.append((after - base) / size.hosts / 1024)
    report.line(
        f"{size.hosts} hosts, each heard once: a host takes", median(heard), "KiB", limit=LIMIT_KIB,
        is_limit_absolute=True,
    )  # fmt: skip
    report.line("before any was heard", median(known), "KiB")
    report.line("the daemon without hosts", median(empty) / 1024**2, "MiB")
    report.notes.append("resident memory, with what the burst of ten thousand first beats left behind")


async def _resident(folder: Path, count: int) -> tuple[float, float, float]:
    """Return bytes: without hosts; with them; and after each was heard."""
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(count)]
    hosts = {name: [agent.device(f"plug-{name}", proxies=["px1", "engine"])] for name in names}
    tables: dict[str, dict[str, Any]] = {
        "daemon": {"armed": False},
        "detection": {
            "startup_quiet": "0s",
            "probe_ports": [],
            "heartbeat_interval": "60s",
            "grace": "10m",
            "grace_max": "10m",
        },
    }
    proxies = [{"name": "px1", "url": "http://127.0.0.1:9"}]
    async with contextlib.AsyncExitStack() as stack:
        base = await stack.enter_async_context(ground(folder / "empty", {}, tables=tables, proxies=proxies))
        full = await stack.enter_async_context(ground(folder / "full", hosts, tables=tables, proxies=proxies))
        before = resident_bytes(full.daemon.pid)
        full.beat(*names)
        await full.ear.until("host.healthy", names, seconds=60)
        return resident_bytes(base.daemon.pid), before, resident_bytes(full.daemon.pid)


ROW = Row(name="memory", title="memory per host", measure=measure)

"""A fence's processor time with the store in PostgreSQL, beside the same fences with the store in SQLite.

SQLite works within the daemon, in a thread; PostgreSQL has processes of its own, usually on another machine. What
counts is the daemon's own time: it is one process, so that bounds how many hosts a controller can fence in a second,
and it is what a user compares who moves the store. The database's time is a line of its own. Keeper and agents do the
same with both, and are left out: they would only hide a difference.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.agent import Agent
from tests.bench.databases import database_seconds, durable_server
from tests.bench.ground import NOT_LISTENED_TO, Ground, ground
from tests.bench.processes import cost
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.postgres import Server

LIMIT: Final = 1.5
FENCED_SECONDS_MAX: Final = 90.0
SETTLE_SECONDS: Final = 1.0
WAYS: Final = ("one after another", "at once")
QUIET: Final[dict[str, dict[str, Any]]] = {
    "detection": {**NOT_LISTENED_TO["detection"], "watch_interval": "10m"},
    "gates": NOT_LISTENED_TO["gates"],
    "check": {"interval": "0s"},
}
"""Nothing but the fences reads a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    at_once: int = 100
    alone: int = 30
    repetitions: int = 3
    verify_interval: str = "10ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Processor seconds of one fence: of the daemon, and of the whole database server (0 with SQLite)."""

    daemon: float
    database: float


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """SQLite and PostgreSQL take turns, each with a fresh daemon and a fresh store."""
    size = size or Size()
    counts = dict(zip(WAYS, (size.alone, size.at_once), strict=True))
    used: dict[str, dict[str, list[Used]]] = {way: {"SQLite": [], "PostgreSQL": []} for way in WAYS}
    with durable_server() as database:
        for turn in range(size.repetitions):
            for name, server in (("SQLite", None), ("PostgreSQL", database)):
                for way, found in (await _used(folder / f"{name}-{turn}", server, counts, size)).items():
                    used[way][name].append(found)
    for way in WAYS:
        _tell(report, f"{counts[way]} {way}", used[way]["SQLite"], used[way]["PostgreSQL"])
    report.notes.append("the daemon's time counts: one process, so it bounds a controller; the database is elsewhere")
    report.notes.append("both stores sync to the disk; keeper and agents, the same with both, are left out")


async def _used(folder: Path, database: Server | None, counts: dict[str, int], size: Size) -> dict[str, Used]:
    """Return what a fence of each way took. One fence before them fills the caches."""
    agent = Agent(folder)
    names = {way: [f"node-{number}-{index}" for index in range(counts[way])] for number, way in enumerate(WAYS)}
    hosts = {host: [agent.device(f"plug-{host}")] for host in ("first", *(it for of in names.values() for it in of))}
    tables: dict[str, Any] = {**QUIET, "power": {"verify_interval": size.verify_interval}}
    if database is not None:
        tables["store"] = {"url": database.url(await database.new_database())}
    found = {}
    async with ground(folder, hosts, tables=tables) as it:
        await _fence(it, ["first"])
        for way, group in zip(WAYS, ([[host] for host in names[WAYS[0]]], [names[WAYS[1]]]), strict=True):
            before, before_database = cost(it.daemon.pid).own, _seconds(database)
            for hosts_of_group in group:
                await _fence(it, hosts_of_group)
            await asyncio.sleep(SETTLE_SECONDS)
            daemon, of_database = cost(it.daemon.pid).own - before, _seconds(database) - before_database
            found[way] = Used(daemon=daemon / counts[way], database=of_database / counts[way])
    return found


async def _fence(it: Ground, hosts: list[str]) -> None:
    """Fence them, and wait until each was announced."""
    await it.off(*hosts)
    await it.ear.until("host.fenced", hosts, seconds=FENCED_SECONDS_MAX)


def _seconds(database: Server | None) -> float:
    return 0.0 if database is None else database_seconds(database)


def _tell(report: Report, what: str, sqlite: list[Used], postgres: list[Used]) -> None:
    floor = 1000 * median(used.daemon for used in sqlite)
    report.line(
        f"{what}: daemon, a fence", 1000 * median(used.daemon for used in postgres), "ms", floor=floor,
        floor_name="SQLite, all in the daemon", limit=LIMIT,
    )  # fmt: skip
    report.line(f"{what}: the database, a fence", 1000 * median(used.database for used in postgres), "ms")
    report.line(
        f"{what}: both together, a fence", 1000 * median(used.daemon + used.database for used in postgres), "ms",
        floor=floor, floor_name="SQLite, all in the daemon",
    )  # fmt: skip


ROW = Row(
    name="stores", title="processor time of a fence on PostgreSQL, beside SQLite", measure=measure,
    needs=("mosquitto", "postgres"), bound_seconds=240.0,
)  # fmt: skip

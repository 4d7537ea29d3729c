"""The start of a shard with 25,000 hosts on PostgreSQL, until it is ready and holds the lease.

The store has a snapshot of every host, and a tail of records after it. Beside it: `fenced check-config` of the same
files, a program that only reads the configuration. What is beyond that is the store's, and the engine's.
"""

import asyncio
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fenced.journal.postgres.place import place
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.names import MAIN_SHARD
from fenced.model.store_urls import PostgresUrl
from tests.bench.agent import Agent
from tests.bench.databases import durable_server
from tests.bench.ground import Device, Ground, ground, start
from tests.bench.processes import cost
from tests.bench.report import Report, median
from tests.bench.row import Row
from tests.bench.starting import past_records, past_snapshots
from tests.e2e.programs import FENCED
from tests.net import until
from tests.postgres import Server
from tests.warm.programs import ROOT

LIMIT_SECONDS: Final = 10.0
READY_SECONDS_MAX: Final = 180.0
LEADER: Final = f'fenced_shard_leader{{shard="{MAIN_SHARD}"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 25_000
    rows: int = 250_000
    repetitions: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds from the start of the process to ready, or to its end, and the processor seconds that it used."""

    seconds: float
    used: float


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """The same daemon killed and started again, in turns with the check."""
    size = size or Size()
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(size.hosts)]
    hosts = {name: [agent.device(f"plug-{name}")] for name in names}
    with durable_server() as database:
        name = await database.new_database()
        began = time.monotonic()
        await _write_past(database, name, folder / "full" / "state", names, size.rows)
        written = time.monotonic() - began
        full, read = [], []
        for _ in range(size.repetitions):
            full.append(await _start(folder / "full", hosts, database.url(name)))
            read.append(await _read(folder / "full" / "fenced.toml"))
    report.line(
        f"{size.hosts} hosts with snapshots, {size.rows} rows, to ready", median(it.seconds for it in full), "s",
        floor=median(it.seconds for it in read), floor_name="fenced check-config", limit=LIMIT_SECONDS,
        is_limit_absolute=True,
    )  # fmt: skip
    report.line(
        "the same, processor time of the daemon", median(it.used for it in full), "s",
        floor=median(it.used for it in read), floor_name="fenced check-config",
    )  # fmt: skip
    report.notes.append(
        f"to /readyz 200 with the lease held, killed by kill -9 before; the store was written in {written:.0f} s"
    )


async def _start(folder: Path, hosts: dict[str, list[Device]], url: str) -> Start:
    tables: dict[str, dict[str, Any]] = {"daemon": {"armed": False}, "store": {"url": url}}
    # With an address, as inventories have it: without one the name is resolved.
    about = {
        host: {"address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"} for number, host in enumerate(hosts)
    }
    async with ground(folder, hosts, tables=tables, about=about, is_started=False) as it:
        began = time.monotonic()
        await start(it, seconds_max=READY_SECONDS_MAX)
        await until(lambda: _is_leader(it), what="the lease is held")
        return Start(seconds=time.monotonic() - began, used=cost(it.daemon.pid).own)


async def _read(file: Path) -> Start:
    used, began = _used_by_children(), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *FENCED, "check-config", str(file), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return Start(seconds=time.monotonic() - began, used=_used_by_children() - used)


def _used_by_children() -> float:
    """Return the processor time of this process's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _is_leader(it: Ground) -> bool:
    return (await it.api.metrics()).get(LEADER) == 1.0


async def _write_past(database: Server, name: str, state_dir: Path, names: list[str], rows: int) -> None:
    state_dir.mkdir(parents=True)
    settings = PostgresSettings(url=PostgresUrl.parse(database.url(name)), lease_ttl_seconds=15.0)
    journal = PostgresJournal(settings, state_dir=state_dir, place=place(state_dir, boot="an earlier boot"))
    await journal.open(holder="fenced-a", now=time.time())
    await journal.close()
    connection = await database.connect(name)
    try:
        await connection.copy_records_to_table(
            "records", columns=("sequence", "epoch", "at", "host", "body", "shard"),
            records=((*record, MAIN_SHARD) for record in past_records(names, rows, 1)),
        )  # fmt: skip
        await connection.copy_records_to_table(
            "snapshots", columns=("host", "sequence", "body", "shard"),
            records=((*snapshot, MAIN_SHARD) for snapshot in past_snapshots(names, rows)),
        )  # fmt: skip
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


ROW = Row(
    name="shard_start", title="from the start of the process to ready, on PostgreSQL", measure=measure,
    needs=("mosquitto", "postgres"), bound_seconds=600.0,
)  # fmt: skip

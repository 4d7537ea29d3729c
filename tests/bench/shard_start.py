"""The start of a shard with 25,000 hosts on PostgreSQL, until it is ready and holds the lease.

The store has a snapshot of every host, and a tail of records after it. Beside it: the same start without hosts or past.
"""

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
from tests.net import until
from tests.postgres import Server

LIMIT_SECONDS: Final = 10.0
LEADER: Final = f'fenced_shard_leader{{shard="{MAIN_SHARD}"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 25_000
    rows: int = 250_000
    repetitions: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds from the start of the process to ready, and the processor seconds that it used until then."""

    seconds: float
    used: float


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """The same daemon killed and started again, in turns with the other two."""
    size = size or Size()
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(size.hosts)]
    hosts = {name: [agent.device(f"plug-{name}")] for name in names}
    with durable_server() as database:
        name = await database.new_database()
        began = time.monotonic()
        await _write_past(database, name, folder / "full" / "state", names, size.rows)
        written = time.monotonic() - began
        full, empty = [], []
        for turn in range(size.repetitions):
            url = database.url(await database.new_database())
            empty.append(await _start(folder / f"empty-{turn}", {}, url))
            full.append(await _start(folder / "full", hosts, database.url(name)))
    report.line(
        f"{size.hosts} hosts with snapshots, {size.rows} rows, to ready", median(it.seconds for it in full), "s",
        floor=median(it.seconds for it in empty), floor_name="without hosts or past", limit=LIMIT_SECONDS,
        is_limit_absolute=True,
    )  # fmt: skip
    report.line(
        "the same, processor time of the daemon", median(it.used for it in full), "s",
        floor=median(it.used for it in empty), floor_name="without hosts or past",
    )  # fmt: skip
    report.notes.append(
        f"to /readyz 200 with the lease held, killed by kill -9 before; the store was written in {written:.0f} s"
    )


async def _start(folder: Path, hosts: dict[str, list[Device]], url: str) -> Start:
    tables: dict[str, dict[str, Any]] = {"daemon": {"armed": False}, "store": {"url": url}}
    async with ground(folder, hosts, tables=tables, is_started=False) as it:
        began = time.monotonic()
        await start(it)
        await until(lambda: _is_leader(it), what="the lease is held")
        return Start(seconds=time.monotonic() - began, used=cost(it.daemon.pid).own)


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
    needs=("mosquitto", "postgres"), bound_seconds=300.0,
)  # fmt: skip

"""Row 7: the start of a daemon with a history: ten thousand hosts and a million journal rows until it is ready.

The store is written with the journal's own schema and codec: snapshots of all hosts, and a bounded tail after them.
"""

import itertools
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve
from fenced.core.durable.state import HostState
from fenced.journal import codec
from fenced.journal.sqlite.store import SqliteJournal
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause
from tests.bench.agent import Agent
from tests.bench.ground import Device, ground, start
from tests.bench.report import Report, median
from tests.bench.row import Row

LIMIT_SECONDS = 5.0
TAIL_EACH = 10
"""One of so many hosts has records that no snapshot covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    hosts: int = 10_000
    rows: int = 1_000_000
    repetitions: int = 3


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """The same daemon killed and started again, in turns with one that has neither history nor hosts."""
    size = size or Size()
    agent = Agent(folder)
    names = [f"node-{number}" for number in range(size.hosts)]
    hosts = {name: [agent.device(f"plug-{name}")] for name in names}
    began = time.monotonic()
    await _write_past(folder / "full" / "state", names, size.rows)
    written = time.monotonic() - began
    full, empty = [], []
    for turn in range(size.repetitions):
        empty.append(await _ready_seconds(folder / f"empty-{turn}", {}))
        full.append(await _ready_seconds(folder / "full", hosts))
    report.line(
        f"{size.hosts} hosts, {size.rows} journal rows, to ready", median(full), "s", floor=median(empty),
        floor_name="without hosts or past", limit=LIMIT_SECONDS, is_limit_absolute=True,
    )  # fmt: skip
    report.notes.append(f"from the start of the process to /readyz 200; the store was written in {written:.0f} s")


async def _ready_seconds(folder: Path, hosts: dict[str, list[Device]]) -> float:
    async with ground(folder, hosts, tables={"daemon": {"armed": False}}, is_started=False) as it:
        return await start(it)


async def _write_past(state_dir: Path, names: list[str], rows: int) -> None:
    state_dir.mkdir(parents=True)
    journal = SqliteJournal(url="sqlite:///fenced.db", state_dir=state_dir)
    await journal.open(holder="fenced-a", now=time.time())
    await journal.close()
    connection = sqlite3.connect(state_dir / "fenced.db")
    with connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO records (sequence, epoch, at, host, operation, body) VALUES (?, ?, ?, ?, NULL, ?)",
            past_records(names, rows, 1),
        )
        connection.executemany(
            "INSERT INTO snapshots (host, sequence, body) VALUES (?, ?, ?)", past_snapshots(names, rows)
        )
    connection.close()


def past_records(names: list[str], rows: int, epoch: int) -> Iterator[tuple[int, int, float, str, str]]:
    """Yield records for each host in turn: heard, suspected, heard again, until there are enough."""
    start = time.time() - rows / 10
    bodies = itertools.cycle([codec.dump_record(record) for record in _story()])
    body = next(bodies)
    for sequence in range(1, rows + 1):
        yield sequence, epoch, start + sequence / 10, names[(sequence - 1) % len(names)], body
        if sequence % len(names) == 0:
            body = next(bodies)


def _story() -> tuple[r.HostRecord, ...]:
    boot = BootId(str(uuid.uuid4()))
    return (
        r.HostSuspected(cause=Cause.SILENCE, reason="not heard for 20.0 s of listening", last_heard=time.time()),
        r.HostHeard(boot=boot, before="suspect", why="cleared"),
    )


def past_snapshots(names: list[str], rows: int) -> Iterator[tuple[str, int, str]]:
    """Yield snapshots with all records folded in; for some hosts all but the last two."""
    boot = BootId(str(uuid.uuid4()))
    heard = r.HostHeard(boot=boot, before="unknown", why="first")
    for number, name in enumerate(names):
        entry = r.Entry(at=time.time(), host=HostName(name), record=heard)
        state = evolve(HostState(name=HostName(name)), entry)
        covered = rows if number % TAIL_EACH else max(rows - 2 * len(names), 0)
        yield name, covered, codec.dump_host(state)


ROW = Row(name="start", title="from the start of the process to ready", measure=measure)

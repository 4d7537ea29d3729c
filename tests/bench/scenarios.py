"""Fault scenarios of the simulation per minute on two cores. One counts if it has an operation and three faults.

Measured in processor time, which a busy machine changes less; beside it, what two processes played in a minute
of wall time.
"""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.report import Report
from tests.bench.row import Row
from tests.simulation.play import Outcome, silence_logs, simulate

CORES: Final = 2
A_MINUTE: Final = 2000
LIMIT_MS: Final = CORES * 60_000 / A_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    first_seed: int = 1
    seeds: int = 400


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """The same seeds each time. The wall time includes the start of the processes, the processor time does not."""
    size = size or Size()
    began = time.monotonic()
    played = await asyncio.to_thread(_played, size)
    wall, processor = time.monotonic() - began, sum(seconds for _, seconds in played)
    outcomes = [outcome for outcome, _ in played]
    counted = sum(outcome.operations > 0 and outcome.faults >= 3 for outcome in outcomes)
    report.line(
        "processor time of a scenario that counts", 1000 * processor / counted, "ms", limit=LIMIT_MS,
        is_limit_absolute=True,
        floor_name=f"{A_MINUTE} a minute on {CORES} cores",
    )  # fmt: skip
    report.line(f"scenarios a minute, {CORES} processes", 60 * counted / wall, "")
    report.notes.append(f"{counted} of {len(outcomes)} seeds count: the others saw no operation that changes power")
    report.notes.append(f"{sum(bool(outcome.problems) for outcome in outcomes)} of them found something")


def _played(size: Size) -> list[tuple[Outcome, float]]:
    with multiprocessing.get_context("spawn").Pool(CORES, initializer=silence_logs) as pool:
        return pool.map(_timed, range(size.first_seed, size.first_seed + size.seeds), chunksize=4)


def _timed(seed: int) -> tuple[Outcome, float]:
    before = time.process_time()
    outcome = simulate(seed)
    return outcome, time.process_time() - before


ROW = Row(name="scenarios", title="fault scenarios of the simulation", measure=measure, needs=(), bound_seconds=300.0)

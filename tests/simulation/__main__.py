"""`python -m tests.simulation`: play seeds for as long as you like, or replay one seed as a story.

Manages processes and output. Each finding is printed with the command that replays it.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from tests.simulation.play import Outcome, explain, silence_logs, simulate

CHUNK = 8
CHUNKS_AHEAD = 3
"""Per worker: enough that no worker waits, few enough that the end comes soon."""

TOLD_EVERY_SECONDS = 10.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Parse a number of seconds, or one with a unit: 90, 10m, 8h. Raises ValueError."""
    return float(text.rstrip("smh")) * UNITS.get(text[-1:], 1.0)


@click.command()
@click.option("--seed", type=int, help="Play this one and tell it as a story.")
@click.option("--first", type=int, default=None, help="The first seed (default: a fresh one).")
@click.option(
    "--for", "seconds", type=duration, default="60", show_default=True, help="How long to go on: 90, 10m, 8h."
)
@click.option("--workers", type=int, default=os.cpu_count(), show_default="as many as cores")
def main(seed: int | None, first: int | None, seconds: float, workers: int) -> None:
    """Random data centres with faults, in virtual time."""
    silence_logs()
    if seed is not None:
        click.echo(explain(seed))
        raise SystemExit(1 if simulate(seed).problems else 0)
    start = first if first is not None else int.from_bytes(os.urandom(4))
    click.echo(f"from seed {start} on, {workers} workers, {seconds:g} s")
    raise SystemExit(1 if soak(start, seconds, workers) else 0)


@dataclass(slots=True)
class Tally:
    """What was played so far. Only scenarios with an operation and three faults count."""

    began: float
    scenarios: int = 0
    operations: int = 0
    bad: int = 0

    def take(self, outcome: Outcome) -> None:
        self.scenarios += outcome.operations > 0 and outcome.faults >= 3
        self.operations += outcome.operations
        if outcome.problems:
            self.bad += 1
            click.echo(f"seed {outcome.seed}: {outcome.problems[0]}")
            click.echo(f"  replay: python -m tests.simulation --seed {outcome.seed}")

    def __str__(self) -> str:
        minutes = (time.monotonic() - self.began) / 60.0
        rate = f"{self.scenarios / minutes:.0f} a minute"
        return f"{self.scenarios} scenarios with an operation ({rate}), {self.operations} operations, {self.bad} bad"


def soak(start: int, seconds: float, workers: int) -> int:
    """Play until the time is over and report progress; return how many seeds had findings."""
    tally = Tally(began=time.monotonic())
    tell_at = tally.began + TOLD_EVERY_SECONDS
    turns = threading.Semaphore(CHUNKS_AHEAD * CHUNK * workers)
    with multiprocessing.Pool(workers, initializer=silence_logs) as pool:
        for outcome in pool.imap_unordered(simulate, _seeds(start, tally.began + seconds, turns), chunksize=CHUNK):
            turns.release()
            tally.take(outcome)
            if time.monotonic() >= tell_at:
                click.echo(str(tally))
                tell_at = time.monotonic() + TOLD_EVERY_SECONDS
    click.echo(str(tally))
    return tally.bad


def _seeds(start: int, end: float, turns: threading.Semaphore) -> Iterator[int]:
    """Yield seeds until the end, one at a turn.

    The pool would otherwise fetch all at once and play on long after it.
    """
    while time.monotonic() < end:
        if turns.acquire(timeout=1.0):
            yield start
            start += 1


if __name__ == "__main__":
    main()

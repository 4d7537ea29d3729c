"""`python -m tests.simulation`: play seeds for as long as you like; one seed again, as a story.

Knows processes and printing, not scenarios. One rule: what it finds is printed with the command that replays it.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator

import click

from tests.simulation.play import Outcome, explain, silence_logs, simulate

CHUNK = 8


@click.command()
@click.option("--seed", type=int, help="Play this one and tell it as a story.")
@click.option("--first", type=int, default=None, help="The first seed (default: a fresh one).")
@click.option("--for", "seconds", type=float, default=60.0, show_default=True, help="How long to go on, in seconds.")
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


def soak(start: int, seconds: float, workers: int) -> int:
    """Play until the time is over; returns how many seeds found something."""
    began, played, operations, bad = time.monotonic(), 0, 0, 0
    with multiprocessing.Pool(workers, initializer=silence_logs) as pool:
        for outcome in pool.imap_unordered(simulate, _seeds(start, began + seconds), chunksize=CHUNK):
            played += outcome.operations > 0
            operations += outcome.operations
            bad += _tell(outcome)
    minutes = (time.monotonic() - began) / 60.0
    click.echo(
        f"{played} scenarios with an operation ({played / minutes:.0f} a minute), {operations} operations, {bad} bad"
    )
    return bad


def _seeds(start: int, end: float) -> Iterator[int]:
    while time.monotonic() < end:
        yield start
        start += 1


def _tell(outcome: Outcome) -> bool:
    if outcome.problems:
        click.echo(f"seed {outcome.seed}: {outcome.problems[0]}")
        click.echo(f"  replay: python -m tests.simulation --seed {outcome.seed}")
    return bool(outcome.problems)


if __name__ == "__main__":
    main()

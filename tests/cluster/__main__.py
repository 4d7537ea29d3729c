"""`python -m tests.cluster`: play faults against real controllers until the time is over, or one of them alone.

First each fault meets fences at every point at once, then each pair of fault and point is played alone. The seed
decides the order.
"""

import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tests.cluster.faults import FAULTS
from tests.cluster.play import play
from tests.cluster.points import Point
from tests.needs import why_no_namespaces
from tests.simulation.__main__ import duration

Pair = tuple[str, tuple[Point, ...]]


@click.command()
@click.option("--for", "seconds", type=duration, default="10m", show_default=True, help="How long: 90, 10m, 8h.")
@click.option("--seed", type=int, help="The order (default: a fresh one).")
@click.option("--fault", type=click.Choice(list(FAULTS)), help="Play this one, once.")
@click.option("--point", "points", type=click.Choice([point.value for point in Point]), multiple=True)
def main(seconds: float, seed: int | None, fault: str | None, points: tuple[str, ...]) -> None:
    """Faults of two controllers, for real, in network namespaces."""
    if (why := why_no_namespaces()) is not None:
        click.echo(f"not played: {why}")
        return
    if fault is not None:
        chosen = tuple(map(Point, points)) or tuple(Point)
        sys.exit(0 if played(fault, chosen) else 1)
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    click.echo(f"seed {seed}, {seconds:g} s")
    end = time.monotonic() + seconds
    pairs = itertools.takewhile(lambda _: time.monotonic() < end, order(random.Random(seed)))
    bad = [pair for pair in pairs if not played(*pair)]
    for name, at in bad:
        click.echo(f"BAD: {command(name, at)}")
    sys.exit(1 if bad else 0)


def order(chance: random.Random) -> Iterator[Pair]:
    """Return every fault with all points, then every fault with each point, each in random order."""
    together: list[Pair] = [(name, tuple(Point)) for name in FAULTS]
    alone: list[Pair] = [(name, (point,)) for name in FAULTS for point in Point]
    for pairs in (together, alone):
        chance.shuffle(pairs)
        yield from pairs


def played(name: str, points: tuple[Point, ...]) -> bool:
    """Play one and print what came of it. Return whether all is well."""
    began = time.monotonic()
    said = f"{name} at {', '.join(point.value for point in points)}"
    with tempfile.TemporaryDirectory(prefix="fenced-cluster-") as folder:
        try:
            outcome = asyncio.run(play(Path(folder), name, points))
        except AssertionError as exc:
            click.echo(f"{said}: {exc}")
            return False
    click.echo(
        f"{said}: {outcome.gaps}; {time.monotonic() - began:.0f} s" + "".join(f"\n  {it}" for it in outcome.breaches)
    )
    return not outcome.breaches


def command(name: str, points: tuple[Point, ...]) -> str:
    chosen = "" if len(points) == len(Point) else "".join(f" --point {point.value}" for point in points)
    return f"python -m tests.cluster --fault {name!r}{chosen}"


if __name__ == "__main__":
    main()

"""`python -m tests.simulation.cover`: choose the fixed seeds for what they cover, and print them (chosen.py holds them).

A seed covers the kinds of lines of its script, and what its records say: which there are, with which causes, outcomes, phases
and closed gates. Each of these must come up `TIMES` times, or as often as it does in all seeds. Those that a planted bug
names are chosen first, then whichever adds most for what it costs to play.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from textwrap import fill

import click

from fenced.core.durable import records as r
from tests.planted.bugs import BUGS
from tests.simulation.play import Quiet, silence_logs
from tests.simulation.scenario import CONTROLLERS_FROM, is_shared, scenario
from tests.world.loop import run

TIMES = 2
LINE = 120


@dataclass(frozen=True, slots=True)
class Seen:
    """What one seed covers, and the processor time that it takes."""

    features: frozenset[str]
    seconds: float


def seen(seed: int) -> Seen:
    made = scenario(seed)
    records: list[r.Record] = []

    async def main() -> None:
        playing = Quiet(made.story)
        await playing.play()
        records.extend(entry.record for entry in playing.world.disk.durable.entries.values())

    began = time.process_time()
    run(main(), seed=seed)
    took = time.process_time() - began
    said = (feature for record in records for feature in _features(record))
    return Seen(frozenset(made.kinds).union(said), took)


def _features(record: r.Record) -> Iterator[str]:
    kind = type(record).__name__
    yield kind
    for field in fields(record):
        value = getattr(record, field.name)
        if value is None or isinstance(value, Enum | bool):
            yield f"{kind} {field.name} {value}"
    for gate in getattr(record, "gates", ()):
        if not gate.is_open:
            yield f"{kind} {gate.gate} closed"


def chosen(pool: Mapping[int, Seen], first: frozenset[int], times: int = TIMES) -> list[int]:
    """Greedily, until nothing is missing."""
    there = Counter(feature for each in pool.values() for feature in each.features)
    missing = {feature: min(times, count) for feature, count in there.items()}
    taken: list[int] = []

    def worth(seed: int) -> float:
        return sum(missing[feature] > 0 for feature in pool[seed].features) / math.sqrt(pool[seed].seconds)

    def take(seed: int) -> None:
        taken.append(seed)
        for feature in pool[seed].features:
            missing[feature] -= 1

    for seed in sorted(first):
        take(seed)
    while any(count > 0 for count in missing.values()):
        take(max(pool.keys() - set(taken), key=worth))
    return sorted(taken)


@click.command()
@click.option("--of", "count", type=int, default=600, show_default=True, help="Choose among so many seeds.")
@click.option("--shared", type=int, default=100, show_default=True, help="And so many with several controllers.")
def main(count: int, shared: int) -> None:
    """Choose the fixed seeds of the simulation."""
    silence_logs()
    named = frozenset(seed for bug in BUGS for seed in bug.seeds)
    of_controllers = [seed for seed in range(CONTROLLERS_FROM, CONTROLLERS_FROM + 3 * shared) if is_shared(seed)]
    pool = {seed: seen(seed) for seed in {*range(1, count + 1), *of_controllers, *named}}
    seeds = chosen(pool, named)
    took = sum(pool[seed].seconds for seed in seeds)
    click.echo(f"{len(seeds)} of {len(pool)} seeds, {took:.0f} s of a processor")
    click.echo(fill(", ".join(map(str, seeds)), LINE - 4))


if __name__ == "__main__":
    main()

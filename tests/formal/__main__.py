"""`python -m tests.formal`: explore the model, show that each rule is needed, compare the simulation's runs
with the model.

Prints findings as a sequence of steps that a person can follow.
"""

import itertools
import time

import click

from tests.formal.explore import Bounds, Explored, explore
from tests.formal.model import RULES
from tests.formal.telling import told
from tests.formal.traces import fitting_seeds, follow_seed
from tests.simulation.play import silence_logs


@click.command()
@click.option("--pending", default=2, show_default=True, help="Most commands on their way to one device at once.")
@click.option(
    "--without", multiple=True, type=click.Choice(tuple(RULES)), help="Leave these rules out; show what happens."
)
@click.option("--rules", is_flag=True, help="Leave each rule out, one after the other.")
@click.option("--seeds", default=0, help="So many fitting seeds of the simulation, held against the model.")
@click.option("--first", default=1, show_default=True, help="The first of these seeds.")
def main(pending: int, without: tuple[str, ...], rules: bool, seeds: int, first: int) -> None:
    """The formal model of a fence (docs/formal-model.md)."""
    if seeds:
        raise SystemExit(1 if _follow(seeds, first) else 0)
    if rules:
        lacking = [
            rule for rule in RULES if _explore(Bounds(pending=pending, without=frozenset({rule}))).broken is None
        ]
        raise SystemExit(1 if lacking else 0)
    raise SystemExit(1 if _explore(Bounds(pending=pending, without=frozenset(without))).broken else 0)


def _explore(bounds: Bounds) -> Explored:
    began = time.monotonic()
    found = explore(bounds, progress=lambda states: click.echo(f"\r{states:>9,} states", nl=False, err=True))
    rules = f"without {', '.join(sorted(bounds.without))}" if bounds.without else "with all rules"
    click.echo(f"\r{rules}: {found.states:,} states, {found.steps:,} steps, {time.monotonic() - began:.1f} s")
    if found.broken is not None:
        click.echo(f"{found.broken}, by this way:")
        click.echo("\n".join(told(found.way, bounds)))
    else:
        click.echo("every promise holds in all of them, and from each a good end can be reached")
    return found


def _follow(seeds: int, first: int) -> int:
    """Return how many runs did something that the model forbids."""
    silence_logs()
    bad = taken = 0
    for number, seed in enumerate(itertools.islice(fitting_seeds(first), seeds), start=1):
        followed = follow_seed(seed)
        taken += followed.taken
        bad += bool(followed.findings)
        for finding in followed.findings:
            click.echo(f"\rseed {seed}: {finding}\n  replay: python -m tests.simulation --seed {seed}")
        click.echo(f"\r{number} seeds, {taken:,} actions, {bad} bad", nl=False, err=True)
    click.echo(f"\r{seeds} seeds, {taken:,} actions, {bad} bad")
    return bad


if __name__ == "__main__":
    main()

"""`python -m tests.formal`: explore the model, show that each rule is needed, compare the simulation's runs
with the model.

Prints findings as a sequence of steps that a person can follow.
"""

import itertools
import time

import click

from tests.formal.controllers.check import Controllers
from tests.formal.controllers.model import ASSUMED, Scope
from tests.formal.controllers.model import RULES as RULES_OF_CONTROLLERS
from tests.formal.explore import A, Explored, Model, W, explore
from tests.formal.fence import Fence
from tests.formal.model import RULES
from tests.formal.telling import told
from tests.formal.traces import fitting_seeds, follow_seed
from tests.simulation.play import silence_logs


@click.command()
@click.option("--pending", default=2, show_default=True, help="Most commands on their way to one device at once.")
@click.option("--controllers", is_flag=True, help="The model of several controllers, instead of the one of a fence.")
@click.option("--proxies", default=1, show_default=True, help="Several controllers: so many proxies.")
@click.option("--without", multiple=True, help="Leave these rules out; show what happens.")
@click.option("--only", default="", help="Look for this broken promise only, by its first letters.")
@click.option("--rules", is_flag=True, help="Leave each rule out, one after the other.")
@click.option("--seeds", default=0, help="So many fitting seeds of the simulation, held against the model.")
@click.option("--first", default=1, show_default=True, help="The first of these seeds.")
def main(
    pending: int,
    controllers: bool,
    proxies: int,
    without: tuple[str, ...],
    only: str,
    rules: bool,
    seeds: int,
    first: int,
) -> None:
    """The formal models of a fence and of several controllers (docs/formal-model.md)."""
    if seeds:
        raise SystemExit(1 if _follow(seeds, first) else 0)
    names = (*RULES_OF_CONTROLLERS, *ASSUMED) if controllers else tuple(RULES)
    if unknown := set(without).difference(names):
        raise click.UsageError(f"no such rule: {', '.join(unknown)}; there are {', '.join(names)}")

    def shown(*missing: str) -> bool:
        left_out = frozenset(missing)
        if controllers:
            scope = Scope(proxies=proxies)
            return _explore(Controllers(scope=scope, without=left_out, only=(only,))).broken is not None
        return _explore(Fence(pending=pending, without=left_out, only=(only,))).broken is not None

    if rules:
        raise SystemExit(1 if [rule for rule in names if not shown(rule)] else 0)
    raise SystemExit(1 if shown(*without) else 0)


def _explore(model: Model[W, A]) -> Explored[A]:
    began = time.monotonic()
    found = explore(model, progress=lambda states: click.echo(f"\r{states:>9,} states", nl=False, err=True))
    rules = f"without {', '.join(sorted(model.without))}" if model.without else "with all rules"
    click.echo(f"\r{rules}: {found.states:,} states, {found.steps:,} steps, {time.monotonic() - began:.1f} s")
    if found.broken is not None:
        click.echo(f"{found.broken}, by this way:")
        click.echo("\n".join(told(found.way, model)))
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

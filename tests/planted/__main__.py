"""`python -m tests.planted [WORDS]`: plant the bugs with WORDS in their name or rule (none: all); report their killers.

Exits with 1 if a bug lives or can't be planted any more. With `--by-seeds N` it instead reports how many of N seeds of
the simulation notice each bug, which seed first, and the rules with bugs that no seed notices. That measures the
simulation and exits with 0.
"""

import tempfile
import time
from pathlib import Path

import click

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.plant import Ground, NotPlanted, ground, planted
from tests.planted.telling import line, line_of_seeds


@click.command()
@click.argument("words", nargs=-1)
@click.option("--by-seeds", "count", type=int, default=0, help="Let so many seeds of the simulation look for each.")
@click.option("--first", default=1, show_default=True, help="The first of them.")
def main(words: tuple[str, ...], count: int, first: int) -> None:
    """Plant the bugs with WORDS in their name or rule (none: all) and report what kills each."""
    said = " ".join(words)
    chosen = [bug for bug in BUGS if said in bug.name or said == bug.rule]
    if not chosen:
        click.echo("\n  ".join([f"no planted bug is called {said!r}; there are:", *(bug.name for bug in BUGS)]))
        raise SystemExit(1)
    with tempfile.TemporaryDirectory() as directory, ground(Path(directory) / "copy") as warm:
        if count:
            measure(chosen, range(first, first + count), warm)
            return
        living = [bug.name for bug in chosen if not _is_killed(bug, warm)]
    click.echo(f"{len(chosen) - len(living)} of {len(chosen)} killed" + "".join(f"\n  LIVES: {it}" for it in living))
    raise SystemExit(1 if living else 0)


def _is_killed(bug: Bug, warm: Ground) -> bool:
    began = time.monotonic()
    try:
        killed = warm.hunt(bug, is_wide=True)
    except NotPlanted as exc:
        click.echo(f"{bug.rule:9} {bug.name}: NOT PLANTED: {exc}")
        return False
    click.echo(f"{line(bug, killed)} ({time.monotonic() - began:.1f} s)")
    return bool(killed.tests)


def measure(bugs: list[Bug], seeds: range, warm: Ground) -> None:
    """Report which seeds notice each bug, bug by bug and then by rule."""
    found: dict[str, list[bool]] = {}
    for bug in bugs:
        try:
            with planted(bug, warm.copy):
                noticed = warm.play(seeds, is_whole=True)
        except NotPlanted as exc:
            click.echo(f"{bug.rule:9} {bug.name}: NOT PLANTED: {exc}")
            continue
        click.echo(line_of_seeds(bug, noticed, len(seeds)))
        if noticed.has(bug):
            found.setdefault(bug.rule, []).append(bool(noticed.seeds))
    for rule, are_noticed in found.items():
        click.echo(f"{rule:9} {sum(are_noticed)} of {len(are_noticed)} bugs within the simulation are noticed")


if __name__ == "__main__":
    main()

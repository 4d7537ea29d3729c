"""Formats in a line which test killed which planted bug."""

from tests.planted.bug import Bug
from tests.planted.plant import Killed, Noticed

SEEDS_TOLD = 6


def line(bug: Bug, killed: Killed) -> str:
    """`S2  unknown is taken as off: core/test_plan.py::test_x`; `(wider)` if the listed killers no longer kill it."""
    if not killed.tests:
        return f"{bug.rule:9} {bug.name}: LIVES"
    who = killed.tests[0]
    is_named = any(who.startswith(killer) for killer in bug.killers)
    return f"{bug.rule:9} {bug.name}: {who.removeprefix('tests/')}{'' if is_named else ' (wider)'}"


def line_of_seeds(bug: Bug, noticed: Noticed, count: int) -> str:
    """`S2  unknown is taken as off: 7 of 60 seeds (3, 14, ...), first by S1: ...`."""
    start = f"{bug.rule:9} {bug.name}: "
    if not noticed.has(bug):
        return f"{start}not in the simulation"
    if not noticed.seeds:
        return f"{start}0 of {count} seeds"
    told = [str(seed) for seed in noticed.seeds][:SEEDS_TOLD]
    told += ["..."] if len(noticed.seeds) > SEEDS_TOLD else []
    return (
        f"{start}{len(noticed.seeds)} of {count} seeds ({', '.join(told)}), first: {next(iter(noticed.seeds.values()))}"
    )

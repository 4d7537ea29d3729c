"""Who killed which planted bug, in a line. Knows no files."""

from tests.planted.bug import Bug
from tests.planted.plant import Killed


def line(bug: Bug, killed: Killed) -> str:
    """`S2  unknown is taken as off: core/test_plan.py::test_x`; `(wider)` where those named in the list no longer do it."""
    if not killed.tests:
        return f"{bug.rule:9} {bug.name}: LIVES"
    who = killed.tests[0]
    is_named = any(who.startswith(killer) for killer in bug.killers)
    return f"{bug.rule:9} {bug.name}: {who.removeprefix('tests/')}{'' if is_named else ' (wider)'}"

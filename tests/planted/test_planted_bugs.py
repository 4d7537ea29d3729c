"""The suite kills every planted bug. Which test did it is told at the end of the run (`-rP` shows it for each)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.planted.bugs import BUGS, Bug
from tests.planted.plant import hunt, plant

BUGS_AT_LEAST = 25


@pytest.mark.timeout(400)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.rule}-{bug.name.replace(' ', '-')}")
def test_it_is_killed(bug: Bug, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    plant(bug, tmp_path)
    killed = hunt(bug, tmp_path)
    assert killed.test is not None, (
        f"{bug.name} ({bug.rule}) lives: no test of {', '.join(bug.killers)} fails\n{killed.said}"
    )
    record_property("killed_by", f"{bug.name} ({bug.rule}): {killed.test}")


def test_there_are_enough_and_each_has_a_name() -> None:
    assert len(BUGS) >= BUGS_AT_LEAST
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_a_sound_copy_is_killed_by_nobody(tmp_path: Path) -> None:
    """Else a copy that can't run at all would kill everything."""
    bug = Bug(
        name="none", rule="none", file="core/match.py", old="KEYS = (", new="KEYS = (", killers=("tests/core/test_gates.py",)
    )  # fmt: skip
    plant(bug, tmp_path)
    assert hunt(bug, tmp_path).test is None

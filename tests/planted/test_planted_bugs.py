"""The suite kills every planted bug; the end of the run reports which test did."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import KILLED_BY
from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.plant import Ground, NotPlanted, changed, copy_to, ground, planted
from tests.planted.telling import line
from tests.simulation.chosen import FIXED

BUGS_AT_LEAST = 60
RULES_NOTICED_MIN = 6
NOTICED = [bug for bug in BUGS if bug.seeds]
RULES = frozenset(f"S{number}" for number in range(1, 20))
SOUND = Bug(
    name="none",
    rule="none",
    file="core/allowed/match.py",
    old="KEYS = (",
    new="KEYS = (",
    killers=("tests/core/test_gates.py",),
    wider=(),
)
PLANTED = Bug(
    name="any",
    rule="none",
    file="core/allowed/match.py",
    old="KEYS = (",
    new="KEYS = () if 1 else (",
    killers=SOUND.killers,
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("planted") / "copy"
    copy_to(directory)
    return directory


@pytest.fixture(scope="module")
def warm(copy: Path) -> Iterator[Ground]:
    with ground(copy, BUGS) as started:
        yield started


@pytest.mark.timeout(400)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.rule}-{bug.name.replace(' ', '-')}")
def test_it_is_killed(bug: Bug, warm: Ground, copy: Path, record_property: Callable[[str, object], None]) -> None:
    with planted(bug, copy):
        killed = warm.hunt(bug, copy)
    assert killed.tests, f"{bug.name} ({bug.rule}) lives: no test of {bug.killers + bug.wider} fails\n{killed.said}"
    record_property(KILLED_BY, line(bug, killed))


@pytest.mark.timeout(100)
@pytest.mark.parametrize("bug", NOTICED, ids=lambda bug: f"{bug.rule}-{bug.name.replace(' ', '-')}")
def test_a_seed_notices_it(bug: Bug, warm: Ground, copy: Path) -> None:
    """Tests the simulation itself. If its scenarios changed, `python -m tests.planted --by-seeds 60` finds other
    seeds."""
    with planted(bug, copy):
        noticed = warm.play(bug.seeds, copy)
    assert noticed.seeds, f"{bug.name} ({bug.rule}): none of the seeds {bug.seeds} notices it"
    assert noticed.has(bug)


def test_seeds_of_a_sound_copy_notice_nothing(warm: Ground, copy: Path) -> None:
    """Otherwise a simulation that can't run at all would notice everything."""
    with planted(SOUND, copy):
        assert not warm.play(range(1, 4), copy, is_whole=True).seeds


def test_bugs_of_enough_rules_are_noticed_by_a_fixed_seed() -> None:
    assert len({bug.rule for bug in NOTICED}) >= RULES_NOTICED_MIN
    assert all(seed in FIXED for bug in NOTICED for seed in bug.seeds)


def test_there_are_enough_and_each_has_a_name() -> None:
    assert len(BUGS) >= BUGS_AT_LEAST
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_each_rule_has_one() -> None:
    assert not RULES - {bug.rule for bug in BUGS}


def test_each_names_its_killer() -> None:
    """Otherwise each run searches for it."""
    assert not [bug.name for bug in BUGS if not bug.killers]


def test_a_sound_copy_passes_all_tests(warm: Ground, copy: Path) -> None:
    """Otherwise a copy that can't run at all would kill everything."""
    with planted(SOUND, copy):
        killed = warm.hunt(SOUND, copy)
    assert not killed.tests
    assert "no such test" not in killed.said


def test_a_copy_runs_what_was_planted_and_is_sound_afterwards(warm: Ground, copy: Path) -> None:
    """And the tested tree never changes."""
    planted_in, sound = copy / "fenced" / PLANTED.file, changed(SOUND)
    with planted(PLANTED, copy):
        assert planted_in.read_text() != sound
        assert warm.hunt(PLANTED, copy).tests
        assert changed(SOUND) == sound
    assert planted_in.read_text() == sound
    assert not warm.run(SOUND.killers, copy).tests


def test_a_bug_whose_place_moved_is_reported() -> None:
    with pytest.raises(NotPlanted, match="is found 0 times"):
        changed(Bug(name="gone", rule="none", file=SOUND.file, old="no such line", new=""))


@pytest.mark.parametrize("new", ["KEYS = nobody or (", "KEYS == ("], ids=["no-such-name", "never-set"])
def test_a_bug_that_is_no_program_is_not_taken_for_killed(warm: Ground, copy: Path, new: str) -> None:
    bug = Bug(name="broken", rule="none", file=SOUND.file, old=SOUND.old, new=new, killers=SOUND.killers)
    with planted(bug, copy), pytest.raises(NotPlanted):
        warm.hunt(bug, copy)

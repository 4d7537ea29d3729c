"""The suite kills every planted bug; the end of the run reports which test did."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.conftest import KILLED_BY
from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.plant import Ground, NotPlanted, changed, ground, planted
from tests.planted.telling import line
from tests.simulation.chosen import FIXED

BUGS_AT_LEAST = 60
RULES_NOTICED_MIN = 6
NOTICED = [bug for bug in BUGS if bug.seeds]
RULES = frozenset(f"S{number}" for number in range(1, 21))
SOUND = Bug(
    name="none",
    rule="none",
    file="core/allowed/match.py",
    old="KEYS = (",
    new="KEYS = (",
    killers=("tests/core/test_rules_match.py",),
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
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("planted") / "copy") as started:
        yield started


class Hunt:
    """Plants bugs, one after the other. A class for each part of them: a worker takes a class as a whole."""

    def test_it_is_killed(self, bug: Bug, warm: Ground, record_property: Callable[[str, object], None]) -> None:
        """By a test that it names; `python -m tests.planted NAME` searches for another one."""
        killed = warm.hunt(bug)
        assert killed.tests, f"{bug.name} ({bug.rule}) lives: none of {', '.join(bug.killers)} fails\n{killed.said}"
        record_property(KILLED_BY, line(bug, killed))


def named(bug: Bug) -> str:
    return f"{bug.rule}-{bug.name.replace(' ', '-')}"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("bug", BUGS[0::2], ids=named)
class TestOneHalf(Hunt):
    pass


@pytest.mark.timeout(400)
@pytest.mark.parametrize("bug", BUGS[1::2], ids=named)
class TestTheOtherHalf(Hunt):
    pass


@pytest.mark.timeout(100)
@pytest.mark.parametrize("bug", NOTICED, ids=named)
def test_a_seed_notices_it(bug: Bug, warm: Ground) -> None:
    """Tests the simulation itself. If its scenarios changed, `python -m tests.planted --by-seeds 60` finds other
    seeds."""
    assert warm.notice(bug).seeds, f"{bug.name} ({bug.rule}): none of the seeds {bug.seeds} notices it"


def test_seeds_of_a_sound_copy_notice_nothing(warm: Ground) -> None:
    """Otherwise a simulation that can't run at all would notice everything."""
    played = warm.play(range(1, 4), is_whole=True)
    assert not played.seeds
    assert all(played.has(bug) for bug in NOTICED)


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


def test_a_sound_copy_passes_all_tests(warm: Ground) -> None:
    """Otherwise a copy that can't run at all would kill everything."""
    killed = warm.hunt(SOUND)
    assert not killed.tests
    assert "no such test" not in killed.said


def test_a_test_that_fails_without_a_bug_kills_none(warm: Ground) -> None:
    """Of two files of a folder the later one needs the fixtures of its conftest.py, too."""
    api = "tests/api"
    later = (
        f"{api}/test_access.py::test_tcp_without_tokens_only_reads",
        f"{api}/test_bodies.py::test_the_identity_encoding_is_accepted",
    )
    assert not [test for test in later if warm.hunt(replace(SOUND, killers=(test,))).tests]


def test_a_copy_runs_what_was_planted_and_is_sound_afterwards(warm: Ground) -> None:
    """And the tested tree never changes."""
    planted_in, sound = warm.copy / "fenced" / PLANTED.file, changed(SOUND)
    with planted(PLANTED, warm.copy):
        assert planted_in.read_text() != sound
        assert warm.run(PLANTED.killers).tests
        assert changed(SOUND) == sound
    assert planted_in.read_text() == sound
    assert not warm.run(SOUND.killers).tests


def test_a_bug_whose_place_moved_is_reported() -> None:
    with pytest.raises(NotPlanted, match="is found 0 times"):
        changed(Bug(name="gone", rule="none", file=SOUND.file, old="no such line", new=""))


@pytest.mark.parametrize("new", ["KEYS = nobody or (", "KEYS == ("], ids=["no-such-name", "never-set"])
def test_a_bug_that_is_no_program_is_not_taken_for_killed(warm: Ground, new: str) -> None:
    bug = Bug(name="broken", rule="none", file=SOUND.file, old=SOUND.old, new=new, killers=SOUND.killers)
    with pytest.raises(NotPlanted):
        warm.hunt(bug)

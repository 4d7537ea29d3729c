"""Every story in `stories/` ends as its file says, breaks no rule on the way, and does only what the model allows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.formal.witness import Witness, fits
from tests.golden.story import play, read, write
from tests.world.rack import Rack
from tests.world.world import World

STORIES = sorted((Path(__file__).parent / "stories").glob("*.txt"))
SOME = 10
UNEVENTFUL = {
    "a_hold_of_many_ends_host_by_host", "a_host_that_answers_over_its_other_network", "a_lone_host_has_no_control",
    "a_new_dip_in_the_cooldown", "a_pair_whose_switch_dies", "a_reported_host_that_lives_is_an_alert",
    "a_snapshot_was_put_back", "a_storm_outlives_a_restart", "a_successor_tells_what_its_predecessor_decided",
    "a_suspect_recovers_by_itself", "a_switch_of_a_rack_dies", "alive_but_silent_is_an_alert",
    "an_observer_in_the_suspects_rack_sees_life", "an_observer_lies_about_a_living_host",
    "an_observer_reaches_a_silent_host", "an_old_heartbeat_long_after_the_proof", "an_outlet_off_is_no_lie",
    "another_configuration_decides", "half_the_cluster_silent", "last_will_alone_does_not_fence",
    "last_will_of_a_mute_host", "life_before_the_first_off", "maintenance_ends_a_hold", "never_heard_is_never_fenced",
    "nobody_can_look_where_alive_but_silent_is_fence", "outlets_that_feed_another_machine", "own_link_cut",
    "protected_and_own_machine", "stopping_does_not_fence", "what_was_decided_ten_minutes_ago",
    "why_nothing_was_asked_of_the_devices",
}  # fmt: skip
"""Stories whose hosts fit the formal model, in which at most `SOME` of the model's actions happen."""


@dataclass(slots=True)
class Followed:
    """What the formal model says of a story. `taken`: how many actions it followed; None: no host fits the model."""

    rack: Rack
    findings: list[str] = field(default_factory=list)
    taken: int | None = None

    def watch(self, world: World) -> Callable[[], None]:
        """Have a witness follow the world, if its hosts fit the model."""
        if not fits(self.rack):
            return lambda: None
        witness = Witness(world).attach()

        def finish() -> None:
            self.findings, self.taken = witness.finish(), witness.taken

        return finish


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    story = read(path)
    followed = Followed(rack=story.rack)
    lines = play(story, followed.watch)
    if request.config.getoption("--rewrite-golden"):
        write(story, lines)
        return
    assert lines == list(story.expected)
    assert followed.findings == []
    if followed.taken is not None:
        assert (followed.taken > SOME) is (path.stem not in UNEVENTFUL)


def test_a_story_is_the_same_each_time() -> None:
    story = read(STORIES[0])
    assert play(story) == play(story)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 21


def test_the_model_follows_enough_of_them() -> None:
    assert sum(fits(read(path).rack) for path in STORIES if path.stem not in UNEVENTFUL) >= 20

"""Play golden stories and simulation seeds whose hosts fit the model, with a witness beside them."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fenced.model.names import DeviceName
from tests.formal.conformance import Monitor
from tests.formal.witness import Witness, fits
from tests.golden.story import Play, Story
from tests.simulation.play import Quiet
from tests.simulation.scenario import scenario
from tests.world.loop import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """`findings`: what the model forbids; `taken`: how many actions it followed."""

    findings: tuple[str, ...]
    taken: int


def fitting_seeds(first: int) -> Iterator[int]:
    """Yield seeds from `first` on that fit the model: it knows only fleets whose inventory never changes."""
    stories = ((seed, scenario(seed).story) for seed in itertools.count(first))
    return (
        seed
        for seed, story in stories
        if fits(story.rack) and not any(words.startswith("inventory ") for _, words in story.script)
    )


class Silent(Play):
    """A play without a story's text and without a look at its journal: the witness alone follows it."""

    def __init__(self, story: Story) -> None:
        super().__init__(story, is_journal_checked=False)

    def _say(self, who: str, text: str) -> None:
        pass

    def _catch_up(self) -> None:
        pass


def follow_seed(seed: int) -> Followed:
    """Play one seed of the simulation, without its own checks."""

    async def main() -> Followed:
        playing = Quiet(scenario(seed).story, is_journal_checked=False)
        witness = Witness(playing.world).attach()
        await playing.play()
        return Followed(findings=tuple(witness.finish()), taken=witness.taken)

    return run(main())


def follow_story(story: Story, make: Callable[[str, tuple[DeviceName, ...], float], Monitor] = Monitor) -> Followed:
    """Play one golden story."""

    async def main() -> Followed:
        playing = Silent(story)
        witness = Witness(playing.world, make).attach()
        await playing.run()
        return Followed(findings=tuple(witness.finish()), taken=witness.taken)

    return run(main())

"""A standby that hears another controller on the bus looks at the store at once; the store says who may act."""

import asyncio

from tests.engine.pair import both, play


async def seconds_to_act(*, word_of: str | None) -> float:
    """Return how long after a release, 0.1 s after a look of the standby, that acts. `word_of`: whose word the bus
    brings then."""
    world, first, second = await both()
    assert first.engine is not None and second.engine is not None
    looked = second.engine.standby.turned_at
    while second.engine.standby.turned_at == looked:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await first.journal.release(to="")
    released = asyncio.get_running_loop().time()
    if word_of is not None:
        second.engine.met(word_of)
    while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.01)
    found = asyncio.get_running_loop().time() - released
    await world.end()
    return found


def test_a_standby_looks_at_once_when_another_controller_says_something() -> None:
    async def main() -> None:
        told = await seconds_to_act(word_of="fenced-a")
        for word_of in (None, "fenced-b"):  # nobody's, and its own
            assert await seconds_to_act(word_of=word_of) - told > 0.25

    play(main())


def test_a_standby_that_is_told_again_and_again_looks_no_more_than_ten_times_a_second() -> None:
    async def main() -> None:
        world, _, second = await both()
        assert second.engine is not None
        looks = set()
        for _ in range(300):
            second.engine.met("fenced-x")
            await asyncio.sleep(0.01)
            looks.add(second.engine.standby.turned_at)
        assert 20 <= len(looks) <= 33
        await asyncio.sleep(5.0)
        looks.clear()
        for _ in range(300):
            await asyncio.sleep(0.01)
            looks.add(second.engine.standby.turned_at)
        assert len(looks) <= 8, "it is as before soon after the last word"
        await world.end()

    play(main())

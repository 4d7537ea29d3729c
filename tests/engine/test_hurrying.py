"""A standby that hears another controller on the bus looks at the store at once; the store says who may act."""

import asyncio
from typing import Any

import pytest

from fenced.app import daemon
from fenced.core import events as e
from fenced.engine.giving_over import HandedOver
from fenced.model.power import Action
from tests.engine.pair import NODE, both, play


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


def test_a_daemon_that_stops_gives_its_lease_up_before_it_is_taken_down() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.giving_over.stop_acting()
        await first.engine.giving_over.leave()
        row = world.disk.row
        assert (row.name, row.until, row.released_by) == ("fenced-a", 0.0, ""), "and may take it at its next start"
        second.engine.met("fenced-a")
        await asyncio.sleep(0.5)
        assert world.disk.row.name == "fenced-b"
        await world.end()

    play(main())


def test_what_comes_after_the_release_is_not_recorded_so_that_the_daemon_still_says_goodbye() -> None:
    async def main() -> None:
        world, first, _ = await both()
        assert first.engine is not None
        engine = first.engine
        await engine.giving_over.stop_acting()
        await engine.giving_over.leave()
        engine.reactor.deliver(e.PauseAsked(match="*", by="p", reason="r", until=None))
        await asyncio.sleep(1.0)
        assert first.engine is engine, "its end would cut off the word that it is offline"
        assert engine.reactor.turned_at > engine.ports.clock.now() - 1.0, "the watchdog sees no fault"
        await world.end()

    play(main())


def test_a_command_under_way_keeps_the_lease_until_it_is_killed() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        while not first.engine.effects.commands_in_flight:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        await first.engine.giving_over.leave()
        assert first.engine.effects.commands_in_flight and world.disk.row.name == "fenced-a"
        assert world.disk.row.until > 0.0
        await world.end()

    play(main())


async def test_a_daemon_that_let_go_of_its_lease_to_stop_begins_no_other_life(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, lives = asyncio.Event(), 0

    async def live(*_: Any) -> None:
        nonlocal lives
        lives += 1
        if lives == 2:
            stop.set()
        raise ExceptionGroup("ended", [HandedOver("the lease was given over")])

    monkeypatch.setattr(daemon, "_live", live)
    given: Any = None
    await asyncio.wait_for(daemon._lives(given, stop, given), 5.0)
    assert lives == 2

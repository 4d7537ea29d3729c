"""What the engines of one process know of each other: who takes a further shard, and when."""

import asyncio
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from fenced.app.shares import FULLER_SECONDS, LOOKS_SECONDS, SAME_MOMENT_SECONDS, Shares, together
from fenced.engine.beside import HeldHere
from tests.world.loop import run
from tests.world.network import WorldClock


def shares(held: Mapping[str, bool], *, at_most: int = 0) -> Shares:
    """Return those of a process whose engines run. `held`: whether each shard is held."""
    members: dict[str, Any] = {
        shard: SimpleNamespace(
            is_alive=True,
            engine=SimpleNamespace(held=HeldHere(shard=shard, epoch=1, since=0.0) if is_held else None),
        )
        for shard, is_held in held.items()
    }
    made = Shares(members, at_most=at_most, lease_seconds=15.0, clock=WorldClock())
    for shard, is_held in held.items():
        if is_held:
            made.beside(shard).took()
    return made


def test_a_fuller_process_waits_longer_and_a_full_one_takes_nothing() -> None:
    async def story() -> None:
        held = {"main": True, "dc2": True, "dc3": False}
        beside = shares(held).beside("dc3")
        assert beside.takes is not None
        assert (beside.patience(), beside.takes()) == (2 * FULLER_SECONDS, ("main", "dc2", "dc3"))
        assert [one.shard for one in beside.held()] == ["main", "dc2"]
        full = shares(held, at_most=2)
        beside = full.beside("dc3")
        assert beside.takes is not None
        assert (beside.patience(), beside.takes()) == (math.inf, ())
        full.ended("main")
        assert (beside.patience(), beside.takes()) == (FULLER_SECONDS, tuple(held))
        assert shares(held, at_most=3).beside("dc3").patience() == 2 * FULLER_SECONDS

    run(story())


@pytest.mark.parametrize(("at_most", "taken"), [(0, 4), (1, 1), (3, 3)])
def test_engines_that_look_at_once_take_no_more_than_the_bound(at_most: int, taken: int) -> None:
    async def story() -> None:
        free = shares(dict.fromkeys(("s1", "s2", "s3", "s4"), False), at_most=at_most)
        took: list[str] = []

        async def look(shard: str) -> None:
            beside = free.beside(shard)
            async with beside.turn():
                if beside.patience() == math.inf:
                    return
                await asyncio.sleep(0.1)  # the store answers
                beside.took()
                took.append(shard)

        await asyncio.gather(*map(look, ("s1", "s2", "s3", "s4")))
        assert len(took) == taken

    run(story())


def test_a_process_that_stops_takes_no_shard_any_more() -> None:
    async def story() -> None:
        stopping = shares({"main": False})
        beside = stopping.beside("main")
        assert beside.patience() == 0.0
        stopping.stop()
        assert beside.takes is not None
        assert (beside.patience(), beside.takes()) == (math.inf, ())

    run(story())


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0])
def test_engines_look_at_the_same_moments_and_none_later_than_alone(seconds: float) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        for begun in (0.0, 0.2, 0.499, 0.7):
            await asyncio.sleep(begun)
            pause = together(seconds)
            assert seconds - LOOKS_SECONDS < pause <= seconds
            assert (loop.time() + pause) % LOOKS_SECONDS == pytest.approx(0.0, abs=1e-6) or (
                loop.time() + pause
            ) % LOOKS_SECONDS == pytest.approx(LOOKS_SECONDS, abs=1e-6)

    run(story())


def test_a_shard_that_becomes_unfit_is_so_in_the_next_report_of_the_others() -> None:
    async def story() -> None:
        why: list[str] = []
        asked: list[int] = []

        def unfit_marked() -> tuple[str, ...]:
            asked.append(1)
            return tuple(why)

        unfit = SimpleNamespace(giving_over=SimpleNamespace(unfit_marked=unfit_marked), held=None)
        members: dict[str, Any] = {shard: SimpleNamespace(is_alive=True, engine=unfit) for shard in ("a", "b", "c")}
        made = Shares(members, at_most=0, lease_seconds=15.0, clock=WorldClock())
        for _ in range(3):
            assert [made.beside(shard).unfit() for shard in members] == [(), (), ()]
        assert len(asked) == len(members), "once each at one moment"
        why.append("no proxy answers")
        await asyncio.sleep(SAME_MOMENT_SECONDS)
        assert made.beside("a").unfit() == ("no proxy answers",) * 2
        members["b"].is_alive = False
        assert made.beside("a").unfit() == ("no proxy answers",)

    run(story())

"""Another controller takes over while a host is put to sleep, sleeps or wakes: nothing that slept is forgotten, nothing
is asked to shut down twice, and no sleeper is fenced.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fenced.core.durable import records as r
from fenced.model.power import Action, State, What
from tests.engine.pair import both, play, records
from tests.engine.test_saving import NODE, SAID, employ, rack
from tests.world.daemon import Daemon
from tests.world.world import World

LONG_SECONDS = 600.0
Leave = Callable[[Daemon], Awaitable[object]]


async def crash(first: Daemon) -> None:
    await first.crash()


async def freeze(first: Daemon) -> None:
    """It comes back too late, and finds that it lost the lease."""
    await first.crash()
    await asyncio.sleep(30.0)
    await first.start()


async def hand_over(first: Daemon) -> None:
    assert first.engine is not None
    await first.engine.hand_over(to="", by="a test", reason="none")


LEAVES: dict[str, Leave] = {"crashed": crash, "came back": freeze, "handed over": hand_over}


def soft_offs(world: World) -> int:
    """Return how many commands to shut down were begun."""
    return sum(record.what is What.SOFT_OFF for record in records(world, r.StepStarted))


async def settled(world: World, second: Daemon, *, seconds: float) -> State:
    await asyncio.sleep(seconds)
    assert second.engine is not None
    return second.engine.control.host(NODE).state.state


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("after", [0.0, 1.0, 5.0, 9.0, 11.0, 12.0, 14.0, 20.0, 40.0, 70.0])
def test_a_takeover_while_a_host_is_put_to_sleep(leave: str, after: float) -> None:
    async def main() -> None:
        world, first, second = await both(rack("fenced-b"))
        employ(world, {"node-2", "node-3"})
        await asyncio.sleep(60.0)
        assert first.engine is not None
        await first.engine.control.act(NODE, Action.SLEEP, by="person", reason="a test", is_forced=False)
        await asyncio.sleep(after)
        await LEAVES[leave](first)
        state = await settled(world, second, seconds=LONG_SECONDS)
        assert state in {State.SLEEPING, State.HEALTHY}
        assert soft_offs(world) <= 1
        assert not records(world, r.HostFenced)
        assert (state is State.SLEEPING) is (soft_offs(world) == 1)
        assert after < 40.0 or state is State.SLEEPING
        if state is State.SLEEPING:
            assert second.engine is not None
            active = second if world.active is second else first
            assert active.engine is not None
            assert (await active.engine.control.wake("c1", 1, **SAID)).hosts == (NODE,)
            await asyncio.sleep(240.0)
            assert active.engine.control.host(NODE).state.state is State.HEALTHY
        await world.end()

    play(main())


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("after", [0.0, 1.0, 3.0, 8.0, 30.0])
def test_a_takeover_while_a_sleeper_wakes(leave: str, after: float) -> None:
    async def main() -> None:
        world, first, second = await both(rack("fenced-b"))
        employ(world, {"node-2", "node-3"})
        await asyncio.sleep(60.0)
        assert first.engine is not None
        await first.engine.control.act(NODE, Action.SLEEP, by="person", reason="a test", is_forced=False)
        await asyncio.sleep(150.0)
        await first.engine.control.wake("c1", 1, **SAID)
        await asyncio.sleep(after)
        await LEAVES[leave](first)
        assert await settled(world, second, seconds=LONG_SECONDS) is State.HEALTHY
        assert soft_offs(world) == 1
        assert not records(world, r.HostFenced)
        await world.end()

    play(main())

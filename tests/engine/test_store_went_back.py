"""A store that lost its newest records while several controllers share it: what they know stays known (S22)."""

import asyncio

from fenced.core.durable import records as r
from tests.engine.pair import NODE, both, play, records
from tests.world.world import World

TAKEN_SECONDS = 90.0
"""A new life, a whole lease, and the time that a lost command may act."""


def restored(world: World) -> None:
    """Let the store lose everything since its copy."""
    world.disk.go_back()


async def disarmed(world: World) -> None:
    await world.control.disarm(by="a test", reason="work on the racks")


def test_a_disarming_that_the_store_lost_at_once_is_set_again() -> None:
    async def main() -> None:
        world, first, _ = await both()
        await asyncio.sleep(2.0)  # past a report
        world.disk.keep_copy()
        await disarmed(world)
        await asyncio.sleep(0.6)  # the standby follows twice a second, and keeps words only now and then
        await first.crash()
        restored(world)
        assert not world.disk.durable.fleet[1].is_disarmed
        await asyncio.sleep(TAKEN_SECONDS)
        assert world.engine.fleet.state.is_disarmed and world.engine.fleet.state.store_hold
        await world.end()

    play(main())


def test_a_controller_that_is_alone_says_again_what_its_store_lost() -> None:
    async def main() -> None:
        world, first, second = await both()
        await second.crash()
        world.disk.keep_copy()
        await disarmed(world)
        await asyncio.sleep(10.0)
        await first.crash()
        restored(world)
        await first.start()  # it has the lease at once, so nobody says the word at a standby
        await asyncio.sleep(TAKEN_SECONDS)
        assert world.engine.fleet.state.is_disarmed
        await world.end()

    play(main())


def test_words_outlive_a_life_that_only_stood_by() -> None:
    async def main() -> None:
        world, first, second = await both()
        world.disk.keep_copy()
        await disarmed(world)
        await asyncio.sleep(10.0)
        await first.crash()
        restored(world)
        await asyncio.sleep(12.0)
        assert second.engine is not None and second.engine.fleet.is_standby
        restored(world)  # once more: what it said again at the store is lost, too
        await second.crash()
        await second.start()
        await asyncio.sleep(TAKEN_SECONDS)
        assert world.engine.fleet.state.is_disarmed
        await world.end()

    play(main())


def test_a_standby_repeats_neither_doubt_nor_words_once_an_operator_released_the_store() -> None:
    async def main() -> None:
        world, first, second = await both()
        world.disk.keep_copy()
        await disarmed(world)
        await asyncio.sleep(10.0)
        restored(world)
        await asyncio.sleep(TAKEN_SECONDS)
        await world.control.release_store(by="a test", reason="checked")
        await world.control.arm(by="a test", reason="checked")
        await asyncio.sleep(10.0)
        active, other = (first, second) if world.active is first else (second, first)
        await active.crash()
        await asyncio.sleep(40.0)
        assert world.active is other and other.engine is not None and not other.engine.fleet.is_standby
        assert not other.engine.fleet.state.is_disarmed and not other.engine.fleet.state.store_hold
        assert len(records(world, r.StoreDoubted)) == 1
        world.machine(NODE).die()
        await asyncio.sleep(90.0)
        assert len(records(world, r.HostFenced)) == 1
        await world.end()

    play(main())

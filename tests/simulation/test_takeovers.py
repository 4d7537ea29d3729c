"""What a successor assumes, in worlds made for one danger each: clocks that differ, commands under way, lost epochs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action
from tests.simulation.play import silence_logs
from tests.world.daemon import Daemon
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")
TTL = 15.0
PROXIES = Rack(proxies=("px1", "px2"), reach=("dc",), other_daemons=("fenced-b",), devices=("pdu-a:1",))
LOCAL = Rack(other_daemons=("fenced-b",), devices=("pdu-a:1",))


def play(work: Coroutine[Any, Any, None]) -> None:
    silence_logs()
    run(work)


async def both(rack: Rack, *, store_jumps: float = 0.0, rate: float = 1.0) -> tuple[World, Daemon, Daemon]:
    """Return a world with an active controller, and a standby whose clock is that much ahead of it, or goes at another
    rate."""
    world = World(rack)
    world.begin()
    first, second = world.daemons.values()
    await first.start()
    await asyncio.sleep(2.0)
    world.disk.ahead_seconds, second.board.rate = store_jumps, rate
    await second.start()
    await asyncio.sleep(100.0)
    assert world.active is first
    return world, first, second


async def off(world: World, *, seconds: float) -> None:
    """Let the active controller send an OFF that takes so long."""
    world.plug(NODE, "pdu-a").set_seconds = seconds
    await world.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
    while not world.wires.sent:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)


async def acting(world: World, daemon: Daemon) -> None:
    while daemon.engine is None or daemon.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
    assert world.active is daemon


def test_a_lease_counts_from_before_its_renewal() -> None:
    async def main() -> None:
        world, first, _ = await both(LOCAL)
        world.disk.slow_seconds = 3.0
        await asyncio.sleep(30.0)
        assert first.engine is not None and first.engine.lease.until <= world.disk.lease_ends - 3.0
        await world.end()

    play(main())


def test_a_successor_folds_what_its_last_look_had_not() -> None:
    async def main() -> None:
        world, first, second = await both(LOCAL)
        assert first.engine is not None and second.engine is not None
        world.disk.look_seconds = 0.45
        await asyncio.sleep(2.0)
        before = second.engine.standby.position
        await world.control.disarm(by="a test", reason="none")
        await first.engine.hand_over(to="", by="a test", reason="none")
        while not second.journal.holds:
            assert second.engine.standby.position == before, "it looked meanwhile, and the test shows nothing"
            await asyncio.sleep(0.01)
        await asyncio.sleep(5.0)
        assert second.engine.fleet.state.is_disarmed
        await world.end()

    play(main())


def test_a_command_is_waited_out_as_a_length() -> None:
    """The successor's clock is an hour ahead: every moment in the records is over, and no command is."""

    async def main() -> None:
        world, first, second = await both(LOCAL, store_jumps=3600.0)
        assert second.now() > first.now() + 3000.0
        await off(world, seconds=18.0)
        first.stall(60.0)
        await acting(world, second)
        assert world.wires.sent, "the predecessor's command is still under way"
        await asyncio.sleep(100.0)
        await world.end()

    play(main())


@pytest.mark.parametrize("lost", [1, 2])
def test_the_epoch_is_above_one_that_only_a_proxy_knows(lost: int) -> None:
    """Also if the store lost just one: then two controllers would hold the same epoch."""

    async def main() -> None:
        world, first, second = await both(PROXIES)
        world.disk.keep_copy()
        for _ in range(lost):
            engine, epoch = world.engine, world.disk.row.epoch
            await engine.hand_over(to="", by="a test", reason="none")
            while world.disk.row.epoch == epoch:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.1)
            await asyncio.sleep(20.0)
        known = world.disk.row.epoch
        for daemon in (first, second):
            await daemon.crash()
            daemon.board.empty()
        world.disk.go_back()
        assert world.disk.row.epoch == known - lost
        await second.start()
        await asyncio.sleep(60.0)
        assert world.engine.fleet.epoch > known
        world.machine(NODE).die()
        await asyncio.sleep(90.0)
        assert any(isinstance(it.record, r.HostFenced) for it in world.disk.durable.entries.values())
        await world.end()

    play(main())


def test_control_is_handed_over_at_a_safe_point() -> None:
    async def main() -> None:
        world, first, _ = await both(LOCAL)
        await off(world, seconds=4.0)
        assert first.engine is not None
        await first.engine.hand_over(to="", by="a test", reason="none")
        while world.disk.row.is_held and world.active is first:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        assert not world.wires.sent
        await asyncio.sleep(60.0)
        assert not world.plug(NODE, "pdu-a").is_on
        await world.end()

    play(main())


def test_a_fit_controller_takes_the_lease_before_an_unfit_one() -> None:
    async def main() -> None:
        world = World(Rack(other_daemons=("fenced-b", "fenced-c")))
        world.begin()
        for daemon in world.daemons.values():
            await daemon.start()
            await asyncio.sleep(0.1)
        world.broker.send_away("fenced-b", is_away=True)
        await asyncio.sleep(60.0)
        await world.daemons["fenced-a"].crash()
        await asyncio.sleep(TTL + 3.0)
        assert world.active.name == "fenced-c"
        await world.daemons["fenced-c"].crash()
        await asyncio.sleep(TTL + 6.0)
        assert world.active.name == "fenced-c"
        await asyncio.sleep(TTL)
        assert world.active.name == "fenced-b", "an unfit one is better than none"
        await world.end()

    play(main())


def test_an_unfit_controller_gives_over_to_a_fit_one() -> None:
    async def main() -> None:
        world, first, second = await both(LOCAL)
        world.broker.send_away(first.name, is_away=True)
        await asyncio.sleep(TTL + 12.0)
        assert world.active is second
        world.machine(NODE).die()
        await asyncio.sleep(60.0)
        fenced = [it for it in world.disk.durable.entries.values() if isinstance(it.record, r.HostFenced)]
        assert len(fenced) == 1
        await world.end()

    play(main())


def test_a_successor_goes_on_in_the_time_of_the_records() -> None:
    """Its clock fell behind in a long time as a standby: what it records must not lie before what was recorded."""

    async def main() -> None:
        world, first, second = await both(LOCAL, rate=0.5)
        assert second.now() < first.now() - 40.0
        await world.control.disarm(by="a test", reason="none")
        await world.control.arm(by="a test", reason="none")
        last = world.disk.durable.last_at
        await first.crash()
        await acting(world, second)
        assert last is not None and second.now() > last
        world.machine(NODE).die()
        await asyncio.sleep(400.0)
        assert any(isinstance(it.record, r.HostFenced) for it in world.disk.durable.entries.values())
        await world.end()

    play(main())

"""Several controllers on one store: who hears, who decides, and what a takeover knows (S20 to S22)."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.operation.steps import longest_command_seconds
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState
from fenced.ports.control import NotFound, Standby
from tests.world.daemon import Daemon
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")
RACK = Rack(other_daemons=("fenced-b",))
TTL_SECONDS = 15.0


def play(work: Coroutine[Any, Any, None]) -> None:
    run(work)


async def both() -> tuple[World, Daemon, Daemon]:
    """Return a world whose first controller is active and whose second one is a standby for some minutes."""
    world = World(RACK)
    world.begin()
    first, second = world.daemons.values()
    await first.start()
    await asyncio.sleep(2.0)
    await second.start()
    await asyncio.sleep(120.0)
    return world, first, second


def records(world: World, kind: type) -> list[Any]:
    return [entry.record for entry in world.disk.durable.entries.values() if isinstance(entry.record, kind)]


def test_a_standby_follows_hears_and_decides_nothing() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        assert not first.engine.fleet.is_standby and second.engine.fleet.is_standby
        assert dict(second.engine.fleet.hosts) == dict(first.engine.fleet.hosts)
        assert all(sight.heard_at is not None for sight in second.engine.fleet.sights.values())
        world.machine(NODE).die()
        await asyncio.sleep(90.0)
        assert len(records(world, r.HostFenced)) == 1
        assert second.engine.fleet.hosts[NODE] == first.engine.fleet.hosts[NODE]
        with pytest.raises(Standby):
            await second.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await world.end()

    play(main())


def test_a_standby_takes_over_within_the_lease_without_a_quiet_time() -> None:
    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        died = asyncio.get_running_loop().time()
        world.machine(NODE).die()
        assert second.engine is not None
        while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert TTL_SECONDS / 2 < asyncio.get_running_loop().time() - died < TTL_SECONDS + 2.0
        await asyncio.sleep(80.0)
        assert len(records(world, r.HostFenced)) == 1
        assert len(records(world, r.HostSuspected)) == 1, "the others were heard before the takeover, too"
        assert [it.before for it in records(world, r.ControlTaken)] == ["fenced-a"]
        await world.end()

    play(main())


def test_a_fence_goes_on_at_the_successor() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None
        asked = await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await asyncio.sleep(0.3)
        await first.crash()
        await asyncio.sleep(120.0)
        assert second.engine is not None
        operation = await second.engine.control.operation(asked.operation)
        assert operation.state is OperationState.DONE and not world.plug(NODE, "pdu-a").is_on
        await world.end()

    play(main())


def test_after_a_promotion_nothing_is_sent_while_a_lost_command_may_act() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.control.act(NODE, Action.OFF, by="a test", reason="none", is_forced=True)
        await asyncio.sleep(0.3)
        await first.crash()
        second.journal.is_promoted = True
        while world.disk.durable.owner is not second.journal:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        taken_at, known = asyncio.get_running_loop().time(), world.disk.durable.sequence
        while world.disk.durable.sequence == known:
            assert second.journal.is_promoted, "the next holder need not wait before this one decides"
            await asyncio.sleep(0.1)
        waited = asyncio.get_running_loop().time() - taken_at
        longest = longest_command_seconds(second.engine.fleet.inventory)
        assert longest - 0.2 <= waited <= longest + 5.0
        assert not second.journal.is_promoted
        assert second.engine.fleet.own.store_doubt == "", "nothing is missing, so no person must release the store"
        await asyncio.sleep(60.0)
        assert len(records(world, r.HostFenced)) == 1
        await world.end()

    play(main())


def test_a_hand_over_takes_less_than_a_second_from_the_release() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        await first.engine.hand_over(to="fenced-b", by="a test", reason="an upgrade")
        while first.engine is not None and first.is_running:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        released = asyncio.get_running_loop().time()
        while second.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - released < 1.0
        await asyncio.sleep(20.0)
        assert first.engine is not None and first.engine.fleet.is_standby, "it began anew as a standby"
        assert [(it.to, it.by) for it in records(world, r.ControlHandedOver)] == [("fenced-b", "a test")]
        await world.end()

    play(main())


def test_nobody_hands_over_to_a_controller_that_can_not_act() -> None:
    async def main() -> None:
        world, first, second = await both()
        assert first.engine is not None and second.engine is not None
        with pytest.raises(NotFound):
            await first.engine.hand_over(to="fenced-c", by="a test", reason="none")
        with pytest.raises(Standby):
            await second.engine.hand_over(to="fenced-a", by="a test", reason="none")
        await world.end()

    play(main())


def test_the_successor_obeys_a_request_that_came_while_nobody_decided() -> None:
    async def main() -> None:
        world, first, second = await both()
        await first.crash()
        await asyncio.sleep(1.0)
        now = world.clock.now()
        request = e.BusRequest(
            host=NODE, received=now, is_retained=False, id="r-1", action="fence", reason="a test", by="a person",
            sent_at=now, reply_topic=None, correlation=None,
        )  # fmt: skip
        world.broker.send(request)
        await asyncio.sleep(60.0)
        assert second.engine is not None
        assert [it.request.id for it in records(world, r.RequestAnswered)] == ["r-1"]
        await world.end()

    play(main())

"""The rule on drills fires when it is broken."""

import asyncio
from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.drill_state import DrillResult
from fenced.model.names import HostName
from fenced.model.power import Action, Cause, Power
from fenced.ports.journal import Batch
from tests.world.rack import Rack
from tests.world.rules.drills import FORCED
from tests.world.test_checker import NODE, PDU_A, PDU_B, fenced, operation, write
from tests.world.test_rules import found, step
from tests.world.world import World

DRILLED = Rack(drills=(NODE,))


def drill(action: Action = Action.RESTART) -> r.OperationStarted:
    begun = operation(action)
    return replace(begun, operation=replace(begun.operation, is_drill=True))


def success(begun: r.OperationStarted) -> r.DrillEnded:
    return r.DrillEnded(operation=begun.operation.id, result=DrillResult.SUCCEEDED, failed_step=None, why="")


def joined(begun: r.OperationStarted, *, reason: str = FORCED) -> r.OperationJoined:
    return r.OperationJoined(
        operation=begun.operation.id, by="person", reason=reason, action=Action.RESTART, cause=Cause.REQUEST
    )


@pytest.mark.parametrize(
    ("rack", "action", "why"),
    [
        (Rack(), Action.RESTART, "node-2, which is no host for drills, is drilled"),
        (DRILLED, Action.OFF, "the drill of node-2 is off"),
    ],
)
def test_a_drill_that_must_not_begin_is_found(rack: Rack, action: Action, why: str) -> None:
    async def plant(world: World) -> None:
        await write(world, drill(action))

    assert f"drill: {why}" in found(plant, rack)


def test_an_off_of_a_drill_beside_a_suspect_is_found() -> None:
    async def plant(world: World) -> None:
        begun = drill()
        await write(world, begun)
        await asyncio.sleep(1.0)
        suspected = r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None)
        entry = r.Entry(at=world.clock.now(), host=HostName("node-3"), record=suspected)
        await world.journal.append(Batch(entries=[entry]))
        await write(world, step(begun, "1-8"))

    assert "drill: the drill of node-2 sends its first OFF while node-3 is suspect" in found(plant, DRILLED)


def test_a_drilled_host_that_is_announced_and_beats_is_found() -> None:
    async def plant(world: World) -> None:
        begun = drill()
        world.say(NODE)
        await write(world, begun, replace(fenced(), operation=begun.operation.id))

    assert "drill: the drill of node-2 announces it as fenced, and it beats" in found(plant, DRILLED)


@pytest.mark.parametrize("reason", [FORCED, "told"])
def test_a_request_that_joins_without_force_while_the_host_beats_is_found(reason: str) -> None:
    async def plant(world: World) -> None:
        begun = drill()
        await asyncio.sleep(60.0)
        world.say(NODE)
        await asyncio.sleep(2.0)
        await write(world, begun, joined(begun, reason=reason))

    text = found(plant, DRILLED)
    assert ("drill: the drill of node-2 is joined without force, and it beats" in text) == (reason != FORCED)


def test_a_drilled_host_that_is_announced_and_stopped_by_itself_is_found() -> None:
    async def plant(world: World) -> None:
        begun = drill()
        world.machines[NODE].is_stopping = True
        await write(world, begun, replace(fenced(), operation=begun.operation.id))

    assert "drill: the drill of node-2 announces it as fenced, and it said that it stops" in found(plant, DRILLED)


@pytest.mark.parametrize("is_silent_before", [False, True])
def test_a_drilled_host_that_is_announced_while_another_fell_silent_with_it_is_found(is_silent_before: bool) -> None:
    async def plant(world: World) -> None:
        begun = drill()
        other, heard = HostName("node-3"), r.HostHeard(boot=None, before="unknown", why="first")
        world.say(other)
        await world.journal.append(Batch(entries=[r.Entry(at=world.clock.now(), host=other, record=heard)]))
        await asyncio.sleep(2.0)
        world.machines[other].is_cut_off = world.machines[NODE].is_cut_off = True
        await asyncio.sleep(60.0 if is_silent_before else 0.0)
        await write(world, begun, step(begun, "1-8"))
        await asyncio.sleep(60.0)
        await write(world, replace(fenced(), operation=begun.operation.id))

    text = found(plant, DRILLED)
    assert ("announces it as fenced, and node-3 fell silent with it" in text) != is_silent_before


def test_a_success_that_nothing_shows_is_found() -> None:
    async def plant(world: World) -> None:
        begun = drill()
        await write(world, begun, joined(begun), success(begun))

    text = found(plant, DRILLED)
    for why in (
        "although another request took it over", "without an announcement", "and it always had power",
        "and it did not restart",
    ):  # fmt: skip
        assert f"drill: the drill of node-2 succeeded{',' if why.startswith('and') else ''} {why}" in text


def test_a_host_that_was_dark_is_no_finding_of_that_kind() -> None:
    async def plant(world: World) -> None:
        begun = drill()
        await write(world, begun)
        for device in (PDU_A, PDU_B):
            world.machines[NODE].plugs[device].turn(Power.OFF)
        world.checker.look()
        await write(world, success(begun))

    assert "always had power" not in found(plant, DRILLED)

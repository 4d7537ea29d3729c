"""The look at the end sees what did not come about: each is made up in a world that was well, and then found."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fenced.core.state import GateVerdict, HostState
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, Cause, State
from fenced.ports.journal import OutboxMessage
from tests.core.desk import Desk
from tests.fakes.journal import StoredMessage
from tests.simulation.liveness import unfinished
from tests.simulation.play import silence_logs
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")
LONG_AGO = 1_800_000_000.0
HELD = tuple(GateVerdict(gate=gate, is_open=False, why="") for gate in ("witness", "cooldown", "connectivity"))


def found(*, is_dead: bool = True, **changes: object) -> list[str]:
    """What is unfinished in a calm world whose node-2 has such a state since long ago."""

    async def main() -> list[str]:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(400.0)
        if is_dead:
            world.machines[NODE].die()
        state: HostState = replace(world.engine.fleet.hosts[NODE], since=LONG_AGO, **changes)  # type: ignore[arg-type]
        world.engine.fleet.hosts[NODE] = state
        return unfinished(world)

    silence_logs()
    return run(main())


def test_a_calm_world_is_finished() -> None:
    assert found(is_dead=False) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": State.SUSPECT}, "is suspect, with no operation and no gate closed"),
        ({"state": State.HEALTHY}, "is dead and healthy, with no operation and no gate closed"),
        ({"state": State.FENCED}, "is fenced, nobody wants it off, and nobody gives it power"),
        ({"state": State.SUSPECT, "held_by": HELD}, "is held by witness, cooldown, connectivity, which is open"),
    ],
)
def test_a_host_that_nobody_looks_after_is_found(changes: dict[str, Any], why: str) -> None:
    assert found(**changes) == [f"liveness: node-2 {why}"]


def test_a_host_that_a_person_wants_off_is_in_order() -> None:
    assert found(state=State.FENCED, is_stay_off=True) == []


def test_an_operation_and_an_announcement_that_never_end_are_found() -> None:
    async def main() -> list[str]:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(90.0)
        desk = Desk()
        desk.ask(Action.OFF)
        running = replace(desk.operation(), id=OperationId("0-1"), cause=Cause.REQUEST, deadline=LONG_AGO)
        durable = world.disk.durable
        durable.operations[running.id] = (99, running)
        message = OutboxMessage(id="0-9", host=None, sequence=99, topic="lost", payload=b"{}", is_retained=False)
        durable.outbox[99] = StoredMessage(message=message, at=LONG_AGO)
        return unfinished(world)

    silence_logs()
    text = "\n".join(run(main()))
    assert "0-1 of node-2 has not ended by its deadline" in text and "lost of 1800000000.0 was never delivered" in text

"""The rule on observers (S10) fires when it is broken: too few domains, no control, an old answer, a sign of life."""

import asyncio
from dataclasses import replace

import pytest

from fenced.core.heard.looks import Look, Observer, Saw
from fenced.model.names import ENGINE, HostName, ProxyName
from tests.world.looking import Answered
from tests.world.rack import Rack
from tests.world.test_checker import write
from tests.world.test_rules import automatic, found, step
from tests.world.world import World

PLAN = Rack(proxies=("px1",), observers=("px1",), domains={"px1": "east"})
BOTH = ("engine", "px1")


def answer(world: World, name: str, saw: Saw = Saw.SILENT, *, ago: float = 0.0, has_control: bool = True) -> None:
    look = Look(
        observer=Observer(name=ProxyName(name), domain=""), network="", target="10.0.0.2", saw=saw,
        at=world.clock.now() - ago, control="10.0.0.3",
    )  # fmt: skip
    told = Answered(
        at=world.clock.now() - ago, daemon="fenced-a", has_control=has_control, host=HostName("node-2"), look=look
    )
    world.checker.call("looked", told)


def findings(*answers: tuple[str, Saw, float, bool]) -> str:
    async def plant(world: World) -> None:
        world.disk.durable.format = 2  # without decisions, which another rule wants
        world.disk.row = replace(world.disk.row, name="fenced-a")
        world.machines[HostName("node-2")].die()
        world.say("node-1")
        for name, saw, ago, has_control in answers:
            answer(world, name, saw, ago=ago, has_control=has_control)
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await asyncio.sleep(0.0)

    return found(plant, PLAN)


def test_an_off_after_two_domains_saw_it_silent_is_in_order() -> None:
    assert findings(("px1", Saw.SILENT, 1.0, True), (ENGINE, Saw.SILENT, 9.0, True)) == ""


@pytest.mark.parametrize(
    "other",
    [
        ("px1", Saw.UNKNOWN, 1.0, True), ("px1", Saw.SILENT, 1.0, False), ("px1", Saw.SILENT, 13.0, True),
        ("px1", Saw.ALIVE, 1.0, True),
    ],
)  # fmt: skip
def test_an_off_that_too_few_looks_allow_is_found(other: tuple[str, Saw, float, bool]) -> None:
    assert "sends its first OFF to node-2, which " in findings((ENGINE, Saw.SILENT, 1.0, True), other)

"""Plugs fail as set, and record what was a lie."""

import asyncio

import pytest

from fenced.model.power import Power
from tests.world.loop import run
from tests.world.machines import Plug
from tests.world.rack import Rack
from tests.world.world import World


def of_plug(*seconds: float, begin: str, power: Power = Power.OFF) -> list[tuple[str, bool, bool]]:
    """Return a plug's reading, whether it is on and whether it has lied, at those times after a command."""

    async def main() -> list[tuple[str, bool, bool]]:
        plug = World(Rack()).plug("node-1", "pdu-a")
        _begin(plug, begin)
        plug.switch(power)
        said = []
        for pause in seconds:
            await asyncio.sleep(pause)
            said.append((plug.read().value, plug.is_on, plug.has_lied))
        return said

    return run(main())


def _begin(plug: Plug, how: str) -> None:
    match how:
        case "early":
            plug.read_early(10.0)
        case "dummy":
            plug.be_dummy()
        case "between":
            plug.is_between = True


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        ("early", [("off", True, True), ("off", False, True)]),
        ("dummy", [("off", True, True), ("off", True, True)]),
        ("between", [("unknown", True, False), ("unknown", True, False)]),
    ],
)
def test_a_plug_that_goes_wrong(begin: str, said: list[tuple[str, bool, bool]]) -> None:
    assert of_plug(1.0, 15.0, begin=begin) == said


def test_swapped_labels_switch_the_other_host() -> None:
    async def main() -> None:
        world = World(Rack(devices=("pdu-a:1",)))
        one, other = world.plug("node-1", "pdu-a"), world.plug("node-2", "pdu-a")
        one.swap(other)
        one.switch(Power.OFF)
        assert one.read() is Power.OFF and other.read() is Power.ON
        assert world.machine("node-1").is_powered and not world.machine("node-2").is_powered
        assert not world.checker.is_answerable(world.machine("node-1"))
        assert not world.checker.is_answerable(world.machine("node-2"))

    run(main())


def test_a_plug_that_flaps_is_no_liar() -> None:
    async def main() -> None:
        plug = World(Rack()).plug("node-1", "pdu-a")
        plug.flaps = True
        assert {plug.read() for _ in range(4)} == {Power.ON, Power.UNKNOWN}
        plug.mend()
        assert {plug.read() for _ in range(4)} == {Power.ON} and not plug.has_lied

    run(main())


def test_later_than_its_settle_is_a_lie() -> None:
    async def main() -> list[bool]:
        plug = World(Rack()).plug("node-1", "pdu-a")
        plug.act_late(3.0, settle_seconds=3.0, shows_turning=False)
        honest = not plug.has_lied
        plug.act_late(4.0, settle_seconds=3.0, shows_turning=False)
        return [honest, plug.has_lied]

    assert run(main()) == [True, True]

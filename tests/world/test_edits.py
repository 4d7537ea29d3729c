"""Edits of the inventory change what a daemon reads at its start, and never what feeds a host."""

import asyncio

import pytest

from fenced.model.inventory import Inventory
from fenced.model.names import DeviceName, HostName
from fenced.model.power import Power
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-1")


def edited(*words: str) -> tuple[World, Inventory]:
    """Return the world after these edits took effect, and what a daemon reads now."""

    async def main() -> tuple[World, Inventory]:
        world = World(Rack())
        for edit in words:
            assert world.files.edit(NODE, edit.split())
            world.files.read()
        return world, world.files.read()

    return run(main())


def written(inventory: Inventory) -> list[str]:
    return [f"{it.name}:{it.level} {it.spec.plug_id}" for it in inventory.hosts[NODE].devices]


@pytest.mark.parametrize(
    ("edit", "devices"),
    [
        ("forgets pdu-a", ["pdu-b:1 node-1/pdu-b"]),
        ("renames pdu-a feed", ["feed:1 node-1/pdu-a", "pdu-b:1 node-1/pdu-b"]),
        ("swaps pdu-a pdu-b", ["pdu-a:1 node-1/pdu-b", "pdu-b:1 node-1/pdu-a"]),
        ("puts pdu-a on level 2", ["pdu-a:2 node-1/pdu-a", "pdu-b:1 node-1/pdu-b"]),
        ("remembers pdu-a", ["pdu-a:1 node-1/pdu-a", "pdu-b:1 node-1/pdu-b"]),
    ],
)
def test_what_a_daemon_reads(edit: str, devices: list[str]) -> None:
    world, inventory = edited(edit)
    assert written(inventory) == devices == written(world.inventory)
    for device in inventory.hosts[NODE].devices:
        assert world.machines[NODE].plugs[device.name].plug_id == device.spec.plug_id


def test_a_forgotten_feed_goes_on_feeding_and_may_take_the_name_of_another() -> None:
    world, inventory = edited("forgets pdu-b", "swaps pdu-a pdu-b")
    plugs = world.machines[NODE].plugs
    assert written(inventory) == ["pdu-a:1 node-1/pdu-b"]
    assert [(name, plug.is_forgotten) for name, plug in sorted(plugs.items())] == [("pdu-a", False), ("pdu-b", True)]
    plugs[DeviceName("pdu-a")].turn(Power.OFF)
    assert world.machines[NODE].is_powered


def test_what_was_forgotten_comes_back_as_it_was() -> None:
    _, inventory = edited("forgets pdu-b", "remembers pdu-b")
    assert written(inventory) == ["pdu-a:1 node-1/pdu-a", "pdu-b:1 node-1/pdu-b"]


def test_a_host_that_is_left_out_is_known_to_the_world_alone() -> None:
    world, inventory = edited("leaves out")
    assert NODE not in inventory.hosts and NODE in world.inventory.hosts
    _, inventory = edited("leaves out", "comes back")
    assert NODE in inventory.hosts


def test_an_edit_is_in_force_with_the_next_start() -> None:
    async def main() -> tuple[bool, bool]:
        world = World(Rack())
        world.files.edit(NODE, ["forgets", "pdu-a"])
        plug = world.plug("node-1", "pdu-a")
        before = plug.is_forgotten
        await world.start()
        await asyncio.sleep(1.0)
        return before, plug.is_forgotten

    assert run(main()) == (False, True)

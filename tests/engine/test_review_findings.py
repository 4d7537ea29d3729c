"""Findings of a safety review, each as the scenario that failed first."""

import asyncio
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import Action, State
from fenced.ports.journal import Batch, ClockAnchor, StoreError
from tests.core.desk import Desk
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")


async def calm(rack: Rack) -> World:
    """Return a world with a running daemon, past its quiet time."""
    world = World(rack)
    world.begin()
    await world.start()
    await asyncio.sleep(90.0)
    return world


async def off(world: World, *names: str) -> None:
    for name in names:
        await world.control.act(HostName(name), Action.OFF, by="person", reason="told", is_forced=True)


def test_no_command_that_waited_for_its_turn_is_sent_after_the_lease_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        raise StoreError("disk full")

    async def main() -> tuple[list[float], float]:
        names = tuple(f"node-{number}" for number in range(1, 9))
        world = await calm(Rack(hosts=names, devices=("pdu-a:1",)))
        for name in names:
            world.plug(name, "pdu-a").set_seconds = 15.0
        await off(world, *names)
        await asyncio.sleep(1.0)
        monkeypatch.setattr(world.journal, "renew_lease", refused)
        world.broker.acknowledge_seconds = 0.1  # no lease would allow an immediate announcement
        await asyncio.sleep(60.0)
        until = world.engine.lease.until
        await world.end()
        return [call[0] for call in world.wires.calls if call[3] == "off"], until

    sent, until = run(main())
    assert 0 < len(sent) < 8, "the sessions of the unit are four: the others wait"
    assert max(sent) <= until


def test_fenced_is_not_announced_before_its_record_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[State]:
        world = await calm(Rack(devices=("pdu-a:1",)))
        store, told = world.journal.append, list[State]()

        async def refuse_first(batch: Batch) -> int:
            if not told and any(isinstance(entry.record, r.HostFenced) for entry in batch.entries):
                await asyncio.sleep(4.0)
                told.append(world.control.host(NODE).state.state)
                told.extend(view.state.state for view in world.control.hosts() if view.state.name == NODE)
                raise StoreError("disk full")
            return await store(batch)

        monkeypatch.setattr(world.journal, "append", refuse_first)
        await off(world, NODE)
        await asyncio.sleep(30.0)
        told.append(world.control.host(NODE).state.state)
        await world.end()
        return told

    assert run(main()) == [State.FENCING, State.FENCING, State.FENCED]


def test_a_batch_that_the_store_refused_brings_no_host_back_that_a_reload_dropped() -> None:
    at = Desk()
    at.fleet.begin()
    at.beat(NODE, boot="b2", sequence=1)
    hosts = {name: host for name, host in at.inventory.hosts.items() if name != NODE}
    at.do(e.InventoryRead(inventory=replace(at.inventory, hosts=hosts)))
    at.fleet.roll_back()
    at.beat(NODE, boot="b2", sequence=1)
    assert NODE not in at.fleet.hosts
    assert NODE not in at.fleet.sights


def test_no_power_is_shown_of_a_device_that_a_reload_dropped() -> None:
    async def main() -> list[str]:
        world = await calm(Rack(hosts=("node-1", "node-2", "node-3"), devices=("pdu-a:1", "pdu-b:1")))
        await world.control.act(NODE, Action.STATUS, by="person", reason="look", is_forced=False)
        await asyncio.sleep(10.0)
        host = world.inventory.hosts[NODE]
        assert {str(name) for name, _ in world.control.host(NODE).state.power} == {"pdu-a", "pdu-b"}
        less = replace(host, devices=tuple(it for it in host.devices if it.name == "pdu-a"))
        world.engine.fleet.take(replace(world.inventory, hosts=dict(world.inventory.hosts) | {NODE: less}))
        shown = [str(name) for name, _ in world.control.host(NODE).state.power]
        await world.end()
        return shown

    assert run(main()) == ["pdu-a"]

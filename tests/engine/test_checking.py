"""The path check in a whole virtual data centre: it reads every path and delays nothing else."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fenced.core.durable.state import FenceableLevel
from fenced.model.names import HostName
from fenced.model.power import Action, Power
from tests.world.loop import run
from tests.world.rack import Rack, Setting
from tests.world.world import World

NODE = HostName("node-2")
HOSTS = tuple(f"node-{number}" for number in range(1, 5))
Calls = list[tuple[float, str, str, str]]


def rack(interval: float = 120.0, **more: Setting) -> Rack:
    return Rack(
        hosts=HOSTS,
        devices=("bmc:1", "pdu-a:2"),
        proxies=("px1", "px2"),
        reach=("px1", "px2", "engine"),
        settings={"check.interval_seconds": interval, "daemon.startup_quiet_seconds": 0.0, **more},
    )


def play(of: Rack, story: Callable[[World], Awaitable[None]]) -> World:
    """Run a story in a world that must end clean."""

    async def main() -> World:
        world = World(of)
        world.begin()
        await world.start()
        await story(world)
        await world.end()
        return world

    return run(main())


def reads(world: World, since: float = 0.0) -> Calls:
    """Return (seconds, proxy, plug) of each reading."""
    zero = world.clock.now() - asyncio.get_running_loop().time() if _is_running() else 1_800_000_000.0
    return [
        (at - zero, str(path), str(plug), what)
        for at, path, plug, what in world.wires.calls
        if what == "status" and at - zero >= since
    ]


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def pass_time(world: World) -> None:
    await asyncio.sleep(300.0)


def test_every_path_is_read_in_each_interval() -> None:
    world = play(rack(), pass_time)
    first = {(path, plug) for at, path, plug, _ in reads(world) if at <= 126.0}
    assert len(first) == 4 * 2 * 3
    counts = Counter((path, plug) for _, path, plug, _ in reads(world))
    assert all(2 <= count <= 3 for count in counts.values())


def test_nothing_is_read_while_it_is_off() -> None:
    assert not reads(play(rack(0.0), pass_time))


def test_nothing_is_read_without_the_lease() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(130.0)
        world.engine.fleet.own = replace(world.engine.fleet.own, is_stopping=True)
        await asyncio.sleep(5.0)
        before = len(world.wires.calls)
        await asyncio.sleep(300.0)
        assert len(world.wires.calls) == before

    play(rack(), story)


def test_a_host_with_an_operation_is_left_to_it() -> None:
    """A running read gives its session back at once, and none begins until the operation ended."""

    async def story(world: World) -> None:
        await asyncio.sleep(30.0)
        plug = world.plug("node-2", "bmc")
        plug.read_seconds = 4.0
        plug.set_seconds = 15.0
        while not world.engine.checks._running.get(NODE):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        reading = next(iter(world.engine.checks._running[NODE]))
        await world.control.act(NODE, Action.RESTART, by="person", reason="told", is_forced=True)
        await asyncio.sleep(0.01)
        assert reading.cancelled() or reading.cancelling()
        while world.engine.fleet.hosts[NODE].operation is not None:
            assert not world.engine.checks._running.get(NODE)
            await asyncio.sleep(0.1)
        before = len([call for call in reads(world) if call[2] == "node-2/bmc"])
        await asyncio.sleep(200.0)
        assert len([call for call in reads(world) if call[2] == "node-2/bmc"]) > before, "its turn comes again"

    play(rack(60.0), story)


def test_a_read_that_is_cancelled_before_it_began_gets_its_turn_again() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(130.0)
        checks = world.engine.checks
        path = None
        while path is None:
            path = checks._turns.next(world.clock.now())
            await asyncio.sleep(0.25)
        checks._begin(path)
        checks.make_way(path.key[0])
        await asyncio.sleep(1.0)
        assert not checks._running.get(path.key[0])
        assert path.due > world.clock.now()

    play(rack(), story)


def test_few_at_once() -> None:
    """Even with many dead paths, the check holds at most half of the agent slots."""
    most = 0

    async def story(world: World) -> None:
        nonlocal most
        for name in ("px1", "px2", "engine"):
            world.path(name).is_dead = True
        for _ in range(3000):
            await asyncio.sleep(0.1)
            most = max(most, sum(len(tasks) for tasks in world.engine.checks._running.values()))

    play(rack(10.0, **{"daemon.agent_processes": 8, "check.per_unit_pause_seconds": 0.0}), story)
    assert 1 < most <= 4


def test_the_race_remembers_what_the_check_saw() -> None:
    """A later race knows that px1 is dead and px2 works."""

    async def story(world: World) -> None:
        world.path("px1").is_dead = True
        await asyncio.sleep(130.0)
        memory = world.engine.effects._memory
        spec = world.inventory.hosts[NODE].devices[0].spec
        assert memory.get(world.path("px1").name, spec.plug_id).failures >= 1
        assert memory.get(world.path("px2").name, spec.plug_id).successes >= 1

    play(rack(), story)


def test_a_reload_changes_the_paths_and_keeps_what_was_read() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(130.0)
        fleet = world.engine.fleet
        assert all(world.control.host(name).fenceable for name in fleet.hosts)
        kept = fleet.checks[NODE].paths
        hosts = dict(world.inventory.hosts)
        for name, host in hosts.items():
            devices = tuple(replace(device, proxies=("px2", "engine")) for device in host.devices)
            hosts[name] = replace(host, devices=devices)
        fleet.take(replace(fleet.inventory, hosts=hosts))
        await asyncio.sleep(10.0)
        left = fleet.checks[NODE].paths
        assert left == {path: kept[path] for path in left}, "what was read stays"
        assert {str(proxy) for _, proxy in left} == {"px2", "engine"}
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(130.0)
        assert {path for _, path, _, _ in reads(world, since=now)} == {"px2", "engine"}
        seen = world.control.host(NODE).fenceable
        assert seen is not None and seen.level is FenceableLevel.FULL

    play(rack(), story)


def test_off_beside_life_is_read_again_soon_and_not_for_ever() -> None:
    """An outlet that stays off costs a few more readings in each round, not one every pause."""

    async def story(world: World) -> None:
        await asyncio.sleep(130.0)
        world.plug("node-2", "pdu-a").lie(Power.OFF)
        world.plug("node-2", "bmc").lie(Power.ON)
        await asyncio.sleep(600.0)
        assert "pdu-a" in world.engine.fleet.hosts[NODE].distrusted
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(1200.0)
        later = [call for call in reads(world, since=at) if call[2] == "node-2/pdu-a"]
        assert len(later) <= 3 * 3

    play(rack(600.0), story)


def test_two_hosts_with_one_bmc_are_found_through_any_path_and_what_changes_is_noticed() -> None:
    """The check reads every path: from the daemon's own machine and through the proxies."""

    async def story(world: World) -> None:
        plugs = [world.plug(name, "bmc") for name in ("node-2", "node-3")]
        for plug in plugs:
            plug.identities = ("00112233-4455-6677-8899-aabbccddeeff",)
        await asyncio.sleep(260.0)
        assert [shared(name) for name in HOSTS] == [False, True, True, False]
        plugs[1].identities = ("SN-3",)
        await asyncio.sleep(390.0)
        assert not any(shared(name) for name in HOSTS)

    def shared(name: str) -> bool:
        found = worlds[0].engine.fleet.hosts[HostName(name)].fenceable
        return found is not None and ("bmc", "shared_machine") in {(one.device, one.kind) for one in found.why}

    worlds: list[World] = []

    async def with_world(world: World) -> None:
        worlds.append(world)
        await story(world)

    play(rack(), with_world)


def test_identities_read_before_a_reload_count_for_no_device() -> None:
    """The device may be another one since, so its identities prove nothing."""

    async def story(world: World) -> None:
        plug = world.plug("node-2", "bmc")
        plug.read_seconds, plug.identities = 4.0, ("00112233-4455-6677-8899-aabbccddeeff",)
        begun: list[object] = []
        for _ in range(120):
            begun = begun or [call for call in world.wires.calls if call[2] == plug.plug_id]
            await asyncio.sleep(0.0 if begun else 1.0)
        fleet = world.engine.fleet
        fleet.take(replace(fleet.inventory, hosts=dict(fleet.inventory.hosts)))
        await asyncio.sleep(5.0)
        assert [call for call in world.wires.calls if call[2] == plug.plug_id] == begun
        assert [device for device, _ in fleet.checks[NODE].paths].count(plug.device) == 1
        assert not fleet.claims.is_told(NODE, plug.device)
        await asyncio.sleep(130.0)
        assert fleet.claims.is_told(NODE, plug.device)

    play(rack(), story)

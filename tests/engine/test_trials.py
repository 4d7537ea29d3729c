"""The check has every host that lives looked at, round after round, and delays no look at a silent host."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fenced.core.heard.looks import Saw
from fenced.core.suspected import trials
from fenced.engine.trials import AT_ONCE_MAX, GAP_SECONDS_MIN
from fenced.model.names import ENGINE, HostName, ProxyName
from tests.world.looking import EVERYWHERE, Answered
from tests.world.loop import run
from tests.world.rack import Rack, Setting
from tests.world.world import World

NODE = HostName("node-2")
HOSTS = tuple(f"node-{number}" for number in range(1, 7))
PX1 = ProxyName("px1")


def rack(interval: float = 120.0, **more: Setting) -> Rack:
    return Rack(
        hosts=HOSTS,
        proxies=("px1",),
        reach=("px1", "engine"),
        observers=("px1",),
        domains={"px1": "r9"},
        settings={"check.interval_seconds": interval, "daemon.startup_quiet_seconds": 0.0, **more},
    )


def play(of: Rack, story: Callable[[World, list[Answered]], Awaitable[None]]) -> None:
    """Run a story in a world that must end clean, with what the observers answer."""

    async def main() -> None:
        world = World(of)
        looks: list[Answered] = []
        told = world.eyes.told

        def tell(answered: Answered) -> None:
            looks.append(answered)
            told(answered)

        world.eyes.told = tell
        world.begin()
        await world.start()
        await story(world, looks)
        world.eyes.eye(PX1).mend()
        await world.end()

    run(main())


def warnings(world: World) -> list[str]:
    return [*trials.warnings(world.engine.fleet, world.clock.now())]


def test_every_host_that_lives_is_looked_at_once_per_interval_by_every_observer() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        await asyncio.sleep(130.0)
        first = {(str(it.host), str(it.look.observer.name)) for it in looks}
        assert first == {(host, who) for host in HOSTS for who in (str(ENGINE), "px1")}
        await asyncio.sleep(240.0)
        counts = Counter((it.host, it.look.observer.name) for it in looks)
        assert all(2 <= count <= 4 for count in counts.values())
        assert warnings(world) == []

    play(rack(), story)


def test_nobody_looks_while_the_check_is_off_or_without_the_lease() -> None:
    async def off(world: World, looks: list[Answered]) -> None:
        await asyncio.sleep(300.0)
        assert not looks

    async def stopping(world: World, looks: list[Answered]) -> None:
        await asyncio.sleep(130.0)
        world.engine.fleet.own = replace(world.engine.fleet.own, is_stopping=True)
        await asyncio.sleep(5.0)
        before = len(looks)
        await asyncio.sleep(300.0)
        assert len(looks) == before > 0

    play(rack(0.0), off)
    play(rack(), stopping)


def test_a_false_witness_is_looked_at_again_soon_and_told() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        world.eyes.eye(PX1).lies[NODE] = Saw.SILENT
        while not looks or looks[-1].look.saw is not Saw.SILENT:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert not warnings(world)
        await asyncio.sleep(60.0)
        seen = [it.at for it in looks if it.host == NODE and it.look.observer.name == PX1]
        assert len(seen) == 2 and 10.0 <= seen[1] - seen[0] < 25.0
        (warning,) = warnings(world)
        assert warning.startswith("false witness: px1 (r9)")
        assert warning in world.control.fleet().warnings, "fencectl status shows it"

    play(rack(600.0), story)


def test_a_fleet_that_no_observer_reaches_is_told_while_all_hosts_live() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        for name in (PX1, ENGINE):
            world.eyes.eye(name).blind_over.add(EVERYWHERE)
        await asyncio.sleep(150.0)
        assert any("would hold the fence of 6 hosts" in warning for warning in world.control.fleet().warnings)
        found = await world.control.readiness(match="*", is_all=False, limit=10, after=None)
        held = next(it for it in found.fleet.findings if it.found.value == "held_by_observers")
        assert held.count == 6 and not found.fleet.is_ready
        for name in (PX1, ENGINE):
            world.eyes.eye(name).mend()
        await asyncio.sleep(150.0)
        assert warnings(world) == []

    play(rack(), story)


def test_an_observer_that_hangs_costs_its_own_time_and_is_named() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        world.eyes.eye(PX1).is_asleep = True
        await asyncio.sleep(150.0)
        assert {it.look.observer.name for it in looks} == {ENGINE}
        trial = trials.valid(world.engine.fleet, NODE, world.clock.now())
        assert trial is not None and not trial.is_enough
        assert any("px1 (r9): px1 did not answer within" in it for it in trial.missing)

    play(rack(), story)


def test_many_hosts_in_a_short_interval_are_never_looked_at_all_at_once() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        world.eyes.eye(PX1).is_asleep = True
        most = 0
        begun = world.clock.now()
        for _ in range(400):
            await asyncio.sleep(0.05)
            most = max(most, len(world.engine.trials._looked_at))
        of_engine = [it for it in looks if it.look.observer.name == ENGINE]
        assert len(of_engine) <= (world.clock.now() - begun) / GAP_SECONDS_MIN
        assert 1 < most <= AT_ONCE_MAX

    many = tuple(f"node-{number:02}" for number in range(1, 61))
    play(replace(rack(3.0), hosts=many), story)


def test_a_host_that_a_reload_adds_gets_its_turn_and_one_that_is_removed_has_none() -> None:
    async def story(world: World, looks: list[Answered]) -> None:
        await asyncio.sleep(10.0)
        checks = world.engine.trials
        inventory = world.engine.fleet.inventory
        fewer = {name: host for name, host in inventory.hosts.items() if name != NODE}
        await checks._take(replace(inventory, hosts=fewer))
        assert NODE not in checks._due
        await checks._take(inventory)
        assert NODE in checks._due and len(checks._due) + len(checks._looked_at) == len(HOSTS)

    play(rack(), story)

"""Power saving over random days: work comes and goes, machines don't go down or don't come up, daemons die (S24).

Every rule of the simulated world is judged, and at the end every sleeper that is asked for has come back.
"""

import asyncio
import contextlib
import random

import pytest

from fenced.model.names import HostName
from fenced.model.power import State
from fenced.ports.control import Refused, Unavailable
from tests.engine.pair import play
from tests.simulation.play import silence_logs
from tests.world.machines import Machine
from tests.world.rack import Rack, Setting
from tests.world.world import World

HOSTS = tuple(f"node-{number}" for number in range(1, 9))
SETTINGS: dict[str, Setting] = {
    "saving.is_enabled": True, "saving.idle_for_seconds": 60.0, "saving.proven_on_seconds": 0.0,
    "saving.pause_seconds": 20.0, "saving.awake_for_seconds": 60.0, "saving.veto_seconds": 10.0,
    "saving.soft_timeout_seconds": 120.0, "saving.retry_after_seconds": 600.0, "saving.watch_interval_seconds": 60.0,
    "saving.waking_cluster": 2, "detection.boot_grace_seconds": 200.0, "gates.budget_hosts": 3,
}  # fmt: skip
STEPS = 40


def rack(chance: random.Random, *, others: tuple[str, ...] = ()) -> Rack:
    devices = chance.choice([("bmc:1",), ("bmc:1",), ("bmc:2", "pdu-a:1", "pdu-b:1")])
    given = SETTINGS | {"saving.reserve": chance.choice([0, 1, 2]), "saving.min_on": chance.choice([1, 3, 4])}
    return Rack(hosts=HOSTS, devices=devices, settings=given, other_daemons=others)


async def day(seed: int, *, others: tuple[str, ...] = ()) -> int:
    """Play one day. Return how many hosts fell asleep. With `others` the controller that acts changes, too."""
    chance = random.Random(seed)
    world = World(rack(chance, others=others))
    for machine in world.machines.values():
        machine.workloads = chance.choice([0, 0, 2])
    world.begin()
    for daemon in world.daemons.values():
        await daemon.start()
        await asyncio.sleep(2.0)
    await asyncio.sleep(120.0)
    for _ in range(STEPS):
        if others and chance.random() < 0.2:
            await take_over(world, chance)
        await acting(world)
        await happen(world, chance.choice([*world.machines.values()]), chance)
        await asyncio.sleep(chance.choice([1.0, 7.0, 30.0, 90.0]))
    await acting(world)
    slept = sum("HostSlept" in type(entry.record).__name__ for entry in world.disk.durable.entries.values())
    for machine in world.machines.values():
        machine.shutdown_seconds, machine.workloads, machine.is_mute = 20.0, 3, False
    await asyncio.sleep(1200.0)
    await acting(world)
    left = [name for name in world.machines if world.control.host(HostName(name)).state.state is State.SLEEPING]
    await world.end()
    assert left == [] or world.inventory.hosts[HOSTS[0]].settings.saving.reserve == 0  # type: ignore[index]
    return slept


async def take_over(world: World, chance: random.Random) -> None:
    """Let another controller act: the one that does dies for a while, or gives its shard away."""
    before = world.active
    if chance.random() < 0.5:
        assert before.engine is not None
        with contextlib.suppress(Refused, Unavailable):
            await before.engine.hand_over(to="", by="person", reason="told")
    else:
        await before.crash()
        await asyncio.sleep(chance.choice([0.5, 10.0, 40.0]))
        await before.start()


async def acting(world: World) -> None:
    """Wait until a controller acts."""
    while world.active.engine is None or world.active.engine.fleet.is_standby:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.5)


async def happen(world: World, machine: Machine, chance: random.Random) -> None:
    """Let one thing happen."""
    what = chance.choice(["work", "work", "idle", "idle", "idle", "deaf", "slow", "wake", "crash", "dies", "by itself"])
    match what:
        case "work":
            machine.workloads = chance.choice([1, 5, None])
        case "idle":
            machine.workloads = 0
        case "deaf":
            machine.shutdown_seconds = None
        case "slow":
            machine.shutdown_seconds = chance.choice([1.0, 60.0, 200.0])
        case "wake":
            await world.control.wake("c1", chance.choice([1, 3]), by="person", reason="told")
        case "crash":
            before = world.active
            await before.crash()
            await asyncio.sleep(chance.choice([1.0, 20.0]))
            await before.start()
            await acting(world)
        case "dies" if chance.random() < 0.3:
            machine.die()
        case "by itself":
            for plug in machine.plugs.values():
                if not plug.is_on and world.control.host(machine.name).state.state is State.SLEEPING:
                    machine.is_meddled = True
                    plug.turn(plug.read().ON)
        case _:
            pass


@pytest.mark.parametrize("first", range(0, 8, 2))
def test_days_with_saving_harm_nobody(first: int) -> None:
    silence_logs()
    slept = 0

    async def main() -> None:
        nonlocal slept
        for seed in range(first, first + 2):
            slept += await day(seed)

    play(main())
    assert slept > 0


@pytest.mark.parametrize("first", range(100, 104, 2))
def test_days_with_saving_and_two_controllers_harm_nobody(first: int) -> None:
    """Whoever acts, and whenever that changes: nothing that slept is forgotten or fenced."""
    silence_logs()
    slept = 0

    async def main() -> None:
        nonlocal slept
        for seed in range(first, first + 2):
            slept += await day(seed, others=("fenced-b",))

    play(main())
    assert slept > 0

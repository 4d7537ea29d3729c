"""The rules on what is said of a host, and on hosts that boot, fire when they are broken."""

import asyncio

from fenced.core.durable import records as r
from fenced.core.events import Evidence, Health, HealthStatus
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause, OperationState
from tests.world.machines import Run
from tests.world.rack import Rack
from tests.world.rules.booting import BootersAreSpared
from tests.world.test_checker import write
from tests.world.test_rules import automatic, found, step
from tests.world.world import World

NODE = HostName("node-2")
PLAN = Rack(settings={"gates.live_evidence": ("storage_lease", "shutting_down")})
BOOT = BootId("node-2#1")


def up(world: World) -> None:
    """A daemon has been running for a while, and heard the host."""
    world.disk.durable.format = 2  # without decisions, which another rule wants
    truth = world.checker.truth
    assert truth is not None
    truth.running_since["fenced-a"] = world.clock.now() - 60.0
    truth.heard[NODE] = (world.clock.now() - 20.0, BOOT)


def say(world: World, kind: str) -> None:
    event = Evidence(
        host=NODE, source="bmc", received=world.clock.now(), is_retained=False, evidence_kind=kind, is_alive=True,
        ttl_seconds=40.0,
    )  # fmt: skip
    world.checker.call("vouched", event)


def beat(world: World, status: HealthStatus, reporter: str = "") -> None:
    event = Health(
        host=NODE, received=world.clock.now(), is_retained=False, boot=BOOT, sequence=7, status=status,
        reporter=reporter,
    )  # fmt: skip
    world.checker.call("reported", event)


def test_a_suspicion_of_a_host_that_shuts_down_is_found() -> None:
    async def plant(world: World) -> None:
        up(world)
        say(world, "shutting_down")
        await asyncio.sleep(1.0)
        await write(world, r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None))

    assert "is suspect by silence, and is said to shut down" in found(plant, PLAN)


def test_a_host_that_comes_back_by_another_reporters_older_word_is_found() -> None:
    async def plant(world: World) -> None:
        up(world)
        beat(world, HealthStatus.STOPPING)
        await asyncio.sleep(1.0)
        beat(world, HealthStatus.OK, reporter="collector")
        await write(world, r.HostHeard(boot=BOOT, before="left", why="back"))

    assert "after it said that it stops, by another's older word" in found(plant, PLAN)


def test_a_fence_that_ends_after_an_off_without_life_is_found() -> None:
    async def plant(world: World) -> None:
        up(world)
        begun = automatic()
        decided = r.EndingDecided(
            operation=begun.operation.id, ending=OperationState.CANCELLED, why="maintenance", is_on_forbidden=False
        )
        await write(world, begun, step(begun, "1-8"), decided)

    assert "is stopped after an OFF without a sign of life: maintenance" in found(plant, PLAN)


def test_an_off_for_a_host_that_boots_with_our_power_is_found() -> None:
    async def plant(world: World) -> None:
        up(world)
        rule = next(it for it in world.checker.rules if isinstance(it, BootersAreSpared))
        rule._lit[NODE] = world.clock.now() - 9.0
        world.machines[NODE].does = Run.BOOTING
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    assert "sends its first OFF to node-2, which boots: it got power 9 s ago" in found(plant, PLAN)

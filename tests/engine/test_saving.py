"""Power saving with the whole engine: what the control port shows and does, over restarts and at a standby.

Hosts shut down when their BMC is asked, and boot when it gives power.
"""

import asyncio

import pytest

from fenced.core.durable import records as r
from fenced.core.idle.told import ClusterSaving
from fenced.engine.control import EngineControl
from fenced.model.names import HostName
from fenced.model.power import Action, State
from fenced.ports.control import NotFound, Refused
from tests.core.saving_desk import HOSTS
from tests.engine.pair import both, play, records
from tests.world import machines
from tests.world.rack import Rack, Setting
from tests.world.world import World

NODE = HostName("node-2")
SAVING: dict[str, Setting] = {
    "saving.is_enabled": True, "saving.reserve": 1, "saving.idle_for_seconds": 1e6, "saving.proven_on_seconds": 0.0,
}  # fmt: skip
"""Nobody sleeps without being told to."""
SAID = {"by": "person", "reason": "a test"}


def rack(*other_daemons: str, **settings: Setting) -> Rack:
    given = SAVING | {f"saving.{key}": value for key, value in settings.items()}
    return Rack(hosts=HOSTS, devices=("bmc:1",), settings=given, other_daemons=other_daemons)


def employ(world: World, idle: set[str]) -> None:
    for machine in world.machines.values():
        machine.workloads = 0 if machine.name in idle else 3


async def begun(**settings: Setting) -> World:
    """Return a world in which two hosts are idle."""
    world = World(rack(**settings))
    employ(world, {"node-2", "node-3"})
    world.begin()
    await world.start()
    await asyncio.sleep(120.0)
    return world


async def ended(world: World) -> None:
    await world.end()


async def until(world: World, name: HostName, state: State, seconds: float = 300.0) -> None:
    for _ in range(int(seconds)):
        if world.control.host(name).state.state is state:
            return
        await asyncio.sleep(1.0)
    raise AssertionError((world.control.host(name).state.state, state))


async def shown(control: EngineControl) -> ClusterSaving:
    (found,) = await control.saving()
    return found


async def put_to_sleep(world: World) -> None:
    await world.control.act(NODE, Action.SLEEP, by="person", reason="a test", is_forced=False)
    await until(world, NODE, State.SLEEPING)


def test_a_host_is_put_to_sleep_and_woken_by_a_person() -> None:
    async def main() -> None:
        world = await begun()
        before = await shown(world.control)
        assert (before.is_enabled, before.count.on, len(before.count.idle), before.sleepers) == (True, 8, 2, ())
        why = {one.host: [bar.rule for bar in one.bars] for one in before.others}
        assert why[NODE] == ["idle_for"] and why[HostName("node-1")] == ["not_idle"]
        await put_to_sleep(world)
        assert world.machine(NODE).does is machines.Run.OFF
        asleep = await shown(world.control)
        assert [(it.host, it.wanted_by, it.operation) for it in asleep.sleepers] == [(NODE, "", None)]
        assert (len(asleep.others), len(asleep.count.asleep)) == (7, 1)
        said = (await world.control.explain(NODE)).summary
        assert "to save power" in said[0] and len(said) <= 10
        accepted = await world.control.wake("c1", 3, **SAID)
        assert (accepted.hosts, accepted.short) == ((NODE,), 2)
        (waking,) = (await shown(world.control)).sleepers
        assert (waking.wanted_by, waking.why, waking.state) == ("person", "a test", State.RESTORING)
        await until(world, NODE, State.HEALTHY)
        awake = await shown(world.control)
        assert awake.sleepers == () and awake.saved_seconds > 0.0
        assert world.control.saving_totals().sleeping == {"c1": 0}
        assert (await world.control.wake("c1", 1, **SAID)).short == 1, "nobody sleeps any more"
        await ended(world)

    play(main())


def test_a_busy_host_and_an_unknown_cluster_are_refused() -> None:
    async def main() -> None:
        world = await begun()
        with pytest.raises(Refused) as refused:
            await world.control.act(HostName("node-1"), Action.SLEEP, by="person", reason="", is_forced=True)
        assert refused.value.rule == "not_idle" and "3 workloads" in refused.value.why
        with pytest.raises(NotFound):
            await world.control.wake("c9", 1, **SAID)
        with pytest.raises(NotFound):
            await world.control.saving(cluster="c9")
        known = (await world.control.explain(HostName("node-1"))).known
        assert any(line.startswith("not_idle: ") for line in known["stays_on_because"])
        await ended(world)

    play(main())


def test_a_wake_with_a_key_is_obeyed_once_and_answered_as_the_first_time() -> None:
    async def main() -> None:
        world = await begun()
        await put_to_sleep(world)
        first = await world.control.keyed("k", "c").wake("c1", 1, **SAID)
        again = await world.control.keyed("k", "c").wake("c1", 1, **SAID)
        assert first.hosts == again.hosts == (NODE,) and again.short == 0
        with pytest.raises(Refused):
            await world.control.keyed("k", "other").wake("c1", 2, **SAID)
        assert len(records(world, r.WakeWanted)) == 1
        await ended(world)

    play(main())


def test_a_wake_passes_disarmed_and_a_sleep_does_not() -> None:
    async def main() -> None:
        world = await begun()
        await put_to_sleep(world)
        await world.control.disarm(**SAID)
        with pytest.raises(Refused) as refused:
            await world.control.act(HostName("node-3"), Action.SLEEP, by="person", reason="", is_forced=False)
        assert refused.value.rule == "armed"
        await world.control.wake("c1", 1, **SAID)
        await until(world, NODE, State.HEALTHY)
        await ended(world)

    play(main())


def test_a_standby_shows_the_sleepers_and_the_successor_wakes_them() -> None:
    async def main() -> None:
        world, first, second = await both(rack("fenced-b"))
        employ(world, {"node-2", "node-3"})
        await asyncio.sleep(60.0)
        assert first.engine is not None and second.engine is not None
        await first.engine.control.act(NODE, Action.SLEEP, by="person", reason="a test", is_forced=False)
        await asyncio.sleep(120.0)
        (sleeper,) = (await shown(second.engine.control)).sleepers
        assert (sleeper.host, sleeper.state, sleeper.wanted_by) == (NODE, State.SLEEPING, "")
        assert second.engine.control.saving_totals().sleeping == {"c1": 1}
        await first.crash()
        await asyncio.sleep(60.0)
        accepted = await second.engine.control.wake("c1", 1, **SAID)
        assert accepted.hosts == (NODE,)
        await asyncio.sleep(180.0)
        assert second.engine.control.host(NODE).state.state is State.HEALTHY
        assert (await shown(second.engine.control)).sleepers == ()
        await ended(world)

    play(main())


def test_sleepers_are_not_forgotten_over_a_restart() -> None:
    async def main() -> None:
        world = await begun()
        await put_to_sleep(world)
        await world.crash()
        await asyncio.sleep(5.0)
        await world.start()
        await asyncio.sleep(200.0)
        found = await shown(world.control)
        assert [(it.host, it.wanted_by) for it in found.sleepers] == [(NODE, "")], world.control.host(NODE).state
        await ended(world)

    play(main())

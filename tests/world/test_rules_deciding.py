"""The rules on deciding (S10, S11, S13) fire when they are broken: a closed gate, the daemon's own deafness,
a crash.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Pause
from fenced.core.durable.state import Phase
from fenced.model.names import BootId, OperationId
from fenced.model.power import Cause, State, What
from fenced.ports.journal import Batch
from tests.world.loop import virtual
from tests.world.rack import Rack
from tests.world.test_checker import write
from tests.world.test_rules import Plant, automatic, ended, found, over, race, step
from tests.world.world import World


async def _disarmed(world: World) -> None:
    entry = r.Entry(at=world.clock.now(), host=None, record=r.Disarmed(by="person", reason=""))
    await world.journal.append(Batch(entries=[entry]))


async def _paused(world: World) -> None:
    pause = Pause(id="p1", match="*", by="person", reason="", since=0.0)
    await world.journal.append(
        Batch(entries=[r.Entry(at=world.clock.now(), host=None, record=r.PauseSet(pause=pause))])
    )


async def _maintained(world: World) -> None:
    await write(world, r.MaintenanceSet(by="person", reason="", until=None, after=State.MAINTENANCE))


async def _just_started(world: World) -> None:
    world.checker.daemon_changed("fenced-a", is_up=False)
    world.checker.daemon_changed("fenced-a", is_up=True)


async def _without_bus(world: World) -> None:
    world.broker.set_up(False)


@pytest.mark.parametrize(
    ("close", "why"),
    [
        (_disarmed, "disarmed"), (_paused, "paused"), (_maintained, "in maintenance"),
        (_just_started, "in the quiet time after a start"), (_without_bus, "without the bus"),
    ],
)  # fmt: skip
def test_an_off_through_a_closed_gate_is_found(close: Plant, why: str) -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await close(world)
        await write(world, begun, step(begun, "1-8"))

    assert f"sends its first OFF to node-2, {why}" in found(plant)


def test_an_off_beyond_attempts_and_budget_is_found() -> None:
    async def plant(world: World) -> None:
        for number in (1, 2):
            begun = automatic()
            begun = replace(begun, operation=replace(begun.operation, id=OperationId(f"1-{number}0")))
            await write(world, begun, race(begun), step(begun, f"1-{number}1"), over(begun))

    text = found(plant, Rack(settings={"gates.attempts_count": 1, "gates.budget_hosts": 1}))
    assert "the attempt after 1" in text and "the fence after 1 of a budget of 1" in text


def test_a_host_that_was_never_heard_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    assert "first OFF to node-2, never heard" in found(plant, silent=("node-2",))


@pytest.mark.parametrize(("on_report", "is_reported"), [("fence", False), ("alert", True), ("fence", True)])
def test_a_living_host_that_reported_nothing_is_found(on_report: str, is_reported: bool) -> None:
    """A last will alone is no report, and a report counts only if the configuration says so."""

    async def plant(world: World) -> None:
        if is_reported:
            world.say("node-2", e.HealthStatus.FAILING)
        world.say("node-2")
        await asyncio.sleep(1.0)
        begun = automatic()
        begun = replace(begun, operation=replace(begun.operation, cause=Cause.REPORT))
        await write(world, begun, step(begun, "1-8"))

    text = found(plant, Rack(settings={"detection.on_report": on_report}))
    is_right = on_report == "fence" and is_reported
    assert ("first OFF to node-2, which is heard and reported nothing" in text) is not is_right


def test_a_living_host_whose_messages_pass_for_stale_is_found() -> None:
    """Two reporters count separately, so the messages of one look old beside the other's, although the host lives."""

    async def plant(world: World) -> None:
        world.machine("node-2").beats = 9
        world.say("node-2")
        await asyncio.sleep(60.0)
        world.machine("node-2").beats = 5
        world.say("node-2")
        await asyncio.sleep(1.0)
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    assert "first OFF to node-2, which is heard and reported nothing" in found(plant)


@pytest.mark.parametrize(("heard", "is_found"), [("node-4", True), ("node-1", False)])
def test_an_off_with_only_the_daemons_machine_as_witness_is_found(heard: str, is_found: bool) -> None:
    async def plant(world: World) -> None:
        world.say(heard)
        await write(world, begun := automatic(), step(begun, "1-8"))

    assert ("while nobody else was heard over the network" in found(plant, Rack(own_machine="node-4"))) is is_found


def test_a_protected_host_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))

    assert "first OFF to node-2, protected" in found(plant, Rack(protected=("node-2",)))


def test_silence_over_an_outage_of_the_daemons_bus_is_found() -> None:
    async def plant(world: World) -> None:
        world.say("node-2")
        world.broker.set_up(False)
        await asyncio.sleep(1000.0)
        world.broker.set_up(True)
        await asyncio.sleep(15.0)
        await write(world, r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None))

    assert "S11: node-2 is suspect by silence after 15.0 s of listening, not 20.0" in found(plant)


async def _stalled(world: World) -> None:
    virtual().hold("fenced-a", 60.0)
    for _ in range(61):
        world.say("node-1")
        await asyncio.sleep(1.0)


async def _with_a_slow_store(world: World) -> None:
    world.disk.slow_seconds = 30.0


@pytest.mark.parametrize("trouble", [_stalled, _with_a_slow_store])
def test_silence_over_trouble_of_the_daemon_is_found(trouble: Plant) -> None:
    """While the daemon stalls no host is silent, and what a slow store writes late was decided before."""

    async def plant(world: World) -> None:
        await write(world, r.HostSuspected(cause=Cause.REPORT, reason="", last_heard=None))
        world.say("node-2")
        await asyncio.sleep(9.0)
        await trouble(world)
        await write(world, r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None))

    assert "S11: node-2 is suspect by silence after " in found(plant)


def test_an_operation_that_goes_on_too_late_or_unread_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        resumed = r.OperationResumed(operation=begun.operation.id, at=0.0)
        await write(world, begun, step(begun, "1-8"), ended(begun), resumed)
        await asyncio.sleep(400.0)
        await write(world, step(begun, "1-9"))

    text = found(plant)
    assert "S13: off pdu-a of node-2 after a restart, before it was read" in text
    assert "S13: off pdu-a of node-2 after a restart, past its deadline" in text


async def _unsent(world: World, begun: r.OperationStarted) -> r.StepStarted:
    await write(world, begun, r.OperationResumed(operation=begun.operation.id, at=0.0))
    return step(begun, "1-9")


async def _resumed(world: World, begun: r.OperationStarted) -> r.StepStarted:
    """It had sent its OFF before the crash."""
    resumed = r.OperationResumed(operation=begun.operation.id, at=0.0)
    await write(world, begun, step(begun, "1-8"), ended(begun), resumed)
    return step(begun, "1-9")


async def _resumed_in_maintenance(world: World, begun: r.OperationStarted) -> r.StepStarted:
    await _maintained(world)
    return await _resumed(world, begun)


async def _resumed_and_rebooted(world: World, begun: r.OperationStarted) -> r.StepStarted:
    following = await _resumed(world, begun)
    await asyncio.sleep(1.0)
    world.say("node-2", boot=2)
    return following


async def _resumed_at_its_restore(world: World, begun: r.OperationStarted) -> r.StepStarted:
    due = world.clock.now() + 10.0
    restoring = r.PhaseEntered(operation=begun.operation.id, phase=Phase.RESTORING, deadline=due)
    await _resumed(world, begun)
    await write(world, restoring)
    await asyncio.sleep(100.0)
    return step(begun, "1-9", What.ON)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (_resumed, ""), (_unsent, ", which had sent no OFF before"), (_resumed_in_maintenance, ", in maintenance"),
        (_resumed_and_rebooted, ", which runs with another boot since"),
        (_resumed_at_its_restore, ", 90 s past its restore_timeout"),
    ],
)  # fmt: skip
def test_what_may_not_go_on_after_a_crash_is_found(
    before: Callable[[World, r.OperationStarted], Awaitable[r.StepStarted]], why: str
) -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        begun = replace(begun, operation=replace(begun.operation, boot=BootId("node-2#1")))
        following = await before(world, begun)
        await write(world, race(begun), following)

    text = found(plant)
    assert (f"of node-2 after a restart{why}" in text) if why else "S13" not in text

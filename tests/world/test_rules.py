"""Each rule fires when it is broken: journal and world are made to show what must never happen,
and the rule reports it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.decision import Ruling
from fenced.core.durable.state import Phase, RaceEntry, Restored
from fenced.model.names import ENGINE, DeviceName, PlugId, Token
from fenced.model.power import Action, Cause, OperationState, Outcome, Power, State, Verdict, What
from tests.core.desk import Desk
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.test_checker import NODE, PDU_A, PDU_B, fenced, operation, started, write
from tests.world.world import World

Plant = Callable[[World], Awaitable[None]]


def found(plant: Plant, rack: Rack | None = None, *, silent: tuple[str, ...] = ()) -> str:
    """Return the findings after planting: the daemon has run for an hour
    and heard every host except the `silent` ones.
    """

    async def main() -> str:
        world = World(rack or Rack())
        await world.journal.opened(holder="planted", now=world.clock.now())
        world.checker.daemon_changed("fenced-a", is_up=True)
        world.broker.subscribe("fenced-a", lambda event: None)
        for name in world.machines:
            if name not in silent:
                world.say(str(name))
        await asyncio.sleep(3600.0)
        await plant(world)
        world.checker.look()
        return "\n".join(world.checker.violations)

    return run(main())


def automatic(action: Action = Action.RESTART) -> r.OperationStarted:
    begun = operation(action)
    whole = replace(begun.operation, cause=Cause.SILENCE, by="fenced", started=1.8e9 + 3600, deadline=1.8e9 + 3900)
    return replace(begun, operation=whole)


def decided(begun: r.OperationStarted) -> r.Decided:
    """Return the decision that an automatic operation needs."""
    return r.Decided(
        id="d-1-1", outcome=Ruling.FENCE, inputs=(), confirm=(), shut=(), opened=(), policy="",
        operation=begun.operation.id,
    )  # fmt: skip


def step(begun: r.OperationStarted, token: str, what: What = What.OFF, device: DeviceName = PDU_A) -> r.StepStarted:
    return started(token, operation=str(begun.operation.id), what=what, device=device)


def ended(begun: r.OperationStarted, number: int = 1, device: DeviceName = PDU_A) -> r.StepEnded:
    return r.StepEnded(
        operation=begun.operation.id, device=device, number=number, outcome=Outcome.DONE, error=None, is_end_known=True,
        wait_until=0.0,
    )  # fmt: skip


def over(begun: r.OperationStarted) -> r.OperationEnded:
    """Return the end of an operation, as the core writes it."""
    desk = Desk()
    answer = desk.ask(Action.OFF)
    desk.cancel()
    desk.go(1.0)
    return replace(desk.ended(answer.split()[1]), operation=begun.operation.id)


def race(begun: r.OperationStarted, power: Power | None = None) -> r.RaceEnded:
    entry = RaceEntry(proxy=ENGINE, tier=1, verdict=Verdict.WON, power=power)
    return r.RaceEnded(
        operation=begun.operation.id,
        device=PDU_A,
        winner=ENGINE,
        reserves=(),
        entries=(entry,),
        power=Power.ON,
        again_at=0.0,
    )


async def send(world: World, token: str, power: Power = Power.OFF) -> None:
    plug = world.plug("node-2", "pdu-a")
    await world.wires.set(world.path("engine"), plug, power, token=Token.parse(token), timeout_seconds=20.0)


async def read(world: World, device: DeviceName, times: int = 2) -> None:
    for _ in range(times):
        await world.wires.read(world.path("engine"), world.machines[NODE].plugs[device], 5.0)


# -- S2, S6, S7, S12, S16, S18 ----------------------------------------------------------------------------------------


def test_an_off_that_was_read_once_is_found() -> None:
    async def plant(world: World) -> None:
        for device in (PDU_A, PDU_B):
            world.machines[NODE].plugs[device].turn(Power.OFF)
            await read(world, device, times=1 if device == PDU_B else 2)
        await write(world, fenced())

    assert "S2: node-2 is announced as fenced, and pdu-b said OFF 1 times in a row, not 2" in found(plant)


def test_a_proof_beside_a_path_that_reads_on_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.OFF)
        await write(world, begun, race(begun, Power.ON), replace(fenced(), operation=begun.operation.id))

    assert "S2: node-2 is announced as fenced, and pdu-a reads ON through engine" in found(plant)


def test_an_off_that_was_found_and_not_held_is_found() -> None:
    async def plant(world: World) -> None:
        for device in (PDU_A, PDU_B):
            world.machines[NODE].plugs[device].turn(Power.OFF)
            await read(world, device)
        await asyncio.sleep(9.0)
        await write(world, fenced())

    assert "S2: node-2 is announced as fenced, and pdu-b, found off, said OFF for 9.1 s, not 10.0" in found(plant)


def test_a_level_without_a_device_that_it_has_by_now_is_found() -> None:
    async def plant(world: World) -> None:
        await write(world, replace(fenced(), devices=(PDU_A,)))

    assert "S2: node-2 is announced as fenced by level 1, without pdu-b" in found(plant)


def test_a_command_that_leaves_under_an_older_epoch_is_found() -> None:
    async def plant(world: World) -> None:
        world.wires.on_left("fenced-a", Token.parse("0-9"))

    assert "epoch: a command leaves under 0-9, 1 is newer" in found(plant)


def test_a_command_beside_another_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"), step(begun, "1-9"))

    assert "S6: off for node-2/pdu-a starts while another command of it runs" in found(plant)


def test_a_silent_retry_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"), ended(begun), step(begun, "1-9"))

    assert "S6: off for node-2/pdu-a follows a command, with no read between" in found(plant)


def test_a_read_between_two_commands_is_enough() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        world.machines[NODE].die()
        world.say("node-1")  # a witness
        told = step(begun, "1-8"), ended(begun), race(begun), step(begun, "1-9")
        await write(world, decided(begun), begun, *told)

    assert found(plant, Rack(settings={"detection.probe_ports": ()})) == ""  # nobody looks


def test_a_token_that_is_sent_twice_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await send(world, "1-8")
        await send(world, "1-8")

    assert "S6: off for node-2/pdu-a is sent a second time under 1-8" in found(plant)


def test_a_cycle_is_found() -> None:
    async def plant(world: World) -> None:
        world.wires.calls.append((0.0, ENGINE, PlugId("node-2/pdu-a"), "cycle"))

    assert "S7: cycle is asked of node-2/pdu-a" in found(plant)


def test_the_plug_of_another_host_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, replace(step(begun, "1-8"), plug_id=PlugId("node-3/pdu-a")))

    assert "S12: " in found(plant)


def test_an_agent_that_outlived_its_daemon_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        world.plug("node-2", "pdu-a").set_seconds = 5.0
        old = asyncio.create_task(send(world, "1-8"))
        await asyncio.sleep(1.0)
        world.checker.daemon_changed("fenced-a", is_up=False)
        world.checker.daemon_changed("fenced-a", is_up=True)
        world.plug("node-2", "pdu-a").set_seconds = 1.0
        await send(world, "1-9")
        await old

    assert "S16: off of node-2/pdu-a acts" in found(plant)


def test_a_command_for_the_own_machine_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await send(world, "1-8")

    assert "S18: off is sent to node-2/pdu-a" in found(plant, Rack(own_machine="node-2"))


# -- S9, S19 ----------------------------------------------------------------------------------------------------------


def test_a_plug_that_is_left_off_and_not_owed_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await send(world, "1-8")
        await write(world, replace(over(begun), restored=Restored.ALL))

    assert "S9: pdu-a of node-2 was switched off" in found(plant)


def test_a_plug_that_is_left_off_and_owed_is_found_if_no_person_was_notified() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await send(world, "1-8")
        await write(world, replace(over(begun), after=State.SUSPECT))

        await asyncio.sleep(10.0)

    assert "S9: pdu-a of node-2 is left off, and no person was notified" in found(plant)


@pytest.mark.parametrize("is_kept_off", [False, True])
def test_a_host_that_runs_and_does_not_get_what_it_is_owed_is_found(is_kept_off: bool) -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun, step(begun, "1-8"))
        await send(world, "1-8")
        if is_kept_off:
            name = begun.operation.id
            stopped = r.EndingDecided(operation=name, ending=OperationState.DONE, why="", is_on_forbidden=True)
            await write(world, stopped)
        left = r.LeftOff(operation=begun.operation.id, why="")
        await write(world, replace(over(begun), after=State.SUSPECT), left)
        await write(world, r.HostHeard(boot=None, before="suspect", why="cleared"))
        await asyncio.sleep(100.0)
        world.checker.look()
        assert not [text for text in world.checker.violations if "not switched on" in text]
        await asyncio.sleep(100.0)

    is_found = "S9: pdu-a of node-2, which runs, is owed for 180 s and not switched on" in found(plant)
    assert is_found is not is_kept_off


@pytest.mark.parametrize("who", ["cancel", "maintenance"])
def test_an_on_against_a_person_is_found(who: str) -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        name = begun.operation.id
        word: r.HostRecord = r.MaintenanceSet(by="person", reason="", until=None, after=State.FENCED)
        if who == "cancel":
            word = r.EndingDecided(operation=name, ending=OperationState.DONE, why="", is_on_forbidden=True)
        restoring = r.PhaseEntered(operation=name, phase=Phase.RESTORING, deadline=2e9)
        await write(world, begun, restoring, word, step(begun, "1-8", What.ON))

    assert "S19: " in found(plant)


# -- S14, S15, S17 ----------------------------------------------------------------------------------------------------


def test_an_operation_past_its_deadline_is_found() -> None:
    async def plant(world: World) -> None:
        await write(world, automatic())
        await asyncio.sleep(400.0)

    assert "S14: " in found(plant)


def test_a_slow_fence_of_a_host_that_is_well_is_found() -> None:
    async def plant(world: World) -> None:
        begun = automatic()
        await write(world, begun)
        await asyncio.sleep(100.0)
        for device in (PDU_A, PDU_B):
            world.machines[NODE].plugs[device].turn(Power.OFF)
            await read(world, device)
        await write(world, fenced(operation=str(begun.operation.id)))

    assert "S15: node-2, well all the time, is fenced after 100.4 s" in found(plant)


def test_a_fenced_host_that_is_heard_or_has_power_and_is_not_revoked_is_found() -> None:
    async def main() -> str:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(90.0)
        await world.control.act(NODE, Action.OFF, by="person", reason="", is_forced=True)
        await asyncio.sleep(10.0)
        world.machines[NODE].is_meddled = True
        world.engine.fleet.see(NODE, watch_started=world.clock.now())  # its watch never comes back
        world.plug("node-2", "pdu-a").turn(Power.ON)
        world.machines[NODE].is_stopping = True
        for _ in range(12):
            await asyncio.sleep(10.0)
            world.say("node-1", e.HealthStatus.STOPPING)
        world.checker.heard(
            e.Health(
                host=NODE, received=world.clock.now(), is_retained=False, boot=world.machines[NODE].boot,
                sequence=10**6,
                status=e.HealthStatus.OK, interval_seconds=5.0, reason="",
            )
        )  # fmt: skip
        await asyncio.sleep(10.0)
        world.checker.look()
        with pytest.raises(AssertionError) as caught:
            await world.end()
        return str(caught.value)

    text = run(main())
    assert "S17: node-2 has had power for" in text and "S17: node-2 speaks" in text


# -- S15: what is announced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refused", "is_found"), [("", True), ("node-1", True), ("node-2", False)])
def test_an_announcement_that_waits_though_the_broker_takes_it_is_found(refused: str, is_found: bool) -> None:
    async def plant(world: World) -> None:
        world.broker.refused, world.disk.lease_ends = frozenset({refused}), world.clock.now() + 60.0
        await write(world, fenced())
        await asyncio.sleep(4.0)

    assert (
        "S15: node-2 has been fenced for 4.0 s, and a willing broker has no announcement" in found(plant)
    ) is is_found


def test_an_announcement_that_waits_for_the_lease_is_no_finding() -> None:
    async def plant(world: World) -> None:
        world.disk.lease_ends = world.clock.now() + 2.0
        await write(world, fenced())
        await asyncio.sleep(20.0)

    assert "the broker, which would accept it, has no announcement" not in found(plant)


def test_an_announcement_that_waits_for_the_bus_is_no_finding() -> None:
    async def plant(world: World) -> None:
        world.disk.lease_ends = world.clock.now() + 90.0
        await write(world, fenced())
        world.broker.is_refusing = True
        world.checker.look()
        await asyncio.sleep(60.0)

    assert "S15" not in found(plant)


# -- S17: distrusted devices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_seconds", "is_found"), [(1.0, True), (60.0, False)])
def test_honest_devices_that_are_distrusted_without_late_life_are_found(after_seconds: float, is_found: bool) -> None:
    """A message that arrived soon after the proof is a late message from before,
    however long the daemon then held it.
    """

    async def plant(world: World) -> None:
        await write(world, replace(fenced(), boot=world.machine("node-2").boot))
        await asyncio.sleep(after_seconds)
        world.say("node-2")
        await asyncio.sleep(60.0)
        revoked = r.HostRevoked(why="", token=Token.parse("1-9"), boot=None, distrusted=(PDU_A,), is_alive=True)
        await write(world, revoked)

    assert ("S17: pdu-a of node-2 told the truth and node-2 was silent: distrusted" in found(plant)) is is_found

"""The checker works: each rule, broken on purpose, is found, and a good run has no findings."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import ENGINE, BootId, DeviceName, HostName, OperationId, PlugId, Token
from fenced.model.power import Action, Cause, Power, Proof, What
from fenced.ports.bus import Message
from fenced.ports.journal import Batch
from tests.core.desk import Desk
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World

NODE = HostName("node-2")
PDU_A, PDU_B = DeviceName("pdu-a"), DeviceName("pdu-b")


def fenced(token: str = "1-50", operation: str | None = None) -> r.HostFenced:
    return r.HostFenced(
        proof=Proof.DEVICE_VERIFIED, operation=OperationId(operation) if operation else None, level=1,
        boot=BootId("node-2#1"), token=Token.parse(token), devices=(PDU_A, PDU_B), is_stay_off=True, by="fenced",
        reason="", cause=Cause.SILENCE, last_heard=None,
    )  # fmt: skip


def started(token: str, *, operation: str, what: What = What.OFF, device: DeviceName = PDU_A) -> r.StepStarted:
    return r.StepStarted(
        operation=OperationId(operation), device=device, number=1, what=what, proxy=ENGINE,
        plug_id=PlugId(f"{NODE}/{device}"), token=Token.parse(token), not_after=1e12,
    )  # fmt: skip


def operation(action: Action) -> r.OperationStarted:
    """Return an operation as the core makes it."""
    desk = Desk()
    desk.ask(action)
    return next(record for record in desk.records(r.OperationStarted))


def found(plant: Callable[[World], Awaitable[None]]) -> str:
    """Return the checker's findings for a journal and a world with a planted fault."""

    async def main() -> str:
        world = World(Rack())
        await world.journal.opened(holder="planted", now=world.clock.now())
        await plant(world)
        world.checker.look()
        return "\n".join(world.checker.violations)

    return run(main())


async def write(world: World, *records: r.HostRecord) -> None:
    entries = [r.Entry(at=world.clock.now(), host=NODE, record=record) for record in records]
    await world.journal.append(Batch(entries=entries))
    world.checker.look()


def test_fenced_with_power_is_found() -> None:
    async def plant(world: World) -> None:
        await write(world, fenced())

    assert "S1: node-2 is announced as fenced and has power" in found(plant)


def test_fenced_by_a_distrusted_device_is_found() -> None:
    async def plant(world: World) -> None:
        await write(world, r.DevicesDistrusted(devices=(PDU_A, PDU_B), why="planted"))
        await write(world, r.DevicesTrusted(devices=(PDU_A,)), fenced())

    assert "S17: node-2 is announced as fenced by pdu-b, which is distrusted" in found(plant)


def test_fenced_without_power_is_not() -> None:
    async def plant(world: World) -> None:
        for device in (PDU_A, PDU_B):
            plug = world.machine("node-2").plugs[device]
            plug.turn(Power.OFF)
            await world.wires.read(world.path("engine"), plug, 5.0)
        await asyncio.sleep(10.0)
        for device in (PDU_A, PDU_B):
            await world.wires.read(world.path("engine"), world.machine("node-2").plugs[device], 5.0)
        await write(world, fenced())

    assert found(plant) == ""


@pytest.mark.parametrize("why", ["lies", "meddled", "miswired"])
def test_a_meddled_machine_is_left_out(why: str) -> None:
    async def plant(world: World) -> None:
        plug = world.plug("node-2", "pdu-a")
        if why == "lies":
            plug.lie(Power.OFF)
        elif why == "miswired":
            plug.miswire()
        else:
            plug.machine.is_meddled = True
        world.plug("node-2", "pdu-b").turn(Power.OFF)
        await write(world, fenced())

    assert found(plant) == ""


def test_two_operations_of_one_host_are_found() -> None:
    async def plant(world: World) -> None:
        await write(world, operation(Action.OFF), operation(Action.RESTART))

    assert "S4" in found(plant)


def test_a_falling_token_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.OFF)
        name = str(begun.operation.id)
        await write(world, begun, started("1-9", operation=name), started("1-8", operation=name))

    assert "is not above 1-9" in found(plant)


def test_an_on_before_a_verified_off_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.RESTART)
        await write(world, begun, started("1-9", operation=str(begun.operation.id), what=What.ON))

    assert "S8" in found(plant)


def test_an_off_in_an_operation_that_met_another_machine_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.OFF)
        await write(world, begun)
        world.checker.wrong_machine(world.plug("node-2", "pdu-a"))
        await write(world, started("1-9", operation=str(begun.operation.id)))

    assert "identity: OFF for node-2/pdu-a" in found(plant)


def test_a_bmc_that_boots_says_off_and_is_no_liar() -> None:
    async def main() -> list[tuple[str, bool]]:
        world = World(Rack(devices=("bmc:1",)))
        bmc = world.plug("node-2", "bmc")
        bmc.restart(away_seconds=10.0, starting_seconds=20.0)
        said = [("away", bmc.is_answering)]
        await asyncio.sleep(15.0)
        bmc.switch(Power.OFF)
        said += [(bmc.read().value, bmc.is_on)]
        await asyncio.sleep(20.0)
        return [*said, (bmc.read().value, world.checker.is_answerable(bmc.machine))]

    assert run(main()) == [("away", False), ("off", True), ("on", True)]


def send(world: World, token: str, power: Power, *, seconds: float = 5.0) -> asyncio.Task[None]:
    plug = world.plug("node-2", "pdu-a")
    plug.set_seconds = seconds
    return asyncio.create_task(
        world.wires.set(world.path("engine"), plug, power, token=Token.parse(token), timeout_seconds=20.0)
    )


def test_a_command_without_a_durable_record_is_found() -> None:
    async def plant(world: World) -> None:
        await send(world, "1-9", Power.OFF)

    assert "S3: off for node-2/pdu-a was sent before its record was durable" in found(plant)


def test_a_command_that_acts_after_its_operation_ended_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.OFF)
        name = begun.operation.id
        await write(world, begun, started("1-9", operation=str(name)))
        task = send(world, "1-9", Power.OFF)
        await asyncio.sleep(1.0)
        desk = Desk()
        answer = desk.ask(Action.OFF)
        desk.cancel()
        desk.go(1.0)
        ended = desk.ended(answer.split()[1])
        await write(world, ended)
        await task

    text = found(plant)
    assert "S5" in text and "S14" in text


def test_an_on_beside_an_off_that_may_still_act_is_found() -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.ON)
        name = str(begun.operation.id)
        await write(world, begun, started("1-8", operation=name), started("1-9", operation=name, what=What.ON))
        off = send(world, "1-8", Power.OFF, seconds=10.0)
        await asyncio.sleep(1.0)
        on = send(world, "1-9", Power.ON)
        await asyncio.gather(off, on)

    assert "ON for node-2/pdu-a is sent while an OFF may still act" in found(plant)


def test_a_state_on_the_bus_that_is_not_durable_is_found() -> None:
    async def plant(world: World) -> None:
        payload = b'{"host":"node-2","state":"fenced","token":"1-50"}'
        world.broker.take(Message(topic="fenced/v1/site-1/state/node-2", payload=payload, is_retained=True))

    assert "S3: the bus says that node-2 is fenced under 1-50" in found(plant)


def test_a_live_state_that_the_journal_does_not_give_is_found() -> None:
    async def main() -> str:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(90.0)
        fleet = world.engine.fleet
        fleet.apply(r.Entry(at=world.clock.now(), host=NODE, record=r.HostLeft(reason="planted")))
        world.say("node-1", e.HealthStatus.STOPPING)
        await asyncio.sleep(1.0)
        with pytest.raises(AssertionError) as caught:
            await world.end()
        return str(caught.value)

    assert "replay: node-2" in run(main())


def test_a_good_run_finds_nothing() -> None:
    async def main() -> None:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(100.0)
        world.machine("node-2").die()
        await asyncio.sleep(200.0)
        assert world.machine("node-2").boots == 2
        await world.end()

    run(main())

"""The check at the end notices what did not happen: each case is planted into a healthy world, and must be found."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.state import GateVerdict, HostState
from fenced.model.names import ENGINE, DeviceName, HostName, OperationId, PlugId, Token
from fenced.model.power import Action, Cause, State, What
from fenced.ports.journal import OutboxMessage
from tests.core.desk import Desk
from tests.fakes.journal import StoredMessage
from tests.simulation.liveness import unfinished
from tests.simulation.play import silence_logs
from tests.world.loop import run
from tests.world.rack import Rack, Setting
from tests.world.rules.base import Op
from tests.world.rules.gates import AutomaticOff
from tests.world.world import World

NODE = HostName("node-2")
LONG_AGO = 1_800_000_000.0
ONE_EACH: dict[str, Setting] = {"gates.budget_hosts": 1, "gates.attempts_count": 1, "gates.concurrency": 1}
COUNTED = tuple(
    GateVerdict(gate=gate, is_open=False, why="") for gate in ("lease", "budget", "attempts", "concurrency")
)
HELD = tuple(GateVerdict(gate=gate, is_open=False, why="") for gate in ("witness", "cooldown", "connectivity"))

NEVER_CLOSED = tuple(GateVerdict(gate=gate, is_open=False, why="") for gate in ("store", "record"))


def found(
    *, is_dead: bool = True, counted: Callable[[World], None] = lambda world: None, **changes: object
) -> list[str]:
    """Return what is unfinished in a calm world whose node-2 has been in such a state for long."""

    async def main() -> list[str]:
        world = World(Rack(settings=ONE_EACH))
        world.begin()
        await world.start()
        await asyncio.sleep(400.0)
        counted(world)
        if is_dead:
            world.machines[NODE].die()
        state: HostState = replace(world.engine.fleet.hosts[NODE], since=LONG_AGO, **changes)  # type: ignore[arg-type]
        world.engine.fleet.hosts[NODE] = state
        return unfinished(world)

    silence_logs()
    return run(main())


def begun(world: World, seconds: float) -> None:
    """An automatic operation of node-2 began so long ago, sent an OFF and still runs."""
    truth, at = world.checker.truth, world.clock.now() - seconds
    assert truth is not None
    op = Op(
        id=OperationId("0-1"), host=NODE, action=Action.OFF, cause=Cause.SILENCE, started=at, decided=at, deadline=at,
        due=at,
        boot=None,
    )  # fmt: skip
    truth.operations[op.id] = truth.running[NODE] = op
    off = r.StepStarted(
        operation=op.id, device=DeviceName("pdu-a"), plug_id=PlugId("node-2/pdu-a"), number=1, what=What.OFF,
        proxy=ENGINE,
        token=Token(epoch=0, sequence=2), not_after=at,
    )  # fmt: skip
    book = next(rule for rule in world.checker.rules if isinstance(rule, AutomaticOff))
    book.recorded(NODE, at, off)


def test_a_calm_world_is_finished() -> None:
    assert found(is_dead=False) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": State.SUSPECT}, "is suspect, with no operation and no gate closed"),
        ({"state": State.HEALTHY}, "is dead and healthy, with no operation and no gate closed"),
        ({"state": State.FENCED}, "is fenced, nobody wants it off, and nobody gives it power"),
        ({"state": State.SUSPECT, "held_by": HELD}, "is held by witness, cooldown, connectivity, which is open"),
        (
            {"state": State.SUSPECT, "held_by": COUNTED},
            "is held by lease, budget, attempts, concurrency, which is open",
        ),
        ({"state": State.SUSPECT, "held_by": NEVER_CLOSED}, "is held by store, record, which is open"),
    ],
)
def test_a_host_without_an_operation_or_a_real_hold_is_found(changes: dict[str, Any], why: str) -> None:
    assert found(**changes) == [f"liveness: node-2 {why}"]


@pytest.mark.parametrize("gate", ["budget", "attempts", "concurrency"])
def test_a_host_that_is_held_by_what_was_counted_is_in_order(gate: str) -> None:
    held = (GateVerdict(gate=gate, is_open=False, why=""),)
    assert found(state=State.SUSPECT, held_by=held, counted=lambda world: begun(world, 200.0)) == []


@pytest.mark.parametrize("gate", ["budget", "attempts"])
def test_operations_of_long_ago_do_not_close_a_gate(gate: str) -> None:
    held = (GateVerdict(gate=gate, is_open=False, why=""),)
    why = f"liveness: node-2 is held by {gate}, which is open"
    assert why in found(state=State.SUSPECT, held_by=held, counted=lambda world: begun(world, 90_000.0))


def _kept_off(cause: Cause) -> Callable[[World], None]:
    """Two other hosts are fenced and stay off, for that cause."""

    def prepare(world: World) -> None:
        desk = Desk()
        desk.ask(Action.OFF)
        last = replace(desk.operation(), id=OperationId("0-1"), cause=cause, ended=LONG_AGO)
        world.disk.durable.operations[last.id] = (99, last)
        for name in ("node-1", "node-3"):
            world.machine(name).die()
            state = world.engine.fleet.hosts[HostName(name)]
            state = replace(state, state=State.FENCED, is_stay_off=True, last_operation=last.id)
            world.engine.fleet.hosts[HostName(name)] = state

    return prepare


@pytest.mark.parametrize(("cause", "is_open"), [(Cause.REQUEST, True), (Cause.SILENCE, False)])
def test_hosts_that_people_switched_off_do_not_close_connectivity(cause: Cause, is_open: bool) -> None:
    held = (GateVerdict(gate="connectivity", is_open=False, why=""),)
    text = found(state=State.SUSPECT, held_by=held, counted=_kept_off(cause))
    assert text == (["liveness: node-2 is held by connectivity, which is open"] if is_open else [])


def test_a_host_that_a_person_wants_off_is_in_order() -> None:
    assert found(state=State.FENCED, is_stay_off=True) == []


def test_an_operation_and_an_announcement_that_never_end_are_found() -> None:
    async def main() -> list[str]:
        world = World(Rack())
        world.begin()
        await world.start()
        await asyncio.sleep(90.0)
        desk = Desk()
        desk.ask(Action.OFF)
        running = replace(desk.operation(), id=OperationId("0-1"), cause=Cause.REQUEST, deadline=LONG_AGO)
        durable = world.disk.durable
        durable.operations[running.id] = (99, running)
        message = OutboxMessage(id="0-9", host=None, sequence=99, topic="lost", payload=b"{}", is_retained=False)
        durable.outbox[99] = StoredMessage(message=message, at=LONG_AGO)
        return unfinished(world)

    silence_logs()
    text = "\n".join(run(main()))
    assert "0-1 of node-2 has not ended by its deadline" in text and "lost of 1800000000.0 was never delivered" in text

"""The rule on decision records fires: one that is missing, doubled, late, or says something else than what follows."""

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.decision import OpenGate, Ruling, ShutGate
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import GateVerdict
from fenced.model.names import OperationId
from fenced.model.power import Cause
from tests.world.test_checker import write
from tests.world.test_rules import automatic, decided, found, step
from tests.world.world import World

SUSPECTED = r.HostSuspected(cause=Cause.SILENCE, reason="", last_heard=None)
HELD = r.HostHeld(gates=(GateVerdict(gate="paused", is_open=False, why="told"),))
REFUSED = r.RequestRefused(action="off", by="p", reason="", rule="alive", why="")


def hold(number: int = 1, *gates: str) -> r.Decided:
    shut = tuple(ShutGate(gate=gate, why="", opens_when="") for gate in gates or ("paused",))
    return r.Decided(
        id=f"d-1-{number}", outcome=Ruling.HOLD, inputs=(), confirm=(), shut=shut,
        opened=(OpenGate(gate="lease", why=""),), policy="",
    )  # fmt: skip


def said(*records: r.HostRecord) -> str:
    async def plant(world: World) -> None:
        await write(world, *records)

    return "\n".join(line for line in found(plant).splitlines() if " decisions: " in line)


def test_what_is_explained_is_right() -> None:
    assert said(SUSPECTED, hold(), HELD) == ""


@pytest.mark.parametrize(
    ("records", "finding"),
    [
        ((SUSPECTED, HELD), "host_held of node-2 has no decision record"),
        ((SUSPECTED, HELD, hold()), "host_held of node-2 has no decision record"),
        ((SUSPECTED, hold(1), hold(2), HELD), "d-1-1 of node-2 explains nothing: d-1-2 comes at once"),
        ((SUSPECTED, hold(1), HELD, hold(1), HELD), "node-2 has two decisions d-1-1"),
        ((SUSPECTED, hold(1), HELD, hold(2), HELD), "node-2 is held again by ['paused']: nothing changed"),
        ((SUSPECTED, hold(1, "witness"), HELD), "d-1-1 of node-2 names ['witness'], and ['paused'] hold it"),
        ((hold(), SUSPECTED), "d-1-1 of node-2 says hold, and host_suspected follows"),
        ((REFUSED,), "request_refused of node-2 has no decision record"),
        ((hold(), REFUSED), "d-1-1 of node-2 says hold, and request_refused follows"),
        ((automatic(),), "operation_started of node-2 has no decision record"),
        ((automatic(), step(automatic(), "1-8")), "1-1 sends its first OFF to node-2 without a decision"),
    ],
)
def test_what_is_not_is_found(records: tuple[r.HostRecord, ...], finding: str) -> None:
    assert finding in said(*records)


def test_a_would_be_fence_is_held_by_armed_alone() -> None:
    assert "d-1-1 of node-2 says would_fence" in said(SUSPECTED, replace(hold(), outcome=Ruling.WOULD_FENCE), HELD)


def test_a_fence_with_a_closed_gate_or_of_another_operation_is_found() -> None:
    begun = automatic()
    assert said(decided(begun), begun) == ""
    shut = replace(decided(begun), shut=hold().shut)
    other = replace(decided(begun), operation=OperationId("1-99"))
    for wrong in (shut, other):
        assert "does not explain 1-1" in said(wrong, begun)

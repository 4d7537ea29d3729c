"""The checker's findings about paths to one device that disagree."""

from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.model.names import ENGINE, PlugId, Token
from fenced.model.power import Action, Outcome, Power, What
from tests.world.test_checker import PDU_A, fenced, operation, write
from tests.world.test_rules import found, race
from tests.world.world import World


def doubted(begun: r.OperationStarted) -> tuple[r.HostRecord, ...]:
    """The engine read pdu-a ON while the OFF that it had sent might still act."""
    step = r.StepStarted(
        operation=begun.operation.id, device=PDU_A, number=1, what=What.OFF, proxy=ENGINE,
        plug_id=PlugId("node-2/pdu-a"),
        token=Token.parse("1-9"), not_after=1e12,
    )  # fmt: skip
    timed_out = r.StepEnded(
        operation=begun.operation.id, device=PDU_A, number=1, outcome=Outcome.TIMED_OUT, error="no answer",
        is_end_known=False, wait_until=0.0,
    )  # fmt: skip
    return begun, step, timed_out, race(begun, Power.ON)


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_path_that_read_on_while_an_off_could_act_is_asked_again_or_gone(is_gone: bool) -> None:
    async def plant(world: World) -> None:
        begun = operation(Action.OFF)
        gone = r.PathLost(operation=begun.operation.id, device=PDU_A, why="gone", proxy=ENGINE)
        lost = [gone] if is_gone else []
        await write(world, *doubted(begun), *lost, replace(fenced(), operation=begun.operation.id))

    assert ("pdu-a reads ON through engine" in found(plant)) is not is_gone

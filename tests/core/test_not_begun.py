"""Commands that have not begun are cancelled when they are forbidden (S19); requests don't wait for a give-back."""

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Outcome
from tests.core.desk import NODE, Desk
from tests.core.test_owed import failed, ons
from tests.core.test_restore import BOTH, desk, off_on_its_way, stop


def giving_on(at: Desk) -> str:
    """Request `on` for a host that was off, up to its races."""
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    return at.ask(Action.ON).removeprefix("accepted ")


@pytest.mark.parametrize("word", ["maintenance", "disarm", "cancel"])
@pytest.mark.parametrize("when", ["racing", "waiting for its turn"])
def test_an_on_that_has_not_begun_is_taken_back_with_what_forbade_it(word: str, when: str) -> None:
    at = desk()
    said = giving_on(at)
    if when != "racing":
        for device in BOTH:
            at.race(device)
        assert len(at.waiting(c.SwitchDevice)) == 2
    before = len(ons(at))
    stop(at, word)
    at.go(1.0, silent=[NODE])
    assert any(command.operation == said for command in at.pending if isinstance(command, c.DropOns))
    for device in [command.device for command in at.waiting(c.SwitchDevice)]:
        at.switched(device, Outcome.REFUSED)
    at.serve(seconds=60.0)
    assert len(ons(at)) == before
    assert at.ended(said).state is OperationState.CANCELLED
    assert word in (at.ended(said).why or "") or word in {"cancel", "disarm"}


@pytest.mark.parametrize("action", [Action.ON, Action.RESTART])
@pytest.mark.parametrize("word", ["maintenance", "disarm"])
def test_a_request_that_waits_ends_with_what_forbids_it(action: Action, word: str) -> None:
    at = desk()
    off_on_its_way(at)
    at.beat()
    at.go(1.0)
    said = at.ask(action).removeprefix("accepted ")
    assert at.state().waiting is not None
    stop(at, word)
    for device in BOTH:
        at.switched(device)
    at.serve(silent=(), seconds=60.0)
    ended = at.ended(said)
    assert ended.state is OperationState.CANCELLED and ended.why
    assert not [step for step in at.records(r.StepStarted) if step.operation == said]


def test_a_persons_request_does_not_wait_for_what_we_give_back() -> None:
    at = failed()
    at.beat()
    assert at.operation().is_giving_back
    said = at.ask(Action.OFF).removeprefix("accepted ")
    at.go(1.0)
    assert at.operation().id == said

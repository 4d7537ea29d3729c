"""confirm_off is refused while a command or a read is under way, and answers with the operation that it ends."""

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import OperationId
from fenced.model.power import Action, Outcome, Power, What
from tests.core.desk import NODE, Desk, said
from tests.core.moves import off_and_fenced, until_sent


def confirm(at: Desk, *, read: str | None = None) -> str:
    asked = e.ConfirmOffAsked(
        host=NODE, by="person", reason="seen", is_forced=True, read=OperationId(read) if read is not None else None
    )
    return said(at.do(asked).answer)


def test_confirm_off_is_refused_while_an_on_may_still_act() -> None:
    at = off_and_fenced()
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    until_sent(at)
    asked = e.ConfirmOffAsked(host=NODE, by="person", reason="seen", is_forced=False, read=None)
    assert said(at.do(asked).answer) == "refused busy"


def test_confirm_off_is_refused_while_the_devices_are_still_being_read() -> None:
    at = Desk()
    at.ask(Action.PROBE)
    assert confirm(at) == "refused busy"
    at.race("pdu-a", Power.ON)
    at.race("pdu-b", Power.ON)
    assert confirm(at) == "refused reads_on"
    assert not at.records(r.HostFenced)


def test_confirm_off_answers_with_an_operation_that_exists() -> None:
    at = Desk()
    at.go(30.0, silent=[NODE])
    at.fence()
    at.cancel()
    at.serve(until="operation_ended")
    read = at.ask(Action.STATUS).removeprefix("accepted ")
    at.race("pdu-a", winner=None)
    at.race("pdu-b", winner=None)
    assert confirm(at, read=read) == f"accepted {read}"


def test_confirm_off_is_refused_after_an_on_without_a_reading_since() -> None:
    """Its last reading is older than the ON."""
    at = Desk()
    at.fence()
    at.serve(until="phase_entered")
    while not at.waiting(c.SwitchDevice, "pdu-a") or at.waiting(c.SwitchDevice, "pdu-a")[0].what is What.OFF:
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    assert confirm(at) == "refused busy"
    at.serve(until="operation_ended")
    assert confirm(at) == "refused reads_on"

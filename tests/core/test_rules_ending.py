"""S14: results of an ended operation don't count for the next one, and a restore that reaches no device ends."""

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import ProxyName
from fenced.model.power import Action, OperationState, Outcome, Power
from tests.core.desk import NODE, Desk

BOTH = ("pdu-a", "pdu-b")


def test_a_late_race_of_an_ended_operation_proves_nothing_to_the_next() -> None:
    at = Desk()
    at.ask(Action.OFF)
    late = at.take(c.RunRace, "pdu-a")
    at.cancel()
    at.ask(Action.OFF)
    before = at.operation()
    assert before.id != late.operation
    at.do(
        e.RaceFinished(host=NODE, operation=late.operation, device=late.device, number=late.number, reserves=(),
                       winner=ProxyName("engine"), entries=(), power=Power.OFF)
    )  # fmt: skip
    assert at.operation() == before


def test_a_late_read_of_an_ended_operation_proves_nothing_to_the_next() -> None:
    """Both steps have the same number."""
    at = Desk()
    late = _read_of_a_new_off(at)
    at.cancel()
    now = _read_of_a_new_off(at)
    assert (now.number, now.device) == (late.number, late.device)
    before = at.operation()
    at.do(
        e.StepFinished(host=NODE, operation=late.operation, device=late.device, number=late.number, outcome=Outcome.OFF)
    )
    assert at.operation() == before


def _read_of_a_new_off(at: Desk) -> c.ReadDevice:
    at.ask(Action.OFF)
    at.race("pdu-a", Power.OFF)
    while not at.waiting(c.ReadDevice, "pdu-a"):
        at.go(0.5, silent=[NODE])
    return at.take(c.ReadDevice, "pdu-a")


def test_a_restore_that_reaches_no_device_ends_by_its_deadline() -> None:
    at = Desk()
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    for _ in range(400):
        for device in BOTH:
            if at.waiting(c.SwitchDevice, device):
                at.switched(device, Outcome.TIMED_OUT)
            if at.waiting(c.RunRace, device):
                at.race(device, winner=None)
            if at.waiting(c.ReadDevice, device):
                at.read(device, error="no answer")
        if at.records(r.OperationEnded):
            break
        at.go(5.0, silent=[NODE])
    assert set(at.records(r.RestoreFailed)[0].missing) == set(BOTH)
    assert at.records(r.OperationEnded)[0].state is OperationState.FAILED

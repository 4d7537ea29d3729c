"""An effect never answers: the operation still ends by its deadline (S14)."""

from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Power
from tests.core.desk import NODE, Desk
from tests.properties.watched_desk import WatchedDesk
from tests.world.rack import Rack


def test_an_on_that_is_never_answered_ends_the_restore() -> None:
    desk = Desk()
    answer = desk.ask(Action.RESTART)
    desk.serve(until="host_fenced")
    desk.go(11.0, silent=[NODE])  # announce_wait: both ONs are sent and never answered
    desk.go(700.0, silent=[NODE])
    assert desk.ended(answer.split()[1]).state is OperationState.FAILED
    assert desk.records(r.RestoreFailed)[0].missing == ("pdu-a", "pdu-b")


def test_a_device_that_is_inspected_and_never_answers_ends_the_operation() -> None:
    desk = Desk(Rack(devices=("pdu-a:1", "bmc:2")))
    answer = desk.ask(Action.OFF)
    desk.race("pdu-a", Power.ON)
    desk.switched("pdu-a")
    for _ in range(2):
        desk.go(1.1, silent=[NODE])
        desk.read("pdu-a", Power.OFF)
    desk.go(400.0, silent=[NODE])
    ended = desk.ended(answer.split()[1])
    assert (ended.state, ended.is_fenced) == (OperationState.FAILED, False)


def test_the_last_reading_after_a_restart_that_is_never_answered_ends_the_operation() -> None:
    desk = WatchedDesk(Rack(devices=("pdu-a:1", "bmc:2")))
    answer = desk.ask(Action.OFF)
    desk.race("pdu-a", Power.ON)
    desk.switched("pdu-a")
    desk.maintain()
    desk.crash()
    desk.idle(600.0)
    assert desk.ended(answer.split()[1]).state is OperationState.FAILED

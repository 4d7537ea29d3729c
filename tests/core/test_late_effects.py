"""An accepted command can act until its deadline: until then nothing is believed, ended or given back (S14)."""

from fenced.core.durable import records as r
from fenced.model.power import Action, OperationState, Power, State
from tests.core.desk import NODE, Desk
from tests.core.moves import off_and_fenced, ons, taken, until_sent
from tests.world.rack import Rack


def test_an_on_that_the_device_took_may_still_act_while_it_settles() -> None:
    at = off_and_fenced(Rack(devices=("bmc:1",), settle_seconds=10.0))
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    until_sent(at, 1)
    taken(at, "bmc")
    at.cancel()
    assert at.ask(Action.OFF).startswith("accepted")
    at.serve(seconds=9.0, until="host_fenced")
    assert at.state().state is not State.FENCED
    assert len(at.records(r.HostFenced)) == 1


def test_a_living_host_is_not_left_alone_while_an_off_that_was_taken_may_still_act() -> None:
    at = Desk(Rack(devices=("bmc:1",), settle_seconds=10.0))
    at.fence()
    until_sent(at, 1)
    taken(at, "bmc")
    at.beat()
    at.serve(silent=(), seconds=9.0)
    assert at.state().operation is not None


def test_no_on_is_sent_after_a_person_cancelled_a_restore_by_life() -> None:
    at = Desk()
    at.fence()
    until_sent(at)
    at.go(1.0, silent=[NODE])
    at.beat()
    at.switched("pdu-a")
    at.switched("pdu-b")
    at.go(5.0)
    sent = len(ons(at))
    assert at.cancel().startswith("accepted")
    at.serve(silent=(), seconds=20.0)
    assert len(ons(at)) == sent
    assert at.state().operation is None


def test_an_off_that_waited_past_its_deadline_is_not_begun() -> None:
    at = Desk(Rack(settings={"power.operation_timeout_seconds": 60.0}))
    at.set_power(Power.OFF, "pdu-b")
    at.beat()
    at.ask(Action.ON)
    second = at.ask(Action.OFF).removeprefix("accepted ")
    until_sent(at, 1)
    at.go(120.0)
    at.serve(silent=(), until="operation_ended")
    at.serve(silent=(), seconds=30.0)
    assert at.ended(second).state is not OperationState.DONE
    assert not at.records(r.HostFenced)

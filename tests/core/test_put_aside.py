"""A host with records that can't be replayed is put aside and left to an operator; all others go on (S13)."""

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.model.power import Action, OperationState, Power, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.core.test_edited_inventory import at_phase, commands


def test_a_host_that_cannot_be_taken_up_is_put_aside_and_all_others_go_on() -> None:
    at = at_phase("proving")
    again = Desk(is_calm=False)
    again.inventory, again.now = at.inventory, at.now + 5.0
    again.fleet = Fleet(at.inventory, epoch=2, started=again.now)
    for entry in at.entries:
        again.fleet.apply(entry)
    again.fleet.faults[NODE] = "record 7 cannot be read"
    again.do(e.LeaseRenewed(until=FOR_EVER))
    again.do(e.Started())
    state = again.state()
    assert (state.state, state.operation) == (State.FAILED, None)
    assert [verdict.gate for verdict in state.held_by] == ["record"]
    assert "host.held" in again.told and "host.left_off" in again.told
    assert again.records(r.OperationEnded)[0].state is OperationState.FAILED
    again.set_power(Power.OFF, "pdu-a", "pdu-b", "bmc")
    again.do(e.BusConnected(at=again.now))
    again.serve(silent=[NODE], seconds=900.0)
    assert not again.records(r.HostFenced), "the watch announces nothing of it"
    assert commands(again) == [], "no attempt"
    again.beat(boot="b2")
    assert commands(again) == []
    again.go(300.0, silent=[NODE])
    assert again.state().state is State.SUSPECT
    assert "record" in [verdict.gate for verdict in again.state().held_by]
    # an operator's maintenance ends the fault
    again.maintain()
    again.maintain(is_on=False)
    assert not again.state().record_fault


def test_a_person_may_switch_a_host_that_was_put_aside() -> None:
    at = Desk()
    at.fleet.faults[NODE] = "the snapshot cannot be read"
    at.do(e.Started())
    assert at.state().state is State.FAILED
    assert at.ask(Action.OFF).startswith("accepted")
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    assert not at.state().record_fault


def test_a_second_start_says_nothing_new() -> None:
    at = Desk()
    at.fleet.faults[NODE] = "the snapshot cannot be read"
    at.do(e.Started())
    at.do(e.Started())
    assert len(at.records(r.HostPutAside)) == 1

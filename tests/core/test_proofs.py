"""What proves OFF, what does not, and how long a proof is published (S1, S17)."""

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.said.announce import state_message
from fenced.model.power import Action, OperationState, Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.core.moves import FAILS_SOON, fail, next_watch, off_and_fenced, until_sent
from tests.world.rack import Rack


def test_a_device_that_lied_does_not_prove_again() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended", silent=())
    at.go(60.0)
    assert at.state().state is State.HEALTHY
    assert at.state().distrusted == ("pdu-a", "pdu-b")
    at.ask(Action.OFF)
    at.serve(seconds=30.0, until="host_fenced")
    assert len(at.records(r.HostFenced)) == 1


def test_the_end_of_a_maintenance_trusts_the_devices_again() -> None:
    at = off_and_fenced()
    at.go(40.0, silent=[NODE])
    at.beat_on()
    assert at.state().distrusted == ("pdu-a", "pdu-b")
    at.maintain()
    at.maintain(is_on=False)
    assert at.state().distrusted == ()


def test_rounds_of_the_watch_before_an_operation_do_not_count_after_it() -> None:
    settings = {**FAILS_SOON, "gates.attempts_count": 0, "power.already_off_hold_seconds": 1.0}
    both_off = (("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    at = Desk(Rack(settings=settings))
    at.go(30.0, silent=[NODE])
    at.ask(Action.OFF)
    fail(at)
    next_watch(at, *both_off)
    assert [rounds.count for rounds in at.fleet.sights[NODE].watch_offs.values()] == [1]
    at.ask(Action.OFF)
    fail(at)
    assert at.state().state is State.FAILED
    next_watch(at, *both_off)
    assert at.state().state is State.FAILED


def test_a_watch_proves_off_only_after_the_hold_of_a_device_that_was_off_already() -> None:
    settings = {
        **FAILS_SOON,
        "gates.attempts_count": 0,
        "detection.watch_interval_seconds": 2.0,
        "power.already_off_hold_seconds": 60.0,
    }
    at = Desk(Rack(settings=settings))
    at.ask(Action.OFF)
    fail(at)
    at.set_power(Power.OFF, "pdu-a", "pdu-b")
    at.serve(seconds=30.0)
    assert at.state().state is State.FAILED
    at.serve(seconds=60.0, until="host_fenced")
    assert at.state().state is State.FENCED


def test_a_sign_of_life_keeps_a_next_level_that_was_off_already_from_proving() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2"), settings=FAILS_SOON))
    at.set_power(Power.OFF, "bmc")
    at.fence()
    until_sent(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.serve(seconds=10.0, until="level_entered")
    assert at.operation().level == 2
    at.do(
        e.Evidence(
            host=NODE, source="san", received=at.now, is_retained=False, evidence_kind="storage_lease",
            is_alive=True, ttl_seconds=600.0,
        )
    )  # fmt: skip
    at.serve(seconds=100.0, until="host_fenced")
    assert not at.records(r.HostFenced)


def test_a_second_operation_fences_with_a_token_of_its_own() -> None:
    at = off_and_fenced(Rack(settings={"power.already_off_hold_seconds": 1.0}))
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    at.ask(Action.OFF)
    until_sent(at)
    at.switched("pdu-a", Outcome.FAILED)
    at.switched("pdu-b", Outcome.FAILED)
    at.cancel()
    at.set_power(Power.OFF, "pdu-a", "pdu-b")
    before = at.state().token
    assert before is not None
    at.serve(until="host_fenced")
    first, second = at.records(r.HostFenced)
    assert first.token < before < second.token


def test_the_proof_is_published_only_while_the_host_is_fenced() -> None:
    at = off_and_fenced()
    assert state_message(at.state(), "a")["proof"] == "device_verified"
    at.ask(Action.RESTART)
    assert at.state().state is State.FENCING
    assert state_message(at.state(), "a")["proof"] is None


def test_off_of_a_host_that_is_off_announces_no_second_run() -> None:
    at = off_and_fenced()
    token = at.state().token
    again = at.ask(Action.OFF).removeprefix("accepted ")
    at.serve(until="operation_ended")
    ended = at.ended(again)
    assert (ended.state, ended.is_fenced, ended.power) == (OperationState.DONE, True, Power.OFF)
    assert at.state().state is State.FENCED
    assert at.state().is_stay_off
    assert at.state().token == token
    assert len(at.records(r.HostFenced)) == 1

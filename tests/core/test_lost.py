"""A token on the bus that the journal does not know: the store lost its record (S22)."""

from dataclasses import replace
from typing import TypeVar

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core import lost
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.core.said.announce import Announcement
from fenced.model.names import Token
from fenced.model.power import Action, Power, State
from tests.core.desk import NODE, Desk

LOST = Token(epoch=1, sequence=900)


def shown(
    state: str = "fenced", token: Token | None = LOST, *, rev: Token | None = None, is_proven: bool | None = None
) -> e.StateSeen:
    return e.StateSeen(
        host=NODE, received=0.0, is_retained=True, state=state, token=token, rev=rev or token, controller="fenced-a",
        is_proven=state == "fenced" if is_proven is None else is_proven,
    )  # fmt: skip


class Telling(Desk):
    """A desk that keeps the announcements."""

    def __init__(self) -> None:
        self.announced: list[Announcement] = []
        super().__init__()

    def do(self, event: e.Event) -> Decision:
        decision = super().do(event)
        self.announced += decision.told
        return decision


D = TypeVar("D", bound=Desk)


def successor(at: D) -> D:
    """Let the desk's controller be one that took the lease from the one that published in epoch 1."""
    at.fleet.epoch = 2
    return at


def test_a_lost_fenced_is_revoked_with_the_token_that_it_replaces() -> None:
    at = successor(Desk())
    decision = at.do(shown())
    assert [(it.type, it.data["replaces"], it.data["alive"]) for it in decision.told] == [
        ("io.fenced.host.revoked", "1-900", False)
    ]
    token = at.state().token
    assert token is not None and token > LOST and decision.told[0].data["token"] == str(token)
    assert (at.state().state, at.state().proof, at.state().lost_token) == (State.HEALTHY, None, LOST)


def test_the_next_fenced_replaces_the_lost_one_and_no_later_one_does() -> None:
    at = successor(Telling())
    at.do(shown())
    for boot in ("b2", "b3"):
        at.ask(Action.RESTART)
        at.serve(until="operation_ended")
        at.beat(boot=boot)
    told = [it for it in at.announced if it.type == "io.fenced.host.fenced"]
    assert [it.data["replaces"] for it in told] == ["1-900", None]
    assert at.state().lost_token is None


def test_it_is_recorded_once() -> None:
    at = successor(Desk())
    at.do(shown())
    assert at.do(shown()).entries == ()
    assert at.do(shown(token=Token(epoch=1, sequence=2000))).entries == (), "its token is above all of that epoch"


@pytest.mark.parametrize(
    "token",
    [None, Token(epoch=2, sequence=10**6), Token(epoch=3, sequence=1)],
    ids=["none", "of this epoch", "of a newer epoch"],
)
def test_other_tokens_are_no_lost_records(token: Token | None) -> None:
    at = successor(Desk())
    assert at.do(shown(token=token)).entries == ()


def test_a_known_token_is_no_lost_record() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    known = at.state().token
    successor(at)
    assert at.do(shown(token=known)).entries == ()
    assert at.state().state is State.FENCED


def test_tokens_of_another_store_are_not_lost_records_of_this_one() -> None:
    for name, value in (("expected_store", "store-1"), ("is_store_new", True)):
        at = successor(Desk())
        setattr(at.fleet, name, value)
        assert not lost.is_lost(at.fleet, at.state(), shown())
        assert at.do(shown()).entries == ()


def test_a_lost_state_that_claimed_no_off_has_no_event() -> None:
    at = successor(Desk())
    decision = at.do(shown("fencing"))
    assert [type(entry.record) for entry in decision.entries] == [r.AnnouncementLost]
    assert decision.told == () and at.state().lost_token is None
    (record,) = at.records(r.AnnouncementLost)
    assert at.state().token == record.token


def test_an_older_proof_of_the_journal_counts_no_more() -> None:
    """The lost records are newer: the host may have run since, whatever the bus shows of it."""
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.cancel()
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    decision = successor(at).do(shown("healthy"))
    assert at.state().state is State.RESTORING and at.state().proof is None
    assert [(it.type, it.data["replaces"]) for it in decision.told] == [("io.fenced.host.revoked", None)]


def test_what_an_operator_keeps_off_is_read_and_announced_anew() -> None:
    """Its devices are watched, no ON is sent, and their OFF makes it `fenced` again."""
    at = Desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().is_stay_off
    successor(at).do(shown())
    assert at.state().state is State.RESTORING and at.state().is_on_forbidden
    at.serve(seconds=600.0, until="host_fenced")
    fenced = at.records(r.HostFenced)
    assert len(fenced) == 2 and fenced[1].token > LOST and at.state().lost_token is None
    assert not at.waiting(c.SwitchDevice)


def test_a_restore_that_rests_on_an_older_proof_stops() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.pending.clear()
    decision = successor(at).do(shown())
    assert any(isinstance(command, c.DropOns) for command in decision.commands)
    assert at.state().state is State.RESTORING and at.state().proof is None


def test_a_restore_whose_on_was_lost_goes_on_with_its_proof() -> None:
    """The bus shows the same operation further on: the host was off, and may have power since."""
    at = Desk()
    operation = at.ask(Action.RESTART).split()[1]
    at.serve(until="host_fenced")
    assert at.state().state is State.FENCED and at.state().proof is not None
    further = replace(shown("restoring", is_proven=True), operation=operation)
    decision = successor(at).do(further)
    assert decision.told == () and at.state().lost_token is None
    assert at.state().state is State.RESTORING and at.state().proof is not None
    at.serve(until="operation_ended")
    assert at.records(r.HostRestored) and [it.why for it in at.records(r.EndingDecided)] == [""]


def test_a_restore_of_another_operation_is_no_proof_of_this_one() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    decision = successor(at).do(replace(shown("restoring", is_proven=True), operation="1-899"))
    assert [it.data["replaces"] for it in decision.told] == ["1-900"]
    assert at.state().proof is None and at.state().operation is not None


def test_a_fence_under_way_goes_on_to_its_proof() -> None:
    at = Desk()
    at.suspect()
    at.fence()
    assert at.state().state is State.FENCING
    successor(at).do(shown())
    assert at.state().state is State.FENCING and at.state().operation is not None
    at.set_power(Power.OFF, "pdu-a", "pdu-b")
    at.serve(until="host_fenced")
    assert at.records(r.HostFenced)[-1].token > LOST

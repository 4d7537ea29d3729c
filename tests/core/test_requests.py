"""Requests of operators: which need force, which join another, and what is kept of their races."""

from fenced.core import events as e
from fenced.model.answers import Answer, RefusedBy
from fenced.model.power import Action, Power
from tests.core.desk import NODE, Desk
from tests.core.moves import off_and_fenced


def test_an_off_that_would_wait_is_refused_for_a_living_host_as_any_other_is() -> None:
    at = Desk()
    at.set_power(Power.OFF, "pdu-b")
    at.beat()
    assert at.ask(Action.OFF, force=False) == "refused alive"
    assert at.ask(Action.ON).startswith("accepted")
    assert at.ask(Action.OFF, force=False) == "refused alive"
    assert at.state().waiting is None


def test_a_fenced_host_needs_no_force() -> None:
    at = off_and_fenced()
    assert at.ask(Action.RESTART, force=False).startswith("accepted")


def test_a_status_joins_a_probe() -> None:
    at = Desk()
    probe = at.ask(Action.PROBE)
    assert at.ask(Action.STATUS) == probe
    reading = at.state().reading
    assert reading is not None
    assert reading.action is Action.PROBE


def test_the_story_of_every_race_is_kept() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.race("pdu-a", winner=None)
    at.go(5.0, silent=[NODE])
    at.race("pdu-a")
    assert [entry.verdict.value for entry in at.operation().devices[0].race] == ["failed", "won"]


# -- requests with an idempotency key ---------------------------------------------------------------------------------


def answer(at: Desk, event: e.Event) -> Answer | None:
    return at.do(event).answer


def keyed(content: str = "disarm") -> e.Keyed:
    return e.Keyed(key="key 1", content=content, event=e.ArmAsked(is_on=False, by="a person", reason="a test"))


def test_a_request_with_a_key_is_obeyed_once_and_answered_alike() -> None:
    at = Desk()
    first = answer(at, keyed())
    assert at.fleet.state.is_disarmed
    answer(at, e.ArmAsked(is_on=True, by="another person", reason="done"))
    assert answer(at, keyed()) == first
    assert not at.fleet.state.is_disarmed, "the repetition disarms nothing"


def test_a_key_belongs_to_one_request() -> None:
    at = Desk()
    answer(at, keyed())
    refused = answer(at, keyed("another request"))
    assert isinstance(refused, RefusedBy) and refused.rule == "idempotency_key"


def test_a_refusal_is_repeated_too() -> None:
    at = Desk()
    asked = e.Keyed(key="key 2", content="x", event=e.PauseEndAsked(id="p-9", by="a person"))
    assert answer(at, asked) == answer(at, asked)
    assert isinstance(answer(at, asked), RefusedBy)

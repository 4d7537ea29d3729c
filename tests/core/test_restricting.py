"""Words that another controller accepted: they become requests that can't be refused, and lengths of time (S19)."""

from typing import Any

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid, Restriction, Said, Word
from fenced.core.durable.state import Phase
from fenced.core.fleet_decisions import PAUSES_MAX
from fenced.model.names import HostName
from fenced.model.power import Action, State, What
from tests.core.desk import NODE, Desk
from tests.core.test_recovery import fenced, next_life

WHO: Any = {"by": "a person", "reason": "at night"}
DISARM = DisarmSaid(**WHO)
PAUSE = PauseSaid(match="*", **WHO)
MAINTENANCE = MaintenanceSaid(host=NODE, **WHO)


def word(what: Restriction, *, number: int = 1, key: str = "", content: str = "", age: float = 0.0) -> Word:
    said = Said(what=what, key=key, content=content)
    return Word(number=number, id=f"w{number}", said=said, age_seconds=age)


def read(at: Desk, *words: Word) -> list[r.Record]:
    return [entry.record for entry in at.do(e.WordsRead(words=words)).entries]


def test_words_are_recorded_as_requests_are() -> None:
    at = Desk()
    found = read(at, word(DISARM), word(PAUSE, number=2), word(MAINTENANCE, number=3))
    assert [type(it) for it in found] == [r.Disarmed, r.PauseSet, r.MaintenanceSet]
    assert at.fleet.state.is_disarmed
    assert [(it.id, it.match, it.until) for it in at.fleet.state.pauses] == [("p-w2", "*", None)]
    assert at.state().state is State.MAINTENANCE


def test_words_come_before_what_else_is_decided() -> None:
    """A host that would be fenced in the same batch."""
    at = Desk()
    at.go(15.0, silent=(NODE,))
    read(at, word(DISARM))
    at.go(60.0, silent=(NODE,))
    assert not at.records(r.OperationStarted)


def test_a_time_counts_from_when_it_was_said() -> None:
    at = Desk()
    read(at, word(PauseSaid(match="*", seconds=60.0, **WHO), age=20.0))
    assert [it.until for it in at.fleet.state.pauses] == [at.now + 40.0]
    late = MaintenanceSaid(host=NODE, seconds=60.0, **WHO)
    read(at, word(late, number=2, age=90.0))
    at.go(2.0)
    assert at.state().maintenance is None, "it was over before it was read"


def test_an_accepted_pause_is_refused_by_nothing() -> None:
    at = Desk()
    for _ in range(PAUSES_MAX):
        at.do(e.PauseAsked(match="*", until=None, **WHO))
    read(at, word(PauseSaid(match="cluster=new", **WHO)))
    assert len(at.fleet.state.pauses) == PAUSES_MAX + 1


def test_maintenance_of_a_host_that_is_not_here_is_a_pause() -> None:
    at = Desk()
    read(at, word(MaintenanceSaid(host=HostName("new"), **WHO)))
    assert [it.match for it in at.fleet.state.pauses] == ["host=new"]


def test_a_key_is_obeyed_once_and_another_request_under_it_all_the_same() -> None:
    """It was accepted, and refusing it would lift what an operator was told to be in force."""
    at = Desk()
    read(at, word(PAUSE, key="k", content="a"), word(PAUSE, number=2, key="k", content="a"))
    assert len(at.fleet.state.pauses) == 1
    read(at, word(DISARM, number=3, key="k", content="b"))
    assert at.fleet.state.is_disarmed


def test_a_taker_gives_no_power_back_in_a_maintenance_that_it_finds() -> None:
    """The operation is stopped before it is recovered."""
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    again = next_life(at, down=1.0, started=e.Started(said=(word(MAINTENANCE),)))
    again.go(2.0)
    again.serve()
    again.go(120.0, silent=(NODE,))
    assert not [step for step in again.records(r.StepStarted) if step.what is What.ON]
    assert again.state().maintenance is not None


def test_a_taker_that_finds_a_word_reads_before_it_goes_on() -> None:
    """An OFF of the predecessor may be under way: maintenance advances nothing before the recovery."""
    at = Desk()
    at.fence()
    at.race("pdu-a")
    at.race("pdu-b")
    assert at.operation().phase is Phase.PROVING
    again = next_life(at, down=1.0, started=e.Started(said=(word(MAINTENANCE),)))
    records = [type(entry.record) for entry in again.entries if not isinstance(entry.record, r.RequestAnswered)]
    assert records.index(r.MaintenanceSet) < records.index(r.OperationResumed)
    assert not [step for step in again.records(r.StepStarted) if step.token is not None]


def test_a_taker_finds_a_disarm_before_it_begins_anything() -> None:
    at = fenced()
    again = next_life(at, down=1.0, started=e.Started(said=(word(DISARM), word(PAUSE, number=2))))
    assert again.fleet.state.is_disarmed
    assert isinstance(again.entries[0].record, r.Disarmed)

"""Stale messages prove neither life nor silence (design.md#detection)."""

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.suspected import freshness
from fenced.model.power import Action, State
from tests.core.desk import NODE, Desk
from tests.core.test_detector import desk


def test_a_sequence_without_a_boot_id_is_compared_with_nothing() -> None:
    """Its reporter may have restarted."""
    at = desk()
    at.beat(boot=None, sequence=10_000)
    assert at.beat(boot=None, sequence=1).is_news


def test_two_reporters_with_names_have_two_counters() -> None:
    at = desk()
    for number in range(1, 40):
        assert at.reported("cron", sequence=1_000 + number).is_news
        assert at.reported("agent", sequence=number).is_news
        assert not at.reported("agent", sequence=0).is_news
        assert at.beat(sequence=20_000 + number).is_news
    assert at.reported("agent", sequence=0, boot="b2").is_news


def test_of_many_reporters_only_so_many_counters_are_kept() -> None:
    at = desk()
    for number in range(100):
        assert at.reported(f"r-{number}", sequence=5).is_news
    assert len(at.fleet.sights[NODE].counters) <= 8
    assert not at.reported("r-99", sequence=4).is_news


def speaks(at: Desk, seconds: float, *, boot: str = "b1", sequence: int | None = 3) -> None:
    """The host sends a stale message each second."""
    for _ in range(int(seconds)):
        at.go(1.0, silent=[NODE])
        assert not at.beat(boot=boot, sequence=sequence).is_news


def counted_wrong() -> Desk:
    """Return a host with a reporter that restarts its sequence within one boot."""
    at = desk()
    at.beat(sequence=2**32 - 1)
    return at


def test_a_host_that_speaks_stale_beats_is_held() -> None:
    at = counted_wrong()
    speaks(at, 120.0)
    assert [gate.gate for gate in at.state().held_by] == ["alive_but_silent"]
    assert not at.records(r.OperationStarted)
    assert "host.held" in at.told
    assert at.ask(Action.OFF, force=False) == "refused alive"
    at.go(19.0, silent=[NODE])
    assert at.state().operation is None
    at.go(10.0, silent=[NODE])
    assert at.state().operation is not None, "it is silent now"


def test_a_run_of_stale_beats_longer_than_the_grace_is_a_warning() -> None:
    at = counted_wrong()
    speaks(at, 15.0)
    assert freshness.warning(at.fleet, NODE, at.now) is None
    speaks(at, 10.0)
    assert "stale" in (freshness.warning(at.fleet, NODE, at.now) or "")
    at.beat(boot="b2", sequence=1)
    assert freshness.warning(at.fleet, NODE, at.now) is None
    speaks(at, 5.0, boot="b2", sequence=0)
    assert freshness.warning(at.fleet, NODE, at.now) is None


def test_stale_beats_hold_where_a_silent_host_that_answers_would_be_fenced() -> None:
    at = desk(detection__alive_but_silent="fence")
    at.beat(sequence=10_000)
    speaks(at, 120.0)
    assert not at.records(r.OperationStarted)


def test_beats_of_a_boot_that_ended_hold_as_well() -> None:
    """Two reporters of one host disagree on its boot id, and one of them dies."""
    at = desk()
    at.beat(boot="b2")
    speaks(at, 120.0, boot="b1", sequence=None)
    assert [gate.gate for gate in at.state().held_by] == ["alive_but_silent"]
    assert not at.records(r.OperationStarted)


def test_a_stale_beat_ends_an_operation_that_has_read_nothing_off() -> None:
    at = counted_wrong()
    at.fence()
    at.beat(sequence=3)
    at.go(0.1, silent=[NODE])
    assert at.state().operation is None
    assert not [step for step in at.records(r.StepStarted) if step.token is not None]


def test_a_retained_stale_beat_holds_no_fence() -> None:
    at = counted_wrong()
    for _ in range(30):
        at.go(1.0, silent=[NODE])
        at.beat(sequence=3, is_retained=True)
    assert at.state().operation is not None


def test_confirm_off_is_refused_for_a_host_with_stale_beats() -> None:
    at = counted_wrong()
    speaks(at, 5.0)
    asked = e.ConfirmOffAsked(host=NODE, by="person", reason="told", is_forced=False, read=None)
    at.go(18.0, silent=[NODE])
    assert at.state().state is State.SUSPECT
    assert getattr(at.do(asked).answer, "rule", None) == "alive"

"""Evidence of other systems: what each kind means, for how long, and what is told of a source that fell silent."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.allowed import gates, of_life
from fenced.core.decide import decide
from fenced.core.durable import records as r
from fenced.core.following import hear
from fenced.core.heard.evidence import KEPT_SECONDS, SOURCES_MAX, STATEMENTS_MAX
from fenced.core.suspected import evidence
from fenced.model.names import HostName
from fenced.model.power import Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

ALL_KINDS = ("storage_lease", "maintenance", "drained", "shutting_down")


def desk(**settings: Setting) -> Desk:
    return Desk(Rack(devices=("bmc:1",), settings={name.replace("__", "."): value for name, value in settings.items()}))


def says(
    at: Desk, kind: str, *, ttl: float = 60.0, source: str = "san", is_alive: bool = True, host: HostName = NODE
) -> None:
    at.do(message(at, kind, ttl=ttl, source=source, is_alive=is_alive, host=host))


def message(
    at: Desk, kind: str, *, ttl: float = 60.0, source: str = "san", is_alive: bool = True, host: HostName = NODE
) -> e.Evidence:
    return e.Evidence(
        host=host, source=source, received=at.now, is_retained=False, evidence_kind=kind, is_alive=is_alive,
        ttl_seconds=ttl,
    )  # fmt: skip


def held_by(at: Desk) -> set[str]:
    return {verdict.gate for verdict in at.state().held_by if not verdict.is_open}


def why(at: Desk) -> str:
    return of_life.live_evidence(at.fleet, NODE, at.now).why


def silent_until_fenced(at: Desk, seconds: float = 1500.0) -> float:
    """Return after how many seconds of silence an operation began."""
    begun = at.now
    while at.state().operation is None:
        assert at.now < begun + seconds, f"never fenced: {at.state().held_by}"
        at.go(1.0, silent=[NODE])
    return at.now - begun


# -- what each kind does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["storage_lease", "maintenance"])
def test_it_holds_until_its_ttl_is_over_and_no_longer(kind: str) -> None:
    at = desk()
    says(at, kind, ttl=100.0)
    at.go(60.0, silent=[NODE])
    assert at.state().state is State.SUSPECT and held_by(at) == {"live_evidence"}
    at.go(42.0, silent=[NODE])
    assert at.state().operation is not None


@pytest.mark.parametrize("kind", ["drained", "gossip", "idle", "busy"])
def test_a_kind_that_is_not_configured_is_kept_and_shown_and_holds_nothing(kind: str) -> None:
    at = desk()
    says(at, kind, ttl=1000.0)
    assert silent_until_fenced(at) < 40.0
    assert f"evidence: san says {kind}" in " ".join(at.operation().explanation)
    assert evidence.remarks(at.fleet, NODE, at.now) == (f"san says {kind}, which holds no fence",)
    assert evidence.lines(at.fleet, NODE, at.now)[0].startswith(f"san: {kind} for ")


@pytest.mark.parametrize("kind", ["drained", "gossip"])
def test_any_kind_holds_if_it_is_configured(kind: str) -> None:
    at = desk(gates__live_evidence=(kind,))
    says(at, kind, ttl=100.0)
    at.go(60.0, silent=[NODE])
    assert held_by(at) == {"live_evidence"}


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_what_is_said_of_sleep_is_no_sign_of_life(kind: str) -> None:
    """Not even where a person listed it by mistake: then it holds like `maintenance`."""
    at = desk(gates__live_evidence=("storage_lease", kind))
    assert not of_life.is_life(at.fleet, kind)
    assert of_life.is_life(at.fleet, "storage_lease")


def test_a_kind_that_a_person_took_out_holds_nothing() -> None:
    at = desk(gates__live_evidence=())
    for kind in ALL_KINDS:
        says(at, kind, ttl=1000.0)
    assert silent_until_fenced(at) < 40.0


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_not_alive_says_nothing_about_death(kind: str) -> None:
    """It neither makes a host suspect, nor opens a gate that others close, nor counts in a proof."""
    at = desk()
    says(at, kind, ttl=1000.0, is_alive=False)
    at.go(10.0, silent=[NODE])
    assert at.state().state is State.HEALTHY
    says(at, "storage_lease", ttl=100.0, source="other")
    says(at, "storage_lease", ttl=100.0, is_alive=False)
    at.go(40.0, silent=[NODE])
    assert held_by(at) == {"live_evidence"}, "one source does not take back what another one said"


def test_a_source_takes_back_one_kind_and_no_other() -> None:
    at = desk()
    says(at, "storage_lease", ttl=100.0)
    says(at, "maintenance", ttl=100.0)
    says(at, "maintenance", ttl=100.0, is_alive=False)
    assert "storage_lease is alive" in why(at)
    says(at, "storage_lease", ttl=100.0, is_alive=False)
    assert why(at) == "none"


def test_a_shorter_statement_replaces_a_longer_one() -> None:
    at = desk()
    says(at, "storage_lease", ttl=1000.0)
    says(at, "storage_lease", ttl=10.0)
    at.go(11.0)
    assert why(at) == "none"


# -- shutting down ----------------------------------------------------------------------------------------------------


def test_a_host_that_shuts_down_is_not_suspected_until_the_ttl_is_over() -> None:
    at = desk()
    says(at, "shutting_down", ttl=120.0, source="bmc")
    at.go(119.0, silent=[NODE])
    assert at.state().state is State.HEALTHY and not at.records(r.HostSuspected)
    at.go(2.0, silent=[NODE])
    assert at.state().state is State.SUSPECT
    assert silent_until_fenced(at) < 15.0


def test_a_host_that_is_suspect_already_is_held_while_it_is_said_to_shut_down() -> None:
    at = desk()
    at.suspect()
    says(at, "shutting_down", ttl=60.0, source="bmc")
    at.go(30.0, silent=[NODE])
    assert held_by(at) == {"live_evidence"} and "shuts down" in why(at)
    assert silent_until_fenced(at) < 40.0


def test_however_often_it_is_said_it_explains_no_silence_beyond_stopping_max() -> None:
    at = desk(detection__stopping_max_seconds=300.0)
    begun = at.now
    while at.state().operation is None:
        assert at.now < begun + 400.0, "a source that lies must not protect a dead host for ever"
        says(at, "shutting_down", ttl=600.0, source="bmc")
        at.go(5.0, silent=[NODE])
    assert at.now - begun > 300.0


def test_beats_of_the_same_run_do_not_end_it() -> None:
    """A host that goes down sends heartbeats until its reporter is stopped."""
    at = desk()
    says(at, "shutting_down", ttl=120.0, source="bmc")
    at.go(60.0)
    at.go(50.0, silent=[NODE])
    assert at.state().state is State.HEALTHY


def test_a_new_run_ends_it() -> None:
    at = desk()
    says(at, "shutting_down", ttl=1000.0, source="bmc")
    at.go(15.0, silent=[NODE])
    at.boots[NODE] = "b2"
    at.beat(boot="b2")
    assert silent_until_fenced(at) < 40.0


def test_taken_back_its_silence_counts_at_once() -> None:
    at = desk()
    says(at, "shutting_down", ttl=1000.0, source="bmc")
    at.go(60.0, silent=[NODE])
    assert at.state().state is State.HEALTHY
    says(at, "shutting_down", ttl=1.0, source="bmc", is_alive=False)
    at.go(1.0, silent=[NODE])
    assert at.state().state is State.SUSPECT


# -- around an operation ----------------------------------------------------------------------------------------------


def test_maintenance_before_the_first_off_stops_the_operation() -> None:
    at = desk()
    at.fence()
    says(at, "maintenance", ttl=1000.0, source="ovirt")
    at.serve(seconds=20.0)
    assert at.state().operation is None
    assert at.records(r.OperationEnded)[-1].state.value == "cancelled"
    assert not at.records(r.HostFenced) and at.power(NODE, at.fleet.host(NODE).devices[0].name) is Power.ON


@pytest.mark.parametrize("kind", ["maintenance", "shutting_down"])
def test_after_an_off_it_goes_on_to_the_proof(kind: str) -> None:
    """It says nothing of life, and half a fence is worse than a whole one (S19)."""
    at = Desk(Rack(devices=("bmc:1", "pdu-a:2")))
    at.fence()
    at.serve(until="step_started")
    says(at, kind, ttl=1000.0, source="ovirt")
    at.serve(seconds=30.0)
    assert at.records(r.HostFenced)


def test_maintenance_after_an_off_holds_no_further_level() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:2"), settings={"power.attempts": 1}))
    at.fence()
    at.serve(until="step_started")
    says(at, "maintenance", ttl=10000.0, source="ovirt")
    end = at.now + 200.0
    while at.now < end and not at.records(r.HostFenced):
        if at.waiting(c.SwitchDevice, "pdu-a"):
            at.switched("pdu-a", Outcome.FAILED)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])
    assert at.records(r.HostFenced), "the first level failed; the second one goes on"


def test_maintenance_is_no_reason_against_a_persons_word_that_the_host_is_off() -> None:
    at = desk()
    at.suspect()
    says(at, "maintenance", ttl=1000.0)
    assert of_life.live_evidence(at.fleet, NODE, at.now, is_life_only=True).is_open
    says(at, "storage_lease", ttl=1000.0)
    assert not of_life.live_evidence(at.fleet, NODE, at.now, is_life_only=True).is_open


# -- sources ----------------------------------------------------------------------------------------------------------


def regular(at: Desk, source: str = "san", *, host: HostName = NODE) -> None:
    for _ in range(3):
        says(at, "storage_lease", ttl=30.0, source=source, host=host)
        at.go(10.0)


def test_a_source_that_fell_silent_is_told_once_what_it_said_has_ended() -> None:
    at = desk()
    regular(at)
    assert evidence.remarks(at.fleet, NODE, at.now) == () and evidence.warnings(at.fleet, at.now) == ()
    at.go(30.0)
    words = "evidence source san was last heard 40 s ago: it says nothing any more"
    assert evidence.remarks(at.fleet, NODE, at.now) == (words,)
    assert evidence.warnings(at.fleet, at.now) == (words,)
    assert gates.closed(gates.all_gates(at.fleet, NODE, at.now)) != ()
    at.go(20.0, silent=[NODE])
    assert silent_until_fenced(at) < 40.0, "it holds nothing any more"


def test_a_source_that_still_speaks_of_other_hosts_is_not_silent() -> None:
    at = desk()
    regular(at)
    at.go(20.0)
    says(at, "storage_lease", ttl=100.0, host=HostName("node-2"))
    at.go(30.0)
    assert evidence.warnings(at.fleet, at.now) == () and evidence.remarks(at.fleet, NODE, at.now) == ()


def test_who_said_a_thing_once_is_no_source_that_fell_silent() -> None:
    at = desk()
    says(at, "maintenance", ttl=10.0)
    at.go(60.0)
    assert evidence.warnings(at.fleet, at.now) == ()


def test_a_source_that_is_gone_for_a_day_was_removed() -> None:
    at = desk()
    regular(at)
    assert at.fleet.sources.silent(at.now + 100.0)
    assert not at.fleet.sources.silent(at.now + 100.0 + KEPT_SECONDS)


def test_statements_and_sources_are_bounded() -> None:
    at = desk()
    for number in range(200):
        says(at, "storage_lease", ttl=1000.0, source=f"san-{number}")
        says(at, "maintenance", ttl=1000.0, source=f"san-{number}")
        at.now += 0.01
    assert len(at.fleet.sights[NODE].evidence or {}) <= STATEMENTS_MAX + 2
    assert len(at.fleet.sources.known) == SOURCES_MAX


# -- what survives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_refused_batch_forgets_no_evidence(kind: str) -> None:
    at = desk()
    at.fleet.begin()
    decide(at.fleet, message(at, kind, ttl=1000.0), at.now)
    at.fleet.roll_back()
    assert ("san", kind) in (at.fleet.sights[NODE].evidence or {})
    assert "san" in at.fleet.sources.known


def test_a_batch_that_is_decided_again_counts_a_message_once() -> None:
    at = desk()
    for _ in range(5):
        at.fleet.begin()
        decide(at.fleet, message(at, "storage_lease"), at.now)
        at.fleet.roll_back()
    assert at.fleet.sources.known["san"].messages == 1


def test_a_standby_hears_it_too() -> None:
    at = desk()
    assert hear(at.fleet, message(at, "maintenance", ttl=1000.0), at.now)
    assert "people work on it" in why(at)

"""The answer to "why", in at most ten lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.allowed.catalogue import GATES
from fenced.core.durable.state import GateVerdict
from fenced.core.explaining import LINES_MAX, lasted, summary
from fenced.model.names import HostName
from fenced.model.power import Action
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack


def said(desk: Desk, name: HostName = NODE) -> list[str]:
    return list(summary(desk.fleet, name, desk.now, gates.all_gates(desk.fleet, name, desk.now)))


def test_a_healthy_host_says_what_would_happen_and_raises_no_alarm() -> None:
    desk = Desk()
    lines = said(desk)
    assert "is healthy: heard 0.0 s ago, its grace is 20 s." in lines[0]
    assert (
        lines[1]
        == "If it died now: after 20 s of silence it would be suspect, and restart through pdu-a, pdu-b would follow."
    )
    assert len(lines) == 2


def test_a_healthy_host_names_what_would_hold_it() -> None:
    desk = Desk()
    desk.do(e.ArmAsked(is_on=False, by="p", reason="r"))
    desk.do(e.PauseAsked(match="*", by="night shift", reason="switch work", until=None))
    lines = said(desk)
    assert lines[1] == "If it died now: after 20 s of silence it would be suspect, and held by armed, paused:"
    assert "  paused: paused by night shift: switch work" in lines
    assert f"    opens when {GATES['paused'].opens_when}" in lines


def test_a_held_host_says_by_what_and_what_opens_it() -> None:
    desk = Desk()
    desk.do(e.PauseAsked(match=f"host={NODE}", by="p", reason="switch work", until=None))
    desk.go(60.0, silent=[NODE])
    lines = said(desk)
    assert lines[0].startswith(f"{NODE} is suspect for ")
    assert lines[0].endswith("It may still run.")
    assert lines[1].startswith("Looked at ") and lines[1].endswith(" s ago: the daemon saw it silent.")
    assert lines[2] == "It is not fenced, because it is held by paused:"
    assert "fencectl resume" in lines[4]


def test_a_host_that_waits_for_release_grace_says_so() -> None:
    desk = Desk(is_calm=False)
    desk.calm_but([NODE])
    desk.go(30.0, silent=[NODE])
    if desk.state().held_by:
        assert any("release_grace" in line for line in said(desk))


def test_a_fenced_host_that_stays_off_says_who_can_give_it_power() -> None:
    desk = Desk()
    desk.do(e.ConfirmOffAsked(host=NODE, by="p", reason="pulled", is_forced=True, read=None))
    lines = said(desk)
    assert "is fenced for" in lines[0]
    assert any(f"fencectl on {NODE}" in line for line in lines)


def test_each_state_has_a_first_line() -> None:
    desk = Desk()
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="p", reason="disks"))
    assert said(desk)[0].endswith("by p: disks. It is left alone.")
    unknown = Desk(is_calm=False)
    assert "never fenced by itself" in said(unknown)[0]
    running = Desk()
    running.ask(Action.OFF)
    assert "fencectl operation" in said(running)[-1]


@given(st.lists(st.sampled_from(sorted(GATES)), unique=True))
@settings(max_examples=200)
def test_it_is_never_longer_than_ten_lines(shut: list[str]) -> None:
    verdicts = [GateVerdict(gate=gate, is_open=False, why=f"because of {gate}") for gate in shut]
    healthy = _HEALTHY
    lines = summary(healthy.fleet, NODE, healthy.now, verdicts)
    assert 1 <= len(lines) <= LINES_MAX
    told = [gate for gate in shut if not GATES[gate].is_of_silence]
    assert all(gate in lines[1] for gate in told), "each closed gate is named"


_HEALTHY = Desk(Rack())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.0, "119 s"), (121.0, "2 min"), (7200.0, "2 h"), (200_000.0, "2 days"), (-1.0, "0 s")],
)
def test_times_are_said_as_a_person_says_them(seconds: float, text: str) -> None:
    assert lasted(seconds) == text


def test_a_host_that_was_silent_through_an_outage_is_not_said_to_be_fenced_soon() -> None:
    desk = Desk()
    desk.do(e.BusDisconnected(at=desk.now, why="gone"))
    desk.go(100.0, silent=list(desk.inventory.hosts))
    desk.do(e.BusConnected(at=desk.now))
    desk.go(60.0, silent=[NODE])
    until = desk.fleet.own.released_from + desk.inventory.hosts[NODE].settings.detection.release_grace_seconds
    assert said(desk)[1].startswith(
        "It may boot after an outage, a hold, our start or a stopped operation: "
        f"in {until - desk.now:.0f} s it would be suspect"
    )


def test_words_of_others_stay_on_their_line_and_move_no_cursor() -> None:
    desk = Desk()
    desk.do(e.MaintenanceAsked(host=NODE, is_on=True, by="p", reason="r\nnode-1 is fenced.\x1b[2J"))
    assert all(line.isprintable() for line in said(desk))


def test_what_opens_a_gate_names_no_domain_that_may_be_another_one() -> None:
    assert "rack=" not in GATES["storm"].opens_when

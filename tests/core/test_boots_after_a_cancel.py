"""A host whose fence was stopped after its power may have been cut boots: it gets its `boot_grace`, too."""

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import Phase
from fenced.model.power import Action, OperationState, Power, State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

BOOT_GRACE = 300.0
NORMAL_SECONDS = 60.0
"""Longer than the grace, the wait for witnesses and the cooldown together."""
LATE_SECONDS = 30.0
SETTINGS: dict[str, Setting] = {
    "detection.boot_grace_seconds": BOOT_GRACE,
    "detection.late_message_seconds": LATE_SECONDS,
    "gates.cooldown_seconds": 10.0,
    "gates.budget_hosts": 9,
}


def cut() -> Desk:
    """A host falls silent, its OFF is done, and nobody has read it yet."""
    at = Desk(Rack(devices=("pdu-a:1",), settings=SETTINGS))
    at.go(40.0, silent=[NODE])
    at.serve(until="step_ended", seconds=20.0)
    assert at.powers == {(NODE, "pdu-a"): Power.OFF} and at.waiting(c.ReadDevice)
    return at


def stopped(*, is_cut: bool = True, boot: str | None = "b1") -> Desk:
    """A host falls silent and is heard after the OFF was sent, before any device reads OFF. `is_cut`: its power was
    cut all the same; the ON that follows makes it boot."""
    at = cut()
    if not is_cut:
        at.set_power(Power.ON, "pdu-a")
    at.beat(boot=boot)
    assert at.operation().phase is Phase.RESTORING
    at.serve(until="operation_ended", seconds=30.0)
    return at


def suspicions(at: Desk) -> int:
    return sum(isinstance(entry.record, r.HostSuspected) for entry in at.entries)


def ended(at: Desk) -> r.OperationEnded:
    return [entry.record for entry in at.entries if isinstance(entry.record, r.OperationEnded)][-1]


@pytest.mark.parametrize("boot", ["b1", None])
def test_it_is_not_suspected_within_its_boot_grace(boot: str | None) -> None:
    at = stopped(boot=boot)
    assert (ended(at).state, at.state().state) == (OperationState.CANCELLED, State.HEALTHY)
    at.go(BOOT_GRACE - 1.0, silent=[NODE])
    assert (suspicions(at), at.state().state) == (1, State.HEALTHY)


def test_it_is_suspected_and_fenced_after_it() -> None:
    at = stopped()
    at.go(BOOT_GRACE + NORMAL_SECONDS, silent=[NODE])
    assert suspicions(at) == 2 and at.operation().action is Action.RESTART


def test_a_host_that_never_lost_its_power_has_none() -> None:
    """No ON was sent: it reads ON all the time."""
    at = stopped(is_cut=False)
    assert at.state().release_until == 0.0
    at.go(NORMAL_SECONDS, silent=[NODE])
    assert suspicions(at) == 2


def test_once_it_booted_its_silence_counts_as_ever() -> None:
    at = stopped()
    at.go(20.0, silent=[NODE])
    at.beat(boot="b2")
    assert at.state().release_until == 0.0
    at.go(NORMAL_SECONDS, silent=[NODE])
    assert suspicions(at) == 2


def test_a_beat_of_the_old_run_that_can_not_be_older_than_its_power_ends_the_grace() -> None:
    """Its power was not cut: it has another feed."""
    at = stopped()
    at.go(LATE_SECONDS + 1.0, silent=[NODE])
    at.beat()
    at.go(NORMAL_SECONDS, silent=[NODE])
    assert suspicions(at) == 2


def test_a_late_beat_of_the_old_run_does_not_end_the_grace() -> None:
    at = stopped()
    at.go(LATE_SECONDS - 1.0, silent=[NODE])
    at.beat()
    at.go(BOOT_GRACE - LATE_SECONDS - 1.0, silent=[NODE])
    assert suspicions(at) == 1


@pytest.mark.parametrize("boot", ["b1", None])
def test_nor_does_it_end_that_of_a_suspect(boot: str | None) -> None:
    """Nobody heard it within its grace when the operation ended."""
    at = cut()
    at.beat(boot=boot)
    at.go(25.0, silent=[NODE])
    at.serve(until="operation_ended", seconds=30.0)
    assert at.state().state is State.SUSPECT
    at.go(10.0, silent=[NODE])
    assert [verdict.gate for verdict in at.state().held_by] == ["release_grace"]
    at.beat(boot=boot)
    assert at.state().state is State.HEALTHY
    at.go(BOOT_GRACE - 15.0, silent=[NODE])
    assert (suspicions(at), at.state().state) == (1, State.HEALTHY)


def test_a_suspect_that_an_operator_switches_on_may_boot() -> None:
    at = Desk(Rack(devices=("pdu-a:1",), settings={**SETTINGS, "host.automatic": False}))
    at.set_power(Power.OFF, "pdu-a")
    at.go(40.0, silent=[NODE])
    assert at.state().state is State.SUSPECT
    at.ask(Action.ON)
    at.serve(until="operation_ended", seconds=30.0)
    at.go(10.0, silent=[NODE])
    assert [verdict.gate for verdict in at.state().held_by] == ["release_grace"]

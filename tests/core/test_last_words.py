"""The last messages of a host: a last will, `stopping`, and messages of a run that was cut off."""

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.power import Action, Power, State
from tests.core.desk import NODE, Desk
from tests.core.moves import next_watch, off_and_fenced, until_sent
from tests.world.rack import Rack, Setting


@pytest.mark.parametrize("setting", [{"gates.witness_hosts": 0}, {"gates.witness_wait_seconds": 8.0}])
def test_a_last_will_alone_never_fences_a_host_that_lives(setting: dict[str, Setting]) -> None:
    at = Desk(Rack(settings={"detection.on_report": "fence", **setting}))
    at.life[NODE] = "tcp 22"
    at.beat()
    at.do(e.Presence(host=NODE, received=at.now, is_retained=False, is_online=False))
    at.go(20.0, silent=[NODE])
    at.serve(seconds=5.0)
    assert at.state().state is State.SUSPECT
    assert not at.records(r.OperationStarted)


def test_stopping_with_a_new_boot_revokes_as_any_life_does() -> None:
    at = off_and_fenced()
    at.beat(boot="b2", status=e.HealthStatus.STOPPING)
    assert at.records(r.HostRevoked)
    assert at.state().state is State.LEFT


def test_a_late_stopping_of_the_old_boot_changes_nothing() -> None:
    at = off_and_fenced()
    at.beat(boot=None, status=e.HealthStatus.STOPPING)
    assert at.state().state is State.FENCED


def heard_again_in_its_last_moments() -> Desk:
    """The host rebooted by itself just before the OFF, and the proof came after that."""
    at = Desk()
    at.ask(Action.RESTART)
    until_sent(at)
    at.beat(boot="b2", sequence=1)
    at.go(1.0, silent=[NODE])
    at.serve(seconds=10.0, until="host_fenced")
    return at


def test_a_late_message_of_the_run_that_was_cut_off_revokes_nothing() -> None:
    at = heard_again_in_its_last_moments()
    at.beat(boot="b2", sequence=2)
    assert not at.records(r.HostRevoked)
    assert at.state().state is State.FENCED


def test_a_late_message_of_the_run_that_was_cut_off_is_not_taken_for_a_restored_host() -> None:
    at = heard_again_in_its_last_moments()
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    assert at.state().state is State.RESTORING
    at.beat(boot="b2", sequence=2)
    assert at.state().state is State.RESTORING


def test_the_run_that_was_taken_for_ended_is_heard_again_after_its_devices_read_on() -> None:
    at = off_and_fenced(Rack(settings={"detection.boot_grace_seconds": 90.0}))
    at.set_power(Power.ON, "pdu-a")
    next_watch(at)
    assert at.state().state is State.RESTORING
    at.go(600.0)
    assert at.state().state is State.HEALTHY
    assert len(at.records(r.OperationStarted)) == 1

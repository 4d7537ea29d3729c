"""A host that one reload takes out of the inventory and another brings back is what its records say, as after a start."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.model.names import DeviceName
from fenced.model.power import Action, State
from tests.core.desk import FOR_EVER, NODE, Desk, said
from tests.properties.watched_desk import WatchedDesk
from tests.world.rack import Rack


def read(at: Desk, *, is_there: bool) -> str:
    """A reload with or without the host: `accepted ` or `refused RULE`."""
    hosts = {name: host for name, host in at.inventory.hosts.items() if is_there or name != NODE}
    return said(at.do(e.InventoryRead(inventory=replace(at.inventory, hosts=hosts))).answer)


def gone_and_back(at: Desk, seconds: float = 30.0) -> None:
    assert read(at, is_there=False) == "accepted "
    at.go(seconds, silent=[NODE])
    assert read(at, is_there=True) == "accepted "


def test_it_is_still_in_maintenance() -> None:
    at = Desk()
    at.maintain()
    gone_and_back(at)
    assert at.state().maintenance is not None
    at.go(200.0, silent=[NODE])
    assert at.state().state is State.MAINTENANCE


def test_its_device_that_lied_is_still_not_believed() -> None:
    at = Desk()
    at.fleet.put(replace(at.state(), distrusted=(DeviceName("pdu-a"),)))
    gone_and_back(at)
    assert at.state().distrusted == (DeviceName("pdu-a"),)


def test_what_is_replayed_is_what_lives() -> None:
    at = WatchedDesk(Rack())
    at.maintain()
    gone_and_back(at)
    at.look()


@pytest.mark.parametrize("away_seconds", [1.0, 600.0])
def test_the_time_in_which_nobody_listened_to_it_is_not_its_silence(away_seconds: float) -> None:
    at = Desk()
    gone_and_back(at, away_seconds)
    at.go(at.inventory.daemon.startup_quiet_seconds + 15.0, silent=[NODE])
    assert at.state().state is State.HEALTHY
    at.go(700.0, silent=[NODE])
    assert at.state().state is not State.HEALTHY, "it has been silent since"


def test_it_does_not_come_back_into_an_operation_that_nobody_took_up() -> None:
    """The file lost it while the daemon was away: what was under way ended there, and is told."""
    at = Desk()
    at.ask(Action.OFF)
    hosts = {name: host for name, host in at.inventory.hosts.items() if name != NODE}
    again = Fleet(replace(at.inventory, hosts=hosts), epoch=2, started=at.now)
    again.restore(dict(at.fleet.hosts), at.fleet.state)
    at.fleet = again
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.Started())
    assert "operation.finished" in at.told
    assert read(at, is_there=True) == "accepted "
    assert (at.state().operation, at.state().state) == (None, State.FAILED)

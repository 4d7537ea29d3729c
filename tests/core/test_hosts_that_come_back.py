"""A host that one reload removes and another brings back has the state of its records, as after a start."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.model.names import DeviceName
from fenced.model.power import Action, State, What
from fenced.model.settings import HostSettings
from tests.core.desk import FOR_EVER, NODE, Desk, said
from tests.core.test_edited_inventory import edited, restarted
from tests.properties.watched_desk import WatchedDesk
from tests.world.rack import Rack


def read(at: Desk, *, is_there: bool) -> str:
    """Reload with or without the host. Return `accepted ` or `refused RULE`."""
    hosts = {name: host for name, host in at.inventory.hosts.items() if is_there or name != NODE}
    return said(at.do(e.InventoryRead(inventory=replace(at.inventory, hosts=hosts))).answer)


def gone_and_back(at: Desk, seconds: float = 30.0) -> None:
    assert read(at, is_there=False) == "accepted "
    at.go(seconds, silent=[NODE])
    assert read(at, is_there=True) == "accepted "


def test_a_host_that_comes_back_is_still_in_maintenance() -> None:
    at = Desk()
    at.maintain()
    gone_and_back(at)
    assert at.state().maintenance is not None
    at.go(200.0, silent=[NODE])
    assert at.state().state is State.MAINTENANCE


def test_the_device_that_lied_of_a_host_that_comes_back_is_still_not_believed() -> None:
    at = Desk()
    at.fleet.put(replace(at.state(), distrusted=(DeviceName("pdu-a"),)))
    gone_and_back(at)
    assert at.state().distrusted == (DeviceName("pdu-a"),)


def test_a_replay_after_a_host_came_back_gives_the_live_state() -> None:
    at = WatchedDesk(Rack())
    at.maintain()
    gone_and_back(at)
    at.look()


@pytest.mark.parametrize("away_seconds", [1.0, 600.0])
def test_the_time_in_which_the_daemon_did_not_listen_does_not_count_as_silence(away_seconds: float) -> None:
    at = Desk()
    gone_and_back(at, away_seconds)
    at.go(at.inventory.daemon.startup_quiet_seconds + 15.0, silent=[NODE])
    assert at.state().state is State.HEALTHY
    at.go(700.0, silent=[NODE])
    assert at.state().state is not State.HEALTHY, "it has been silent since"


def test_a_host_does_not_come_back_into_an_operation_that_was_not_resumed() -> None:
    """The file lost the host while the daemon was down: its operation ended there, and that is reported."""
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


def test_the_watch_proves_nothing_while_an_on_of_before_may_still_act() -> None:
    """The operation that switched it on ended with the removal; its ON did not."""
    at = Desk(Rack(devices=("pdu-a:1",), settings={"power.attempt_timeout_seconds": 240.0}))
    at.fence()
    at.race("pdu-a")
    at.switched("pdu-a")
    at.beat()
    while not at.waiting(c.SwitchDevice):
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    sent = at.take(c.SwitchDevice)
    assert sent.what is What.ON
    again = restarted(at, lambda host: None)
    again.do(e.BusConnected(at=again.now))
    quick = edited(at.inventory, lambda host: replace(host, settings=_watched_often(host.settings)))
    again.do(e.InventoryRead(inventory=quick))
    again.inventory = quick
    again.serve(seconds=sent.not_after - again.now - 1.0)
    assert (again.state().state, again.records(r.HostFenced)) == (State.FAILED, [])
    again.serve(seconds=120.0, until="host_fenced")
    assert again.records(r.HostFenced), "read OFF since it can act no more"


def _watched_often(settings: HostSettings) -> HostSettings:
    return replace(settings, detection=replace(settings.detection, watch_interval_seconds=15.0))

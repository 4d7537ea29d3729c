"""Attacks on power saving: what an older store can't hold, and whom saving must leave alone."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Saving
from fenced.core.idle import counts
from fenced.journal import codec
from fenced.model.names import HostName
from fenced.model.power import Action, Power, State
from tests.core.desk import FOR_EVER, NODE, Desk
from tests.core.saving_desk import BMC, SavingDesk

OLDER = 3
"""A format of the store that does not know power saving."""


def written(desk: Desk, begun: int = 0) -> None:
    """Write all that a batch may hold in the older format."""
    for entry in desk.entries[begun:]:
        codec.dump_record(entry.record, OLDER)
    for state in desk.fleet.hosts.values():
        codec.dump_host(state, OLDER)
    codec.dump_fleet(desk.fleet.state, OLDER)


def test_a_host_that_came_back_from_a_fence_is_written_in_an_older_format() -> None:
    desk = Desk()
    desk.do(e.LeaseRenewed(until=FOR_EVER, format=OLDER))
    desk.fence()
    desk.serve(until="operation_ended", seconds=300.0)
    assert desk.state().saving.is_switched_on
    written(desk)
    desk.go(60.0, silent=[NODE])
    desk.beat(boot="b2")
    state = desk.state()
    assert state.state is State.HEALTHY
    assert state.saving.proven_at is not None
    written(desk)
    assert codec.load_host(codec.dump_host(state, OLDER)).saving == Saving()


def test_a_cluster_that_lacks_idle_hosts_records_nothing_in_an_older_format() -> None:
    desk = SavingDesk(reserve=8)  # nobody sleeps, and all are wanted
    desk.do(e.LeaseRenewed(until=FOR_EVER, format=OLDER))
    begun = len(desk.entries)
    desk.busy()
    desk.go(30.0)
    assert desk.ask(Action.SLEEP) == "refused format"
    assert desk.wanted(2) == "accepted 0 short 2"
    desk.fence()
    desk.serve(until="operation_ended", seconds=300.0)
    written(desk, begun)
    assert not desk.fleet.state.short_of


# -- after the command ------------------------------------------------------------------------------------------------


def asked_down(desk: SavingDesk) -> HostName:
    """Let a host be asked to shut down; return it."""
    name = desk.until_asked().host
    desk.switched(BMC)
    return name


def beat_every(pace: float, desk: SavingDesk, name: HostName, seconds: float) -> None:
    end = desk.now + seconds
    while desk.now < end:
        desk.beat(name)
        until = desk.now + pace - 0.1
        while desk.now < until:
            if not desk.serve_one():
                desk.go(0.5, silent=[name])


@pytest.mark.parametrize("pace", [5.0, 15.0])
def test_a_host_with_work_is_not_announced_fenced_between_two_beats(pace: float) -> None:
    desk = SavingDesk()
    name = asked_down(desk)
    desk.work[name] = 4
    desk.set_power(Power.OFF, BMC, name=name)  # a lie: the host is heard all the time
    beat_every(pace, desk, name, 120.0)
    assert not desk.records(r.HostFenced)


def test_a_host_with_work_is_announced_fenced_once_it_is_off_in_silence() -> None:
    desk = SavingDesk()
    name = asked_down(desk)
    desk.work[name] = 4
    desk.beat(name)
    desk.obey(name)
    desk.live(60.0)
    assert [entry.host for entry in desk.entries if isinstance(entry.record, r.HostFenced)] == [name]


def test_a_host_that_left_maintenance_while_it_went_down_is_asleep() -> None:
    desk = SavingDesk()
    name = asked_down(desk)
    desk.obey(name)
    desk.maintain(name)
    desk.maintain(name, is_on=False)
    assert desk.is_now(name) == "unknown"
    desk.live(60.0)
    assert desk.is_now(name) == "sleeping"
    assert desk.wanted() == "accepted 1 short 0"
    desk.live(60.0)
    assert desk.power(name, desk.inventory.hosts[name].devices[0].name) is Power.ON


# -- woken, and not coming --------------------------------------------------------------------------------------------


def test_a_cancelled_wake_whose_host_does_not_come_does_not_count_as_coming_for_ever() -> None:
    desk = SavingDesk()
    name = desk.put_to_sleep()
    desk.wanted()
    while not desk.waiting(c.SwitchDevice):
        if not desk.serve_one():
            desk.go(0.5)
    desk.switched(BMC)
    assert desk.cancel(name).startswith("accepted")
    desk.live(1500.0)
    assert "host.wake_failed" in desk.told
    assert not counts.is_coming(desk.state(name))
    assert desk.is_now(name) == "suspect"


def test_a_sleeper_lit_in_maintenance_takes_no_place_of_others_and_fails_no_wake() -> None:
    desk = SavingDesk()
    name = desk.put_to_sleep()
    desk.maintain(name)
    desk.set_power(Power.ON, BMC, name=name)
    desk.live(1500.0)
    assert desk.is_now(name) == "restoring"
    assert not counts.is_coming(desk.state(name))
    assert not desk.records(r.WakeFailed)


def test_a_wanted_sleeper_in_maintenance_does_not_count_as_on_its_way() -> None:
    desk = SavingDesk(pause_seconds=10.0, reserve=1, waking_fleet=0)  # nobody is switched on
    sleepers = {desk.put_to_sleep(), desk.put_to_sleep()}
    desk.busy()
    desk.go(30.0)
    chosen = [name for name in sleepers if _is_wanted(desk, name)]
    assert len(chosen) == 1
    desk.maintain(chosen[0])
    desk.go(30.0)
    assert all(_is_wanted(desk, name) for name in sleepers)


def _is_wanted(desk: SavingDesk, name: HostName) -> bool:
    asleep = desk.state(name).saving.asleep
    return asleep is not None and asleep.is_wanted


# -- the inventory ----------------------------------------------------------------------------------------------------


def test_a_sleeper_that_a_restart_finds_removed_is_reported() -> None:
    desk = SavingDesk()
    name = desk.put_to_sleep()
    left = {it: host for it, host in desk.inventory.hosts.items() if it != name}
    desk.inventory = replace(desk.inventory, hosts=left)
    begun = len(desk.told)
    desk.crash()
    assert "host.left_off" in desk.told[begun:]
    begun = len(desk.told)
    desk.crash()
    assert "host.left_off" not in desk.told[begun:]

"""When a host of the rack has power: plain functions, no sockets, time as a number."""

import pytest

from fenced.lab.rack import Outlet, Rack, Wiring

A1, B1 = Outlet(unit="pdu-a", number=1), Outlet(unit="pdu-b", number=1)
A2, B2 = Outlet(unit="pdu-a", number=2), Outlet(unit="pdu-b", number=2)


class Told:
    """Records what the rack reported, in order."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bool]] = []

    def __call__(self, host: str, has_power: bool) -> None:
        self.changes.append((host, has_power))


def rack_of(*, is_standby_separate: bool = False) -> tuple[Rack, Told]:
    told = Told()
    wirings = [
        Wiring(host="node-1", outlets=(A1, B1), is_standby_separate=is_standby_separate),
        Wiring(host="node-2", outlets=(A2, B2)),
    ]
    return Rack(wirings, changed=told, bmc_boot_seconds=3.0), told


def test_one_feed_of_two_is_enough() -> None:
    rack, told = rack_of()
    rack.set_outlet(A1, is_on=False, now=1.0)
    assert rack.has_power("node-1")
    assert told.changes == []


def test_the_host_dies_with_its_last_feed_and_no_other_host_does() -> None:
    rack, told = rack_of()
    rack.set_outlet(A1, is_on=False, now=1.0)
    rack.set_outlet(B1, is_on=False, now=2.0)
    rack.set_outlet(B1, is_on=False, now=3.0)
    assert not rack.has_power("node-1")
    assert rack.has_power("node-2")
    assert told.changes == [("node-1", False)]


@pytest.mark.parametrize("was_on", [True, False])
def test_the_chassis_is_on_when_mains_come_back(was_on: bool) -> None:
    rack, told = rack_of()
    rack.set_chassis("node-1", is_on=was_on)
    for outlet in (A1, B1):
        rack.set_outlet(outlet, is_on=False, now=1.0)
    assert not rack.has_power("node-1")
    told.changes.clear()
    rack.set_outlet(B1, is_on=True, now=2.0)
    rack.set_outlet(A1, is_on=True, now=3.0)
    assert rack.has_power("node-1")
    assert told.changes == [("node-1", True)]


def test_the_chassis_kills_and_starts_the_host_while_its_outlets_stay_on() -> None:
    rack, told = rack_of()
    rack.set_chassis("node-1", is_on=False)
    rack.set_chassis("node-1", is_on=False)
    rack.set_chassis("node-1", is_on=True)
    assert told.changes == [("node-1", False), ("node-1", True)]
    assert rack.has_mains("node-1")


def test_the_power_button_asks_the_host_and_cuts_nothing() -> None:
    told, asked = Told(), list[str]()
    rack = Rack([Wiring(host="node-1", outlets=(A1,))], changed=told, asked=asked.append)
    rack.ask_down("node-1")
    assert (asked, told.changes, rack.has_power("node-1")) == (["node-1"], [], True)
    rack.set_chassis("node-1", is_on=False)
    rack.ask_down("node-1")
    assert asked == ["node-1"]


def test_without_mains_the_chassis_ignores_commands() -> None:
    rack, told = rack_of()
    rack.set_chassis("node-1", is_on=False)
    for outlet in (A1, B1):
        rack.set_outlet(outlet, is_on=False, now=1.0)
    rack.set_chassis("node-1", is_on=True)
    assert not rack.has_power("node-1")
    assert told.changes == [("node-1", False)]


def test_a_bmc_loses_its_power_with_the_outlets_and_takes_time_to_boot() -> None:
    rack, _ = rack_of()
    assert rack.is_bmc_ready("node-1", now=0.0)
    for outlet in (A1, B1):
        rack.set_outlet(outlet, is_on=False, now=1.0)
    assert not rack.is_bmc_ready("node-1", now=10.0)
    rack.set_outlet(A1, is_on=True, now=20.0)
    assert not rack.is_bmc_ready("node-1", now=22.9)
    assert rack.is_bmc_ready("node-1", now=23.0)


def test_a_bmc_with_its_own_standby_power_outlives_the_outlets() -> None:
    rack, _ = rack_of(is_standby_separate=True)
    for outlet in (A1, B1):
        rack.set_outlet(outlet, is_on=False, now=1.0)
    assert rack.is_bmc_ready("node-1", now=1.0)
    assert not rack.has_power("node-1")


def test_an_outlet_feeds_one_host() -> None:
    with pytest.raises(ValueError, match="two hosts"):
        Rack([Wiring(host="a", outlets=(A1,)), Wiring(host="b", outlets=(A1,))], changed=Told())

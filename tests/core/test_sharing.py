"""Devices of two hosts report one machine: both hosts are warned, and no operation cuts power through either."""

import time
from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import decide
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.core.heard.claims import Claims
from fenced.model.inventory import DeviceSpec, Host, Inventory
from fenced.model.names import DeviceName, HostName, PlugId, ProxyName, UnitId
from fenced.model.power import Action, OperationState, Power, What
from tests.core.checked import INTERVAL, check, desk
from tests.core.desk import NODE, Desk

OTHER, THIRD = HostName("node-3"), HostName("node-4")
UUID = "00112233-4455-6677-8899-aabbccddeeff"
TURNED = "33221100-5544-7766-8899-AABBCCDDEEFF"
BACKWARDS = "ffeeddccbbaa99887766554433221100"
ANOTHER = "99999999-4455-6677-8899-aabbccddeeff"
ALERT = "host.wrong_machine"


def why(at: Desk, name: HostName) -> set[tuple[str | None, str]]:
    fenceable = at.state(name).fenceable
    return set() if fenceable is None else {(reason.device, reason.kind) for reason in fenceable.why}


def level(at: Desk, name: HostName) -> str:
    fenceable = at.state(name).fenceable
    return "nothing" if fenceable is None else fenceable.level.value


def says(at: Desk, name: HostName, *told: str, device: str = "bmc", through: str = "engine") -> None:
    """The check reads the host's device, which reports that identity."""
    at.go(1.0)
    check(at, device, host=name, told=told, through=through)


def is_shared(at: Desk, *names: HostName) -> bool:
    return all(("bmc", "shared_machine") in why(at, name) for name in names)


def is_nobodys_business(at: Desk) -> bool:
    return not any(reason for name in at.fleet.hosts for reason in why(at, name)) and ALERT not in at.told


def given(at: Desk, name: HostName, identity: str) -> None:
    """A reload sets the identity of the host's BMC."""
    at.do(e.InventoryRead(inventory=changed(at.fleet.inventory, name, identity=identity)))


def changed(inventory: Inventory, name: HostName, *, identity: str = "", plug: str = "") -> Inventory:
    def spec_of(spec: DeviceSpec) -> DeviceSpec:
        known = replace(spec, identity=identity)
        return replace(known, plug_id=PlugId(plug), unit_id=UnitId(plug)) if plug else known

    def device(host: Host) -> Host:
        devices = tuple(replace(one, spec=spec_of(one.spec)) if one.name == "bmc" else one for one in host.devices)
        return replace(host, devices=devices)

    return replace(inventory, hosts={**inventory.hosts, name: device(inventory.hosts[name])})


# -- which devices match ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [UUID, TURNED, BACKWARDS, f"{{{UUID}}}"])
@pytest.mark.parametrize("more", [(), ("SN-1",)])
def test_one_machine_under_two_addresses_is_announced_for_both_hosts(spelling: str, more: tuple[str, ...]) -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID, "SN-2")
    assert level(at, NODE) == "full"
    says(at, OTHER, spelling, *more)
    assert is_shared(at, NODE, OTHER) and level(at, NODE) == level(at, OTHER) == "none"
    texts = {name: at.state(name).fenceable.why[0].text for name in (NODE, OTHER)}  # type: ignore[union-attr]
    assert f"bmc of {OTHER}" in texts[NODE] and f"bmc of {NODE}" in texts[OTHER]
    assert at.told.count(ALERT) == 2
    for _ in range(3):
        says(at, NODE, UUID, "SN-2")
        says(at, OTHER, spelling, *more)
    assert at.told.count(ALERT) == 2, "once for each host"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((UUID,), (ANOTHER,)),
        ((UUID, "CHASSIS-1"), (ANOTHER, "CHASSIS-1")),  # blades report the serial number of their enclosure
        (("CHASSIS-1", "BOARD-1"), ("CHASSIS-1", "BOARD-2")),
        ((UUID,), ("SN-1",)),
        ((), ()),
    ],
)
def test_devices_that_report_different_machines_are_not_shared(one: tuple[str, ...], two: tuple[str, ...]) -> None:
    at = desk("bmc:1")
    for _ in range(2):
        says(at, NODE, *one)
        says(at, OTHER, *two)
    assert is_nobodys_business(at)


@pytest.mark.parametrize("two", [("SN-1",), ("sn 1",), (UUID, "SN-1")])
def test_serial_numbers_count_where_not_both_tell_a_uuid(two: tuple[str, ...]) -> None:
    at = desk("bmc:1")
    says(at, NODE, "SN-1")
    says(at, OTHER, *two)
    assert is_shared(at, NODE, OTHER)
    at = desk("bmc:1")
    says(at, NODE, *two)
    says(at, OTHER, "SN-1")
    assert is_shared(at, NODE, OTHER)


def test_two_devices_of_one_host_may_be_one_machine() -> None:
    at = desk("bmc:1", "bmc-b:2")
    for device in ("bmc", "bmc-b"):
        says(at, NODE, UUID, device=device)
    assert level(at, NODE) == "full" and is_nobodys_business(at)


def test_one_path_of_several_is_enough_and_the_others_do_not_hide_it() -> None:
    at = desk("bmc:1", proxies=("px1", "px2"))
    says(at, OTHER, UUID, through="px1")
    says(at, NODE, UUID, through="px1")
    for _ in range(2):
        says(at, NODE, ANOTHER, through="px2")
        assert is_shared(at, NODE)
    assert at.told.count(ALERT) == 2


def test_a_reading_without_an_identity_takes_nothing_back_until_it_is_old() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    says(at, OTHER, UUID)
    for _ in range(3):
        at.go(INTERVAL)
        says(at, NODE)
        says(at, OTHER)
    assert level(at, NODE) == "full" and is_nobodys_business(at) is False


def test_sharing_ends_when_the_devices_report_different_machines() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    says(at, OTHER, UUID)
    says(at, OTHER, ANOTHER)
    says(at, NODE, UUID)
    assert (level(at, NODE), level(at, OTHER)) == ("full", "full")


# -- which host owns it -----------------------------------------------------------------------------------------------


def test_an_identity_says_whose_it_is_and_the_other_is_wrong() -> None:
    at = desk("bmc:1")
    given(at, NODE, UUID)
    says(at, NODE, UUID)
    says(at, OTHER, UUID)
    assert level(at, NODE) == "full" and is_shared(at, OTHER) and at.told.count(ALERT) == 1
    at.ask(Action.OFF)
    at.serve(until="host_fenced")
    assert at.records(r.HostFenced)


def test_machines_with_one_uuid_are_distinguished_by_their_other_identities() -> None:
    at = desk("bmc:1")
    for number, name in enumerate((NODE, OTHER)):
        given(at, name, f"SN-{number}")
    for number, name in enumerate((NODE, OTHER)):
        says(at, name, UUID, f"SN-{number}")
    assert is_nobodys_business(at)


def test_a_bmc_that_moved_to_another_host_by_a_reload_is_the_others_alone() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    says(at, OTHER, ANOTHER)
    plug = at.fleet.host(NODE).devices[0].spec.plug_id
    inventory = changed(at.fleet.inventory, NODE, plug="new/bmc")
    at.do(e.InventoryRead(inventory=changed(inventory, THIRD, plug=plug)))
    says(at, THIRD, UUID)
    assert is_nobodys_business(at)


def test_a_removed_host_shares_no_device() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    inventory = at.fleet.inventory
    left = {name: host for name, host in inventory.hosts.items() if name != NODE}
    at.do(e.InventoryRead(inventory=replace(inventory, hosts=left)))
    says(at, OTHER, UUID)
    assert is_nobodys_business(at)


# -- what is not sent through it --------------------------------------------------------------------------------------


def sent(at: Desk) -> list[str]:
    return [str(step.device) for step in at.records(r.StepStarted) if step.what is What.OFF]


def both(*devices: str) -> Desk:
    at = desk(*devices)
    says(at, NODE, UUID)
    says(at, OTHER, UUID)
    return at


def ended(at: Desk) -> r.OperationEnded:
    if not at.records(r.OperationEnded):
        at.serve(seconds=400.0, until="operation_ended")
    return at.records(r.OperationEnded)[-1]


def test_a_silent_host_is_not_fenced_by_a_shared_device() -> None:
    at = both("bmc:1")
    at.go(60.0, silent=[NODE])
    assert ended(at).state is OperationState.FAILED and sent(at) == [] and not at.records(r.HostFenced)


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_an_operators_off_is_not_sent_through_a_shared_device(action: Action) -> None:
    at = both("bmc:1")
    at.ask(action)
    assert ended(at).state is OperationState.FAILED and sent(at) == []
    assert "another host" in (ended(at).why or "")


def test_an_operators_on_is_not_sent_through_a_shared_device() -> None:
    at = both("bmc:1")
    at.set_power(Power.OFF, "bmc")
    at.ask(Action.ON)
    assert ended(at).state is OperationState.FAILED
    assert not [step for step in at.records(r.StepStarted) if step.what is What.ON]


def test_a_shared_device_that_was_switched_off_before_is_given_back() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    check(at, "bmc", host=OTHER, told=(UUID,))
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    at.serve(seconds=200.0, until="operation_ended")
    assert at.records(r.HostRestored) and ended(at).state is OperationState.DONE


def test_a_host_in_maintenance_is_not_announced_and_still_has_the_device() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    at.maintain(NODE)
    says(at, OTHER, UUID)
    says(at, NODE, UUID)
    assert is_shared(at, OTHER) and at.told.count(ALERT) == 1
    at.maintain(NODE, is_on=False)
    says(at, NODE, UUID)
    assert is_shared(at, NODE) and at.told.count(ALERT) == 2


def test_a_level_without_the_shared_device_is_used() -> None:
    at = both("bmc:1", "pdu-a:2")
    at.ask(Action.OFF)
    at.serve(seconds=200.0, until="operation_ended")
    assert sent(at) == ["pdu-a"]


def test_a_device_found_shared_just_before_the_off_gets_none() -> None:
    at = desk("bmc:1")
    says(at, OTHER, UUID)
    says(at, NODE)
    at.ask(Action.OFF)
    check(at, "bmc", told=(UUID,))  # it was under way when the operation began
    assert ended(at).state is OperationState.FAILED and sent(at) == []


def test_a_device_found_shared_while_the_off_is_proven_proves_nothing() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    at.ask(Action.OFF)
    at.race("bmc")
    at.switched("bmc")
    check(at, "bmc", host=OTHER, told=(UUID,))
    assert ended(at).state is OperationState.FAILED and not at.records(r.HostFenced)


def test_the_watch_proves_no_host_off_by_a_shared_device() -> None:
    at = both("bmc:1")
    at.ask(Action.OFF)
    ended(at)
    at.set_power(Power.OFF, "bmc")
    at.serve(seconds=400.0)
    assert at.records(r.OperationEnded) and not at.records(r.HostFenced)
    assert not at.waiting(c.SwitchDevice)


# -- over a restart ---------------------------------------------------------------------------------------------------


def started_again(at: Desk) -> None:
    """Start again: recorded state is there, claims in memory are not."""
    fleet = Fleet(at.fleet.inventory, epoch=2, started=at.now)
    fleet.restore(dict(at.fleet.hosts), at.fleet.state)
    at.fleet = fleet
    at.calm()


def test_after_a_start_a_device_stays_shared_until_both_were_read() -> None:
    at = both("bmc:1")
    started_again(at)
    says(at, NODE, UUID)
    assert is_shared(at, NODE, OTHER)
    at.ask(Action.OFF)
    assert ended(at).state is OperationState.FAILED and sent(at) == []
    says(at, OTHER, ANOTHER)
    says(at, NODE, UUID)
    assert (level(at, NODE), level(at, OTHER)) == ("full", "full")
    assert at.told.count(ALERT) == 2, "the start announced nothing again"


def test_after_a_start_a_device_that_is_never_read_does_not_bar_other_hosts_for_ever() -> None:
    at = both("bmc:1")
    started_again(at)
    at.go(3 * INTERVAL)
    says(at, NODE, UUID)
    assert level(at, NODE) == "full"


# -- rejected batches, and the cost -----------------------------------------------------------------------------------


def test_a_batch_that_the_store_refused_is_decided_again() -> None:
    at = desk("bmc:1")
    says(at, NODE, UUID)
    at.fleet.begin()
    event = e.PathChecked(host=OTHER, device=DeviceName("bmc"), proxy=ProxyName("engine"), started=at.now,
                          ended=at.now, power=Power.ON, identities=(UUID,))  # fmt: skip
    decide(at.fleet, event, at.now)
    at.fleet.roll_back()
    assert not is_shared(at, NODE) and not is_shared(at, OTHER)
    at.do(event)
    assert is_shared(at, NODE, OTHER)


def test_a_fleet_of_one_placeholder_costs_no_more_than_one_of_many_machines() -> None:
    spec = desk("bmc:1").fleet.host(NODE).devices[0].spec

    def seconds(told: str) -> float:
        claims = Claims()
        began = time.process_time()
        for number in range(3000):
            name, plug = HostName(f"n{number}"), f"b{number}"
            its = replace(spec, plug_id=PlugId(plug), unit_id=UnitId(plug))
            path = (name, DeviceName("bmc"), ProxyName("engine"))
            claims.keep(path, its, (told.format(number),), at=1.0)
            claims.other(name, DeviceName("bmc"), oldest=0.0)
        return time.process_time() - began

    many, one = (min(seconds(told) for _ in range(3)) for told in ("SN-{}", "SN-1"))
    assert one < 20 * many

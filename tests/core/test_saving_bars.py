"""What keeps a host awake because of its place and its devices, and who comes up in time (S24), on the core alone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.heard.own import SAVING_FORMAT
from fenced.core.idle import fit
from fenced.model.names import HostName
from fenced.model.power import Action, What
from tests.core.checked import check
from tests.core.saving_desk import HOSTS, SavingDesk, rack

FIRST, SECOND, THIRD = (HostName(name) for name in HOSTS[:3])
UUID = "00112233-4455-6677-8899-aabbccddeeff"


def rules(desk: SavingDesk, name: HostName = FIRST) -> set[str]:
    return {bar.rule for bar in fit.bars(desk.fleet, name, desk.now, is_asked=True)}


def given(desk: SavingDesk, hosts: Mapping[HostName, Mapping[str, object]]) -> None:
    """A reload changes keys of hosts."""
    changed = {name: replace(desk.inventory.hosts[name], **keys) for name, keys in hosts.items()}  # type: ignore[arg-type]
    desk.inventory = replace(desk.inventory, hosts={**desk.inventory.hosts, **changed})
    desk.do(e.InventoryRead(inventory=desk.inventory))


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"is_drill": True}, "drill"),
        ({"is_beside_broker": True}, "own_machine"),
        ({"is_beside_store": True}, "own_machine"),
        ({"is_own_machine": True}, "own_machine"),
        ({"may_sleep": False}, "host"),
        ({"devices": ()}, "chassis"),
    ],
)
def test_its_place_keeps_it_awake_and_the_next_one_sleeps(keys: dict[str, object], rule: str) -> None:
    desk = SavingDesk(idle_for_seconds=300.0)
    given(desk, {FIRST: keys})
    command = desk.until_asked(900.0)
    assert rule in rules(desk) and command.host == SECOND


def test_a_store_of_an_older_format_keeps_all_awake() -> None:
    desk = SavingDesk()
    desk.fleet.own = replace(desk.fleet.own, format=SAVING_FORMAT - 1)
    desk.live(300.0)
    assert "format" in rules(desk) and not desk.going()


def says(desk: SavingDesk, *names: HostName) -> None:
    for name in names:
        check(desk, "bmc", host=name, told=(UUID,))


def test_nobody_whose_bmc_may_be_another_hosts_is_asked_to_shut_down() -> None:
    """Through it the other host would be asked, with all its work."""
    desk = SavingDesk(rack(**{"check.interval_seconds": 3600.0}))
    desk.live(30.0)
    says(desk, FIRST, SECOND)
    command = desk.until_asked(600.0)
    assert "shared" in rules(desk) and "shared" in rules(desk, SECOND)
    assert command.host == THIRD


def test_a_bmc_that_turns_out_to_be_shared_during_the_veto_ends_the_sleep() -> None:
    desk = SavingDesk(rack(**{"check.interval_seconds": 3600.0}))
    while "host.sleep_announced" not in desk.told:
        if not desk.serve_one():
            desk.go(0.5)
    says(desk, FIRST, SECOND)
    desk.live(120.0)
    asked = [it for it in desk.entries if isinstance(it.record, r.StepStarted) and it.record.what is What.SOFT_OFF]
    assert FIRST not in {it.host for it in asked} and SECOND not in {it.host for it in asked}


def test_a_wanted_sleeper_that_becomes_our_own_machine_is_not_switched() -> None:
    desk = SavingDesk(waking_fleet=0, pause_seconds=9000.0)
    name = desk.put_to_sleep()
    desk.wanted(1)
    given(desk, {name: {"is_own_machine": True}})
    given(
        desk,
        {
            it: {"settings": replace(host.settings, saving=replace(host.settings.saving, waking_fleet=4))}
            for it, host in desk.inventory.hosts.items()
        },
    )
    desk.live(60.0)
    started = [it.record for it in desk.entries if it.host == name and isinstance(it.record, r.OperationStarted)]
    assert [it.operation.action for it in started] == [Action.SLEEP]


def test_few_of_a_rack_come_up_at_once() -> None:
    desk = SavingDesk(
        min_on=1, asleep_at_most_percent=100.0, reserve=0, pause_seconds=0.0, waking_rack=1, waking_cluster=4,
        **{"gates.connectivity_at_least": 1, "gates.witness_hosts": 1},  # type: ignore[arg-type]
    )  # fmt: skip
    given(desk, {FIRST: {"rack": "r1"}, SECOND: {"rack": "r1"}, THIRD: {"rack": "r2"}})
    assert {desk.put_to_sleep() for _ in range(3)} == {FIRST, SECOND, THIRD}
    desk.wanted(3)
    desk.live(20.0)
    coming = {name for name in (FIRST, SECOND, THIRD) if desk.is_now(name) == "restoring"}
    assert THIRD in coming and len(coming) == 2


def test_a_spare_comes_up_while_the_other_one_is_being_fenced() -> None:
    """Not at the next look at the gates: the work of the lost host waits for it."""
    desk = SavingDesk(pause_seconds=9000.0, reserve=1)
    spare = desk.put_to_sleep()
    desk.busy(SECOND)
    silent = HostName(HOSTS[-1])
    while desk.is_now(silent) != "fencing":
        desk.go(0.1, silent=[silent])
    began = next(it.at for it in reversed(desk.entries) if isinstance(it.record, r.OperationStarted))
    assert desk.is_now(spare) == "restoring" and desk.now - began < 0.2
    assert not [it for it in desk.waiting(c.SwitchDevice) if it.host == silent], "it is being fenced still"

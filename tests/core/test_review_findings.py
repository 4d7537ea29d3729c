"""What a safety review found, each as the scenario that failed first."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Operation
from fenced.core.operation.requests import Accepted
from fenced.model.inventory import Device, Host
from fenced.model.names import DeviceName, PlugId
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import FOR_EVER, NODE, Desk, said
from tests.world.rack import Rack, Setting

FAILS_SOON: dict[str, Setting] = {"power.attempts": 1, "power.verify_timeout_seconds": 5.0}


def off_and_fenced(rack: Rack | None = None) -> Desk:
    at = Desk(rack)
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    return at


def until_sent(at: Desk, count: int = 2) -> None:
    """Serve until so many commands wait for their devices."""
    for _ in range(1000):
        if len(at.waiting(c.SwitchDevice)) >= count:
            return
        if not at.serve_one():
            at.go(0.25, silent=[NODE])
    raise AssertionError(f"only {at.waiting(c.SwitchDevice)} were sent")


def taken(at: Desk, device: str) -> None:
    """The device says that it took its command, and has not acted on it yet."""
    command = at.take(c.SwitchDevice, device)
    at.do(
        e.StepFinished(
            host=NODE, operation=command.operation, device=command.device, number=command.number,
            outcome=Outcome.DONE, error=None, is_end_known=True,
        )
    )  # fmt: skip


def fail(at: Desk) -> None:
    """The host is silent and every command fails, until its operation has ended."""
    end = at.now + 400.0
    while at.state().operation is not None:
        assert at.now < end, f"it goes on for ever: {at.operation()}"
        if at.waiting(c.SwitchDevice):
            at.switched(at.waiting(c.SwitchDevice)[0].device, Outcome.FAILED)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])


def next_watch(at: Desk, *powers: tuple[str, Power]) -> None:
    """The next round of the watch reads the devices as they are, or as told."""
    for _ in range(200):
        if at.waiting(c.WatchHost):
            break
        at.go(1.0, silent=[NODE])
    at.watched(*powers)


def reload(at: Desk, change: Callable[[Host], Host | None]) -> str:
    """A new inventory with that host changed, or without it: `accepted ` or `refused RULE`."""
    hosts = {name: host for name, host in at.inventory.hosts.items() if name != NODE}
    if (changed := change(at.inventory.hosts[NODE])) is not None:
        hosts[NODE] = changed
    inventory = replace(at.inventory, hosts=hosts)
    answer = at.do(e.InventoryRead(inventory=inventory)).answer
    if isinstance(answer, Accepted):
        at.inventory = inventory
    return said(answer)


def on_another_plug(device: Device) -> Device:
    return replace(device, spec=replace(device.spec, plug_id=PlugId("node-2/other")))


def first_on(host: Host, plug: str) -> Host:
    """The host with its first device on that plug."""
    first = replace(host.devices[0], spec=replace(host.devices[0].spec, plug_id=PlugId(plug)))
    return replace(host, devices=(first, *host.devices[1:]))


def ons(at: Desk) -> list[r.StepStarted]:
    return [step for step in at.records(r.StepStarted) if step.what is What.ON]


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


def test_an_on_that_the_device_took_may_still_act_while_it_settles() -> None:
    at = off_and_fenced(Rack(devices=("bmc:1",), settle_seconds=10.0))
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    until_sent(at, 1)
    taken(at, "bmc")
    at.cancel()
    assert at.ask(Action.OFF).startswith("accepted")
    at.serve(seconds=9.0, until="host_fenced")
    assert at.state().state is not State.FENCED
    assert len(at.records(r.HostFenced)) == 1


def test_a_living_host_is_not_left_alone_while_an_off_that_was_taken_may_still_act() -> None:
    at = Desk(Rack(devices=("bmc:1",), settle_seconds=10.0))
    at.fence()
    until_sent(at, 1)
    taken(at, "bmc")
    at.beat()
    at.serve(silent=(), seconds=9.0)
    assert at.state().operation is not None


def test_a_device_that_lied_does_not_prove_again() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended", silent=())
    at.go(60.0)
    assert at.state().state is State.HEALTHY
    assert at.state().distrusted == ("pdu-a", "pdu-b")
    at.ask(Action.OFF)
    at.serve(seconds=30.0, until="host_fenced")
    assert len(at.records(r.HostFenced)) == 1


def test_nobody_confirms_off_while_an_on_may_still_act() -> None:
    at = off_and_fenced()
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    until_sent(at)
    asked = e.ConfirmOffAsked(host=NODE, by="person", reason="seen", is_forced=False, read=None)
    assert said(at.do(asked).answer) == "refused busy"


def test_a_fenced_host_that_the_next_operation_reads_on_is_revoked() -> None:
    at = off_and_fenced(Rack(settings=FAILS_SOON))
    at.set_power(Power.ON, "pdu-a", "pdu-b")
    at.ask(Action.OFF)
    fail(at)
    assert [revoked.is_alive for revoked in at.records(r.HostRevoked)] == [False]
    assert at.state().proof is None
    assert at.state().state is State.FAILED


def test_no_on_is_sent_after_a_person_cancelled_a_restore_by_life() -> None:
    at = Desk()
    at.fence()
    until_sent(at)
    at.go(1.0, silent=[NODE])
    at.beat()
    at.switched("pdu-a")
    at.switched("pdu-b")
    at.go(5.0)
    sent = len(ons(at))
    assert at.cancel().startswith("accepted")
    at.serve(silent=(), seconds=20.0)
    assert len(ons(at)) == sent
    assert at.state().operation is None


def test_rounds_of_the_watch_before_an_operation_do_not_count_after_it() -> None:
    settings = {**FAILS_SOON, "gates.attempts_count": 0, "power.already_off_hold_seconds": 1.0}
    both_off = (("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    at = Desk(Rack(settings=settings))
    at.go(30.0, silent=[NODE])
    at.ask(Action.OFF)
    fail(at)
    next_watch(at, *both_off)
    assert [rounds.count for rounds in at.fleet.sights[NODE].watch_offs.values()] == [1]
    at.ask(Action.OFF)
    fail(at)
    assert at.state().state is State.FAILED
    next_watch(at, *both_off)
    assert at.state().state is State.FAILED


def test_a_watch_proves_off_only_after_the_hold_of_a_device_that_was_off_already() -> None:
    settings = {
        **FAILS_SOON,
        "gates.attempts_count": 0,
        "detection.watch_interval_seconds": 2.0,
        "power.already_off_hold_seconds": 60.0,
    }
    at = Desk(Rack(settings=settings))
    at.ask(Action.OFF)
    fail(at)
    at.set_power(Power.OFF, "pdu-a", "pdu-b")
    at.serve(seconds=30.0)
    assert at.state().state is State.FAILED
    at.serve(seconds=60.0, until="host_fenced")
    assert at.state().state is State.FENCED


def test_a_second_operation_fences_with_a_token_of_its_own() -> None:
    at = off_and_fenced(Rack(settings={"power.already_off_hold_seconds": 1.0}))
    at.go(40.0, silent=[NODE])
    at.ask(Action.ON)
    at.ask(Action.OFF)
    until_sent(at)
    at.switched("pdu-a", Outcome.FAILED)
    at.switched("pdu-b", Outcome.FAILED)
    at.cancel()
    at.set_power(Power.OFF, "pdu-a", "pdu-b")
    before = at.state().token
    assert before is not None
    at.serve(until="host_fenced")
    first, second = at.records(r.HostFenced)
    assert first.token < before < second.token


def heard_again_in_its_last_moments() -> Desk:
    """It rebooted by itself just before the OFF, and the proof came after that."""
    at = Desk()
    at.ask(Action.RESTART)
    until_sent(at)
    at.beat(boot="b2", sequence=1)
    at.go(1.0, silent=[NODE])
    at.serve(seconds=10.0, until="host_fenced")
    return at


def test_a_late_word_of_the_run_that_was_cut_off_revokes_nothing() -> None:
    at = heard_again_in_its_last_moments()
    at.beat(boot="b2", sequence=2)
    assert not at.records(r.HostRevoked)
    assert at.state().state is State.FENCED


def test_a_late_word_of_the_run_that_was_cut_off_is_not_taken_for_a_restored_host() -> None:
    at = heard_again_in_its_last_moments()
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    assert at.state().state is State.RESTORING
    at.beat(boot="b2", sequence=2)
    assert at.state().state is State.RESTORING


def test_a_reload_that_drops_a_device_that_is_being_read_is_refused() -> None:
    at = Desk()
    at.ask(Action.STATUS)
    assert reload(at, lambda host: replace(host, devices=host.devices[:1])) == "refused busy"
    at.race("pdu-b")
    assert at.state().power == ((DeviceName("pdu-b"), Power.ON),)


def test_a_reload_that_drops_a_host_with_an_operation_is_refused() -> None:
    at = Desk()
    at.ask(Action.OFF)
    until_sent(at)
    assert reload(at, lambda host: None) == "refused busy"
    assert NODE in at.fleet.hosts
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED


def test_what_is_owed_may_be_reached_by_another_driver_but_not_be_forgotten_or_moved() -> None:
    at = Desk(Rack(settings=FAILS_SOON))
    assert reload(at, lambda host: first_on(host, "fence_apc|10.0.0.9:22|7")).startswith("accepted")
    at.ask(Action.OFF)
    at.race("pdu-a")
    at.race("pdu-b")
    at.switched("pdu-a")
    fail(at)
    assert "pdu-a" in at.state().owed
    assert reload(at, lambda host: replace(host, devices=host.devices[1:])) == "refused busy"
    assert reload(at, lambda host: first_on(host, "fence_apc|10.0.0.9:22|8")) == "refused busy"
    assert reload(at, lambda host: first_on(host, "snmp_outlet|10.0.0.9:161|8")) == "refused busy"
    assert reload(at, lambda host: first_on(host, "snmp_outlet|10.0.0.9:161|7")).startswith("accepted")
    at.ask(Action.ON)
    at.serve(until="operation_ended")
    assert PlugId("snmp_outlet|10.0.0.9:161|7") in [step.plug_id for step in ons(at)]
    assert at.state().owed == ()


def test_an_off_that_would_wait_is_refused_for_a_living_host_as_any_other_is() -> None:
    at = Desk()
    at.set_power(Power.OFF, "pdu-b")
    at.beat()
    assert at.ask(Action.OFF, force=False) == "refused alive"
    assert at.ask(Action.ON).startswith("accepted")
    assert at.ask(Action.OFF, force=False) == "refused alive"
    assert at.state().waiting is None


def test_an_off_that_waited_past_its_deadline_is_not_begun() -> None:
    at = Desk(Rack(settings={"power.operation_timeout_seconds": 60.0}))
    at.set_power(Power.OFF, "pdu-b")
    at.beat()
    at.ask(Action.ON)
    second = at.ask(Action.OFF).removeprefix("accepted ")
    until_sent(at, 1)
    at.go(120.0)
    at.serve(silent=(), until="operation_ended")
    at.serve(silent=(), seconds=30.0)
    assert at.ended(second).state is not OperationState.DONE
    assert not at.records(r.HostFenced)


def test_what_life_ends_the_restore_of_is_given_back_by_an_operation_of_its_own() -> None:
    at = Desk()
    at.ask(Action.RESTART)
    at.serve(until="host_fenced")
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))
    at.go(31.0, silent=[NODE])
    at.beat_on()
    at.serve(silent=(), seconds=120.0)
    assert at.state().state is State.HEALTHY
    assert [operation.action for operation in started(at)] == [Action.RESTART, Action.ON]
    assert at.state().owed == ()
    assert at.told.count("host.left_off") == 0 and at.told.count("host.restored") == 1


def started(at: Desk) -> list[Operation]:
    return [record.operation for record in at.records(r.OperationStarted)]


def test_what_stays_off_is_told_when_maintenance_stops_the_restore_of_a_living_host() -> None:
    at = Desk()
    at.fence()
    until_sent(at)
    at.beat()
    at.go(1.0)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.maintain()
    at.go(60.0)
    assert at.state().state is State.MAINTENANCE
    assert "pdu-a" in at.state().owed
    assert at.told.count("host.left_off") == 1


def test_the_run_that_was_taken_for_ended_is_heard_again_after_its_devices_read_on() -> None:
    at = off_and_fenced(Rack(settings={"detection.boot_grace_seconds": 90.0}))
    at.set_power(Power.ON, "pdu-a")
    next_watch(at)
    assert at.state().state is State.RESTORING
    at.go(600.0)
    assert at.state().state is State.HEALTHY
    assert len(at.records(r.OperationStarted)) == 1


def test_a_sign_of_life_keeps_a_next_level_that_was_off_already_from_proving() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2"), settings=FAILS_SOON))
    at.set_power(Power.OFF, "bmc")
    at.fence()
    until_sent(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.serve(seconds=10.0, until="level_entered")
    assert at.operation().level == 2
    at.do(
        e.Evidence(
            host=NODE, source="san", received=at.now, is_retained=False, evidence_kind="storage_lease",
            is_alive=True, ttl_seconds=600.0,
        )
    )  # fmt: skip
    at.serve(seconds=100.0, until="host_fenced")
    assert not at.records(r.HostFenced)


def test_a_stopped_restore_of_a_host_that_was_never_heard_is_found_out_by_the_watch() -> None:
    at = Desk(is_calm=False)
    at.do(e.LeaseRenewed(until=FOR_EVER))
    at.do(e.Started())
    at.do(e.BusConnected(at=at.now))
    at.go(80.0, silent=[NODE])
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    at.ask(Action.ON)
    until_sent(at)
    at.cancel()
    at.switched("pdu-a")
    at.switched("pdu-b")
    at.serve(seconds=150.0, until="host_revoked")
    assert len(at.records(r.HostRevoked)) == 1

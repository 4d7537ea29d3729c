"""Drills: what a drill waits for, gives way to, what each step proves, and how it ends."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Drill, DrillResult, DrillStep
from fenced.model.names import BootId
from fenced.model.power import Action, Power, State, What
from tests.core.desk import NODE, Desk, said
from tests.core.drill_desk import ONE, OTHER, desk, drill
from tests.world.rack import Rack


def ended(at: Desk) -> r.DrillEnded:
    (record,) = at.records(r.DrillEnded)
    return record


def last(at: Desk) -> Drill:
    found = at.state().last_drill
    assert found is not None
    return found


def acknowledge(at: Desk) -> None:
    at.do(e.AnnouncementDelivered(host=NODE, operation=at.operation().id))


def off_and_silent(at: Desk) -> None:
    """Drill it until it is announced; the broker acknowledges."""
    assert drill(at).startswith("accepted")
    at.serve(until="host_fenced", seconds=120.0)
    acknowledge(at)


def succeeded(at: Desk) -> Desk:
    off_and_silent(at)
    at.serve(until="operation_ended")
    at.go(40.0, silent=[NODE])
    at.beat(boot="b2")
    return at


# -- a drill that succeeds --------------------------------------------------------------------------------------------


def test_a_drill_proves_each_step_and_succeeds_with_the_new_boot_id() -> None:
    at = succeeded(desk())
    assert ended(at).result is DrillResult.SUCCEEDED
    times = [last(at).milliseconds(step) for step in DrillStep]
    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var] # none of them is None
    assert at.state().drilled_at == last(at).ended
    assert at.told.count("drill.started") == at.told.count("drill.succeeded") == 1


def test_it_is_not_announced_before_it_was_silent_for_its_grace() -> None:
    at = desk()
    drill(at)
    at.serve(seconds=10.0)
    assert at.operation().is_off_sent
    assert not at.records(r.HostFenced)
    heard_at = at.fleet.sights[NODE].heard_at
    assert heard_at is not None
    at.serve(until="host_fenced", seconds=120.0)
    assert at.now - heard_at >= at.fleet.grace_seconds(NODE, at.now)


def test_its_devices_are_read_while_it_is_not_silent_yet() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=8.0)
    at.set_power(Power.ON, "bmc")  # somebody switches it on again
    at.serve(seconds=4.0)
    assert at.operation().devices[0].power is Power.ON
    at.serve(seconds=18.0)
    assert not at.records(r.HostFenced)


def test_the_announcement_says_that_it_is_a_drill() -> None:
    at = desk()
    drill(at)
    at.serve(until="host_fenced", seconds=120.0)
    (fenced,) = at.records(r.HostFenced)
    assert not fenced.is_stay_off
    assert at.operation().is_drilling


def test_it_draws_no_budget_and_counts_as_no_attempt() -> None:
    at = succeeded(desk())
    assert not at.records(r.BudgetDrawn)
    assert not at.state().attempts
    assert at.state().cooldown_until == 0.0
    assert not at.fleet.state.draws


# -- it gives way -----------------------------------------------------------------------------------------------------


def test_it_is_refused_while_another_host_is_suspect_unless_forced() -> None:
    at = desk()
    at.go(17.5, silent=[OTHER])
    at.go(4.0, silent=[OTHER])
    assert at.state(OTHER).state is State.SUSPECT
    assert drill(at) == "refused quiet"
    assert drill(at, force=True).startswith("accepted")


@pytest.mark.parametrize("force", [False, True])
def test_it_gives_way_before_its_first_off_to_a_host_that_becomes_suspect(force: bool) -> None:
    at = desk()
    at.go(16.0, silent=[OTHER])
    drill(at, force=force)
    at.go(6.0, silent=[OTHER])
    assert at.state(OTHER).state is State.SUSPECT
    at.race("pdu-a")
    assert not [record for record in at.records(r.StepStarted) if record.what is What.OFF]
    at.beat()
    assert ended(at).result is DrillResult.CANCELLED
    assert "quiet" in last(at).why
    assert at.state().state is State.HEALTHY


# -- it fails ---------------------------------------------------------------------------------------------------------


def test_a_host_that_goes_on_beating_is_never_announced_and_power_is_given_back_at_once() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=20.0, until="operation_ended")
    assert not at.records(r.HostFenced)
    assert at.power(NODE, at.inventory.hosts[NODE].devices[0].name) is Power.ON
    assert (ended(at).result, ended(at).failed_step) == (DrillResult.FAILED, DrillStep.SILENT)
    assert "went on beating" in last(at).why
    assert not at.state().owed


def test_its_devices_are_distrusted_once_its_run_is_heard_later_than_a_late_message() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=20.0, until="operation_ended")
    at.go(10.0)
    assert not at.state().distrusted
    at.go(40.0)
    assert at.state().distrusted == ("bmc",)
    assert len(at.records(r.DevicesDistrusted)) == 1


def test_a_host_that_restarted_after_a_failed_drill_keeps_its_devices_trusted() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[], seconds=20.0, until="operation_ended")
    at.boots[NODE] = "b2"
    at.go(60.0)
    assert not at.state().distrusted


def test_a_single_beat_that_was_on_its_way_is_no_life() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=3.0)
    at.beat()
    at.serve(until="host_fenced", seconds=120.0)
    assert at.records(r.HostFenced)


def test_hosts_that_fell_silent_meanwhile_get_release_grace() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=[OTHER], seconds=20.0, until="operation_ended")
    at.go(120.0, silent=[OTHER])
    assert at.state(OTHER).operation is None
    assert not [entry for entry in at.entries if entry.host == OTHER and isinstance(entry.record, r.OperationStarted)]


def test_without_a_witness_its_silence_proves_nothing_and_power_is_given_back() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(silent=list(at.inventory.hosts), seconds=600.0, until="drill_ended")
    assert not at.records(r.HostFenced)
    assert ended(at).failed_step is DrillStep.SILENT
    assert "witness" not in last(at).why
    assert "other hosts heard" in last(at).why
    assert at.power(NODE, at.inventory.hosts[NODE].devices[0].name) is Power.ON
    assert at.state().state is State.RESTORING


def test_a_device_that_does_not_go_off_fails_it_and_the_others_are_given_back() -> None:
    at = desk(power__operation_timeout_seconds=30.0, power__verify_timeout_seconds=5.0, power__attempts=1)
    drill(at)
    at.race("pdu-a")
    at.race("pdu-b")
    at.switched("pdu-a")
    at.switched("pdu-b")
    at.set_power(Power.ON, "pdu-b")
    at.serve(silent=[], seconds=200.0, until="drill_ended")
    assert ended(at).failed_step is DrillStep.OFF
    assert not at.state().owed


def test_an_announcement_that_is_not_acknowledged_fails_it() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(until="operation_ended", seconds=180.0)
    assert at.records(r.HostFenced)
    assert ended(at).failed_step is DrillStep.ANNOUNCED


def test_a_host_that_is_not_heard_within_boot_grace_fails_it() -> None:
    at = desk(devices=ONE)
    off_and_silent(at)
    at.serve(until="operation_ended")
    at.serve(seconds=at.inventory.hosts[NODE].settings.detection.boot_grace_seconds + 5.0, until="drill_ended")
    assert ended(at).failed_step is DrillStep.HEARD
    assert at.state().drilled_at is None


def test_a_host_heard_again_with_its_old_boot_id_fails_it() -> None:
    at = desk(devices=ONE)
    off_and_silent(at)
    heard = r.HostHeard(boot=BootId("b1"), before="restoring", why="restored")  # the core never does it by itself
    at.fleet.apply(r.Entry(at=at.now, host=NODE, record=heard))
    at.serve(until="drill_ended")
    assert (ended(at).result, ended(at).failed_step) == (DrillResult.FAILED, DrillStep.HEARD)


def test_the_last_success_outlives_a_later_failure() -> None:
    at = succeeded(desk(devices=ONE))
    at.boots[NODE] = "b2"
    at.go(20.0)
    success = at.state().drilled_at
    drill(at)
    at.serve(silent=[], seconds=20.0, until="operation_ended")
    assert last(at).result is DrillResult.FAILED
    assert at.state().drilled_at == success


# -- other requests ---------------------------------------------------------------------------------------------------


def test_another_request_takes_it_over_and_needs_no_silence() -> None:
    at = desk(devices=ONE)
    drill(at)
    at.serve(seconds=5.0)
    at.ask(Action.OFF)
    at.serve(until="operation_ended", seconds=10.0)
    assert at.records(r.HostFenced)
    assert ended(at).result is DrillResult.CANCELLED
    assert at.state().is_stay_off


def test_a_cancelled_drill_without_an_off_proves_nothing() -> None:
    at = desk()
    drill(at)
    at.cancel()
    assert ended(at).result is DrillResult.CANCELLED


def test_a_request_of_the_bus_starts_no_drill() -> None:
    at = desk()
    request = e.BusRequest(
        host=NODE, received=at.now, is_retained=False, id="r-1", action="drill", reason="", by="x", sent_at=at.now,
        reply_topic=None, correlation=None,
    )  # fmt: skip
    accepts = replace(at.inventory, daemon=replace(at.inventory.daemon, accept_requests=("drill",)))
    at.do(e.InventoryRead(inventory=accepts))
    assert said(at.do(request).answer) == "refused action"


# -- a restart of the daemon ------------------------------------------------------------------------------------------


def test_a_replay_has_the_drill_and_its_result() -> None:
    at = succeeded(desk())
    again = Desk(Rack(drills=(NODE,)), is_calm=False)
    for entry in at.entries:
        again.fleet.apply(entry)
    assert again.state().last_drill == last(at)
    assert again.state().drilled_at == at.state().drilled_at


def test_the_boot_id_that_it_ends_is_that_of_its_start() -> None:
    at = desk()
    drill(at)
    begun = at.state().drill
    assert begun is not None and begun.boot == BootId("b1")

"""Giving power back, and what stops an operation before and after its first OFF (S8, S9, S10, S19)."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Restored
from fenced.model.names import OperationId
from fenced.model.power import Action, OperationState, Outcome, Power, State, What
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack, Setting

BOTH = ("pdu-a", "pdu-b")


def desk(*devices: str, **settings: Setting) -> Desk:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return Desk(Rack(devices=devices or ("pdu-a:1", "pdu-b:1"), settings=given))


def commands(at: Desk) -> list[str]:
    """Return every power command so far, as `off pdu-a`."""
    return [f"{step.what.value} {step.device}" for step in at.records(r.StepStarted) if step.token is not None]


def off_on_its_way(at: Desk) -> None:
    at.fence()
    for device in BOTH:
        at.race(device)


# -- giving power back ------------------------------------------------------------------------------------------------


def test_outlets_come_before_the_chassis_and_every_touched_level_is_restored() -> None:
    at = desk("pdu-a:1", "pdu-b:1", "bmc:2", power__attempts=1)
    off_on_its_way(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.serve(until="operation_ended", seconds=120.0)
    ons = [word for word in commands(at) if word.startswith("on ")]
    assert set(ons) == {"on pdu-a", "on pdu-b", "on bmc"} or set(ons) == {"on pdu-a", "on bmc"}
    assert ons[-1] == "on bmc"
    assert at.records(r.OperationEnded)[0].restored is Restored.ALL
    assert at.state().owed == ()


def test_no_on_before_the_announcement_is_acknowledged_or_its_wait_is_over() -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    fenced = at.now
    assert "on pdu-a" not in commands(at)
    at.go(9.0, silent=[NODE])
    assert "on pdu-a" not in commands(at)
    at.go(1.5, silent=[NODE])
    assert "on pdu-a" in commands(at) and at.now >= fenced + 10.0
    soon = desk()
    soon.fence()
    soon.serve(until="host_fenced")
    soon.do(e.AnnouncementDelivered(host=NODE, operation=soon.operation().id))
    assert "on pdu-a" in commands(soon)


def test_the_announcement_of_another_operation_is_not_ours() -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    at.do(e.AnnouncementDelivered(host=NODE, operation=OperationId("0-7")))
    assert "on pdu-a" not in commands(at)


def test_one_outlet_that_stays_off_is_redundancy_lost_and_stays_owed() -> None:
    at = desk(power__attempts=1, power__verify_timeout_seconds=3)
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    at.switched("pdu-a")
    for _ in range(60):
        if at.waiting(c.SwitchDevice, "pdu-b"):
            at.switched("pdu-b", Outcome.FAILED)
        for device in BOTH:
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
    restored = at.records(r.HostRestored)[0]
    assert restored.missing == ("pdu-b",)
    assert at.state().redundancy_lost == ("pdu-b",) and at.state().owed == ("pdu-b",)
    assert "host.redundancy_lost" in at.told and "host.restored" not in at.told


def test_nothing_comes_back_is_restore_failed_and_the_host_is_still_fenced() -> None:
    at = desk(power__attempts=1, power__verify_timeout_seconds=3)
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    for _ in range(60):
        for device in BOTH:
            if at.waiting(c.SwitchDevice, device):
                at.switched(device, Outcome.FAILED)
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
    assert set(at.records(r.RestoreFailed)[0].missing) == set(BOTH)
    ended = at.records(r.OperationEnded)[0]
    assert (ended.state, ended.is_fenced) == (OperationState.FAILED, True)
    assert at.state().state is State.FENCED


def ons_fail(at: Desk, *, unreadable: str = "") -> None:
    """Each ON fails and each reading says OFF, except of a device that can't be read any more."""
    for _ in range(90):
        for device in BOTH:
            if at.waiting(c.SwitchDevice, device):
                at.switched(device, Outcome.FAILED)
            if at.waiting(c.ReadDevice, device):
                at.read(device, error="gone" if device == unreadable else None)
            if at.waiting(c.RunRace, device):
                at.race(device, winner=None if device == unreadable else "engine")
        at.go(0.5, silent=[NODE])


def test_a_host_that_no_on_reached_is_announced_again_above_the_tokens_of_the_ons() -> None:
    at = desk(power__attempts=1, power__verify_timeout_seconds=3, power__restore_timeout_seconds=30)
    at.fence()
    at.serve(until="host_fenced")
    ons_fail(at)
    first, second = at.records(r.HostFenced)
    ons = [step.token for step in at.records(r.StepStarted) if step.what is What.ON and step.token is not None]
    assert ons and first.token < min(ons) < max(ons) < second.token == at.state().token
    assert (second.operation, second.devices, second.boot) == (first.operation, first.devices, first.boot)
    assert second.is_stay_off and at.state().is_stay_off
    kinds = [entry.record.kind for entry in at.entries]
    assert kinds.index("restore_failed") < len(kinds) - 1 - kinds[::-1].index("host_fenced")


def test_a_host_that_no_on_was_sent_to_keeps_its_announcement() -> None:
    at = desk("pdu-a:1", power__restore_timeout_seconds=30)
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    token = at.state().token
    at.ask(Action.ON)
    at.race("pdu-a", winner=None)
    at.cancel()
    at.go(5.0, silent=[NODE])
    assert (at.state().state, at.state().token) == (State.FENCED, token)
    assert len(at.records(r.HostFenced)) == 1


def test_after_an_on_a_device_that_cannot_be_read_proves_nothing() -> None:
    at = desk(power__attempts=1, power__verify_timeout_seconds=3, power__restore_timeout_seconds=30)
    at.fence()
    at.serve(until="host_fenced")
    ons_fail(at, unreadable="pdu-b")
    assert len(at.records(r.RestoreFailed)) == 1
    assert len(at.records(r.HostFenced)) == 1
    assert at.state().state is State.RESTORING


def test_a_stopped_restore_whose_on_may_have_been_done_does_not_end_as_fenced() -> None:
    at = desk("pdu-a:1")
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.ask(Action.ON)
    at.race("pdu-a")
    at.switched("pdu-a", Outcome.TIMED_OUT, is_end_known=False)
    at.cancel()
    at.go(60.0, silent=[NODE])
    assert at.state().operation is None
    assert at.state().state is State.RESTORING
    at.go(61.0, silent=[NODE])
    at.watched(("pdu-a", Power.OFF))
    assert at.state().state is State.RESTORING
    at.go(61.0, silent=[NODE])
    at.watched(("pdu-a", Power.OFF))
    assert (at.state().state, at.state().is_stay_off) == (State.FENCED, True)


def test_an_on_of_a_host_that_has_power_does_not_end_as_fenced() -> None:
    """Its restore is done and no heartbeat came yet; a second `on` finds everything on and sends nothing."""
    at = desk()
    at.fence()
    at.serve(until="operation_ended")
    assert at.state().state is State.RESTORING
    at.ask(Action.ON)
    at.serve(seconds=5.0)
    assert at.state().operation is None
    assert at.state().state is State.RESTORING


def test_what_a_failed_fence_switched_off_comes_back_when_the_host_is_heard() -> None:
    at = desk(power__attempts=1)
    off_on_its_way(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    while not at.records(r.OperationEnded):
        for device in BOTH:
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
    assert at.state().state is State.FAILED
    at.beat()
    assert at.state().state is State.HEALTHY
    at.serve(silent=(), until="operation_ended")
    assert "on pdu-a" in commands(at)
    assert at.state().owed == ()


# -- S19 and S10 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["maintenance", "pause", "disarm", "cancel", "life", "evidence"])
def test_before_the_first_off_everything_stops_an_automatic_operation(cause: str) -> None:
    at = desk()
    at.fence()
    stop(at, cause)
    for device in BOTH:
        if at.waiting(c.RunRace, device):
            at.race(device)
    at.go(2.0, silent=[NODE])
    assert commands(at) == []
    assert at.records(r.OperationEnded)[0].state is OperationState.CANCELLED


def stop(at: Desk, cause: str) -> None:
    match cause:
        case "maintenance":
            at.maintain()
        case "pause":
            at.do(e.PauseAsked(match="host=node-2", by="person", reason="told", until=None))
        case "disarm":
            at.do(e.ArmAsked(is_on=False, by="person", reason="told"))
        case "cancel":
            at.cancel()
        case "life":
            at.beat()
        case _:
            at.do(e.Evidence(host=NODE, source="san", received=at.now, is_retained=False,
                             evidence_kind="storage_lease", is_alive=True, ttl_seconds=600.0))  # fmt: skip


@pytest.mark.parametrize("cause", ["maintenance", "pause", "disarm"])
def test_after_the_first_off_it_goes_on_to_verified_off(cause: str) -> None:
    at = desk()
    off_on_its_way(at)
    stop(at, cause)
    at.serve(until="host_fenced")
    assert at.records(r.HostFenced)


def test_cancel_after_the_first_off_is_refused() -> None:
    at = desk()
    off_on_its_way(at)
    assert at.cancel() == "refused off_sent"


def test_life_while_no_device_has_read_off_ends_it_and_power_is_given_back() -> None:
    at = desk()
    off_on_its_way(at)
    at.beat()
    assert at.operation().is_stopped
    at.serve(silent=(), until="operation_ended")
    ended = at.records(r.OperationEnded)[0]
    assert (ended.state, ended.restored) == (OperationState.CANCELLED, Restored.ALL)
    assert at.state().state is State.HEALTHY and at.state().owed == ()
    assert not at.records(r.HostFenced)


def test_life_in_maintenance_ends_it_and_gives_nothing_back() -> None:
    """An operator may be working on it (S19): what was switched off stays owed, and that is reported (S9)."""
    at = desk()
    off_on_its_way(at)
    at.maintain()
    at.beat()
    at.serve(silent=(), until="operation_ended")
    assert not [word for word in commands(at) if word.startswith("on ")]
    assert at.state().state is State.MAINTENANCE
    assert set(at.state().owed) == {*BOTH} and at.records(r.LeftOff)


def test_a_device_is_read_between_the_off_that_life_overtook_and_its_on() -> None:
    """Even if the path was found, the OFF sent and the host heard at one moment (S6)."""
    at = desk("pdu-a:1")
    at.fence()
    at.race("pdu-a")
    at.beat()
    at.go(1.0)
    at.switched("pdu-a")
    assert commands(at) == ["off pdu-a"]
    at.read("pdu-a")
    assert commands(at) == ["off pdu-a", "on pdu-a"]


def test_life_after_a_device_read_off_changes_nothing() -> None:
    at = desk()
    off_on_its_way(at)
    at.switched("pdu-a")
    at.read("pdu-a")
    at.beat()
    assert not at.operation().is_stopped
    at.serve(until="host_fenced")
    assert at.records(r.HostFenced)


def test_a_later_operation_gives_no_power_back_either_once_a_person_stopped_that() -> None:
    """The restore was cancelled; the next OFF failed; life stops the fence after that, which gives nothing back (S19).

    The device can't be read all that time: an ON would show that an operator already gave power back.
    """
    at = desk("pdu-a:1", power__attempts=1, gates__cooldown_seconds=0.0, gates__budget_hosts=3)
    at.fence()
    at.serve(until="host_fenced")
    at.cancel()
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    at.set_power(Power.UNKNOWN, "pdu-a")
    at.ask(Action.OFF)
    at.race("pdu-a")
    at.switched("pdu-a", Outcome.FAILED)
    while at.state().operation is not None:
        if at.waiting(c.ReadDevice):
            at.read("pdu-a")
        at.go(0.5, silent=[NODE])
    at.fence()
    at.race("pdu-a")
    before = commands(at)
    at.beat(boot="b2")
    at.serve(silent=(), until="operation_ended")
    assert commands(at) == before


@pytest.mark.parametrize("cause", ["pause", "disarm"])
def test_disarm_and_pause_do_not_stop_its_restore(cause: str) -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    stop(at, cause)
    at.serve(until="operation_ended")
    assert at.records(r.OperationEnded)[0].restored is Restored.ALL


@pytest.mark.parametrize("cause", ["maintenance", "cancel"])
@pytest.mark.parametrize("when", ["announcing", "restoring"])
def test_maintenance_and_cancel_stop_every_further_on(cause: str, when: str) -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    if when == "restoring":
        at.go(11.0, silent=[NODE])
        at.switched("pdu-a", Outcome.FAILED)
        at.switched("pdu-b", Outcome.FAILED)
    sent = commands(at)
    stop(at, cause)
    at.serve(seconds=120.0)
    assert commands(at) == sent
    assert at.state().is_stay_off
    assert at.ask(Action.ON).startswith("accepted")
    at.serve(until="host_restored")
    assert at.state().state is State.RESTORING and not at.state().is_stay_off


def test_maintenance_after_the_first_off_leaves_the_host_fenced_and_off() -> None:
    at = desk()
    off_on_its_way(at)
    at.maintain()
    at.serve(seconds=60.0)
    assert (at.state().state, at.state().is_stay_off) == (State.FENCED, True)
    assert not [word for word in commands(at) if word.startswith("on")]


def test_the_daemon_never_fences_its_own_machine() -> None:
    at = Desk(Rack(own_machine="node-2"))
    at.go(300.0, silent=[NODE])
    assert not at.records(r.OperationStarted)


def test_devices_left_off_at_a_host_that_runs_do_not_keep_the_host_off() -> None:
    """A fence fails after one of two outlets went dark; the host is heard again, and nothing may be switched now."""
    at = desk(power__attempts=1)
    off_on_its_way(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.serve(until="operation_ended", seconds=120.0)
    stop(at, "disarm")
    at.beat()
    state = at.state()
    assert (state.state, state.owed, state.is_left_off) == (State.HEALTHY, ("pdu-a",), True)
    assert not state.is_stay_off

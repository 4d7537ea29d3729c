"""S17: the watch reads fenced and failed hosts; late messages are separated from living hosts."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.model.names import BootId
from fenced.model.power import Action, Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack


def off(rack: Rack | None = None) -> Desk:
    """An operator switched it off."""
    at = Desk(rack)
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.state().state is State.FENCED
    return at


def watch(at: Desk) -> None:
    """Let time pass until the next watch round is under way."""
    for _ in range(200):
        if at.waiting(c.WatchHost):
            return
        at.go(0.5, silent=[NODE])
    raise AssertionError("nobody watches it")


def failed(at: Desk) -> None:
    """Its operation failed: one device could not be switched off."""
    before = len(at.records(r.OperationEnded))
    at.fence()
    for device in ("pdu-a", "pdu-b"):
        at.race(device)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    while len(at.records(r.OperationEnded)) == before:
        for device in ("pdu-a", "pdu-b"):
            if at.waiting(c.ReadDevice, device):
                at.read(device)
        at.go(0.5, silent=[NODE])
    assert at.state().state is State.FAILED


def test_the_devices_are_read_every_watch_interval() -> None:
    at = off()
    begun = at.now
    for round_number in range(1, 4):
        watch(at)
        assert at.now - begun == pytest.approx(60.0 * round_number, abs=1.5)
        at.watched()
    assert at.state().state is State.FENCED


def test_a_round_that_never_ends_does_not_end_the_watch() -> None:
    at = off()
    watch(at)
    at.take(c.WatchHost)
    at.go(601.0, silent=[NODE])
    assert at.waiting(c.WatchHost)


def test_a_reading_of_on_without_the_daemons_on_revokes_with_a_higher_token() -> None:
    at = off()
    before = at.state().token
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.ON))
    [revoked] = at.records(r.HostRevoked)
    assert not revoked.is_alive and revoked.distrusted == ()
    assert before is not None and at.state().token is not None and at.state().token > before
    assert at.state().state is State.RESTORING and not at.state().is_stay_off


def test_what_reads_on_is_owed_no_more() -> None:
    at = off()
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.ON))
    assert at.state().owed == ("pdu-a",)


def test_unknown_revokes_nothing() -> None:
    at = off()
    watch(at)
    at.watched(("pdu-a", Power.UNKNOWN), ("pdu-b", Power.UNKNOWN))
    assert at.state().state is State.FENCED


def test_a_chassis_that_reads_on_revokes() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:1", "bmc:2")))
    at.set_power(Power.OFF, "bmc")
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF), ("bmc", Power.ON))
    assert at.records(r.HostRevoked)


def test_an_outlet_of_another_level_that_reads_on_revokes_nothing() -> None:
    at = Desk(Rack(devices=("bmc:1", "pdu-a:2", "pdu-b:2")))
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert at.records(r.HostFenced)[0].level == 1
    watch(at)
    at.watched(("bmc", Power.OFF), ("pdu-a", Power.ON), ("pdu-b", Power.ON))
    assert not at.records(r.HostRevoked)


def test_a_round_of_before_the_state_is_dropped() -> None:
    at = off()
    started = at.state().since - 1.0
    at.do(e.WatchEnded(host=NODE, started=started, powers=((at.inventory.hosts[NODE].devices[0].name, Power.ON),)))
    assert at.state().state is State.FENCED


def test_an_outlet_of_another_level_that_reads_on_leaves_an_off_that_was_asked_again_fenced() -> None:
    at = off(Rack(devices=("pdu-a:1", "pdu-b:2")))
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert len(at.records(r.OperationEnded)) == 2
    assert at.state().state is State.FENCED and len(at.records(r.HostFenced)) == 1


def test_a_persons_confirmation_is_revoked_when_every_level_reads_on() -> None:
    at = Desk()
    at.suspect()
    at.set_power(Power.UNKNOWN, "pdu-a", "pdu-b")
    at.do(e.ConfirmOffAsked(host=NODE, by="person", reason="told", is_forced=True, read=None))
    assert at.state().state is State.FENCED
    watch(at)
    at.watched(("pdu-a", Power.ON), ("pdu-b", Power.OFF))
    assert at.records(r.HostRevoked)


def test_confirm_off_is_refused_while_a_device_reads_on() -> None:
    at = off()
    watch(at)
    at.watched(("pdu-a", Power.ON))
    answer = at.do(e.ConfirmOffAsked(host=NODE, by="person", reason="told", is_forced=True, read=None)).answer
    assert getattr(answer, "rule", None) == "reads_on"


# -- what is heard ----------------------------------------------------------------------------------------------------


def test_life_with_a_new_boot_id_revokes_at_once() -> None:
    at = off()
    at.beat(boot="b2")
    [revoked] = at.records(r.HostRevoked)
    assert revoked.is_alive and revoked.boot == "b2" and revoked.distrusted == ()
    assert at.state().state is State.HEALTHY


def test_old_boot_messages_are_late_inside_late_message_and_a_lie_after_it() -> None:
    at = off()
    for seconds in (14.0, 15.0):
        at.go(seconds, silent=[NODE])
        assert not at.beat(boot="b1").is_news
        assert at.state().state is State.FENCED
    at.go(2.0, silent=[NODE])
    at.beat_on()
    [revoked] = at.records(r.HostRevoked)
    assert revoked.is_alive and set(revoked.distrusted) == {"pdu-a", "pdu-b"}


def off_for(seconds: float) -> Desk:
    at = off()
    at.go(seconds, silent=[NODE])
    return at


@pytest.mark.parametrize("spread", [0.0, 1.0, 7.0])
def test_a_burst_of_what_was_kept_on_the_way_is_no_living_host(spread: float) -> None:
    """A bridge reconnects a minute after the proof, and delivers at once what the host sent before it died."""
    at = off_for(60.0)
    start = at.now
    for number in range(12):
        at.now = start + spread * number / 11
        assert not at.beat(boot="b1").is_news
    at.go(120.0, silent=[NODE])
    assert at.state().state is State.FENCED
    assert not at.records(r.HostRevoked)


def test_the_first_late_message_of_an_old_run_holds_the_next_fence() -> None:
    """Until the second one shows that the devices reported a false OFF: the host lives and must not be cut off
    again."""
    at = Desk(
        Rack(settings={"detection.boot_grace_seconds": 60.0, "gates.cooldown_seconds": 0.0, "gates.budget_hosts": 9})
    )
    at.fence()
    at.serve(until="operation_ended")
    at.go(58.0, silent=[NODE])
    at.beat(boot="b1")
    at.go(15.0, silent=[NODE])
    assert at.state().state is State.SUSPECT
    assert "alive_but_silent" in {gate.gate for gate in at.state().held_by}
    assert len(at.records(r.OperationStarted)) == 1


def test_a_burst_of_what_was_kept_on_the_way_ends_no_restoring() -> None:
    at = Desk()
    at.fence()
    at.serve(until="operation_ended")
    at.go(60.0, silent=[NODE])
    for _ in range(12):
        at.beat(boot="b1")
    assert at.state().state is State.RESTORING
    assert not at.state().distrusted


@pytest.mark.parametrize("pause", [0.5, 2.0, 5.0, 7.0, 40.0])
def test_a_run_that_goes_on_at_any_pace_makes_the_proof_a_lie(pause: float) -> None:
    """At any pace, and however many beats are lost: five intervals, or its second beat."""
    at = off_for(32.0)
    start = at.now
    while not at.records(r.HostRevoked):
        at.beat(boot="b1")
        at.go(pause, silent=[NODE])
        assert at.now - start <= max(25.0, 2 * pause) + pause
    assert set(at.records(r.HostRevoked)[0].distrusted) == {"pdu-a", "pdu-b"}


def waited(at: Desk, seconds: float, *, boot: str | None = "b1") -> bool:
    """Send a beat that may have waited in the daemon's socket for that long. Return whether it was news."""
    at.sequence += 1
    return at.do(
        e.Health(
            host=NODE, received=at.now, is_retained=False, boot=BootId(boot) if boot else None, sequence=at.sequence,
            waited_seconds=seconds,
        )
    ).is_news  # fmt: skip


def test_what_waited_with_us_is_judged_by_when_it_reached_us() -> None:
    """The daemon was busy for eight seconds, and reads beats after late_message that arrived within it."""
    at = off_for(32.0)
    proof = at.state().proof
    assert proof is not None
    for _ in range(4):
        waited(at, at.now - (proof.at + 29.0))
        at.now += 4.0
    assert not at.records(r.HostRevoked)
    at.beat_on()
    assert at.records(r.HostRevoked)


def test_what_waited_with_us_since_before_the_on_ends_no_restoring() -> None:
    at = Desk()
    for _ in range(3):
        at.beat(boot=None)
    at.fence()
    at.serve(until="operation_ended")
    at.go(34.0, silent=[NODE])
    waited(at, 38.0, boot=None)
    assert at.state().state is State.RESTORING
    waited(at, 0.5, boot=None)
    assert at.state().state is State.HEALTHY


def test_a_beat_with_an_unreadable_boot_id_ends_no_restoring() -> None:
    """It may be of the old run. It still holds the next fence."""
    at = Desk()
    at.fence()
    at.serve(until="operation_ended")
    for _ in range(10):
        at.go(5.0, silent=[NODE])
        assert not at.do(e.Health(host=NODE, received=at.now, is_retained=False, unread=("boot",))).is_news
    assert at.state().state is State.RESTORING
    at.beat(boot="b2")
    assert at.state().state is State.HEALTHY


def test_old_boot_messages_never_end_restoring() -> None:
    at = Desk()
    at.fence()
    at.serve(until="operation_ended")
    for _ in range(20):
        at.go(1.0, silent=[NODE])
        at.beat(boot="b1")
    assert at.state().state is State.RESTORING
    at.beat(boot="b2")
    assert at.state().state is State.HEALTHY


def test_hosts_without_boot_ids_are_heard_again_by_what_was_sent_after_on() -> None:
    at = Desk()
    for _ in range(3):
        at.beat(boot=None)
    at.fence()
    at.serve(until="operation_ended")
    at.go(1.0, silent=[NODE])
    at.beat(boot=None)
    assert at.state().state is State.RESTORING, "it may have been sent before it was off"
    at.go(31.0, silent=[NODE])
    at.beat(boot=None)
    assert at.state().state is State.HEALTHY


def test_a_late_message_without_a_boot_id_takes_no_host_its_time_to_boot() -> None:
    at = Desk(Rack(devices=("pdu-a:1",)))
    for _ in range(3):
        at.beat(boot=None)
    at.ask(Action.RESTART)
    at.serve(until="operation_ended")
    at.go(1.0, silent=[NODE])
    at.beat(boot=None)
    at.serve(seconds=300.0)
    assert len(at.records(r.HostFenced)) == 1, "it boots"


def test_life_while_the_announcement_is_sent_revokes_and_no_on_of_it_follows() -> None:
    at = Desk()
    at.fence()
    operation = at.operation().id
    at.serve(until="host_fenced")
    at.boots[NODE] = "b2"
    at.beat(boot="b2")
    assert at.state().state is State.HEALTHY
    at.serve(silent=(), seconds=60.0)
    ons = [step for step in at.records(r.StepStarted) if step.what.value == "on"]
    assert ons and all(step.operation != operation for step in ons), "a host that runs gets what it is owed"


# -- failed hosts -----------------------------------------------------------------------------------------------------


def test_a_failed_host_that_reads_off_twice_is_fenced_and_stays_off() -> None:
    at = Desk(Rack(settings={"power.attempts": 1}))
    failed(at)
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    assert at.state().state is State.FAILED, "no single reading proves it"
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    assert (at.state().state, at.state().is_stay_off) == (State.FENCED, True)


def test_a_failed_host_heard_between_two_rounds_is_not_fenced() -> None:
    at = Desk(Rack(settings={"power.attempts": 1}))
    failed(at)
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    at.go(5.0, silent=[NODE])
    at.beat()
    assert at.state().state is State.HEALTHY
    assert not at.records(r.HostFenced)


def test_what_was_read_before_it_was_heard_and_failed_again_counts_no_more() -> None:
    at = Desk(Rack(settings={"power.attempts": 1, "gates.cooldown_seconds": 100.0, "gates.budget_hosts": 2}))
    failed(at)
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    at.beat()
    at.serve(silent=(), until="operation_ended")
    assert at.state().state is State.HEALTHY
    at.go(100.0)
    failed(at)
    watch(at)
    at.watched(("pdu-a", Power.OFF), ("pdu-b", Power.OFF))
    assert at.state().state is State.FAILED, "no single reading proves it"


def test_a_failed_host_in_maintenance_is_not_announced() -> None:
    at = Desk(Rack(settings={"power.attempts": 1}))
    failed(at)
    at.maintain()
    at.go(200.0, silent=[NODE])
    assert not at.records(r.HostFenced)
    assert at.state().state is State.MAINTENANCE

"""S9: what the daemon switched off is owed until it is on or an operator took it over, and is reported once."""

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Restored
from fenced.core.events import HealthStatus
from fenced.model.power import Action, OperationState, Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.core.test_restore import BOTH, commands, desk, off_on_its_way, stop


def failed(**settings: float) -> Desk:
    """A fence failed after pdu-a went dark: the host runs on pdu-b and is silent."""
    at = desk(power__attempts=1, **settings)
    off_on_its_way(at)
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    at.serve(until="operation_ended", seconds=120.0)
    assert at.state().state is State.FAILED
    return at


def ons(at: Desk) -> list[str]:
    return [word for word in commands(at) if word.startswith("on ")]


def left_off(at: Desk) -> list[tuple[str, ...]]:
    """Return the devices of each `left_off` so far."""
    return [tuple(record.devices) for record in at.records(r.LeftOff)]


def boot(at: Desk) -> None:
    """The host boots, and is heard from now on."""
    at.boots[NODE] = "b2"
    at.beat(boot="b2")


def suspect(at: Desk) -> None:
    for _ in range(600):
        if at.state().state is State.SUSPECT:
            return
        at.go(1.0, silent=[NODE])
    raise AssertionError(f"it is {at.state().state}")


# -- every state, every way out of it ---------------------------------------------------------------------------------


def test_what_is_owed_is_what_does_not_read_on() -> None:
    assert failed().state().owed == ("pdu-a",)


@pytest.mark.parametrize("was", ["failed", "suspect", "left", "maintained", "restarted"])
def test_a_host_that_is_heard_again_gets_what_it_is_owed(was: str) -> None:
    at = failed(gates__cooldown_seconds=0.0)
    match was:
        case "suspect":
            stop(at, "pause")
            suspect(at)
        case "left":
            at.beat(status=HealthStatus.STOPPING)
            assert at.state().state is State.LEFT
        case "maintained":
            at.maintain()
            at.beat()
            at.serve(silent=(), seconds=5.0)
            assert ons(at) == []
            at.maintain(is_on=False)
            assert at.state().state is State.UNKNOWN
        case "restarted":
            at.do(e.Started())
        case _:
            pass
    at.beat()
    assert at.state().state is State.HEALTHY
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert ons(at) == ["on pdu-a"]
    assert at.state().owed == ()
    assert at.records(r.HostRestored)[-1].missing == ()


def test_a_host_that_reports_itself_failing_gets_what_it_is_owed() -> None:
    at = failed()
    at.beat(boot="b2", status=HealthStatus.FAILING)
    at.serve(silent=(), seconds=30.0)
    assert ons(at) == ["on pdu-a"]


def test_a_host_without_a_proof_any_more_gets_what_it_is_owed() -> None:
    """The last attempt of the window left it off; an operator switched one feed on by hand, and it runs."""
    at = desk(gates__attempts_count=1)
    at.fence()
    at.serve(until="operation_ended")
    assert (at.state().state, left_off(at)) == (State.FENCED, [BOTH])
    at.set_power(Power.ON, "pdu-a")
    boot(at)
    assert at.state().state is State.HEALTHY
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert ons(at) == ["on pdu-b"]
    assert at.state().owed == ()


def test_what_a_person_switched_off_is_announced_and_not_switched_on() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    assert left_off(at) == []
    at.set_power(Power.ON, "pdu-a")
    boot(at)
    at.serve(silent=(), seconds=120.0)
    assert ons(at) == []
    assert (at.state().state, at.state().owed, at.state().is_left_off) == (State.HEALTHY, ("pdu-b",), True)
    assert len(left_off(at)) == 1
    at.ask(Action.ON)
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert ons(at) == ["on pdu-b"] and not at.state().is_left_off


@pytest.mark.parametrize("word", ["cancel", "maintenance"])
def test_what_a_person_forbade_stays_forbidden_when_the_host_is_heard(word: str) -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    stop(at, word)
    at.serve(until="operation_ended")
    assert left_off(at) == [BOTH]
    if word == "maintenance":
        at.maintain(is_on=False)
    at.set_power(Power.ON, "pdu-a")
    boot(at)
    at.serve(silent=(), seconds=120.0)
    assert ons(at) == []
    assert at.state().is_left_off and not at.state().is_stay_off
    at.ask(Action.ON)
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert ons(at) == ["on pdu-b"] and at.state().owed == ()


def test_giving_back_can_be_cancelled_and_is_not_tried_again() -> None:
    at = failed()
    at.beat()
    at.cancel()
    at.serve(silent=(), seconds=300.0)
    assert ons(at) == []
    assert left_off(at) == [("pdu-a",)]
    assert (at.state().is_left_off, at.state().is_on_forbidden, at.state().is_stay_off) == (True, False, False)


def test_what_could_not_be_given_back_while_disarmed_is_given_back_once_armed() -> None:
    at = failed()
    stop(at, "disarm")
    at.beat()
    at.serve(silent=(), seconds=120.0)
    assert ons(at) == [] and left_off(at) == [("pdu-a",)]
    at.do(e.ArmAsked(is_on=True, by="person", reason="told"))
    at.serve(silent=(), seconds=120.0)
    assert ons(at) == ["on pdu-a"] and not at.state().is_left_off


def test_a_restore_that_has_just_failed_is_not_tried_again_at_once() -> None:
    at = desk(power__attempts=1, power__verify_timeout_seconds=3)
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    at.switched("pdu-a")
    at.switched("pdu-b", Outcome.FAILED)
    boot(at)
    at.serve(silent=(), until="operation_ended", seconds=60.0)
    assert at.state().redundancy_lost == at.state().owed == ("pdu-b",)
    tries = len(ons(at))
    at.serve(silent=(), seconds=50.0)
    assert len(ons(at)) == tries
    at.serve(silent=(), seconds=60.0)
    assert len(ons(at)) == tries + 1 and at.state().owed == ()


def test_giving_back_that_fails_is_tried_again_ever_more_rarely_and_announced_once() -> None:
    at = failed(power__restore_timeout_seconds=30, power__verify_timeout_seconds=3)
    at.beat()
    for _ in range(3600):
        for device in BOTH:
            if at.waiting(c.SwitchDevice, device):
                at.switched(device, Outcome.FAILED)
            if at.waiting(c.ReadDevice, device):
                at.read(device)
            if at.waiting(c.RunRace, device):
                at.race(device)
        if at.waiting(c.WatchHost):
            at.watched()
        at.go(1.0)
    assert 3 <= len(ons(at)) <= 10
    assert at.told.count("host.redundancy_lost") == 1
    assert at.told.count("host.left_off") == 0
    assert at.state().redundancy_lost == at.state().owed == ("pdu-a",)


def test_a_device_that_is_owed_is_looked_at_until_it_is_on() -> None:
    at = failed()
    stop(at, "disarm")
    at.beat()
    at.go(70.0)
    assert [tuple(device for device, _ in watch.paths) for watch in at.waiting(c.WatchHost)] == [("pdu-a",)]
    at.set_power(Power.ON, "pdu-a")
    at.watched()
    assert at.state().owed == () and not at.state().is_left_off
    at.go(600.0)
    assert not at.waiting(c.WatchHost)


def test_a_round_that_began_before_an_operation_ended_says_nothing_of_after_it() -> None:
    at = failed()
    began = at.now
    at.beat()
    at.cancel()
    at.serve(silent=(), seconds=1.0)
    at.do(e.WatchEnded(host=NODE, started=began - 1.0, powers=(("pdu-a", Power.ON),)))  # type: ignore[arg-type]
    assert at.state().owed == ("pdu-a",)


def test_a_host_that_falls_silent_while_it_is_given_power_is_still_fenced() -> None:
    at = failed(gates__cooldown_seconds=0.0, gates__budget_hosts=3)
    at.beat()
    assert at.operation().action is Action.ON
    at.race("pdu-a", winner=None)
    at.go(60.0, silent=[NODE])
    assert at.operation().action is Action.RESTART


def test_giving_back_costs_no_cooldown() -> None:
    at = failed(gates__cooldown_seconds=0.0)
    at.beat()
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert at.records(r.OperationEnded)[-1].cooldown_until == 0.0


def test_an_off_of_an_earlier_operation_does_not_spare_the_hold_of_already_off() -> None:
    """That OFF may be undone long ago: the device was switched on since, and reads OFF for another reason."""
    at = failed(gates__cooldown_seconds=0.0, gates__budget_hosts=3)
    at.beat()
    at.cancel()
    at.serve(silent=(), seconds=5.0)
    at.fence()
    began = at.now
    at.serve(until="host_fenced")
    assert at.now >= began + at.inventory.hosts[NODE].settings.power.already_off_hold_seconds


# -- one report for one device ----------------------------------------------------------------------------------------


def test_the_last_attempt_names_only_what_is_off() -> None:
    """pdu-a of level 1 never went dark; the BMC of level 2 proved the OFF."""
    at = desk("pdu-a:1", "bmc:2", gates__attempts_count=1, power__attempts=1)
    at.fence()
    at.race("pdu-a")
    at.switched("pdu-a", Outcome.FAILED)
    at.serve(until="operation_ended", seconds=120.0)
    assert (at.state().state, left_off(at), at.state().owed) == (State.FENCED, [("bmc",)], ("bmc",))


def test_a_restore_that_failed_is_not_announced_as_left_off_too() -> None:
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
    assert (at.state().restore_failed, at.state().redundancy_lost, left_off(at)) == (BOTH, (), [])


def test_a_host_that_is_heard_is_never_kept_off() -> None:
    """The host is heard while power is given back, and an operator cancels that."""
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    at.switched("pdu-a")
    boot(at)
    assert at.state().state is State.HEALTHY
    at.cancel()
    at.serve(silent=(), seconds=60.0)
    state = at.state()
    assert (state.state, state.is_stay_off, state.is_on_forbidden) == (State.HEALTHY, False, False)


def test_nothing_is_left_off_where_a_restart_gives_it_back() -> None:
    at = failed(gates__cooldown_seconds=0.0, gates__budget_hosts=3)
    at.fence()
    at.serve(seconds=90.0)
    assert at.state().owed == () and left_off(at) == []


def test_a_cancel_just_after_fenced_is_announced_as_left_off() -> None:
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    at.cancel()
    at.serve(until="operation_ended")
    assert (at.state().state, at.state().is_left_off, at.state().is_stay_off) == (State.FENCED, True, True)
    assert left_off(at) == [BOTH]


def test_an_on_that_was_cancelled_leaves_the_host_off_and_says_so() -> None:
    at = desk()
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    at.ask(Action.ON)
    at.cancel()
    at.serve(until="operation_ended", seconds=30.0)
    assert (at.state().state, at.state().is_stay_off, at.state().is_left_off) == (State.FENCED, True, True)


def test_after_a_long_absence_the_devices_are_read_before_they_are_announced_as_left_off() -> None:
    """The daemon dies with its ONs under way, and they take effect."""
    at = desk()
    at.fence()
    at.serve(until="host_fenced")
    at.go(11.0, silent=[NODE])
    at.set_power(Power.ON, "pdu-a")
    at.now += 86400.0
    at.pending.clear()
    at.do(e.Started())
    at.serve(until="operation_ended", seconds=120.0)
    assert left_off(at) == [("pdu-b",)]
    assert at.state().owed == ("pdu-b",)


# -- what an `on` reports ---------------------------------------------------------------------------------------------


def test_an_on_reads_every_device_and_says_which_it_could_not_read() -> None:
    """Only the outlets are owed; the BMC can't be read, so whether all is on is unknown."""
    at = desk("pdu-a:1", "pdu-b:1", "bmc:2")
    at.set_power(Power.OFF, "bmc")  # it has no standby power
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    said = at.ask(Action.ON).removeprefix("accepted ")
    for _ in range(120):
        if at.waiting(c.RunRace, "bmc"):
            at.race("bmc", winner=None)
        elif not at.serve_one():
            at.go(0.25, silent=[NODE])
    ended = at.ended(said)
    assert (ended.state, ended.restored) == (OperationState.DONE, Restored.PART)
    assert ended.why is not None and "bmc" in ended.why


def test_an_on_switches_on_what_reads_off_owed_or_not() -> None:
    """Devices were swapped: one is owed, the other is new and off."""
    at = desk()
    at.ask(Action.OFF)
    at.race("pdu-a")
    at.race("pdu-b", Power.OFF)
    at.serve(until="operation_ended", seconds=60.0)
    at.set_power(Power.OFF, *BOTH)
    said = at.ask(Action.ON).removeprefix("accepted ")
    at.serve(until="operation_ended", seconds=60.0)
    assert sorted(ons(at)) == ["on pdu-a", "on pdu-b"]
    assert at.ended(said).restored is Restored.ALL


def test_nothing_is_given_back_in_a_store_that_may_have_forgotten_a_word() -> None:
    """S22: somebody may work on the host, and the record of it is lost."""
    at = failed(gates__cooldown_seconds=0.0)
    at.do(e.DoubtReported(why="fenced-b says that the store lacks record 7"))
    at.beat()
    at.serve(silent=(), seconds=30.0)
    assert ons(at) == [] and left_off(at) == [("pdu-a",)]
    at.do(e.StoreReleaseAsked(by="p", reason="looked"))
    at.beat()
    at.serve(silent=(), until="operation_ended", seconds=30.0)
    assert ons(at) == ["on pdu-a"]

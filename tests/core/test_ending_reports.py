"""What the end of an operation records and reports, tested on hand-made states."""

from dataclasses import replace

import pytest

from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.durable.state import Maintenance, Operation, Restored
from fenced.core.operation import endings, starting
from fenced.core.work import HostWork, Work
from fenced.model.names import ENGINE, DeviceName
from fenced.model.power import Action, Cause, OperationState, Power, Proof, State
from tests.core.desk import NODE, Desk
from tests.core.endings_desk import BMC, OUTLET, TOKEN, closes, on_the_desk, proof, reads, recorded
from tests.world.rack import Rack

# -- records of the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was_fenced", "before", "ending", "is_fenced"),
    [
        (False, State.FENCED, OperationState.DONE, True),
        (False, State.FENCED, OperationState.CANCELLED, False),
        (False, State.HEALTHY, OperationState.DONE, False),
        (True, State.HEALTHY, OperationState.CANCELLED, True),
    ],
)
def test_an_operation_that_is_done_on_a_fenced_host_counts_as_fenced(
    was_fenced: bool, before: State, ending: OperationState, is_fenced: bool
) -> None:
    work, operation = on_the_desk(Action.OFF, cause=Cause.REQUEST)
    operation = replace(operation, before=before, ending=ending, is_fenced=was_fenced)
    ended = closes(work, operation, state=State.FENCING, proof=proof(), token=TOKEN)
    assert ended.is_fenced == is_fenced
    assert work.work.ended[-1].proof == (Proof.DEVICE_VERIFIED if is_fenced and not was_fenced else None)


def test_the_event_of_the_end_says_what_was_requested_by_whom_and_why() -> None:
    at = Desk()
    at.ask(Action.OFF)
    asked = e.CancelAsked(host=NODE, operation=at.operation().id, by="another person", reason="a mistake")
    [told] = [told for told in at.do(asked).told if told.type == "io.fenced.operation.cancelled"]
    words = {"action": "off", "cause": "request", "by": "person", "reason": "told"}
    assert {name: told.data[name] for name in words} == words


@pytest.mark.parametrize(("winner", "why"), [("engine", None), (None, "could not be read: pdu-b")])
def test_an_on_reports_a_device_beside_that_could_not_be_read_and_none_that_is_on(
    winner: str | None, why: str | None
) -> None:
    """The OFF of level 1 was enough, so only pdu-a is owed."""
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:2")))
    at.ask(Action.OFF)
    at.serve(until="operation_ended")
    operation = at.ask(Action.ON).removeprefix("accepted ")
    at.race("pdu-a")
    at.switched("pdu-a")
    at.race("pdu-b", winner=winner)
    at.serve(until="operation_ended", seconds=10.0)
    assert at.ended(operation).why == why


@pytest.mark.parametrize(("why", "said"), [("no answer", "no answer"), (None, "not proven off")])
def test_a_fence_that_failed_says_why(why: str | None, said: str) -> None:
    work, operation = on_the_desk(Action.OFF)
    operation = replace(operation, ending=OperationState.FAILED, ending_why=why, is_off_sent=True)
    closes(work, operation, state=State.FENCING)
    (failed,) = recorded(work, r.FenceFailed)
    assert isinstance(failed, r.FenceFailed) and failed.why == said


@pytest.mark.parametrize(
    ("is_resumed", "is_read", "power"),
    [(True, False, Power.OFF), (True, True, Power.ON), (False, False, Power.UNKNOWN)],
)
def test_after_a_restart_that_read_nothing_what_was_seen_before_is_kept(
    is_resumed: bool, is_read: bool, power: Power
) -> None:
    work, operation = on_the_desk(Action.RESTART)
    operation = replace(operation, is_resumed=is_resumed, power=Power.OFF, restored=Restored.PART)
    operation = reads(operation, BMC, Power.ON) if is_read else operation
    ended = closes(work, replace(operation, ending=OperationState.CANCELLED), state=State.FENCING)
    assert ended.power is power
    assert (ended.restored is Restored.PART) == (is_resumed and not is_read)


@pytest.mark.parametrize(("silent_seconds", "is_heard"), [(1.0, True), (600.0, False)])
def test_a_host_that_is_heard_is_healthy_right_after(silent_seconds: float, is_heard: bool) -> None:
    at = Desk(Rack(devices=("pdu-a:1", "bmc:2")))
    at.beat()
    at.go(silent_seconds, silent=[NODE])
    work = Work(at.fleet, at.now).on(NODE)
    operation = starting.new(work, Action.OFF, cause=Cause.SILENCE, by="fenced", reason="told")
    ended = closes(work, replace(operation, ending=OperationState.CANCELLED), state=State.FENCING)
    assert ended.after is State.SUSPECT
    assert bool(recorded(work, r.HostHeard)) == is_heard
    assert work.state.state is (State.HEALTHY if is_heard else State.SUSPECT)


def test_a_host_that_failed_is_not_heard_by_the_end() -> None:
    work, operation = on_the_desk(Action.OFF)
    closes(work, replace(operation, ending=OperationState.FAILED, is_off_sent=True), state=State.FENCING)
    assert not recorded(work, r.HostHeard)


# -- devices left off -------------------------------------------------------------------------------------------------

KEPT = Maintenance(by="person", reason="told", since=1.0)


@pytest.mark.parametrize(
    ("changes", "is_reported"),
    [
        ({"owed": (OUTLET,)}, False),
        ({"owed": (OUTLET,), "maintenance": KEPT}, True),
        ({"owed": (OUTLET,), "is_on_forbidden": True}, True),
        ({"maintenance": KEPT}, False),
        ({"owed": (OUTLET,), "maintenance": KEPT, "is_left_off": True}, False),
        ({"owed": (OUTLET,), "maintenance": KEPT, "redundancy_lost": (OUTLET,)}, False),
    ],
)
def test_what_the_daemon_may_not_give_back_is_reported_once(changes: dict[str, object], is_reported: bool) -> None:
    work, operation = on_the_desk(Action.RESTART)
    operation = replace(operation, ending=OperationState.CANCELLED, is_off_sent=True)
    closes(work, operation, state=State.FENCING, **changes)
    assert bool(recorded(work, r.LeftOff)) == is_reported


@pytest.mark.parametrize(
    ("action", "failed", "is_reported"),
    [(Action.RESTART, (), True), (Action.RESTART, (OUTLET,), False), (Action.OFF, (), False)],
)
def test_a_host_that_was_to_be_on_and_stays_fenced_is_reported(
    action: Action, failed: tuple[DeviceName, ...], is_reported: bool
) -> None:
    work, operation = on_the_desk(action)
    operation = replace(operation, is_fenced=True, ending=OperationState.DONE)
    closes(
        work, operation, state=State.RESTORING, proof=proof(), token=TOKEN, owed=(OUTLET,), restore_failed=failed,
        is_on_forbidden=True,
    )  # fmt: skip
    assert bool(recorded(work, r.LeftOff)) == is_reported


@pytest.mark.parametrize(
    ("action", "owed", "failed", "is_restored", "tries"),
    [
        (Action.ON, (), (), True, 0),
        (Action.ON, (OUTLET,), (), False, 1),
        (Action.RESTART, (OUTLET,), (OUTLET,), True, 1),
        (Action.RESTART, (OUTLET,), (), True, 0),
        (Action.RESTART, (OUTLET,), (OUTLET,), False, 0),
    ],
)
def test_giving_back_is_retried_ever_more_rarely(
    action: Action, owed: tuple[DeviceName, ...], failed: tuple[DeviceName, ...], is_restored: bool, tries: int
) -> None:
    work, operation = on_the_desk(action)
    operation = replace(operation, ending=OperationState.FAILED, restore_started=1.0 if is_restored else None)
    closes(work, operation, owed=owed, restore_failed=failed)
    assert work.sight.give_backs == tries
    assert (work.sight.give_back_at > work.now) == bool(tries)


@pytest.mark.parametrize(
    ("before", "is_known", "is_watched", "after"),
    [
        (State.FENCED, True, False, State.FENCED),
        (State.HEALTHY, True, False, State.RESTORING),
        (State.HEALTHY, False, False, State.UNKNOWN),
        (State.HEALTHY, False, True, State.RESTORING),
    ],
)
def test_a_host_that_is_no_longer_proven_off_may_run(
    before: State, is_known: bool, is_watched: bool, after: State
) -> None:
    work, operation = on_the_desk(Action.ON, cause=Cause.REQUEST)
    operation = replace(operation, before=before, ending=OperationState.CANCELLED)
    ended = closes(
        work,
        operation,
        state=State.RESTORING,
        proof=proof(),
        token=TOKEN,
        is_known=is_known,
        is_on_forbidden=is_watched,
    )
    assert ended.after is after


# -- readings ---------------------------------------------------------------------------------------------------------


def status(work: HostWork, operation: Operation) -> Operation:
    work.fleet.put(replace(work.state, reading=operation))
    endings.end_reading(work, operation)
    return work.work.ended[-1]


def test_a_status_is_done_when_the_hosts_power_is_known() -> None:
    work, operation = on_the_desk(Action.STATUS)
    kept = status(work, reads(operation, OUTLET, Power.OFF))
    assert (kept.state, kept.power) == (OperationState.DONE, Power.OFF)
    assert kept.error == "could not be read: pdu-a, bmc"


def test_a_status_that_read_nothing_failed_and_names_what_it_could_not_read() -> None:
    work, operation = on_the_desk(Action.STATUS)
    runs = tuple(replace(run, proxy=ENGINE if run.device == BMC else None) for run in operation.devices)
    kept = status(work, replace(operation, devices=runs))
    assert (kept.state, kept.power, kept.error) == (
        OperationState.FAILED, Power.UNKNOWN, "could not be read: pdu-a"
    )  # fmt: skip


@pytest.mark.parametrize("action", list(Action))
def test_a_reading_has_the_time_of_its_races_and_others_that_of_their_devices(action: Action) -> None:
    work, operation = on_the_desk(action)
    race = work.fleet.inventory.daemon.race
    seconds = max(device.power.operation_timeout_seconds for device in work.host.devices)
    if action in {Action.STATUS, Action.PROBE}:
        seconds = 2 * race.probe_timeout_seconds + len(work.fleet.inventory.proxies) * race.stagger_seconds + 10.0
    if action is Action.SLEEP:
        seconds += work.host.settings.saving.veto_seconds
    assert operation.deadline - operation.started == pytest.approx(seconds)

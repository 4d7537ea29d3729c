"""How operations end and what the host's state is then, tested on hand-made states."""

from dataclasses import replace

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Operation, Phase, Restored
from fenced.core.operation import endings, recovery, starting
from fenced.core.operation.proof import level_off_again
from fenced.core.work import HostWork, Work
from fenced.model.names import BootId, DeviceName, Token
from fenced.model.power import Action, Cause, OperationState, Power, Proof, State
from tests.core.desk import NODE, Desk
from tests.core.endings_desk import BMC, OUTLET, TOKEN, closes, on_the_desk, proof, reads, recorded
from tests.world.rack import Rack

# -- without closing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "is_fenced", "restored"),
    [
        (Action.RESTART, True, Restored.NO),
        (Action.RESTART, False, Restored.NOT_ASKED),
        (Action.OFF, True, Restored.NOT_ASKED),
    ],
)
def test_an_abandoned_operation_gave_nothing_back(action: Action, is_fenced: bool, restored: Restored) -> None:
    work, operation = on_the_desk(action)
    operation = replace(operation, is_fenced=is_fenced)
    work.fleet.put(replace(work.state, state=State.FENCING, operation=operation))
    endings.abandon(work, operation, "lost")
    (kept,) = work.work.ended
    assert (kept.state, kept.restored, kept.is_fenced) == (OperationState.FAILED, restored, is_fenced)
    assert (kept.phase, kept.error, kept.ended) == (Phase.ENDED, "lost", work.now)
    assert work.state.state is State.FAILED
    assert work.operation is None


def test_an_abandoned_operation_of_a_host_that_is_not_being_fenced_leaves_its_state() -> None:
    work, operation = on_the_desk(Action.ON)
    work.fleet.put(replace(work.state, operation=operation))
    endings.abandon(work, operation, "lost")
    assert work.state.state is State.HEALTHY


def test_a_waiting_operation_ends_as_cancelled_and_leaves_the_host_as_it_is() -> None:
    work, operation = on_the_desk(Action.OFF)
    work.fleet.put(replace(work.state, waiting=operation))
    endings.end_unstarted(work, operation, "no longer wanted")
    (kept,) = work.work.ended
    assert (kept.state, kept.power, kept.is_fenced) == (OperationState.CANCELLED, Power.UNKNOWN, False)
    assert (kept.proof, kept.restored) == (None, Restored.NOT_ASKED)
    assert (work.state.waiting, work.state.state) == (None, State.HEALTHY)


# -- cooldown, back-off, budget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "cause", "ending", "is_off_sent", "has_cooldown", "has_next"),
    [
        (Action.OFF, Cause.SILENCE, OperationState.FAILED, True, True, True),
        (Action.OFF, Cause.SILENCE, OperationState.FAILED, False, True, True),
        (Action.OFF, Cause.SILENCE, OperationState.DONE, True, True, False),
        (Action.OFF, Cause.SILENCE, OperationState.CANCELLED, True, True, True),
        (Action.OFF, Cause.SILENCE, OperationState.CANCELLED, False, False, True),
        (Action.OFF, Cause.REQUEST, OperationState.FAILED, True, False, False),
        (Action.ON, Cause.SILENCE, OperationState.FAILED, False, False, False),
    ],
)
def test_only_an_automatic_fence_has_a_cooldown_and_a_next_attempt(
    action: Action, cause: Cause, ending: OperationState, is_off_sent: bool, has_cooldown: bool, has_next: bool
) -> None:
    work, operation = on_the_desk(action, cause=cause)
    ended = closes(work, replace(operation, ending=ending, is_off_sent=is_off_sent), state=State.FENCING)
    assert (ended.cooldown_until > work.now, ended.next_attempt_at > work.now) == (has_cooldown, has_next)
    failed = recorded(work, r.FenceFailed)
    assert bool(failed) == (ending is OperationState.FAILED and action is not Action.ON)
    if failed:
        assert isinstance(failed[0], r.FenceFailed)
        assert (failed[0].next_attempt_at is not None) == (cause is Cause.SILENCE)
        assert failed[0].next_attempt_at in {None, max(ended.next_attempt_at, ended.cooldown_until)}


@pytest.mark.parametrize(
    ("is_off_sent", "is_fenced", "is_returned"),
    [(False, False, True), (True, False, False), (False, True, False)],
)
def test_the_budget_is_returned_without_an_off_and_a_proof_alone(
    is_off_sent: bool, is_fenced: bool, is_returned: bool
) -> None:
    work, operation = on_the_desk(Action.OFF)
    work.work.record_fleet(r.BudgetDrawn(host=NODE, cluster="c1"))
    operation = replace(operation, ending=OperationState.CANCELLED, is_off_sent=is_off_sent, is_fenced=is_fenced)
    closes(work, operation, state=State.FENCING)
    assert bool(recorded(work, r.BudgetReturned)) == is_returned
    assert bool(work.fleet.state.draws) != is_returned


def test_a_draw_of_another_moment_is_not_returned() -> None:
    work, operation = on_the_desk(Action.OFF)
    work.work.record_fleet(r.BudgetDrawn(host=NODE, cluster="c1"))
    closes(work, replace(operation, started=work.now - 9.0, ending=OperationState.CANCELLED), state=State.FENCING)
    assert not recorded(work, r.BudgetReturned)


# -- the host's state afterwards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "lit", "after"),
    [
        (Proof.DEVICE_VERIFIED, OUTLET, State.SUSPECT),
        (Proof.DEVICE_VERIFIED, BMC, State.SUSPECT),
        (Proof.DEVICE_VERIFIED, None, State.FENCED),
        (Proof.HUMAN, OUTLET, State.SUSPECT),
    ],
)
def test_an_off_that_sent_nothing_leaves_a_fenced_host_fenced_unless_it_reads_on(
    kind: Proof, lit: DeviceName | None, after: State
) -> None:
    work, operation = on_the_desk(Action.OFF, cause=Cause.REQUEST)
    operation = replace(operation, before=State.FENCED, ending=OperationState.CANCELLED)
    operation = reads(operation, lit, Power.ON) if lit is not None else operation
    ended = closes(work, operation, state=State.FENCING, proof=proof(kind), token=TOKEN)
    assert ended.after is after


def test_an_on_at_another_level_than_that_of_a_proof_by_devices_says_nothing() -> None:
    at = Desk(Rack(devices=("pdu-a:1", "pdu-b:2")))
    at.calm()
    work = Work(at.fleet, at.now).on(NODE)
    for kind, after in ((Proof.DEVICE_VERIFIED, State.FENCED), (Proof.HUMAN, State.SUSPECT)):
        operation = starting.new(work, Action.OFF, cause=Cause.REQUEST, by="person", reason="told")
        operation = replace(operation, before=State.FENCED, ending=OperationState.CANCELLED)
        work.work.entries.clear()
        lit = reads(operation, DeviceName("pdu-b"), Power.ON)
        ended = closes(work, lit, state=State.FENCING, proof=proof(kind), token=TOKEN)
        assert ended.after is after


@pytest.mark.parametrize("before", [State.LEFT, State.FAILED, State.SUSPECT])
@pytest.mark.parametrize("ending", [OperationState.CANCELLED, OperationState.DONE])
def test_a_cancelled_fence_that_sent_nothing_leaves_left_and_failed_hosts(
    before: State, ending: OperationState
) -> None:
    work, operation = on_the_desk(Action.OFF)
    ended = closes(work, replace(operation, before=before, ending=ending), state=State.FENCING)
    is_kept = ending is OperationState.CANCELLED and before is not State.SUSPECT
    assert ended.after is (before if is_kept else State.SUSPECT)


def stopped_restore(work: HostWork, operation: Operation, *, token: Token) -> r.OperationEnded:
    operation = replace(operation, is_fenced=True, ending=OperationState.DONE, restore_started=1.0)
    return closes(work, operation, state=State.RESTORING, proof=proof(), token=token, is_on_forbidden=True)


def test_a_restore_that_was_stopped_is_announced_again_from_what_was_read_since() -> None:
    """It keeps the devices, the boot and the last beat of the earlier proof, under a token above those of its ONs."""
    work, operation = on_the_desk(Action.RESTART)
    work.see(heard_at=None)
    runs = tuple(replace(run, is_switched_on=run.device == OUTLET) for run in operation.devices)
    operation = reads(replace(operation, devices=runs), OUTLET, Power.OFF)
    ended = stopped_restore(work, operation, token=Token(epoch=1, sequence=901))
    (fenced,) = recorded(work, r.HostFenced)
    assert isinstance(fenced, r.HostFenced)
    assert (fenced.level, fenced.devices, fenced.boot, fenced.last_heard) == (1, (OUTLET,), BootId("b1"), 7.0)
    assert fenced.is_stay_off and fenced.token != TOKEN
    assert (ended.after, work.state.state) == (State.FENCED, State.FENCED)


def test_an_on_that_was_cancelled_and_proven_off_again_ends_as_fenced() -> None:
    work, operation = on_the_desk(Action.ON, cause=Cause.REQUEST)
    runs = tuple(replace(run, is_switched_on=run.device == OUTLET) for run in operation.devices)
    operation = replace(operation, devices=runs, before=State.FENCED, ending=OperationState.CANCELLED)
    token = Token(epoch=1, sequence=901)
    off = reads(operation, OUTLET, Power.OFF)
    assert closes(work, off, state=State.RESTORING, proof=proof(), token=token).is_fenced


def test_a_restore_that_sent_no_on_is_not_announced_again() -> None:
    work, operation = on_the_desk(Action.RESTART)
    ended = stopped_restore(work, operation, token=TOKEN)
    assert not recorded(work, r.HostFenced)
    assert ended.after is State.FENCED


def test_a_device_that_was_switched_on_and_not_read_off_may_be_on() -> None:
    work, operation = on_the_desk(Action.RESTART)
    runs = tuple(replace(run, is_switched_on=run.device == OUTLET) for run in operation.devices)
    ended = stopped_restore(work, replace(operation, devices=runs), token=TOKEN)
    assert ended.after is State.RESTORING


def test_the_level_of_the_earlier_proof_comes_first() -> None:
    work, operation = on_the_desk(Action.RESTART)
    both = reads(reads(operation, OUTLET, Power.OFF), BMC, Power.OFF)
    assert level_off_again(work, both, proof()) == 1
    assert level_off_again(work, both, replace(proof(), level=2)) == 2
    assert level_off_again(work, reads(both, OUTLET, Power.ON), proof()) == 2
    assert level_off_again(work, reads(both, OUTLET, Power.OFF, times=1), replace(proof(), level=1)) == 2
    assert level_off_again(work, operation, proof()) is None


# -- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["late", "disarmed", ""])
def test_a_waiting_request_starts_unless_it_is_too_late_or_disarmed(why: str) -> None:
    work, operation = on_the_desk(Action.ON, cause=Cause.REQUEST)
    operation = replace(operation, deadline=work.now if why == "late" else work.now + 50.0)
    work.fleet.put(replace(work.state, waiting=operation))
    if why == "disarmed":
        work.work.record_fleet(r.Disarmed(by="person", reason="told"))
    starting.start_waiting(work)
    assert work.state.waiting is None
    assert bool(recorded(work, r.WaitingOperationStarted)) == (not why)
    assert bool(recorded(work, r.OperationEnded)) == bool(why)
    if not why:
        running: Operation | None = work.operation
        assert running is not None and running.restore_started == work.now
        assert running.deadline == work.now + 50.0


def test_a_request_that_waits_for_nothing_starts_after_a_restart() -> None:
    work, operation = on_the_desk(Action.ON, cause=Cause.REQUEST)
    work.fleet.put(replace(work.state, waiting=operation))
    recovery.take_up(work)
    assert work.state.waiting is None and recorded(work, r.WaitingOperationStarted)
    assert any(isinstance(command, c.RunRace) for command in work.work.commands)


def test_nothing_starts_where_nothing_waits() -> None:
    work, _ = on_the_desk(Action.ON)
    starting.start_waiting(work)
    assert work.work.entries == []
    assert isinstance(work.state, HostState)

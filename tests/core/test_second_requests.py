"""The table of design.md#a-second-request: what a new request does to a running operation, cell by cell."""

from collections.abc import Callable

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.state import Restored
from fenced.core.events import HealthStatus
from fenced.model.names import DeviceName, OperationId
from fenced.model.power import Action, OperationState, Outcome, Power, State
from tests.core.desk import NODE, Desk
from tests.world.rack import Rack

Build = Callable[[], tuple[Desk, str]]


def running_off() -> tuple[Desk, str]:
    """Return an off with its first OFF under way."""
    desk = Desk()
    answer = desk.ask(Action.OFF)
    desk.race("pdu-a")
    desk.race("pdu-b")
    assert len(desk.waiting(c.SwitchDevice)) == 2
    return desk, answer


def running_restart() -> tuple[Desk, str]:
    """Return a restart that is fenced and waits for its announcement, before its first ON."""
    desk = Desk()
    answer = desk.ask(Action.RESTART)
    desk.serve(until="host_fenced")
    assert desk.state().state is State.FENCED
    return desk, answer


def restart_after_on() -> tuple[Desk, str]:
    """Return a restart with its first ON under way."""
    desk, answer = running_restart()
    desk.go(11.0, silent=[NODE])
    assert desk.waiting(c.SwitchDevice)
    return desk, answer


def running_on() -> tuple[Desk, str]:
    """Return an on with its ONs under way."""
    desk = Desk()
    desk.ask(Action.OFF)
    desk.serve(until="operation_ended")
    answer = desk.ask(Action.ON)
    desk.race("pdu-a")
    desk.race("pdu-b")
    assert len(desk.waiting(c.SwitchDevice)) == 2
    return desk, answer


@pytest.mark.parametrize("build", [running_off, running_restart])
@pytest.mark.parametrize("forced", [True, False])
def test_on_is_refused_while_power_is_cut(build: Build, forced: bool) -> None:
    desk, _ = build()
    assert desk.ask(Action.ON, force=forced) == "refused busy"


@pytest.mark.parametrize(
    ("build", "action"),
    [
        (running_off, Action.OFF),
        (running_restart, Action.RESTART),
        (running_on, Action.ON),
        (restart_after_on, Action.ON),
    ],
)
def test_an_equal_request_joins(build: Build, action: Action) -> None:
    desk, answer = build()
    before = desk.operation().action
    assert desk.ask(action) == answer
    assert desk.operation().action is before
    assert desk.state().waiting is None


def test_off_becomes_a_restart_before_it_is_fenced() -> None:
    desk, answer = running_off()
    assert desk.ask(Action.RESTART) == answer
    desk.serve(until="operation_ended")
    assert desk.ended(answer.split()[1]).state is OperationState.DONE
    assert desk.power(NODE, desk.inventory.hosts[NODE].devices[0].name) is Power.ON


def test_off_that_is_fenced_lets_a_restart_wait() -> None:
    desk = Desk()
    desk.ask(Action.OFF)
    desk.race("pdu-a")
    desk.race("pdu-b")
    desk.switched("pdu-a")
    desk.switched("pdu-b", is_end_known=False)
    desk.powers[(NODE, desk.inventory.hosts[NODE].devices[1].name)] = Power.OFF
    desk.serve(until="host_fenced")
    running = desk.operation()
    answer = desk.ask(Action.RESTART)
    assert answer != f"accepted {running.id}"
    waiting = desk.state().waiting
    assert waiting is not None and answer == f"accepted {waiting.id}"
    desk.serve(until="waiting_operation_started", seconds=90)
    assert desk.operation().id == waiting.id


def test_a_restart_before_its_first_on_becomes_off_and_stays_off() -> None:
    desk, answer = running_restart()
    assert desk.ask(Action.OFF) == answer
    desk.serve(until="operation_ended")
    state = desk.state()
    assert (state.state, state.is_stay_off) == (State.FENCED, True)
    assert not [command for command in desk.records(r.StepStarted) if command.what.value == "on"]


def test_a_restart_that_waits_to_send_its_first_on_becomes_off() -> None:
    """The announcement is over but no ON was sent yet: the race is running."""
    desk, answer = running_restart()
    operation = desk.operation()
    for device in operation.devices:
        desk.fleet.apply(
            r.Entry(at=desk.now, host=NODE, record=r.PathLost(operation=operation.id, device=device.device, why="gone"))
        )
    desk.go(11.0, silent=[NODE])
    assert desk.operation().phase.value == "restoring" and desk.waiting(c.RunRace)
    assert desk.ask(Action.OFF) == answer
    desk.serve(until="operation_ended")
    assert (desk.state().state, desk.state().is_stay_off) == (State.FENCED, True)


@pytest.mark.parametrize("build", [restart_after_on, running_on])
def test_after_the_first_on_an_off_waits_and_then_runs(build: Build) -> None:
    desk, answer = build()
    second = desk.ask(Action.OFF)
    assert second != answer and desk.state().waiting is not None
    desk.serve(until="host_fenced", seconds=120)
    assert desk.ended(answer.split()[1]).state is OperationState.DONE
    assert desk.ended(second.split()[1]).is_fenced
    assert desk.state().is_stay_off


def test_on_lets_a_restart_wait() -> None:
    desk, answer = running_on()
    second = desk.ask(Action.RESTART)
    assert second.startswith("accepted") and second != answer
    assert desk.state().waiting is not None


@pytest.mark.parametrize("build", [running_off, running_restart, restart_after_on, running_on])
def test_status_reads_beside_it(build: Build) -> None:
    desk, answer = build()
    status = desk.ask(Action.STATUS)
    assert status.startswith("accepted") and status != answer
    reading = desk.state().reading
    assert reading is not None and reading.id == OperationId(status.split()[1])
    desk.serve(seconds=5)
    assert desk.ended(status.split()[1]).state is OperationState.DONE


def test_a_request_while_a_cancelled_operation_ends_waits_for_its_end() -> None:
    desk, _ = running_on()
    desk.cancel()
    second = desk.ask(Action.OFF)
    waiting = desk.state().waiting
    assert waiting is not None and second == f"accepted {waiting.id}"


def test_off_does_not_join_an_operation_that_is_being_undone() -> None:
    """Life stopped the automatic fence and power is given back: an operator's off must not end with it."""
    desk = Desk()
    desk.fence()
    desk.race("pdu-a")
    desk.race("pdu-b")
    desk.beat()
    assert desk.operation().is_stopped
    second = desk.ask(Action.OFF)
    waiting = desk.state().waiting
    assert waiting is not None and second == f"accepted {waiting.id}"


@pytest.mark.parametrize("action", [Action.OFF, Action.RESTART])
def test_an_off_that_joins_an_on_which_waits_is_carried_out(action: Action) -> None:
    """The request waits for the end of a restore that was cancelled while its ON may still act;
    an off joins it there.
    """
    desk, _ = restart_after_on()
    desk.cancel()
    answer = desk.ask(Action.ON)
    assert desk.state().waiting is not None and desk.ask(action) == answer
    desk.serve(seconds=300.0)
    ended = desk.ended(answer.removeprefix("accepted "))
    assert ended.state is OperationState.DONE and ended.is_fenced
    assert (desk.state().state is State.FENCED) is (action is Action.OFF)


def test_an_on_that_waited_has_a_deadline_of_its_own() -> None:
    desk, first = running_on()
    desk.cancel()
    answer = desk.ask(Action.ON)
    desk.switched("pdu-a")
    desk.switched("pdu-b")
    desk.go(60.0, silent=[NODE])
    running = desk.operation()
    assert f"accepted {running.id}" == answer != first
    assert running.restore_deadline is not None


def test_automatic_never_supersedes_a_person() -> None:
    desk, answer = running_off()
    desk.go(120.0, silent=[NODE])
    assert desk.operation().id == OperationId(answer.split()[1])
    assert len([op for op in desk.records(r.OperationStarted) if op.operation.is_automatic]) == 0


def test_the_own_machine_is_never_switched_by_a_person() -> None:
    desk = Desk(Rack(own_machine="node-2"))
    for action in (Action.OFF, Action.RESTART, Action.ON):
        assert desk.ask(action) == "refused own_machine"
    assert desk.ask(Action.STATUS).startswith("accepted")


def test_a_living_host_is_switched_off_by_force_only() -> None:
    desk = Desk()
    assert desk.ask(Action.OFF, force=False) == "refused alive"
    assert desk.records(r.RequestRefused)[0].rule == "alive"
    desk.maintain()
    assert desk.ask(Action.OFF, force=False).startswith("accepted")


def test_a_cancelled_request_leaves_the_host_as_it_was() -> None:
    """Cancelled before any OFF: a host in `left` does not become suspect, and one that an operator switched off stays
    off."""
    desk = Desk()
    desk.beat(status=HealthStatus.STOPPING)
    assert desk.state().state is State.LEFT
    desk.go(60.0, silent=[NODE])
    desk.ask(Action.OFF)
    desk.cancel()
    assert desk.state().state is State.LEFT
    off = Desk()
    off.ask(Action.OFF)
    off.serve(until="operation_ended")
    off.ask(Action.RESTART)
    off.cancel()
    assert (off.state().state, off.state().is_stay_off) == (State.FENCED, True)


def test_a_status_that_reads_on_between_two_offs_takes_the_first_of_them_away() -> None:
    """OFF, ON, OFF is no stable OFF, whichever operation read the ON (S1)."""
    desk = Desk(Rack(devices=("pdu-a:1",)))
    desk.ask(Action.OFF)
    desk.race("pdu-a", Power.ON)
    desk.switched("pdu-a")
    read_next(desk, Power.OFF)
    desk.ask(Action.STATUS)
    desk.race("pdu-a", Power.ON)
    read_next(desk, Power.OFF)
    assert not desk.records(r.HostFenced)
    read_next(desk, Power.OFF)
    assert desk.records(r.HostFenced)


def read_next(desk: Desk, power: Power) -> None:
    """Answer the operation's next read of its device."""
    for _ in range(40):
        if desk.waiting(c.ReadDevice):
            break
        desk.go(0.25, silent=[NODE])
    desk.read("pdu-a", power)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.DONE])
def test_an_on_after_a_restore_was_stopped_waits_and_gives_power_back(outcome: Outcome) -> None:
    """The restart only waits for the end of its own ON; it switches nothing more on."""
    desk = Desk()
    desk.fence()
    desk.serve(until="host_fenced")
    desk.go(11.0, silent=[NODE])
    desk.cancel()
    answer = desk.ask(Action.ON)
    desk.switched("pdu-a", outcome)
    desk.switched("pdu-b", Outcome.REFUSED)
    desk.serve(seconds=60.0)
    assert desk.ended(answer.removeprefix("accepted ")).restored is Restored.ALL
    assert {desk.power(NODE, DeviceName(name)) for name in ("pdu-a", "pdu-b")} == {Power.ON}

"""Builds a new operation from the inventory, and starts the one that waited. `edited.new_run` builds its devices."""

from fenced.core.allowed import gates, of_daemon
from fenced.core.durable import machine
from fenced.core.durable import records as r
from fenced.core.durable.state import Operation
from fenced.core.operation import edited, silencing
from fenced.core.operation.endings import end_unstarted
from fenced.core.operation.phases import enter_restore
from fenced.core.work import HostWork
from fenced.model.power import Action, Cause


def new(
    work: HostWork, action: Action, *, cause: Cause, by: str, reason: str, is_drill: bool = False,
    is_forced: bool = False,
) -> Operation:  # fmt: skip
    """Build an operation; nothing is recorded yet. Each level of a drill also waits for the host's silence."""
    host = work.host
    operation_id, number = work.fleet.next_operation_id()
    longer = len(host.levels) * silencing.most_seconds(work) if is_drill else 0.0
    return Operation(
        id=operation_id,
        host=work.name,
        action=action,
        cause=cause,
        by=by,
        reason=reason,
        started=work.now,
        deadline=work.now + _timeout_seconds(work, action) + longer,
        number=number,
        phase=machine.FIRST_PHASE[action],
        levels=host.levels,
        boot=work.state.boot,
        was_overdue=work.fleet.is_overdue(work.name, work.now),
        devices=tuple(edited.new_run(device) for device in host.devices),
        is_drill=is_drill,
        is_forced=is_forced,
    )


def _timeout_seconds(work: HostWork, action: Action) -> float:
    if action in {Action.STATUS, Action.PROBE}:
        return reading_timeout_seconds(work)
    longer = work.host.settings.saving.veto_seconds if action is Action.SLEEP else 0.0
    timeouts = [device.power.operation_timeout_seconds for device in work.host.devices]
    return max(timeouts, default=work.host.settings.power.operation_timeout_seconds) + longer


def reading_timeout_seconds(work: HostWork) -> float:
    """Return a timeout within which a race finds that every candidate is dead."""
    race = work.fleet.inventory.daemon.race
    return 2 * race.probe_timeout_seconds + len(work.fleet.inventory.proxies) * race.stagger_seconds + 10.0


def start_waiting(work: HostWork) -> None:
    """Start the request that waited, unless its deadline has passed or it is no longer allowed."""
    waiting = work.state.waiting
    if waiting is None:
        return
    if (why := _why_not(work, waiting)) is not None:
        end_unstarted(work, waiting, why)
        return
    span = waiting.deadline - waiting.started
    work.record(r.WaitingOperationStarted(operation=waiting.id, deadline=work.now + span))
    if waiting.action is Action.ON:
        enter_restore(work, waiting)


def _why_not(work: HostWork, waiting: Operation) -> str | None:
    if work.host.is_own_machine:
        return f"the host is {work.host.own_words} now (S18)"
    is_behind_sleep = work.state.is_asleep or (waiting.action is Action.ON and work.state.saving.soft_off is not None)
    if work.now >= waiting.deadline and not is_behind_sleep:
        return "its deadline passed while it waited for another operation"
    shut = gates.closed((of_daemon.armed(work.fleet),))
    return shut[0].why if shut else None

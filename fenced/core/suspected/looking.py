"""Checks a host as it is now: suspects it, advances its operation, has its devices read (design.md#detection).

`look` is harmless at any time, as often as you like: a wake-up is a hint, not a fact.
"""

from fenced.core.allowed import gates, observing, of_host
from fenced.core.durable import records as r
from fenced.core.durable.standing import is_watched_as_off, is_watched_asleep
from fenced.core.durable.state import Operation
from fenced.core.events import LifeAsked
from fenced.core.heard.looks import Look, Saw
from fenced.core.heard.sight import LifeAnswer
from fenced.core.operation import advancing, life
from fenced.core.operation.paths import watch_command
from fenced.core.operation.phases import stop
from fenced.core.suspected import giving_back
from fenced.core.suspected.confirming import look_suspect
from fenced.core.suspected.silence import due_at, grace_words, release_until
from fenced.core.work import HostWork
from fenced.model.power import Cause, State

SUSPECTABLE = frozenset({State.HEALTHY, State.FAILED, State.RESTORING})
"""States in which a suspicion can start; in RESTORING only once the boot grace is over."""


def suspect(work: HostWork, cause: Cause, reason: str) -> None:
    if work.state.state is State.RESTORING and cause is not Cause.SILENCE:
        return
    if work.state.state is State.FAILED and work.state.record_fault:
        return  # its state is unknown: an operator must look first
    if work.state.state not in SUSPECTABLE or work.operation is not None or work.state.maintenance is not None:
        return
    work.see(life=None, life_asked_at=None)
    work.record(r.HostSuspected(cause=cause, reason=reason, last_heard=_last_heard(work)))
    look(work)


def _last_heard(work: HostWork) -> float | None:
    return work.sight.heard_at if work.sight.heard_at is not None else work.state.last_heard


def look(work: HostWork) -> None:
    """Check the host as it is now. Harmless at any time, as often as you like."""
    if work.sight.wake_at is not None and work.sight.wake_at <= work.now:
        work.see(wake_at=None)
    if work.operation is not None or work.state.reading is not None:
        advancing.advance(work)
    if work.operation is not None:
        _look_giving_back(work, work.operation)
        return
    match work.state.state:
        case State.HEALTHY:
            _look_healthy(work)
        case State.SUSPECT:
            look_suspect(work)
        case State.RESTORING:
            _look_restoring(work)
        case State.FAILED:
            _look_failed(work)
        case State.LEFT:
            _look_left(work)
        case State.FENCED:
            look_watch(work)
        case State.SLEEPING:
            look_watch(work, work.host.settings.saving.watch_interval_seconds)
        case _:
            pass
    _end_maintenance_in_time(work)
    if work.state.owed:
        giving_back.look(work)
        _watch_owed(work)


def life_asked(work: HostWork, event: LifeAsked) -> None:
    """Handle the answer to a look: who reached the host, or nobody, or there was nothing to look at."""
    looks = (*event.looks, *_still_alive(work, event))
    answer = LifeAnswer(at=work.now, answered=event.answered, was_asked=event.was_asked, looks=looks)
    work.see(life=answer, life_asked_at=None)
    if work.operation is not None:
        life.life_asked(work, event.answered)
    look(work)


def _still_alive(work: HostWork, event: LifeAsked) -> tuple[Look, ...]:
    """Return earlier signs of life of observers that did not answer now: they count as long as any answer does."""
    answered = {(look.observer.name, look.network) for look in event.looks}
    return tuple(
        look
        for look in observing.looks_of(work.fleet, work.name)
        if look.saw is Saw.ALIVE
        and (look.observer.name, look.network) not in answered
        and observing.is_fresh(work.fleet, work.name, look, work.now)
    )


def _look_giving_back(work: HostWork, operation: Operation) -> None:
    """Suspect a healthy host that falls silent while its power is being given back."""
    if not operation.is_giving_back or operation.is_stopped or work.state.state is not State.HEALTHY:
        return
    if work.now < due_at(work) - 1e-6 or work.fleet.own.ear.opened_at is None:
        work.wake(max(due_at(work), work.now + 0.05))
        return
    stop(work, "the host fell silent")
    advancing.advance(work)


def _watch_owed(work: HostWork) -> None:
    """Watch the devices that the daemon left off until they are on, unless the watch of an off host reads them
    already."""
    if work.operation is None and not is_watched_as_off(work.state) and not is_watched_asleep(work.state):
        look_watch(work)


def _end_maintenance_in_time(work: HostWork) -> None:
    maintenance = work.state.maintenance
    if maintenance is None or maintenance.until is None:
        return
    if work.now >= maintenance.until:
        work.record(r.MaintenanceEnded(by=maintenance.by, reason="its time is over"))
    else:
        work.wake(maintenance.until)


def _look_healthy(work: HostWork) -> None:
    due = due_at(work)
    if work.now < due - 1e-6 or work.fleet.own.ear.opened_at is None:
        work.wake(max(due, work.now + 0.05))
        return
    silence = work.fleet.silence_seconds(work.name, work.now)
    longer = work.fleet.stretched_seconds(work.name, work.now)
    grace = f" (its grace is {grace_words(work.fleet, work.name, work.now)})" if longer else ""
    suspect(work, Cause.SILENCE, f"not heard for {silence:.1f} s of listening{grace}")


def _look_restoring(work: HostWork) -> None:
    if work.state.is_on_forbidden:
        look_watch(work)  # no ON and no boot is expected: only its devices show its power
        if not work.state.is_asleep:  # the ON of a wake may have been done: it is waited for no longer than any other
            return
    # A host may have booted and sent heartbeats while the daemon was deaf: boot_grace excludes that time (S11).
    # It boots from when power came, which a restart of the daemon or a slow device may delay.
    since = max(work.state.since, work.sight.operation_ended_at)
    deaf = work.fleet.own.ear.deaf_seconds(since, work.now)
    over = since + work.host.settings.detection.boot_grace_seconds + deaf
    until = max(over, release_until(work))
    if work.fleet.is_heard(work.name, work.now):  # by a standby, which decides nothing: its next heartbeat tells
        until = max(until, due_at(work))
    if work.now < until:
        work.wake(max(until, work.now + 0.05))
    else:
        if work.state.is_asleep and work.state.maintenance is None:
            work.record(r.WakeFailed(why="power was given, and no heartbeat came within boot_grace"))
        suspect(work, Cause.SILENCE, "power was given back and no heartbeat came within boot_grace")


def _look_failed(work: HostWork) -> None:
    """Watch the devices, and retry with back-off as far as `of_host.attempts` allows."""
    look_watch(work)
    if work.state.state is not State.FAILED:
        return
    again = max(work.state.next_attempt_at, work.state.cooldown_until, due_at(work))
    if work.now < again:
        work.wake(again)
    elif not gates.closed(gates.owner_gates(work.fleet, work.now)) and _has_attempts(work):
        suspect(work, Cause.SILENCE, "still silent and not proven off")


def _has_attempts(work: HostWork) -> bool:
    most = work.fleet.inventory.daemon.gates.attempts_count
    return of_host.attempts_in_window(work.fleet, work.name, work.now) < most


def _look_left(work: HostWork) -> None:
    if (soft_off := work.state.saving.soft_off) is not None:  # it may go down late
        look_watch(work, None if soft_off.has_work else work.host.settings.saving.watch_interval_seconds)
    over = work.state.since + work.host.settings.detection.stopping_max_seconds
    if work.now < over:
        work.wake(over)
    elif not work.state.is_away_told:
        work.record(r.HostLeft(reason="away longer than stopping_max", is_overdue=True))


def look_watch(work: HostWork, every: float | None = None) -> None:
    """Have the devices of a fenced, failed or sleeping host read every `watch_interval`, or as often as `every`."""
    sight = work.sight
    interval = work.host.settings.detection.watch_interval_seconds if every is None else every
    if not work.host.devices:
        return
    watch_at = sight.watch_at
    if watch_at is None:
        watch_at = work.now + interval
        work.see(watch_at=watch_at)
    if sight.watch_started is not None and work.now < sight.watch_started + 10 * interval:
        work.wake(sight.watch_started + 10 * interval)  # a lost round must not end the watch
        return
    if work.now >= watch_at:
        watch_at = work.now + interval
        work.see(watch_started=work.now, watch_at=watch_at)
        work.command(watch_command(work))
    work.wake(watch_at)

"""Measures how long a host was silent, and when its silence exceeds its grace (design.md#detection)."""

from fenced.core.allowed import of_life
from fenced.core.fleet import Fleet
from fenced.core.work import HostWork
from fenced.model.names import HostName
from fenced.model.power import State


def due_at(work: HostWork) -> float:
    """Return when the host's silence will have lasted its grace, if nothing is heard until then."""
    fleet, name, now = work.fleet, work.name, work.now
    left = fleet.grace_seconds(name, now) - fleet.silence_seconds(name, now)
    opened = fleet.own.ear.opened_at
    listening_from = max(now, opened) if opened is not None else now + 1.0
    due = listening_from + left
    if now < (until := fleet.own.stretched_until(now)) < due:  # the grace is stretched no longer, or less, by then
        due = max(until, due - fleet.stretched_seconds(name, now))
    return max(due, release_until(work), now + of_life.shutdown_seconds(fleet, name, now))


def release_until(work: HostWork) -> float:
    """Return until when a host is not suspected because it may boot: it was silent through an outage or the daemon's
    start, or got its power back."""
    return released_at(work.fleet, work.name)


def released_at(fleet: Fleet, name: HostName) -> float:
    """Return the same without work on the host."""
    until = 0.0 if _has_booted(fleet, name) else fleet.hosts[name].release_until
    if is_silent_through(fleet, name):
        until = max(until, fleet.own.released_from + fleet.host(name).settings.detection.release_grace_seconds)
    return until


def _has_booted(fleet: Fleet, name: HostName) -> bool:
    """Return whether a heartbeat shows that the host runs with the power that the last operation gave it: one that
    can't be older."""
    heard_at = fleet.sights[name].heard_at
    is_heard = fleet.hosts[name].state is State.HEALTHY and heard_at is not None
    return is_heard and not may_precede_end(fleet, name, heard_at or 0.0)


def may_precede_end(fleet: Fleet, name: HostName, at: float) -> bool:
    """Return whether a message that came then may have been sent before the host's last operation ended."""
    return at <= fleet.sights[name].operation_ended_at + fleet.host(name).settings.detection.late_message_seconds


def is_silent_through(fleet: Fleet, name: HostName) -> bool:
    """Return whether the host was not heard since the last outage or the start: its next check may be far ahead."""
    since, heard_at = fleet.own.released_since, fleet.sights[name].heard_at
    return since is not None and (heard_at is None or heard_at < since)


def grace_words(fleet: Fleet, name: HostName, now: float) -> str:
    """Return the grace, and why it is longer than usual: `20 s`, `28 s, 8 s longer because ...`."""
    words, longer = f"{fleet.grace_seconds(name, now):.0f} s", fleet.stretched_seconds(name, now)
    return f"{words}, {longer:.0f} s longer because {fleet.own.illness(now)}" if longer else words


def is_silent(work: HostWork) -> bool:
    fleet = work.fleet
    return fleet.silence_seconds(work.name, work.now) > fleet.grace_seconds(work.name, work.now) - 1e-6


def watch(work: HostWork) -> None:
    """Schedule the next check of a host that is heard."""
    work.wake(max(due_at(work), work.now + 0.001))

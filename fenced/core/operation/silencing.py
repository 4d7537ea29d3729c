"""Watches that a drilled host falls silent while its devices read OFF, before it is announced as fenced.

An automatic fence cuts the power of a host that is silent already. A drill cuts that of a living one: only its silence
shows that these devices feed this host. The silence is measured as a suspicion measures it: in listening time, over the
grace, with a witness, and while no other host falls silent with it. `suspected.drilled` handles the heartbeats of a
host that goes on beating.
"""

from collections.abc import Iterator

from fenced.core.allowed import gates, of_many
from fenced.core.durable.outcome import dark_since
from fenced.core.durable.replacing import replace
from fenced.core.durable.standing import NOT_MONITORED, is_in_hand
from fenced.core.durable.state import Operation
from fenced.core.heard.reporters import SLOWEST_INTERVALS
from fenced.core.work import HostWork
from fenced.model.names import HostName
from fenced.model.power import State, What

READ_SECONDS = 3.0
"""How often devices that read OFF are read again meanwhile."""

LATE_SECONDS = 3.0
"""A heartbeat may be at least this late: sent before the power was cut, and received after that."""

MARGIN_SECONDS = 30.0

OVERDUE_INTERVALS = 1.5
"""A host whose last beat was older than this at the first OFF was silent before it."""


def most_seconds(work: HostWork) -> float:
    """Return how much longer a drill's level may take than a fence's."""
    grace = work.fleet.grace_seconds(work.name, work.now)
    return _late_seconds(work) + max(_span_seconds(work), grace) + MARGIN_SECONDS


def why_not_silent(work: HostWork, operation: Operation) -> str | None:
    """Return why the drilled host does not count as silent yet; None: it does, or the operation is no drill."""
    if not operation.is_drilling:
        return None
    fleet, name, now = work.fleet, work.name, work.now
    until, opened_at = late_until(work, operation), fleet.own.ear.opened_at
    if until is None or opened_at is None:
        return "its devices do not all read OFF" if until is None else "the daemon does not listen: no bus"
    if now < max(until, opened_at) + _needed_seconds(work):
        return "its devices read OFF, and its silence since has not lasted long enough"
    if fleet.is_heard(name, now) or fleet.is_speaking(name, now):
        return "its devices read OFF, and it was heard within its grace"
    return _why_it_proves_nothing(work, operation)


def _why_it_proves_nothing(work: HostWork, operation: Operation) -> str | None:
    """Return why the host's silence may have another cause than its own power; None: it has none that is known."""
    fleet, name, now = work.fleet, work.name, work.now
    cluster = work.host.cluster
    shut = gates.closed((of_many.witness(fleet, name, now), of_many.connectivity(fleet, cluster, now, suspect=name)))
    if shut:
        return f"its silence proves nothing: {shut[0].why}"
    other = next(_silent_since(work, operation), None)
    return f"its silence proves nothing: {other} fell silent with it" if other is not None else None


def silenced_besides(work: HostWork, operation: Operation) -> HostName | None:
    """Return a host that is silent for its grace since the first OFF, or None: the devices may feed it, or its network.

    The drilled host's own silence may then have the same cause, and it may run. Without a witness the daemon itself is
    probably cut off, and the silence of others says nothing.
    """
    fleet, now = work.fleet, work.now
    if not fleet.troubled - {work.name} or not of_many.witness(fleet, work.name, now).is_open:
        return None
    silent = (other for other in _silent_since(work, operation) if not fleet.is_heard(other, now))
    return next(silent, None)


def _silent_since(work: HostWork, operation: Operation) -> Iterator[HostName]:
    """Yield the other hosts that were heard until the first OFF, and missed `missed_heartbeats` since."""
    fleet, now, off_at = work.fleet, work.now, _first_off_at(operation)
    if off_at is None:
        return
    for other, state in fleet.hosts.items():
        if other == work.name or state.state in NOT_MONITORED:
            continue
        interval, heard_at = fleet.interval_seconds(other), fleet.sights[other].heard_at
        missed = fleet.host(other).settings.detection.missed_heartbeats
        if heard_at is None:  # not since a restart of the daemon: its records alone know
            was_heard = state.state is State.HEALTHY or state.since >= off_at
        else:
            was_heard = heard_at > off_at - OVERDUE_INTERVALS * interval
        if was_heard and fleet.silence_seconds(other, now) >= missed * interval and not is_in_hand(state, now):
            yield other


def spare_who_was_cut(work: HostWork) -> None:
    """Give hosts that are silent now `release_grace`: the drill may have cut one of them, and cables are mixed up."""
    own = work.fleet.own
    work.work.own(replace(own, released_since=work.now, released_from=max(own.released_from, work.now)))


def late_until(work: HostWork, operation: Operation) -> float | None:
    """Return until when a heartbeat may be a late one of a host without power; None: its devices do not read OFF."""
    dark_at = dark_since(operation)
    return None if dark_at is None else dark_at + _late_seconds(work)


def _late_seconds(work: HostWork) -> float:
    return max(work.fleet.interval_seconds(work.name), LATE_SECONDS)


def _span_seconds(work: HostWork) -> float:
    return work.host.settings.detection.missed_heartbeats * work.fleet.interval_seconds(work.name)


def _needed_seconds(work: HostWork) -> float:
    """Return how long the host must be silent. After a restart of the daemon its pace is not known: the slowest
    counts."""
    if work.sight.heard_at is not None:
        return _span_seconds(work)
    slowest = SLOWEST_INTERVALS * work.host.settings.detection.heartbeat_interval_seconds
    return max(work.host.settings.detection.missed_heartbeats * slowest, work.fleet.grace_seconds(work.name, work.now))


def _first_off_at(operation: Operation) -> float | None:
    steps = (step for run in operation.devices for step in (*run.steps, run.step) if step is not None)
    return min((step.started for step in steps if step.what is What.OFF), default=None)

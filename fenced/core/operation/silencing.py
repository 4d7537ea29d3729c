"""Watches that a drilled host falls silent while its devices read OFF, before it is announced as fenced.

An automatic fence cuts the power of a host that is silent already. A drill cuts that of a living one: only its silence
shows that these devices feed this host. The silence is measured as a suspicion measures it: in listening time, over the
grace, and with a witness. `suspected.drilled` handles the heartbeats of a host that goes on beating.
"""

from fenced.core.allowed import gates
from fenced.core.durable.outcome import dark_since
from fenced.core.durable.state import Operation
from fenced.core.work import HostWork

READ_SECONDS = 3.0
"""How often devices that read OFF are read again meanwhile."""

LATE_SECONDS = 3.0
"""A heartbeat may be at least this late: sent before the power was cut, and received after that."""

MARGIN_SECONDS = 30.0


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
    if now < max(until, opened_at) + _span_seconds(work):
        return "its devices read OFF, and its silence since has not lasted long enough"
    if fleet.is_heard(name, now) or fleet.is_speaking(name, now):
        return "its devices read OFF, and it was heard within its grace"
    witness = gates.witness(fleet, name, now)
    return None if witness.is_open else f"its silence proves nothing: {witness.why}"


def late_until(work: HostWork, operation: Operation) -> float | None:
    """Return until when a heartbeat may be a late one of a host without power; None: its devices do not read OFF."""
    dark_at = dark_since(operation)
    return None if dark_at is None else dark_at + _late_seconds(work)


def _late_seconds(work: HostWork) -> float:
    return max(work.fleet.interval_seconds(work.name), LATE_SECONDS)


def _span_seconds(work: HostWork) -> float:
    return work.host.settings.detection.missed_heartbeats * work.fleet.interval_seconds(work.name)

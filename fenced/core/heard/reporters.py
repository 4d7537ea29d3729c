"""Several reporters of one host, each with an interval of its own: an agent on the host, a collector that polls it.

Any of them shows that the host lives. Which interval is the measure of its silence is decided at each beat: that of
the fastest reporter that is not late itself at that moment. So a slow reporter does not stretch the grace while the
fast one works, and takes over when the fast one alone has died. A host of one reporter, nearly every host, never comes
here.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from fenced.core.heard.messages import Health
from fenced.core.heard.sight import SET, Counters, Reporter, Sight
from fenced.core.heard.sight import keep_beat as keep_only

OVERDUE_INTERVALS: Final = 1.5
"""A host, or a reporter, is overdue once its beat is this late."""
SLOWEST_INTERVALS: Final = 4
"""A heartbeat may name an interval of at most so many configured ones."""
REPORTERS_MAX: Final = 8
FORGOTTEN_SECONDS: Final = 86400.0
"""A reporter that was not heard for so long was removed on purpose."""


class Promise(NamedTuple):
    """What a reporter promised. `left`: for how many seconds more its next beat is not late; below 0: it is."""

    name: str
    ago: float
    interval: float
    left: float


def keep_beat(
    sight: Sight, health: Health, *, ear: float, counters: Counters, is_stopping: bool, default: float
) -> None:
    """Set what a heartbeat changes, as `sight.keep_beat` does, of a host with several reporters, or a first beat.
    `default`: the configured interval."""
    known = sight.reporters or _only(sight)
    mine = Reporter(health.reporter, ear, health.interval_seconds, health.workloads, health.roles, is_stopping)
    others = (it for it in known if it.name != mine.name and ear - it.ear < FORGOTTEN_SECONDS)
    several = (*others, mine)[-REPORTERS_MAX:]
    keep_only(sight, health, ear=ear, counters=counters, is_stopping=is_stopping)
    SET["reporter"](sight, health.reporter)
    SET["reporters"](sight, several if len(several) > 1 else ())
    if len(several) > 1 and not is_stopping:
        live = [it for it in several if ear - it.ear <= OVERDUE_INTERVALS * _interval(it, default)]
        SET["interval_seconds"](sight, min(_interval(it, default) for it in live))
        SET["workloads"](sight, max((it.workloads for it in live if it.workloads is not None), default=None))
        SET["roles"](sight, tuple(dict.fromkeys(role for it in live for role in it.roles)))


def _only(sight: Sight) -> tuple[Reporter, ...]:
    """Return the reporter of a host that had only one so far."""
    if sight.reporter is None:
        return ()
    only = (sight.heard_ear, sight.interval_seconds, sight.workloads, sight.roles, sight.is_stopping)
    return (Reporter(sight.reporter, *only),)


def _interval(reporter: Reporter, default: float) -> float:
    if reporter.interval is None:
        return default
    return min(reporter.interval, SLOWEST_INTERVALS * default)


def promises(sight: Sight, *, ear: float, default: float, least: float, missed: int) -> Sequence[Promise]:
    """Return what each of several reporters promised; nothing for a host of one.

    A beat is late after one and a half of the intervals that the reporter names, but never later than this reporter
    alone would have made its host suspect: after `least` seconds and `missed` intervals of those that count.
    """
    found = []
    for it in sight.reporters:
        named = default if it.interval is None else it.interval
        most = max(least, missed * _interval(it, default))
        ago = max(ear - it.ear, 0.0)
        left = min(OVERDUE_INTERVALS * named, most) - ago
        found.append(Promise(it.name or "unnamed", ago, named, left))
    return found


def is_going_down(sight: Sight, reporter: str) -> bool:
    """Return whether another reporter than this one said last that the host stops."""
    return any(it.is_stopping and it.name != reporter for it in sight.reporters or _only(sight))

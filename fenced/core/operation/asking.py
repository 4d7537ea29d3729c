"""Has observers look whether a silent host lives, and says whether their answer is new enough to act on.

An answer that is too old is asked for again; it is no reason to hold or to end anything. A look without an answer
expires, so that a lost one holds nobody for ever.
"""

from typing import Final

from fenced.core import commands as c
from fenced.core.allowed import observing
from fenced.core.work import HostWork

AGE_SECONDS: Final = 5.0
"""The host is looked at again after so long, or earlier where an answer counts for a shorter time."""
EVALUATED_SECONDS: Final = 0.5
"""An answer that is late counts for so long nevertheless: it is judged once, and what is too old in it is told."""


def ask(work: HostWork) -> None:
    """Have the host looked at, unless that is under way."""
    if not is_asking(work):
        panel = observing.panel(work.fleet, work.name, work.now)
        targets = observing.targets(work.fleet, work.name, work.now, panel)
        observers = tuple(member.observer for member in panel.asked) if targets else ()
        work.see(life_asked_at=work.now)
        work.command(c.AskLife(host=work.name, observers=observers, targets=targets))


def is_asking(work: HostWork) -> bool:
    """Return whether a look is pending. One without an answer expires after three timeouts and 5 s."""
    asked = work.sight.life_asked_at
    return asked is not None and work.now < asked + pending_seconds(work)


def pending_seconds(work: HostWork) -> float:
    return 3 * work.host.settings.detection.probe_timeout_seconds + 5.0


def is_fresh(work: HostWork, *, since: float) -> bool:
    """Return whether the last answer still counts, and needs not be asked for again while a suspicion lasts."""
    life, timeout = work.sight.life, work.host.settings.detection.probe_timeout_seconds
    return counts(work, since=since) and life is not None and work.now < life.at + max(AGE_SECONDS, timeout)


def counts(work: HostWork, *, since: float) -> bool:
    """Return whether the last answer came after `since`, and every look in it is new enough to count."""
    life, timeout = work.sight.life, work.host.settings.detection.probe_timeout_seconds
    if life is None or life.at < since:
        return False
    counts_until = min((look.at for look in life.looks), default=work.now + 1.0) + observing.FRESH_TIMEOUTS * timeout
    return work.now < max(counts_until, life.at + EVALUATED_SECONDS)

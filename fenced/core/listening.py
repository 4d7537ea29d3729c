"""Records how long the daemon listened, so that `readiness` knows after a restart how long the fleet was observed.

Only listening time counts: a week in which the daemon or its bus was away shows nothing about the hosts. What was not
recorded yet is lost with the process.
"""

from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.evolve_fleet import LISTENING_KEPT_SECONDS
from fenced.core.durable.fleet_state import Listening
from fenced.core.durable.replacing import replace
from fenced.core.fleet import Fleet
from fenced.core.work import Work

RECORD_SECONDS: Final = 900.0


def look(work: Work) -> None:
    """Record the listening time since the last record, once it is long enough."""
    fleet, now = work.fleet, work.now
    seconds = unrecorded_seconds(fleet, now)
    if seconds < RECORD_SECONDS or not fleet.holds_lease(now):
        return
    work.record_fleet(r.Listened(listening=Listening(since=now - seconds, seconds=seconds)))
    work.own(replace(fleet.own, listening_recorded=fleet.own.ear.now(now)))


def unrecorded_seconds(fleet: Fleet, now: float) -> float:
    """Return the listening time since the last record."""
    return max(fleet.own.ear.now(now) - fleet.own.listening_recorded, 0.0)


def observed_seconds(fleet: Fleet, now: float) -> float:
    """Return how long the daemon listened in the last eight days."""
    oldest = now - LISTENING_KEPT_SECONDS
    recorded = sum(part.seconds for part in fleet.durable_state.listened if part.since > oldest)
    return recorded + unrecorded_seconds(fleet, now)

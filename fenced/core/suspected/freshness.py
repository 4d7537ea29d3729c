"""Whether a heartbeat is newer than what was heard, and what one that is not says all the same.

Counters are compared inside one boot and one reporter, never beyond. A beat that came just now and is no news (an older
sequence, an ended boot) is no life and no silence: something of the host speaks, and whoever is about to cut its power is
held. After a proof of OFF the old run must not speak; that it does is believed at a living host's pace alone, for a
bridge that comes back delivers in one burst what a host said before it died.
"""

from fenced.core.events import Health
from fenced.core.fleet import Fleet
from fenced.core.heard.sight import Counters, Sight
from fenced.model.names import HostName

COUNTERS_MAX = 8
"""Reporters of one host whose counters are kept; that of the one heard longest ago goes first."""

LIVING_INTERVALS = 1.5
"""An old run that is heard over so many intervals lives."""

PACE_INTERVALS = 0.5
"""Beats that follow each other faster than that may have been kept somewhere, and come from there."""

ANYWAY_INTERVALS = 4.0
"""Nothing delivers what it kept for so long: whatever its pace, the run lives."""


def is_stale(sight: Sight, health: Health) -> bool:
    """Whether its reporter counted further within this boot already."""
    if health.boot is None or health.sequence is None:
        return False
    for reporter, boot, heard in sight.counters:
        if reporter == health.reporter and boot == health.boot:
            return health.sequence < heard
    return False


def counted(sight: Sight, health: Health) -> Counters:
    """Return how far each reporter has counted, with this message."""
    if health.boot is None or health.sequence is None:
        return sight.counters
    mine = (health.reporter, health.boot, health.sequence)
    if len(sight.counters) == 1 and sight.counters[0][0] == health.reporter:
        return (mine,)
    others = tuple(it for it in sight.counters if it[0] != health.reporter)[1 - COUNTERS_MAX :]
    return (*others, mine)


def speak(fleet: Fleet, name: HostName, health: Health) -> None:
    """The host said something just now that is no news."""
    since = fleet.sights[name].speaking_since
    if since is None or not fleet.is_speaking(name, health.received):
        since = health.received
    fleet.see(name, speaking_since=since, spoke_at=health.received, spoke_ear=fleet.own.ear.now(health.received))


def warning(fleet: Fleet, name: HostName, now: float) -> str | None:
    """What to tell a person, where a host has sent nothing but old words for longer than its grace; None: nothing."""
    since, spoke_at = fleet.sights[name].speaking_since, fleet.sights[name].spoke_at
    if since is None or spoke_at is None or not fleet.is_speaking(name, now):
        return None
    seconds = spoke_at - since
    if seconds <= fleet.grace_seconds(name, now):
        return None
    why = (
        "with an older sequence or an ended boot: does its reporter count wrong, or do two reporters need a name each?"
    )
    return f"all its beats of {seconds:.0f} s were stale, {why}"


def lives_on(fleet: Fleet, name: HostName, health: Health) -> bool:
    """Whether the run that was proven off is heard as only a living host is: after a first message that came too late to be
    late, again an interval later at its own pace, or on and on at whatever pace (S17)."""
    proof, sight, interval = fleet.hosts[name].proof, fleet.sights[name], fleet.interval_seconds(name)
    first, last = sight.old_run
    if proof is None or first <= proof.at:
        fleet.see(name, old_run=(health.reached, health.reached))
        return False
    fleet.see(name, old_run=(first, max(last, health.reached)))
    lasted, is_paced = health.reached - first, health.reached >= last + PACE_INTERVALS * interval
    return lasted >= (LIVING_INTERVALS if is_paced else ANYWAY_INTERVALS) * interval

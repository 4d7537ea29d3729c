"""Decides whether a heartbeat is newer than the ones before, and what a stale one still means.

Sequence numbers are compared within one boot and one reporter only. A beat that arrives now but is stale (an older
sequence, an ended boot) proves neither life nor silence: something on the host still sends, so fences are held. After a
proof of OFF the old run must be quiet. If it is not, the daemon believes it only at a living host's pace, because a
bridge that reconnects delivers a dead host's last messages in one burst.
"""

from fenced.core.allowed import of_life
from fenced.core.events import Health
from fenced.core.fleet import Fleet
from fenced.core.heard.sight import Counters, Sight
from fenced.model.names import HostName

COUNTERS_MAX = 8
"""Reporters of one host whose counters are kept; the one heard longest ago is dropped first."""

LIVING_INTERVALS = 1.5
"""An old run that is heard over this many intervals is alive."""

PACE_INTERVALS = 0.5
"""Beats closer together than this may come from a queue."""

ANYWAY_INTERVALS = 4.0
"""No queue delivers for this long: the run is alive at any pace."""


def is_stale(sight: Sight, health: Health) -> bool:
    """Return whether this reporter already sent a higher sequence number in this boot."""
    if health.boot is None or health.sequence is None:
        return False
    for reporter, boot, heard in sight.counters:
        if reporter == health.reporter and boot == health.boot:
            return health.sequence < heard
    return False


def counted(sight: Sight, health: Health) -> Counters:
    """Return the counters of all reporters, this message included."""
    if health.boot is None or health.sequence is None:
        return sight.counters
    mine = (health.reporter, health.boot, health.sequence)
    if len(sight.counters) == 1 and sight.counters[0][0] == health.reporter:
        return (mine,)
    others = tuple(it for it in sight.counters if it[0] != health.reporter)[1 - COUNTERS_MAX :]
    return (*others, mine)


def speak(fleet: Fleet, name: HostName, health: Health) -> None:
    """Note a stale message that arrived now."""
    since = fleet.sights[name].speaking_since
    if since is None or not fleet.is_speaking(name, health.received):
        since = health.received
    fleet.see(name, speaking_since=since, spoke_at=health.received, spoke_ear=fleet.own.ear.now(health.received))


def warning(fleet: Fleet, name: HostName, now: float) -> str | None:
    """Return the warning for a host whose beats were all stale for longer than its grace, or None."""
    since, spoke_at = fleet.sights[name].speaking_since, fleet.sights[name].spoke_at
    if since is None or spoke_at is None or not fleet.is_speaking(name, now):
        return None
    seconds = spoke_at - since
    if seconds <= fleet.grace_seconds(name, now):
        return None
    why = "an older sequence number or an ended boot"
    advice = "check that its reporter counts up, and give each of its reporters a different name"
    return f"all its heartbeats of {seconds:.0f} s were stale ({why}): {advice}"


def late_reporters(fleet: Fleet, name: HostName, now: float) -> str | None:
    """Return a remark on a host that only some of its reporters still report, or None."""
    known = of_life.promises(fleet, name, now)
    late = [it for it in known if it.left < 0.0]
    if not late or len(late) == len(known):
        return None
    words = ", ".join(f"{it.name} (heard {it.ago:.0f} s ago, every {it.interval:g} s)" for it in late)
    return f"not all of its reporters are heard: {words} is late"


def lives_on(fleet: Fleet, name: HostName, health: Health) -> bool:
    """Return whether the run that was proven off still lives (S17)."""
    proof = fleet.hosts[name].proof
    return lives_since(fleet, name, health, proof.at if proof is not None else float("inf"))


def lives_since(fleet: Fleet, name: HostName, health: Health, since: float) -> bool:
    """Return whether the run that must have ended at `since` still lives.

    Its first message after that only starts the clock. Later ones prove life when they come an interval on at a living
    host's pace, or over a longer time at any pace.
    """
    sight, interval = fleet.sights[name], fleet.interval_seconds(name)
    first, last = sight.old_run
    if first <= since:
        fleet.see(name, old_run=(health.reached, health.reached))
        return False
    fleet.see(name, old_run=(first, max(last, health.reached)))
    lasted, is_paced = health.reached - first, health.reached >= last + PACE_INTERVALS * interval
    return lasted >= (LIVING_INTERVALS if is_paced else ANYWAY_INTERVALS) * interval

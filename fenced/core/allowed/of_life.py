"""The gates about signs of life of a silent host: its own, what observers see, and evidence of others.

`alive_but_silent` holds as soon as anybody reaches the host; `observers` holds until enough failure domains looked and
saw it silent. Both judge the same looks.
"""

from fenced.core.allowed import observing
from fenced.core.allowed.verdict import judged, seconds_left
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.model.names import HostName
from fenced.model.power import Cause

LAST_WILL = "last will of its reporter"
"""The reason of a suspicion that rests on a last will alone, which is a weak sign."""


def is_living_fenced(fleet: Fleet, name: HostName) -> bool:
    """Return whether a host that is heard may be fenced: reported, with on_report = fence. A last will is no report."""
    state = fleet.hosts[name]
    is_report = state.suspicion is Cause.REPORT and state.suspicion_reason != LAST_WILL
    return is_report and fleet.host(name).settings.detection.on_report == "fence"


def life(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    detection, sight = fleet.host(name).settings.detection, fleet.sights[name]
    if fleet.is_heard(name, now):
        if is_living_fenced(fleet, name):
            return judged("alive_but_silent", True, "heard, but on_report = fence")
        return judged("alive_but_silent", False, "heard within its grace")
    life = sight.life
    if sight.spoke_at is not None and fleet.is_speaking(name, now):
        ago = now - sight.spoke_at
        why = f"{ago:.0f} s ago it sent a beat that is no news (an old sequence or boot): something of it is alive"
        return judged("alive_but_silent", is_living_fenced(fleet, name), why)
    if life is None:
        return judged("alive_but_silent", False, "the host itself was not asked yet")
    found = observing.vote(fleet, name, now)
    if life.answered is None and not found.alive:
        return judged("alive_but_silent", True, life.words)
    who = observing.alive_words(found) if found.alive else f"{life.answered} answers"
    if detection.alive_but_silent == "fence":
        return judged("alive_but_silent", True, f"{who}, but alive_but_silent = fence")
    return judged("alive_but_silent", False, f"{who}: the reporter is dead, not the host")


def observers(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Close unless enough failure domains saw the host silent just now, and could have seen it alive."""
    life = fleet.sights[name].life
    if is_living_fenced(fleet, name) and fleet.is_heard(name, now):
        return judged("observers", True, "heard, but on_report = fence")
    if not observing.is_looked_at(fleet, name):
        return judged("observers", True, "nothing to look at: no address that others can reach, or no ports to probe")
    if life is None:
        return judged("observers", False, "nobody looked yet")
    found = observing.vote(fleet, name, now)
    if life.answered is not None or found.alive:
        return judged("observers", True, "somebody reaches it, which alive_but_silent judges")
    if found.is_enough:
        return judged("observers", True, observing.silent_words(found, now))
    missing = "; ".join(found.missing)
    count = f"{len(found.silent)} of {found.panel.needed} failure domains see it silent"
    return judged("observers", False, f"{count}; missing: {missing}" if missing else count)


def live_evidence(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Evaluate evidence from others that the host lives, of the kinds that stop a fence."""
    kinds = fleet.inventory.daemon.gates.live_evidence
    for source, (kind, until) in (fleet.sights[name].evidence or {}).items():
        if kind in kinds and now < until:
            why = f"{source} says {kind} is alive for {until - now:.0f} s more"
            return judged("live_evidence", False, why, seconds_left(until - now))
    return judged("live_evidence", True, "none")

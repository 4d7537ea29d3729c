"""The gates about signs of life of a silent host: its own, what observers see, and evidence of others.

`alive_but_silent` holds as soon as anybody reaches the host; `observers` holds until enough failure domains looked and
saw it silent. Both judge the same looks.
"""

from collections.abc import Sequence
from typing import Final

from fenced.core.allowed import observing
from fenced.core.allowed.verdict import judged, seconds_left
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.heard import reporters
from fenced.core.heard.evidence import DRAINED, MAINTENANCE, NO_LIFE, SHUTTING_DOWN, holding
from fenced.core.heard.looks import Saw
from fenced.model.names import HostName
from fenced.model.power import Cause

LAST_WILL = "last will of its reporter"
"""The reason of a suspicion that rests on a last will alone, which is a weak sign."""

WORDS: Final = {
    MAINTENANCE: "that people work on it (maintenance)",
    DRAINED: "that no workloads run there (drained)",
    SHUTTING_DOWN: "that it shuts down, so its silence is expected",
}
"""What a kind says that is no sign of life."""


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
    for promise in promises(fleet, name, now):
        if promise.left >= 0.0:
            why = (
                f"its reporter {promise.name} is not late yet: heard {promise.ago:.0f} s ago, {promise.left:.0f} s left"
            )
            return judged("alive_but_silent", False, why)
    if life is None:
        return judged("alive_but_silent", False, "the host itself was not asked yet")
    found = observing.vote(fleet, name, now)
    if life.answered is None and not found.alive:
        blind = [look for look in life.looks if look.saw is Saw.UNKNOWN]
        if blind and len(blind) == len(life.looks) and not observing.is_looked_at(fleet, name):
            return judged("alive_but_silent", False, f"nobody could look: {blind[0].why}")  # no other gate says so
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


def is_life(fleet: Fleet, kind: str) -> bool:
    """Return whether evidence of this kind says that the host runs, and counts."""
    return kind in fleet.inventory.daemon.gates.live_evidence and kind not in NO_LIFE


def promises(fleet: Fleet, name: HostName, now: float) -> Sequence[reporters.Promise]:
    """Return what each of several reporters of the host promised; nothing if it has only one."""
    sight, detection = fleet.sights[name], fleet.host(name).settings.detection
    if not sight.reporters:
        return ()
    return reporters.promises(
        sight, ear=fleet.own.ear.now(min(now, fleet.heard_until)), default=detection.heartbeat_interval_seconds,
        least=detection.grace_seconds, missed=detection.missed_heartbeats,
    )  # fmt: skip


def live_evidence(fleet: Fleet, name: HostName, now: float, *, is_life_only: bool = False) -> GateVerdict:
    """Evaluate what other systems say of the host, of the kinds that hold a fence.

    `is_life_only`: an OFF was sent, so only signs of life count (S19).
    """
    kinds = fleet.inventory.daemon.gates.live_evidence
    for source, kind, said in holding(fleet.sights[name].evidence, now):
        left = said.until - now
        if kind == SHUTTING_DOWN:
            left = shutdown_seconds(fleet, name, now)
        if kind in kinds and left > 0.0 and not (is_life_only and kind in NO_LIFE):
            why = f"{source} says {WORDS.get(kind, kind + ' is alive')}; {left:.0f} s more"
            return judged("live_evidence", False, why, seconds_left(left))
    return judged("live_evidence", True, "none")


def shutdown_seconds(fleet: Fleet, name: HostName, now: float) -> float:
    """Return for how long more the host's silence is expected because another system says that it shuts down; 0: it is
    not. However often that is said, it explains a silence of `stopping_max` at most."""
    said = fleet.sights[name].evidence
    if not said or SHUTTING_DOWN not in fleet.inventory.daemon.gates.live_evidence:
        return 0.0
    until = max((it.until for _, kind, it in holding(said, now) if kind == SHUTTING_DOWN), default=now)
    most = fleet.host(name).settings.detection.stopping_max_seconds - fleet.silence_seconds(name, now)
    return max(min(until - now, most), 0.0)

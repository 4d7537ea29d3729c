"""Hears other systems' evidence about a host, and says what it means for its silence (gates.md#evidence).

Evidence only ever holds a fence: nothing that a source says, or leaves out, makes a host suspect. `allowed.of_life`
has the gate.
"""

from fenced.core.allowed import of_life
from fenced.core.events import Evidence
from fenced.core.fleet import Fleet
from fenced.core.heard import evidence as values
from fenced.core.operation import life
from fenced.core.suspected import sleepers
from fenced.core.suspected.silence import watch
from fenced.core.work import HostWork
from fenced.model.names import HostName
from fenced.model.power import State


def hear_evidence(work: HostWork, evidence: Evidence) -> None:
    """Keep another source's statement until its time to live ends. Retained evidence is ignored."""
    if evidence.is_retained:
        return
    keep_evidence(work.fleet, evidence, work.now)
    kind = evidence.evidence_kind
    if evidence.is_alive and work.operation is not None and of_life.is_life(work.fleet, kind):
        life.hear_life(work)
    if kind == values.BUSY and evidence.is_alive:
        sleepers.note_busy(work, evidence.source)
    if kind == values.SHUTTING_DOWN and not evidence.is_alive and work.state.state is State.HEALTHY:
        watch(work)  # its silence is no longer expected


def keep_evidence(fleet: Fleet, evidence: Evidence, now: float) -> None:
    """Change what is known of a host's evidence and of its source, and nothing else."""
    sight = fleet.sights.get(evidence.host)
    if sight is None or evidence.is_retained:
        return
    fleet.sources.hear(evidence)
    counted = fleet.inventory.daemon.gates.live_evidence
    fleet.see(evidence.host, evidence=values.told(sight.evidence, evidence, now, counted))


def remarks(fleet: Fleet, name: HostName, now: float) -> tuple[str, ...]:
    """Return what a person should know: sources that fell silent, and what is said that holds nothing."""
    counted, silent = fleet.inventory.daemon.gates.live_evidence, fleet.sources.silent(now)
    found: dict[str, None] = {}
    for (source, kind), said in (fleet.sights[name].evidence or {}).items():
        if now < said.until and kind not in counted:
            found[f"{source} says {kind}, which holds no fence"] = None
        elif now >= said.until and kind in counted and source in silent:
            found[silent_words(source, now - silent[source])] = None
    return tuple(found)


def lines(fleet: Fleet, name: HostName, now: float) -> tuple[str, ...]:
    """Return all that other systems said of the host, each in one line."""
    counted = fleet.inventory.daemon.gates.live_evidence
    found = []
    for (source, kind), said in (fleet.sights[name].evidence or {}).items():
        holds = "" if kind in counted else ", holds no fence"
        end = f"for {said.until - now:.0f} s more{holds}" if now < said.until else f"until {now - said.until:.0f} s ago"
        found.append(f"{source}: {kind} {end}, heard {now - said.at:.0f} s ago")
    return tuple(found)


def warnings(fleet: Fleet, now: float) -> tuple[str, ...]:
    """Return the sources that sent regularly and fell silent: what they held is held no more."""
    return tuple(silent_words(name, now - at) for name, at in sorted(fleet.sources.silent(now).items()))


def silent_words(source: str, seconds: float) -> str:
    """Say that a source sends nothing any more."""
    return f"evidence source {source} was last heard {seconds:.0f} s ago: it says nothing any more"

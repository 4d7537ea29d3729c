"""Sums hosts up to a cluster or the fleet, and adds what concerns all of its hosts: observation, store, gates."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fenced.core.allowed import of_daemon
from fenced.core.durable.held_suspicion import ARMING, SuspicionEnd
from fenced.core.fleet import Fleet
from fenced.core.listening import observed_seconds
from fenced.core.readiness.of_host import LONG_SECONDS, is_silent, silence_seconds
from fenced.core.readiness.values import (
    ADVICE,
    HOSTS_NAMED_MAX,
    WEEK_SECONDS,
    ClusterReadiness,
    Figures,
    Finding,
    Found,
    HostReadiness,
)
from fenced.model.names import HostName
from fenced.model.text import some


@dataclass(slots=True)
class Sum:
    """The hosts of a cluster or of the fleet (`name` ""), added one by one."""

    name: str
    figures: Figures = field(default_factory=Figures)
    found: dict[Found, list[HostName]] = field(default_factory=dict)

    def add(self, host: HostReadiness) -> None:
        """Count one host."""
        figures = self.figures
        figures.hosts += 1
        figures.automatic += host.is_automatic
        figures.subject += host.is_subject and host.is_automatic
        figures.heard += host.heard_since is not None
        figures.never_heard += not host.is_known
        figures.misnamed += host.is_misnamed
        figures.protected += host.is_protected
        figures.without_device += not host.has_device
        figures.silent += is_silent(host.state)
        figures.drilled += host.last_drill is not None
        figures.observable += host.trial is not None and host.trial.is_enough
        figures.identities[host.identity] = figures.identities.get(host.identity, 0) + 1
        if host.level is not None:
            figures.levels[host.level] = figures.levels.get(host.level, 0) + 1
        if host.proven_at is not None:
            figures.proven_since = min(host.proven_at, figures.proven_since or host.proven_at)
        if host.is_at_once:
            (figures.at_once if host.is_automatic else figures.at_once_if_automatic).append(host.name)
        for one in host.suspicions:
            counts = figures.held if one.would_at is None else figures.would_be
            counts[one.end] = counts.get(one.end, 0) + 1
            silence = silence_seconds(one)
            if one.would_at is not None and one.end is SuspicionEnd.HEARD and silence is not None:
                figures.longest_false_seconds = max(silence, figures.longest_false_seconds or 0.0)
        for finding in host.findings:
            self.found.setdefault(finding.found, []).append(host.name)

    def merge(self, other: "Sum") -> None:
        """Add all hosts of another sum."""
        self.figures.add(other.figures)
        for kind, names in other.found.items():
            self.found.setdefault(kind, []).extend(names)

    def result(self, fleet: Fleet, now: float) -> ClusterReadiness:
        """Return the verdict and its reasons: those of the whole, then those of hosts in the order of `Found`."""
        of_hosts = tuple(
            Finding(found=kind, text=ADVICE[kind], hosts=tuple(names[:HOSTS_NAMED_MAX]), count=len(names))
            for kind in Found
            if (names := self.found.get(kind, []))
        )
        observed = observed_seconds(fleet, now)
        return ClusterReadiness(
            name=self.name,
            observed_seconds=observed,
            figures=self.figures,
            findings=(*_of_all(fleet, self.name, now, observed), *of_hosts),
        )


def _of_all(fleet: Fleet, cluster: str, now: float, observed: float) -> Iterator[Finding]:
    if observed < WEEK_SECONDS:
        text = f"listened for {observed / 86400:.1f} of 7 days; {ADVICE[Found.OBSERVED_TOO_SHORT]}"
        yield Finding(found=Found.OBSERVED_TOO_SHORT, text=text)
    if fleet.durable_state.store_hold:
        yield Finding(found=Found.STORE, text=f"{fleet.durable_state.store_hold}; {ADVICE[Found.STORE]}")
    if untold := sorted(map(str, fleet.own.untold)):
        text = f"not known whether they look: {some(untold, HOSTS_NAMED_MAX)}; {ADVICE[Found.OBSERVERS_NOT_KNOWN]}"
        yield Finding(found=Found.OBSERVERS_NOT_KNOWN, text=text)
    warm_up = of_daemon.warm_up(fleet, now)
    if not warm_up.is_open:
        yield Finding(found=Found.WARM_UP, text=f"{warm_up.why}; {ADVICE[Found.WARM_UP]}")
    for (gate, of), since in sorted(fleet.own.closed_since.items()):
        is_here = of in {"", cluster} or cluster == ""
        if is_here and gate not in {*ARMING, "warm_up"} and now - since >= LONG_SECONDS:
            where = f" of cluster {of}" if of else ""
            text = f"gate {gate}{where} is closed for {(now - since) / 3600:.1f} hours; {ADVICE[Found.GATE_CLOSED]}"
            yield Finding(found=Found.GATE_CLOSED, text=text)
    wanted = fleet.inventory.daemon.gates.witness_hosts
    able = 0
    for name in fleet.hosts:
        able += fleet.host(name).can_witness
        if able > wanted:
            return
    if wanted:
        text = f"{able} hosts can be witnesses, and each suspect needs {wanted} others; {ADVICE[Found.NO_WITNESS]}"
        yield Finding(found=Found.NO_WITNESS, text=text)

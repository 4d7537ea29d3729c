"""`GET readiness`: its query, its answer and its handler. What is judged, and how, is in `core.readiness`.

Never rename or remove a released field.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Final

from pydantic import Field

from fenced.api import bodies
from fenced.api.call import Call
from fenced.api.shapes import Shape, Time
from fenced.core.allowed import match as selection
from fenced.core.durable.held_suspicion import HeldSuspicion, SuspicionEnd
from fenced.core.durable.state import FenceableLevel
from fenced.core.heard.looks import Saw
from fenced.core.heard.trials import TrialView
from fenced.core.readiness import values
from fenced.core.readiness.of_host import silence_seconds
from fenced.model.moments import Moment, moment
from fenced.model.names import HostName
from fenced.model.power import Cause, State
from fenced.ports.control import NotFound, Refused

PAGE_MAX: Final = 500
PAGE_DEFAULT: Final = 100
"""Smaller than of other lists: each host comes with its paths and suspicions."""
MATCH_MAX: Final = 300
"""Characters: the whole query, escaped, must fit in a request line of 8 KiB."""
STILL_SILENT: Final = "silent"
"""The outcome of a suspicion that has not ended."""


class ReadinessQuery(bodies.PageQuery):
    """Which hosts. `match`: an expression as for pauses; `all`: list every host, not only those that block or wait, or
    would have been fenced."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT
    after: bodies.AfterName | None = None
    cluster: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    match: Annotated[str, Field(max_length=MATCH_MAX)] = "*"
    all: bool = False

    @property
    def expression(self) -> str:
        """Both filters as one expression."""
        if self.cluster is None:
            return self.match
        return f"cluster={self.cluster}" + ("" if self.match.strip() == "*" else f",{self.match}")


class Finding(Shape):
    """What speaks against arming. `weight`: `blocks` (repair it first), `waits` (time settles it) or `advice`.

    `hosts`: the first of the `count` hosts that have it."""

    kind: values.Found
    weight: values.Weight
    text: str
    hosts: list[str]
    count: int


class Named(Shape):
    """Some hosts: how many, and the first of them."""

    count: int
    hosts: list[str]


class ClusterReadiness(Shape):
    """A cluster, or (`name` empty) all hosts of the answer.

    `observed_seconds`: how long the daemon listened in the last eight days. `would_be_fences`: suspicions of the last
    seven days in which an armed daemon would have begun to cut the power, by what became of the host: `heard` was
    false, `silent` has not ended. `held_by_others`: suspicions that other gates held. `at_once`: hosts that an armed
    daemon may fence now; `at_once_if_automatic`: those among hosts with automatic = false. `observable`: hosts
    whose death enough observers would see, as their last look at them shows."""

    name: str
    ready: bool
    observed_seconds: float
    hosts: int
    automatic: int
    subject: int
    heard: int
    never_heard: int
    misnamed: int
    silent: int
    protected: int
    without_device: int
    drilled: int
    observable: int
    fenceable: dict[str, int]
    proven_since: Time | None
    identity: dict[str, int]
    would_be_fences: dict[str, int]
    held_by_others: dict[str, int]
    longest_false_silence_seconds: float | None
    at_once: Named
    at_once_if_automatic: Named
    findings: list[Finding]


class Suspicion(Shape):
    """A suspicion that gates held. `would_at`: when an armed daemon would have begun to cut the power; null: `gates`
    would have held it, too. `silence_seconds`: from the last heartbeat to the end."""

    at: Time
    would_at: Time | None
    cause: Cause
    gates: list[str]
    outcome: str
    ended: Time | None
    silence_seconds: float | None


class Path(Shape):
    """A path to a device. `proven`: when it was last read; null: `error` says why it can't be used."""

    device: str
    level: int
    proxy: str
    proven: Time | None
    error: str | None


class Look(Shape):
    """What an observer saw of the host while it lived. `saw`: `alive`, `silent` or `unknown`. `control`: whom it
    reached over the same network. `blind`: why its silence would not count; null: it would. `silences`: in so many
    looks in a row it saw the living host silent."""

    observer: str
    domain: str | None
    network: str | None
    at: Time
    saw: Saw
    control: str | None
    blind: str | None
    silences: int


class HostReadiness(Shape):
    """One host. `heard_since`: null if it is not heard now. `proven`: when all of its devices had been read. `looks`:
    the last look of each observer at the living host."""

    name: str
    cluster: str
    state: State
    heard_since: Time | None
    last_heard: Time | None
    longest_silence_seconds: float
    longest_silence_at: Time | None
    grace_seconds: float
    fenceable: FenceableLevel | None
    proven: Time | None
    identity: values.Identity
    automatic: bool
    subject: bool
    at_once: bool
    last_drill: Time | None
    suspicions: list[Suspicion]
    findings: list[Finding]
    paths: list[Path]
    looks: list[Look]


class FleetReadiness(Shape):
    """Whether clusters can be armed. `ready`: every cluster of the answer is."""

    ready: bool
    armed: bool
    armed_by_file: bool
    fleet: ClusterReadiness
    clusters: list[ClusterReadiness]
    hosts: list[HostReadiness]
    next: str | None


async def readiness(call: Call) -> FleetReadiness:
    """Whether clusters can be armed, with the figures and the hosts that speak against it."""
    query = call.asked(ReadinessQuery)
    try:
        selection.parse(query.match)
    except selection.BadMatch as exc:
        raise Refused("match", str(exc)) from exc
    found = await call.control.readiness(match=query.expression, is_all=query.all, limit=query.limit, after=query.after)
    if found.fleet.figures.hosts == 0:
        if why := selection.why_unknown(query.match, call.control.inventory.hosts.values()):
            raise Refused("match", why)
        raise NotFound(f"{query.expression!r} selects no host of the inventory")
    daemon = call.control.fleet()
    return FleetReadiness(
        ready=found.fleet.is_ready,
        armed=daemon.is_armed,
        armed_by_file=daemon.is_armed_by_file,
        fleet=_cluster(found.fleet),
        clusters=[_cluster(cluster) for cluster in found.clusters],
        hosts=[host(judged, paths) for judged, paths in found.hosts],
        next=found.next,
    )


def _cluster(given: values.ClusterReadiness) -> ClusterReadiness:
    figures = given.figures
    return ClusterReadiness(
        name=given.name,
        ready=given.is_ready,
        observed_seconds=round(given.observed_seconds, 3),
        hosts=figures.hosts,
        automatic=figures.automatic,
        subject=figures.subject,
        heard=figures.heard,
        never_heard=figures.never_heard,
        misnamed=figures.misnamed,
        silent=figures.silent,
        protected=figures.protected,
        without_device=figures.without_device,
        drilled=figures.drilled,
        observable=figures.observable,
        fenceable=_counts(FenceableLevel, figures.levels),
        proven_since=moment(figures.proven_since),
        identity=_counts(values.Identity, figures.identities),
        would_be_fences=_outcomes(figures.would_be),
        held_by_others=_outcomes(figures.held),
        longest_false_silence_seconds=figures.longest_false_seconds,
        at_once=_named(figures.at_once),
        at_once_if_automatic=_named(figures.at_once_if_automatic),
        findings=[_finding(finding) for finding in given.findings],
    )


def _counts(kinds: type[Enum], counted: Mapping[FenceableLevel, int] | Mapping[values.Identity, int]) -> dict[str, int]:
    counts = {one.value: number for one, number in counted.items()}
    return {kind.value: counts.get(kind.value, 0) for kind in kinds}


def _outcomes(counted: Mapping[SuspicionEnd | None, int]) -> dict[str, int]:
    return {**{end.value: counted.get(end, 0) for end in SuspicionEnd}, STILL_SILENT: counted.get(None, 0)}


def _named(names: Sequence[HostName]) -> Named:
    return Named(count=len(names), hosts=[str(name) for name in names[: values.HOSTS_NAMED_MAX]])


def _finding(given: values.Finding) -> Finding:
    return Finding(
        kind=given.found, weight=given.weight, text=given.text, hosts=[str(name) for name in given.hosts],
        count=given.count,
    )  # fmt: skip


def host(given: values.HostReadiness, paths: tuple[values.PathProof, ...]) -> HostReadiness:
    return HostReadiness(
        name=given.name,
        cluster=given.cluster,
        state=given.state,
        heard_since=moment(given.heard_since),
        last_heard=moment(given.last_heard),
        longest_silence_seconds=round(given.longest_silence_seconds, 3),
        longest_silence_at=moment(given.longest_silence_at or None),
        grace_seconds=round(given.grace_seconds, 3),
        fenceable=given.level,
        proven=moment(given.proven_at),
        identity=given.identity,
        automatic=given.is_automatic,
        subject=given.is_subject and given.is_automatic,
        at_once=given.is_at_once and given.is_automatic,
        last_drill=moment(given.last_drill),
        suspicions=[_suspicion(one) for one in given.suspicions],
        findings=[_finding(finding) for finding in given.findings],
        paths=[
            Path(
                device=path.device, level=path.level, proxy=path.proxy, proven=moment(path.proven_at),
                error=path.error or None,
            )
            for path in paths
        ],
        looks=[_look(view) for view in given.trial.views] if given.trial is not None else [],
    )  # fmt: skip


def _look(view: TrialView) -> Look:
    return Look(
        observer=str(view.observer), domain=view.domain or None, network=view.network or None, at=Moment(view.at),
        saw=view.saw, control=view.control or None, blind=view.why_blind or None, silences=view.silences,
    )  # fmt: skip


def _suspicion(one: HeldSuspicion) -> Suspicion:
    silence = silence_seconds(one)
    return Suspicion(
        at=Moment(one.at),
        would_at=moment(one.would_at),
        cause=one.cause,
        gates=list(one.gates),
        outcome=STILL_SILENT if one.end is None else one.end.value,
        ended=moment(one.ended_at),
        silence_seconds=None if silence is None else round(silence, 3),
    )

"""What `readiness` finds: figures, findings with a weight, and the verdict that follows from the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from fenced.core.durable.held_suspicion import HeldSuspicion, SuspicionEnd
from fenced.core.durable.state import FenceableLevel
from fenced.core.heard.trials import Trial
from fenced.model.names import DeviceName, HostName, ProxyName
from fenced.model.power import State

K = TypeVar("K")

WEEK_SECONDS: Final = 7 * 86400.0
"""Would-be fences of the last week count, and a fleet should be observed for as long."""
HOSTS_NAMED_MAX: Final = 20
"""How many hosts a finding of a cluster names."""


class Weight(Enum):
    """BLOCKS: repair it before arming. WAITS: time alone settles it. ADVICE: it does not count in the verdict."""

    BLOCKS = "blocks"
    WAITS = "waits"
    ADVICE = "advice"


class Found(Enum):
    """The kinds of findings."""

    NEVER_HEARD = "never_heard"
    MISNAMED = "misnamed"
    SILENT = "silent"
    FALSE_FENCE = "false_fence"
    RECORD = "record"
    NO_DEVICE = "no_device"
    CANNOT_BE_FENCED = "cannot_be_fenced"
    NOT_CHECKED = "not_checked"
    DRILL_FAILED = "drill_failed"
    STORE = "store"
    GATE_CLOSED = "gate_closed"
    NO_WITNESS = "no_witness"
    NO_CONTROL = "no_control"
    FALSE_WITNESS = "false_witness"
    HELD_BY_OBSERVERS = "held_by_observers"
    NOT_LOOKED_AT = "not_looked_at"
    NOT_READ = "not_read"
    TOO_NEW = "too_new"
    OBSERVED_TOO_SHORT = "observed_too_short"
    WARM_UP = "warm_up"
    DEGRADED = "degraded"
    IDENTITY_ABSENT = "identity_absent"
    SINGLE_PATH = "single_path"
    SLOW_HEARTBEATS = "slow_heartbeats"
    REBOOTED = "rebooted"
    HISTORY_CUT = "history_cut"
    MAINTENANCE = "maintenance"
    PAUSED = "paused"
    OBSERVERS_NOT_KNOWN = "observers_not_known"


WEIGHTS: Final = {
    **dict.fromkeys(Found, Weight.ADVICE),
    **dict.fromkeys(
        (
            Found.NEVER_HEARD, Found.MISNAMED, Found.SILENT, Found.FALSE_FENCE, Found.RECORD, Found.NO_DEVICE,
            Found.CANNOT_BE_FENCED, Found.NOT_CHECKED, Found.DRILL_FAILED, Found.STORE, Found.GATE_CLOSED,
            Found.NO_WITNESS, Found.NO_CONTROL, Found.FALSE_WITNESS, Found.HELD_BY_OBSERVERS,
        ),
        Weight.BLOCKS,
    ),
    **dict.fromkeys(
        (Found.NOT_LOOKED_AT, Found.NOT_READ, Found.TOO_NEW, Found.OBSERVED_TOO_SHORT, Found.WARM_UP), Weight.WAITS
    ),
}  # fmt: skip

ADVICE: Final = {
    Found.NEVER_HEARD: "start fenced-beat there, or remove the host from the inventory",
    Found.MISNAMED: "use one name in the host's reporter and in the inventory",
    Found.SILENT: "an armed daemon may fence it at once: find out why it is silent, or put it into maintenance",
    Found.FALSE_FENCE: "it lived: repair its reporter or its network, or raise detection.grace above that silence",
    Found.RECORD: "look at the host, then `fencectl maintenance HOST on`, and `off`",
    Found.NO_DEVICE: "give it its power devices, or say protected = true if it must never be fenced",
    Found.CANNOT_BE_FENCED: "repair the path or the device: `fencectl show HOST` and `fencectl probe HOST`",
    Found.NOT_CHECKED: "set [check] interval, so that each path is proven regularly",
    Found.DRILL_FAILED: "repair what the failed step names, and drill it again: `fencectl show HOST`",
    Found.STORE: "look for what is forgotten, then `fencectl release store --reason R`",
    Found.GATE_CLOSED: "it holds every suspect there: docs/gates.md, closed for long",
    Found.NO_WITNESS: "the gate `witness` never opens: watch more hosts, or run the daemon on another machine",
    Found.NO_CONTROL: "the gate `observers` never opens: name a machine that always answers there in `references`",
    Found.FALSE_WITNESS: "an observer sees it silent while it lives, so a dead reporter alone may end in a fence: let "
    "the observer's probes through its firewall, or mend `probe_ports` or `addresses`",
    Found.HELD_BY_OBSERVERS: "the gate `observers` would hold its fence: start the observers that are missing, let "
    "their probes of the hosts and `references` through, or name `references`",
    Found.NOT_LOOKED_AT: "wait for a round of the check: it has the observers look at each host that lives",
    Found.NOT_READ: "wait for a round of the check, or `fencectl probe HOST`",
    Found.TOO_NEW: "it was watched for less than a week: wait",
    Found.OBSERVED_TOO_SHORT: "leave the daemon running: only time in which it listens counts",
    Found.WARM_UP: "wait; if it lasts, check the broker",
    Found.DEGRADED: "it could be fenced, but not by every level or path: `fencectl show HOST`",
    Found.IDENTITY_ABSENT: "set identity to what the BMC reports, so that no moved cable switches off another machine",
    Found.SINGLE_PATH: "a second proxy keeps the host fenceable when the only one fails",
    Found.SLOW_HEARTBEATS: "it came close to its grace: repair its reporter or its network, or raise detection.grace",
    Found.REBOOTED: "it came back by itself with a new boot: find out why it went down",
    Found.HISTORY_CUT: "it is suspect so often that older suspicions are no longer kept: repair it first",
    Found.MAINTENANCE: "it is never fenced until `fencectl maintenance HOST off`",
    Found.PAUSED: "it is never fenced until `fencectl resume`",
    Found.OBSERVERS_NOT_KNOWN: "start them: whether they look at silent hosts is known once they have answered",
}  # fmt: skip
"""What to do about each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that speaks against arming. `hosts`: the first ones that have it, `count`: how many; 0: none has."""

    found: Found
    text: str
    hosts: tuple[HostName, ...] = ()
    count: int = 0

    @property
    def weight(self) -> Weight:
        return WEIGHTS[self.found]


class Identity(Enum):
    """Whether the machine behind a host's BMC is compared with the inventory in each session.

    CONFIRMED: it is, and was. UNCONFIRMED: it is configured, and no valid reading compared it. ABSENT: the device
    reports an identity, and none is configured. NONE: no device reports one.
    """

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    ABSENT = "absent"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathProof:
    """One path to a device. `proven_at`: when the last reading that succeeded began; None: the last one failed or there
    is none. `error`: why it can't be used."""

    device: DeviceName
    level: int
    proxy: ProxyName
    proven_at: float | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReadiness:
    """One host. `heard_since`: since when it is heard without a suspicion; None: it is not heard now.

    `proven_at`: when the device that was read longest ago was last read. `suspicions`: those of the last week that
    gates held. `is_subject`: no gate of its own keeps an armed daemon from fencing it, but perhaps `automatic`.
    `is_at_once`: it is suspect and only gates that arming opens hold it. `last_drill`: when its fencing was last
    tried out. `trial`: what observers saw of it while it lived; None: nothing that still counts.
    """

    name: HostName
    cluster: str
    state: State
    is_known: bool
    is_misnamed: bool
    heard_since: float | None
    last_heard: float | None
    longest_silence_seconds: float
    longest_silence_at: float
    grace_seconds: float
    level: FenceableLevel | None
    proven_at: float | None
    identity: Identity
    is_automatic: bool
    is_subject: bool
    is_protected: bool
    has_device: bool
    is_at_once: bool
    suspicions: tuple[HeldSuspicion, ...]
    findings: tuple[Finding, ...]
    last_drill: float | None = None
    trial: Trial | None = None

    @property
    def would_be_fences(self) -> tuple[HeldSuspicion, ...]:
        """The suspicions in which an armed daemon would have begun to cut the power."""
        return tuple(one for one in self.suspicions if one.would_at is not None)


@dataclass(slots=True, kw_only=True)
class Figures:
    """Counts over the hosts of a cluster or the fleet.

    `would_be` and `held`: suspicions of the last week by what became of the host (None: it is still silent), held by
    gates of arming alone, and by others. `longest_false_seconds`: the longest silence of a host that lived. `at_once`:
    hosts that an armed daemon fences now; `at_once_if_automatic`: those where `automatic` is false. `observable`: hosts
    whose death enough observers would see.
    """

    hosts: int = 0
    automatic: int = 0
    subject: int = 0
    heard: int = 0
    never_heard: int = 0
    misnamed: int = 0
    protected: int = 0
    without_device: int = 0
    silent: int = 0
    drilled: int = 0
    observable: int = 0
    levels: dict[FenceableLevel, int] = field(default_factory=dict)
    proven_since: float | None = None
    identities: dict[Identity, int] = field(default_factory=dict)
    would_be: dict[SuspicionEnd | None, int] = field(default_factory=dict)
    held: dict[SuspicionEnd | None, int] = field(default_factory=dict)
    longest_false_seconds: float | None = None
    at_once: list[HostName] = field(default_factory=list)
    at_once_if_automatic: list[HostName] = field(default_factory=list)

    def add(self, more: "Figures") -> None:
        """Add the hosts of another cluster."""
        self.hosts += more.hosts
        self.automatic += more.automatic
        self.subject += more.subject
        self.heard += more.heard
        self.never_heard += more.never_heard
        self.misnamed += more.misnamed
        self.protected += more.protected
        self.without_device += more.without_device
        self.silent += more.silent
        self.drilled += more.drilled
        self.observable += more.observable
        _add(self.levels, more.levels)
        _add(self.identities, more.identities)
        _add(self.would_be, more.would_be)
        _add(self.held, more.held)
        self.proven_since = min((at for at in (self.proven_since, more.proven_since) if at is not None), default=None)
        silences = (self.longest_false_seconds, more.longest_false_seconds)
        self.longest_false_seconds = max((seconds for seconds in silences if seconds is not None), default=None)
        self.at_once += more.at_once
        self.at_once_if_automatic += more.at_once_if_automatic


def _add(counts: dict[K, int], more: Mapping[K, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReadiness:
    """A cluster, or (`name` "") the fleet. `observed_seconds`: how long the daemon listened in the last eight days."""

    name: str
    observed_seconds: float
    figures: Figures
    findings: tuple[Finding, ...]

    @property
    def is_ready(self) -> bool:
        """Whether nothing but advice was found, in at least one host."""
        return self.figures.hosts > 0 and not is_hindered(self.findings)


def is_hindered(findings: tuple[Finding, ...]) -> bool:
    """Return whether anything but advice was found."""
    return any(finding.weight is not Weight.ADVICE for finding in findings)

"""What is durably known of a host, its operation and the fleet: frozen values, changed by `evolve` alone.

Times are seconds since the epoch on the daemon's steady clock (ports.clock): it never jumps while the daemon lives.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from fenced.model.names import BootId, DeviceName, HostName, OperationId, PlugId, ProxyName, Token
from fenced.model.paths import Dispute, PathWord
from fenced.model.power import (
    Action,
    Cause,
    Kind,
    OperationState,
    Outcome,
    Power,
    Proof,
    State,
    Verdict,
    What,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """One gate's word, with its reason and how far it is from the other word."""

    gate: str
    is_open: bool
    why: str


WRONG_MACHINE: Final = "wrong_machine"
"""The kind of `ports.devices.WrongMachine`: the device belongs to another machine."""
SHARED_MACHINE: Final = "shared_machine"
"""The kind of a `Reason`: another host's device says that it belongs to the same machine."""

PROXY_REFUSED: Final = "proxy_refused"
"""The kind of `ports.devices.ProxyRefused`: that proxy can take no command now, and sent nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEntry:
    """One candidate's story in a proxy race. Milliseconds from the operation's start; None where it did not happen.

    `kind`: that of its error (ports.devices); "" where it has none. `power`: what it read; None where it read nothing.
    """

    proxy: ProxyName
    tier: int
    verdict: Verdict
    started_ms: int | None = None
    ended_ms: int | None = None
    error: str | None = None
    kind: str = ""
    power: Power | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A candidate that was left out of a race, and why."""

    proxy: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act on one device. `number` counts within the operation; `token` and `not_after` are those of a command."""

    number: int
    what: What
    proxy: ProxyName
    started: float
    token: Token | None = None
    not_after: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCommand:
    """A power command whose end matters to later ones (S5): until it `is_ended` or `not_after` has passed it may still act."""

    device: DeviceName
    plug_id: PlugId
    what: What
    proxy: ProxyName
    token: Token
    not_after: float
    is_ended: bool = False
    pid: int | None = None
    pid_started: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """One device within one operation: its path, what was read, what was sent.

    `settling_until`: it said OFF, and until then that counts as UNKNOWN; 0 where the last reading counted.
    `refused_by`: proxies that could take no command; races do without them until one finds nobody else. `is_vouched`: that
    its OFF cuts power is a person's word.
    `power` is what its own path read last, `words` what each path said; `in_doubt_since`: from when on they did not agree.
    `is_mute`: nobody could read it in its last race, and who reached out for it found that itself does not answer.
    `plug_id`, `identity`: as configured when the operation began; compared after a restart of ours (core.operation.edited).
    """

    device: DeviceName
    level: int
    kind: Kind
    proxy: ProxyName | None = None
    reserves: tuple[ProxyName, ...] = ()
    is_racing: bool = False
    races: int = 0
    race: tuple[RaceEntry, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    step: Step | None = None
    steps: tuple[Step, ...] = ()
    steps_dropped: int = 0
    power: Power = Power.UNKNOWN
    same_reads: int = 0
    same_since: float = 0.0
    read_at: float | None = None
    settling_until: float = 0.0
    is_path_proven: bool = False
    is_switched_off: bool = False
    is_switched_on: bool = False
    off_attempts: int = 0
    on_attempts: int = 0
    command_ended_at: float | None = None
    command_outcome: Outcome | None = None
    last_proxy: ProxyName | None = None
    wait_until: float = 0.0
    is_given_up: bool = False
    is_inspected: bool = False
    error: str | None = None
    refused_by: tuple[ProxyName, ...] = ()
    is_vouched: bool = False
    words: tuple[PathWord, ...] = ()
    in_doubt_since: float | None = None
    is_mute: bool = False
    plug_id: PlugId | None = None
    identity: str = ""

    @property
    def says(self) -> Power:
        """What its paths say together: UNKNOWN while they don't agree."""
        return self.power if self.in_doubt_since is None else Power.UNKNOWN

    @property
    def unsettled(self) -> tuple[PathWord, ...]:
        """The paths that read ON, and those that must be asked again since a command of ours could have changed it."""
        return tuple(word for word in self.words if word.power is not Power.OFF)

    @property
    def lit(self) -> tuple[PathWord, ...]:
        """The paths that read ON, and were not read otherwise since: an ON is never forgotten over a path that dies."""
        return tuple(word for word in self.words if word.power is Power.ON)


class Phase(Enum):
    """Where an operation is."""

    PROVING = "proving"
    INSPECTING = "inspecting"
    ANNOUNCING = "announcing"
    RESTORING = "restoring"
    READING = "reading"
    CLOSING = "closing"
    ENDED = "ended"


class Restored(Enum):
    """How much of what was switched off is on again."""

    ALL = "all"
    PART = "part"
    NO = "no"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOfOff:
    """What a `fenced` announcement rests on."""

    kind: Proof
    level: int | None
    boot: BootId | None
    at: float
    token: Token
    operation: OperationId | None
    devices: tuple[DeviceName, ...] = ()
    last_heard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One attempt to change (or read) one host's power, with its whole story.

    `wanted`: what must be ON in the end, from the moment on at which power is given back.
    """

    id: OperationId
    host: HostName
    action: Action
    cause: Cause
    by: str
    reason: str
    started: float
    deadline: float
    number: int = 0
    was_overdue: bool = False
    before: State = State.UNKNOWN
    joined: tuple[str, ...] = ()
    state: OperationState = OperationState.RUNNING
    phase: Phase = Phase.PROVING
    levels: tuple[int, ...] = ()
    level: int | None = None
    level_started: float = 0.0
    level_deadline: float = 0.0
    restore_started: float | None = None
    restore_deadline: float | None = None
    wanted: tuple[DeviceName, ...] = ()
    is_resumed: bool = False
    resume_at: float | None = None
    is_off_sent: bool = False
    is_contradicted: bool = False
    is_stopped: bool = False
    is_permitted: bool = False
    boot: BootId | None = None
    life_checked_at: float | None = None
    token: Token | None = None
    devices: tuple[DeviceRun, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    explanation: tuple[str, ...] = ()
    ending: OperationState | None = None
    ending_why: str | None = None
    announced_at: float | None = None
    is_announcement_acknowledged: bool = False
    ended: float | None = None
    power: Power = Power.UNKNOWN
    is_fenced: bool = False
    proof: Proof | None = None
    proof_level: int | None = None
    restored: Restored = Restored.NOT_ASKED
    error: str | None = None

    @property
    def is_automatic(self) -> bool:
        """Decided by us, not asked for by a person or program: passes every gate (S10)."""
        return self.cause is not Cause.REQUEST

    @property
    def is_giving_back(self) -> bool:
        """We switch on again what we switched off, and nothing else."""
        return self.action is Action.ON and self.is_automatic

    @property
    def is_power_changing(self) -> bool:
        return self.action in {Action.OFF, Action.ON, Action.RESTART}

    def run(self, device: DeviceName) -> DeviceRun:
        """The run of that device. Raises KeyError when the operation has none."""
        for run in self.devices:
            if run.device == device:
                return run
        raise KeyError(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A person asked to leave the host alone; `until` None: until a person ends it."""

    by: str
    reason: str
    since: float
    until: float | None = None


class FenceableLevel(Enum):
    """How many ways there are to cut a host's power. UNKNOWN is never recorded: nothing was read, or too long ago."""

    FULL = "full"
    DEGRADED = "degraded"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What is missing at one device (None: at the host). `kind` is what is compared; `text` says which proxy, what error.

    `beside`: the other device that says that it is the same machine (`shared_machine`)."""

    device: DeviceName | None
    kind: Literal[
        "unreadable", "distrusted", "wrong_machine", "shared_machine", "disagree", "redundancy", "no_proxy", "no_device",
        "not_read",
    ]  # fmt: skip
    text: str
    beside: tuple[HostName, DeviceName] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenceable:
    """Whether the host could be fenced now, since when, and what is missing for more."""

    level: FenceableLevel
    since: float
    why: tuple[Reason, ...] = ()


class Followed(Enum):
    """How far a distrusted device has come: seen ON with the host heard, then OFF with the host off."""

    LIT = "lit"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A distrusted device on its way back to trust. `boot`: the run of the host that ended while it was dark.

    `is_switched`: our own OFF made it dark, so that only the host's end and return say that it is the host's device.
    """

    device: DeviceName
    followed: Followed
    boot: BootId | None = None
    is_switched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A device that we switched off and that the inventory does not have any more, or has on another outlet."""

    device: DeviceName
    plug_id: PlugId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """All that is durably known of one host.

    `owed`: devices that we switched off and that were not read ON since. Of these, `withheld` are left to people, and the
    last word that was told is in `redundancy_lost`, `restore_failed`, or, for all others, `is_left_off`.
    `is_off_by_person`: it was switched off because a person or program asked for it, not by our own decision; its silence says
    nothing of others `in_hand_from` then on.
    `owed_plugs`: the plug that each owed device had when it was switched off; one that is not owed says nothing.
    `record_fault`: why its records could not be taken up; "" where they were. `is_removed`: the inventory has it no more.
    """

    name: HostName
    state: State = State.UNKNOWN
    since: float = 0.0
    is_known: bool = False
    boot: BootId | None = None
    ended_boots: tuple[BootId, ...] = ()
    suspected_at: float | None = None
    suspicion: Cause | None = None
    suspicion_reason: str = ""
    last_heard: float | None = None
    operation: Operation | None = None
    waiting: Operation | None = None
    reading: Operation | None = None
    last_operation: OperationId | None = None
    maintenance: Maintenance | None = None
    is_stay_off: bool = False
    is_on_forbidden: bool = False
    proof: ProofOfOff | None = None
    token: Token | None = None
    owed: tuple[DeviceName, ...] = ()
    commands: tuple[IssuedCommand, ...] = ()
    distrusted: tuple[DeviceName, ...] = ()
    wrong_machines: tuple[DeviceName, ...] = ()
    power: tuple[tuple[DeviceName, Power], ...] = ()
    attempts: tuple[float, ...] = ()
    failures: int = 0
    next_attempt_at: float = 0.0
    cooldown_until: float = 0.0
    held_by: tuple[GateVerdict, ...] = ()
    release_until: float = 0.0
    withheld: tuple[DeviceName, ...] = ()
    redundancy_lost: tuple[DeviceName, ...] = ()
    restore_failed: tuple[DeviceName, ...] = ()
    is_off_by_person: bool = False
    in_hand_from: float = 0.0
    is_left_off: bool = False
    is_away_told: bool = False
    fenceable: Fenceable | None = None
    trials: tuple[Trial, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    owed_plugs: tuple[tuple[DeviceName, PlugId], ...] = ()
    orphans: tuple[Orphan, ...] = ()
    record_fault: str = ""
    is_removed: bool = False

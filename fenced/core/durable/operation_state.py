"""What is durably known of one operation and of each device in it: frozen values that only `evolve` changes.

Times are seconds since the epoch on the daemon's steady clock (ports.clock); it never jumps while the daemon runs.
Import these names from `durable.state`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from fenced.model.inventory import Host
from fenced.model.names import BootId, DeviceName, HostName, OperationId, PlugId, ProxyName, Token
from fenced.model.paths import PathWord
from fenced.model.power import Action, Cause, Kind, OperationState, Outcome, Power, Proof, State, Verdict, What

WRONG_MACHINE: Final = "wrong_machine"
"""The kind of `ports.devices.WrongMachine`: the device belongs to another machine."""

PROXY_REFUSED: Final = "proxy_refused"
"""The kind of `ports.devices.ProxyRefused`: the proxy accepts no command now, and sent nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """The verdict of one gate. `why` includes the margin: how far the gate is from the other verdict."""

    gate: str
    is_open: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEntry:
    """What happened to one candidate of a proxy race, in milliseconds since the operation's start; None: it did not.

    `kind`: the kind of its error (ports.devices), or "". `power`: what it read; None: it read nothing.
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
    """One read or command on one device.

    `number` counts within the device's run; only commands have `token`, `not_after`.
    """

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
    """A power command that was sent. Later commands and readings wait until it is settled (S5)."""

    device: DeviceName
    plug_id: PlugId
    what: What
    proxy: ProxyName
    token: Token
    not_after: float
    is_ended: bool = False
    pid: int | None = None
    pid_started: str | None = None

    def is_settled(self, at: float) -> bool:
        """Whether it can no longer act: its end is known, or `not_after` has passed."""
        return self.is_ended or self.not_after <= at


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """One device within one operation: its path, what was read, what was sent.

    `power`: the last reading of its own path; `words`: the last reading of each path; `in_doubt_since`: since when they
    disagree. `settling_until`: an OFF that was read counts as UNKNOWN until then; 0: the last reading counts.
    `is_mute`: in its last race no path could read it, and a working one got no answer from the device itself.
    `refused_by`: proxies that accepted no command; races leave them out while other candidates remain.
    `is_vouched`: only the configuration (`cuts_power`) claims that its OFF cuts power.
    `is_asked_down`: a soft off was sent (S24).
    `plug_id`, `identity`: as configured when the operation began; recovery compares them (core.operation.edited).
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
    is_asked_down: bool = False
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
        """The power on which its paths agree; UNKNOWN while they disagree."""
        return self.power if self.in_doubt_since is None else Power.UNKNOWN

    @property
    def unsettled(self) -> tuple[PathWord, ...]:
        """The paths that read ON, and those that a later command outdated, so that they must be read again."""
        return tuple(word for word in self.words if word.power is not Power.OFF)

    @property
    def lit(self) -> tuple[PathWord, ...]:
        """The paths that read ON last. An ON stays when its path dies."""
        return tuple(word for word in self.words if word.power is Power.ON)

    @property
    def is_lit(self) -> bool:
        """Whether it reads ON, or some path to it did and has not read otherwise since."""
        return self.power is Power.ON or bool(self.lit)

    @property
    def is_busy(self) -> bool:
        """Whether a race, a read or a command is under way."""
        return self.is_racing or self.step is not None

    @property
    def reads_on(self) -> bool:
        """Whether its last reading is ON, and no earlier OFF could still act when that reading began (S5)."""
        return self.says is Power.ON and self.same_reads > 0

    @property
    def is_on(self) -> bool:
        """Whether it reads ON and nothing is under way."""
        return self.reads_on and not self.is_busy

    def is_stably_off(self, host: Host) -> bool:
        """Whether its paths agree on OFF over `stable_reads` equal readings in a row (S1)."""
        return self.says is Power.OFF and self.same_reads >= host.device(self.device).power.stable_reads


class Phase(Enum):
    """The phase of an operation; `machine.PHASES` has the transitions."""

    PROVING = "proving"
    INSPECTING = "inspecting"
    ANNOUNCING = "announcing"
    RESTORING = "restoring"
    VETO = "veto"
    GOING_DOWN = "going_down"
    READ_AND_END = "reading"
    CLOSING = "closing"
    ENDED = "ended"


class Slot(Enum):
    """Which of a host's three places an operation has. READING holds a status or a probe, beside the others."""

    RUNNING = "running"
    WAITING = "waiting"
    READING = "reading"


class Restored(Enum):
    """How much of what was switched off is on again."""

    ALL = "all"
    PART = "part"
    NO = "no"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOfOff:
    """The basis of a `fenced` announcement."""

    kind: Proof
    level: int | None
    boot: BootId | None
    at: float
    token: Token
    operation: OperationId | None
    devices: tuple[DeviceName, ...] = ()
    last_heard: float | None = None

    def revoked_by(self, host: Host) -> frozenset[DeviceName]:
        """The devices that must stay off for the proof to hold (S17): every chassis, the devices that were read, and
        those of their level that the inventory has now. If it has none of those that were read: all devices.
        """
        if self.devices and not any(device.name in self.devices for device in host.devices):
            return frozenset(device.name for device in host.devices)
        return frozenset(
            device.name
            for device in host.devices
            if device.kind is Kind.CHASSIS or device.name in self.devices or device.level == self.level
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One attempt to change or read one host's power, with its whole history.

    `wanted`: the devices that must be ON in the end, set when the restore begins. `is_stopped`: `ending` is decided.
    `is_contradicted`, `life_checked_at`: kept for the story; no decision reads them. `is_forced`: live evidence does
    not stop this drill. `veto_until`: until then anybody may veto that the host is put to sleep; None: its devices were
    not read ON yet.
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
    is_drill: bool = False
    is_forced: bool = False
    veto_until: float | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether the daemon decided it rather than an operator or program; then it must pass every gate (S10)."""
        return self.cause is not Cause.REQUEST

    @property
    def is_saving(self) -> bool:
        """Whether it puts the host to sleep or wakes it: it counts in no attempts, cool-down or budget (S24)."""
        return self.action in {Action.SLEEP, Action.WAKE}

    @property
    def is_giving_back(self) -> bool:
        """Whether the daemon only restores power to devices that it switched off."""
        return self.action is Action.ON and self.is_automatic

    @property
    def is_drilling(self) -> bool:
        """Whether it is a drill that no other request has joined, so that the rules of drills hold."""
        return self.is_drill and not self.joined

    @property
    def is_power_changing(self) -> bool:
        return self.action in {Action.OFF, Action.ON, Action.RESTART}

    @property
    def is_proving_off(self) -> bool:
        """Whether it is still proving the host off: OFFs may follow."""
        return self.phase in {Phase.PROVING, Phase.INSPECTING}

    @property
    def of_level(self) -> tuple[DeviceRun, ...]:
        """The devices of the level that it is trying."""
        return self.at_level(self.level)

    @property
    def of_other_levels(self) -> tuple[DeviceRun, ...]:
        return tuple(run for run in self.devices if run.level != self.level)

    def at_level(self, level: int | None) -> tuple[DeviceRun, ...]:
        return tuple(run for run in self.devices if run.level == level)

    def run(self, device: DeviceName) -> DeviceRun:
        """The run of that device. Raises KeyError if the operation does not have the device."""
        for run in self.devices:
            if run.device == device:
                return run
        raise KeyError(device)

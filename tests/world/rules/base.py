"""The base of all rules: what they can see and when they are called. Knows the world, not the program.

The checker maintains one `Truth` for all rules; a rule keeps only what it alone needs. Rules never raise:
they report findings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.restricting import Word
from fenced.core.durable.state import HostState, Phase, Slot
from fenced.core.events import Evidence, Health, OwnHealthMeasured
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, HostName, OperationId, PlugId, ProxyName, Token
from fenced.model.power import Action, Cause, Power
from fenced.ports.bus import Message
from tests.fakes.journal import Durable
from tests.world.disk import Disk
from tests.world.leasing import Lease
from tests.world.looking import Answered
from tests.world.loop import virtual
from tests.world.machines import Machine, Plug
from tests.world.network import Broker
from tests.world.store import WorldJournal
from tests.world.wires import Path, Sent, Wires

STORED_SECONDS = 5.0
"""How long after it was slow the store may still write what was decided before."""


@dataclass(slots=True, kw_only=True)
class Op:
    """What the journal said of one operation, as recorded by the checker.

    `decided`, `due`, `restore_due`: its start and deadlines on the clock of its daemon;
    all other times are the world's.
    """

    id: OperationId
    host: HostName
    action: Action
    cause: Cause
    started: float
    decided: float
    deadline: float
    due: float
    boot: BootId | None
    has_sent_off: bool = False
    is_ended: bool = False
    resumed_at: float | None = None
    restore_deadline: float | None = None
    restore_due: float | None = None

    @property
    def is_automatic(self) -> bool:
        return self.cause is not Cause.REQUEST


@dataclass(slots=True, kw_only=True)
class Answer:
    """A device's last answer; None for none in time. `offs`: how many times OFF in a row, and since when."""

    at: float
    power: Power | None
    offs: int
    off_since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A reading of a plug through one path that a daemon got, and when the daemon got it."""

    at: float
    proxy: ProxyName
    power: Power


@dataclass(slots=True, kw_only=True)
class Truth:
    """The world as it is. `lives`: starts of daemons so far; `up_since`: of the one that holds the lease, or of the
    newest that runs; None while none does.

    `observers`: proxies that may look. `folded()`, `fleet()`: the hosts and the fleet as a replay of the journal gives
    them. `journals()`: the daemons' store connections. `readings`: those of each plug since its host's newest operation
    began, when they reached a daemon. `spoke`: when each host was last heard in its present run, even by a message that
    an earlier one had overtaken. `reported`: hosts that ever reported themselves failing. `stated_at`: the newest
    record's time on the clock of its daemon. `troubled_at`: when a daemon was last seen held, or its store slow or
    unreachable. `held_seconds`: the least time for which all daemons were held although the bus gave them messages.
    """

    inventory: Inventory
    disk: Disk
    machines: Mapping[HostName, Machine]
    wires: Wires
    broker: Broker
    now: Callable[[], float]
    is_answerable: Callable[[Machine], bool]
    folded: Callable[[], Mapping[HostName, HostState]]
    fleet: Callable[[], FleetState]
    journals: Callable[[], Sequence[WorldJournal]]
    operations: dict[OperationId, Op] = field(default_factory=dict)
    running: dict[HostName, Op] = field(default_factory=dict)
    answers: dict[PlugId, Answer] = field(default_factory=dict)
    observers: frozenset[ProxyName] = frozenset()
    readings: dict[PlugId, list[Reading]] = field(default_factory=dict)
    heard: dict[HostName, tuple[float, BootId | None]] = field(default_factory=dict)
    spoke: dict[HostName, float] = field(default_factory=dict)
    reported: set[HostName] = field(default_factory=set)
    lives: int = 0
    running_since: dict[str, float] = field(default_factory=dict)
    troubled_at: float = 0.0
    stated_at: float = 0.0
    held_seconds: float = 0.0
    _seen_held_at: float | None = None
    _ahead: dict[int, float] = field(default_factory=dict)

    @property
    def durable(self) -> Durable:
        return self.disk.durable

    @property
    def up_since(self) -> float | None:
        if self.disk.row.name in self.running_since:
            return self.running_since[self.disk.row.name]
        return max(self.running_since.values(), default=None)

    @property
    def decided_at(self) -> float | None:
        """When the newest record was decided, in the world's time; None while its daemon's clock is unknown."""
        ahead = self._ahead.get(self.durable.epoch)
        return None if ahead is None else min(self.now(), self.stated_at - ahead)

    @property
    def is_taken_in(self) -> bool:
        """Whether what the broker passes on now reaches a daemon that takes it in at once."""
        self.stepped()
        return self.troubled_at < self.now()

    def _learn_clock(self, at: float, stated: float) -> None:
        """Learn how far the clock of the store's daemon is ahead, from records that it writes at once."""
        if at > self.troubled_at + STORED_SECONDS:
            epoch = self.durable.epoch
            self._ahead[epoch] = max(self._ahead.get(epoch, stated - at), stated - at)

    def daemon_changed(self, name: str, *, is_up: bool) -> None:
        """A daemon started or died."""
        self.running_since.pop(name, None)
        if is_up:
            self.lives += 1
            self.running_since[name] = self.now()

    def stepped(self) -> None:
        """Something happened."""
        disk, loop = self.disk, virtual()
        is_troubled = not disk.is_well
        for journal in self.journals():
            is_troubled = is_troubled or journal.is_cut or journal.delay_seconds > 0.0
        held = [loop.is_held(name) for name in self.running_since] if loop.holds_somebody else []
        if is_troubled or any(held):
            self.troubled_at = self.now()
        if held or self._seen_held_at is not None:
            self._count_held(is_held=bool(held) and all(held) and self.broker.is_subscribed)

    def _count_held(self, *, is_held: bool) -> None:
        if is_held:
            self.held_seconds += self.now() - (self._seen_held_at if self._seen_held_at is not None else self.now())
        self._seen_held_at = self.now() if is_held else None

    def are_paths_good(self) -> bool:
        """Whether nothing is wrong between the daemon and the devices."""
        return not self.wires.is_cut and all(is_good(path) for path in self.wires.paths.values())

    def take(self, host: HostName, at: float, entry: r.Entry) -> None:
        """Record operations in the world's time: `at` is when the entry became durable."""
        self.stated_at = entry.at
        self._learn_clock(at, entry.at)
        match record := entry.record:
            case r.OperationStarted():
                it = record.operation
                self.operations[it.id] = Op(
                    id=it.id,
                    host=host,
                    action=it.action,
                    cause=it.cause,
                    started=at,
                    decided=entry.at,
                    due=it.deadline,
                    deadline=at + it.deadline - entry.at,
                    boot=it.boot,
                )
                if record.slot is Slot.RUNNING:
                    self.running[host] = self.operations[it.id]
                    self._forget_readings(host)
            case r.WaitingOperationStarted():
                self._forget_readings(host)
                op = self.running[host] = self.operations[record.operation]
                op.started, op.decided, op.deadline = at, entry.at, at + record.deadline - entry.at
                op.due = record.deadline
            case r.OperationJoined():
                self.operations[record.operation].action = record.action
            case r.OperationResumed():
                self.operations[record.operation].resumed_at = at
            case r.PhaseEntered() if record.phase is Phase.GOING_DOWN and record.deadline is not None:
                op = self.operations[record.operation]
                op.due, op.deadline = record.deadline, at + record.deadline - entry.at
            case r.PhaseEntered() if record.deadline is not None:
                op = self.operations[record.operation]
                op.restore_due, op.restore_deadline = record.deadline, at + record.deadline - entry.at
            case _:
                pass

    def took(self, host: HostName, record: r.Record) -> None:
        """Record what must change only after the rules have seen the record."""
        match record:
            case r.StepStarted() if record.token is not None and record.what.value == "off":
                self.operations[record.operation].has_sent_off = True
            case r.OperationEnded():
                op = self.operations[record.operation]
                op.is_ended = True
                if self.running.get(host) is op:
                    del self.running[host]
            case _:
                pass

    def _forget_readings(self, host: HostName) -> None:
        for plug in self.machines[host].plugs.values():
            self.readings.pop(plug.plug_id, None)

    def told(self, proxy: ProxyName, plug: PlugId, power: Power) -> None:
        """A daemon got this reading."""
        self.readings.setdefault(plug, []).append(Reading(at=self.now(), proxy=proxy, power=power))

    def answered(self, plug: Plug, power: Power | None) -> None:
        """A device answered a read (None: with an error)."""
        before = self.answers.get(plug.plug_id)
        offs, since = (before.offs, before.off_since) if before is not None else (0, self.now())
        if power is not None:
            offs = offs + 1 if power is Power.OFF else 0
        if offs <= 1:
            since = self.now()
        self.answers[plug.plug_id] = Answer(at=self.now(), power=power, offs=offs, off_since=since)


def is_good(path: Path) -> bool:
    is_off = path.is_dead or path.is_stuck or path.is_away or path.dies_sending
    is_cut = path.is_way_cut or path.is_way_there_cut or path.is_way_back_cut or bool(path.cut_from)
    return not (is_off or is_cut) and path.delay_seconds == 0.0 and path.answer_seconds == 0.0


def is_plug_good(plug: Plug) -> bool:
    """Return whether it answers in time, does what is commanded, and tells the truth."""
    refuses = plug.fails or plug.sticks or plug.is_answer_lost or plug.is_starting or plug.is_not_ready
    is_odd = (
        plug.is_between
        or plug.flaps
        or plug.refuses_repeated
        or plug.is_dummy
        or plug.stays_off
        or plug.wired is not None
    )
    is_one_way = bool(plug.wrong_through or plug.unreachable_through or plug.unanswered_through or plug.strays)
    is_elsewhere = is_one_way or plug.is_miswired or plug.is_forgotten or plug.says is not None
    is_slow = plug.set_seconds > 1.0 or plug.read_seconds > 0.1 or plug.late_seconds > 0.0 or plug.early_seconds > 0.0
    return plug.is_answering and not (refuses or is_odd or is_elsewhere or is_slow)


class Rule:
    """One rule. Its methods are called as things happen, in order; a rule overrides those that it needs."""

    name = ""
    outlives_the_store = False
    """Whether it can still judge once the store lost records."""

    def __init__(self, truth: Truth, find: Callable[[str, str], None]) -> None:
        self.truth = truth
        self._find = find

    def found(self, text: str) -> None:
        self._find(self.name, text)

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        """A record of a host is durable."""

    def fleet_recorded(self, at: float, record: r.Record) -> None:
        """A record of the fleet is durable."""

    def sent(self, sent: Sent) -> None:
        """A power command left for its plug."""

    def acting(self, sent: Sent) -> None:
        """A power command is about to act."""

    def reported(self, event: Health) -> None:
        """The same beat, with who reported it."""

    def vouched(self, event: Evidence) -> None:
        """The broker passed another system's statement about a host to the daemons."""

    def measured(self, daemon: str, event: OwnHealthMeasured) -> None:
        """A daemon measured how slow it is."""

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        """A heartbeat reached the daemon."""

    def published(self, message: Message) -> None:
        """The broker took a message."""

    def left(self, daemon: str, token: Token) -> None:
        """A power command leaves its daemon."""

    def spoke(self, daemon: str, message: Message) -> None:
        """A daemon publishes a message."""

    def told(self, plug: PlugId) -> None:
        """A daemon got a reading of the plug."""

    def taken(self, before: Lease, row: Lease) -> None:
        """A daemon took the lease."""

    def looked(self, answered: Answered) -> None:
        """An observer answered a daemon."""

    def renewed(self, row: Lease) -> None:
        """A daemon renewed the lease."""

    def said(self, word: Word) -> None:
        """The store has a word of a controller without the lease."""

    def floor_raised(self, proxy: ProxyName, epoch: int) -> None:
        """A proxy answers that it refuses older epochs."""

    def went_back(self) -> None:
        """The store has an older content from now on."""

    def ear_changed(self) -> None:
        """The daemon hears from now on, or no more (`truth.broker.is_heard`)."""

    def daemon_changed(self) -> None:
        """A daemon started or died (`truth.up_since`)."""

    def stepped(self) -> None:
        """Something happened; check what must hold at every moment."""

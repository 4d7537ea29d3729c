"""Check what must hold in every run: compare what was claimed with what is true (design.md#safety-rules).

Sees the journal, each command as it is sent and as it acts, and the bus. It collects violations instead of raising: the
program under test must not be able to swallow them. It judges only machines with honest devices that nobody else
touched.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.restricting import Word
from fenced.core.durable.state import HostState, Slot
from fenced.core.events import Evidence, Health, HealthStatus
from fenced.core.fleet import Fleet
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, HostName, OperationId, PlugId, ProxyName, Token
from fenced.model.power import Action, Power, Proof, State, What
from fenced.ports.bus import BusEvent, Message
from tests.fakes.journal import Durable
from tests.world.disk import Disk
from tests.world.folding import Folding
from tests.world.loop import virtual
from tests.world.machines import Machine, Plug
from tests.world.network import Broker
from tests.world.rules import build
from tests.world.rules.base import Rule, Truth
from tests.world.store import WorldJournal
from tests.world.wires import Sent, Wires

LATE_SECONDS: Final = 0.001
GIVES_POWER: Final = frozenset({Action.ON, Action.WAKE})
"""Tolerance for rounding: times are whole microseconds, and floats of the year 2027 are coarser."""

MOMENTS: Final = (
    "recorded", "fleet_recorded", "sent", "acting", "heard", "published", "ear_changed", "daemon_changed", "stepped",
    "left", "spoke", "told", "taken", "renewed", "went_back", "floor_raised", "said", "looked", "vouched", "reported",
    "measured",
)  # fmt: skip
"""The moments at which rules are called; each rule is called only for those that it handles."""


@dataclass(slots=True)
class _Told:
    """What the journal said so far of one operation."""

    host: HostName
    action: Action
    is_fenced: bool = False
    is_stopped: bool = False
    is_ended: bool = False
    mismatched: set[PlugId] = field(default_factory=set)


@dataclass(slots=True)
class Checker:
    """`violations`, in order; empty after a good run.

    `is_replaying`: each batch is also replayed beside the program.
    """

    durable: Durable
    machines: dict[HostName, Machine]
    wires: Wires
    now: Callable[[], float]
    violations: list[str] = field(default_factory=list)
    is_replaying: bool = True
    _seen: int = 0
    _operations: dict[OperationId, _Told] = field(default_factory=dict)
    _running: dict[HostName, OperationId] = field(default_factory=dict)
    _states: dict[HostName, HostState] = field(default_factory=dict)
    _tokens: dict[HostName, Token] = field(default_factory=dict)
    _plug_tokens: dict[PlugId, Token] = field(default_factory=dict)
    _owner: dict[Token, OperationId] = field(default_factory=dict)
    _not_after: dict[Token, float] = field(default_factory=dict)
    _fenced_under: dict[HostName, set[str]] = field(default_factory=dict)
    _fenced_at: dict[HostName, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _last_told: dict[HostName, Token] = field(default_factory=dict)
    _distrusted: dict[HostName, set[DeviceName]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    _having: dict[str, list[Rule]] = field(default_factory=lambda: {name: [] for name in MOMENTS})
    truth: Truth | None = None
    _newest: dict[tuple[HostName, str], tuple[BootId | None, int]] = field(default_factory=dict)
    _folding: Folding = field(init=False)

    def __post_init__(self) -> None:
        self._folding = Folding(self.durable, self._find)

    def watch(
        self, inventory: Inventory, broker: Broker, disk: Disk, journals: Callable[[], Sequence[WorldJournal]]
    ) -> None:
        """Also check every rule of tests/world/rules."""
        self.truth = Truth(
            inventory=inventory, disk=disk, machines=self.machines, wires=self.wires, broker=broker,
            now=self.now, is_answerable=self.is_answerable, folded=self._folding.hosts,
            fleet=self._folding.fleet, journals=journals,
        )  # fmt: skip
        self.wires.on_told, self.wires.on_floor = self.reading_told, partial(self.call, "floor_raised")
        disk.on_taken, disk.on_renewed = partial(self.call, "taken"), partial(self.call, "renewed")
        disk.on_went_back, disk.on_said = self.went_back, self.said
        for rule in build(self.truth, self._find):
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Let a rule see everything from now on."""
        self.rules.append(rule)
        for name, having in self._having.items():
            if getattr(type(rule), name) is not getattr(Rule, name):
                having.append(rule)

    def call(self, moment: str, *args: object) -> None:
        """Call the rules that handle this moment."""
        for rule in self._having[moment]:
            getattr(rule, moment)(*args)

    def _find(self, rule: str, text: str) -> None:
        self.violations.append(f"{self.now():.3f} {rule}: {text}")

    def is_answerable(self, machine: Machine) -> bool:
        """Return whether the daemon can be held to what it says of this machine."""
        return not machine.is_meddled and not machine.liars

    def _is_ours_to_answer(self, machine: Machine, state: HostState) -> bool:
        """Return whether the host counts as fenced, and not only because a person stated it."""
        is_said = state.proof is not None and state.proof.kind is Proof.HUMAN
        is_of_before = self._fenced_at.get(machine.name, 0.0) < machine.edited_at
        return state.state is State.FENCED and not (is_said or is_of_before) and self.is_answerable(machine)

    # -- the journal --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Process what became durable since the last call."""
        entries = self.durable.entries
        for number in range(self._seen + 1, self.durable.sequence + 1):
            entry = entries.get(number)
            if entry is not None:
                self._tell_rules(entry)
            if entry is not None and entry.host is not None:
                self._take(entry.host, entry)
        self._seen = self.durable.sequence
        if self.truth is not None:
            self.truth.stepped()
        for rule in self._having["stepped"]:
            rule.stepped()

    def _tell_rules(self, entry: r.Entry) -> None:
        """Pass an entry to the rules with the world's time, because a daemon's clock may be wrong."""
        if self.truth is None:
            return
        at = self.now()
        if entry.host is None:
            self.call("fleet_recorded", at, entry.record)
            return
        self.truth.take(entry.host, at, entry)
        self.call("recorded", entry.host, at, entry.record)
        self.truth.took(entry.host, entry.record)

    def read(self, plug: Plug, power: Power) -> None:
        """A device answered a read."""
        if self.truth is not None:
            self.truth.answered(plug, power)

    def heard(self, event: BusEvent) -> None:
        """The broker passed a message to the daemons. One that a newer one overtook says nothing of the present."""
        if isinstance(event, Evidence):
            self.call("vouched", event)
        if self.truth is None or not isinstance(event, Health) or event.is_retained:
            return
        if event.boot in {None, self.machines[event.host].boot}:
            self.truth.spoke[event.host] = self.now()
        counter = (event.host, event.reporter)
        boot, sequence = self._newest.get(counter, (event.boot, 0))
        if event.boot == boot and (event.sequence or 0) < sequence:
            return
        self._newest[counter] = (event.boot, event.sequence or 0)
        if event.status is HealthStatus.FAILING:
            self.truth.reported.add(event.host)
        self.truth.stepped()
        if self.truth.troubled_at >= self.now():
            return  # a daemon that is held may never process it
        self.truth.heard[event.host] = (self.now(), event.boot)
        self.call("heard", self.machines[event.host], event.boot)
        self.call("reported", event)

    def reading_told(self, proxy: ProxyName, plug: PlugId, power: Power) -> None:
        """A daemon got a reading."""
        if self.truth is not None:
            self.truth.told(proxy, plug, power)
        self.call("told", plug)

    def went_back(self) -> None:
        """The store has an older content now. What follows is compared with that."""
        self.call("went_back")
        outliving = [rule for rule in self.rules if rule.outlives_the_store]
        for name in self._having:
            self._having[name] = [rule for rule in self._having[name] if rule in outliving]
        self._seen = self.durable.sequence
        self._folding.begin_anew()
        self._running.clear()
        self._tokens.clear()
        self._plug_tokens.clear()  # a controller that saw nothing of the lost epochs may draw one of them again
        self._last_told.clear()
        for name, told in self._operations.items():
            _, operation = self.durable.operations.get(name, (0, None))
            told.is_ended = operation is not None and operation.ended is not None
        if self.truth is not None:
            self.truth.running.clear()

    def said(self, word: Word) -> None:
        """The store takes a word now. What is durable already began before it."""
        self.look()
        self.call("said", word)

    def ear_changed(self) -> None:
        """The daemons began or ceased to hear."""
        self.call("ear_changed")

    def daemon_changed(self, name: str, *, is_up: bool) -> None:
        """A daemon started or died."""
        self.look()
        if self.truth is not None:
            self.truth.daemon_changed(name, is_up=is_up)
        self.call("daemon_changed")

    def _take(self, host: HostName, entry: r.Entry) -> None:
        record = entry.record
        match record:
            case r.OperationStarted() if record.slot is Slot.RUNNING:
                self._started(host, record.operation.id, record.operation.action)
            case r.OperationStarted():
                self._operations[record.operation.id] = _Told(host, record.operation.action)
            case r.WaitingOperationStarted():
                self._started(host, record.operation, self._operations[record.operation].action)
            case r.OperationJoined() if record.operation in self._operations:
                self._operations[record.operation].action = record.action
            case r.EndingDecided():
                self._operations[record.operation].is_stopped = True
            case r.OperationEnded():
                self._ended(host, record)
            case r.StepStarted() if record.token is not None:
                self._command(host, record, seconds=(record.not_after or 0.0) - entry.at)
            case r.HostFenced():
                self._fenced(host, record)
            case r.HostRevoked():
                self._token(host, record.token, "revoked")
                self._distrusted.setdefault(host, set()).update(record.distrusted)
            case r.DevicesDistrusted():
                self._distrusted.setdefault(host, set()).update(record.devices)
            case r.DevicesTrusted():
                self._distrusted.get(host, set()).difference_update(record.devices)
            case _:
                pass

    def _started(self, host: HostName, operation: OperationId, action: Action) -> None:
        if host in self._running:
            self._find("S4", f"{operation} starts on {host} while {self._running[host]} runs")
        self._running[host] = operation
        self._operations[operation] = _Told(host, action)

    def _ended(self, host: HostName, record: r.OperationEnded) -> None:
        told = self._operations[record.operation]
        if told.is_ended:
            self._find("S14", f"{record.operation} of {host} ended twice")
        told.is_ended = True
        if self._running.get(host) == record.operation:
            del self._running[host]
        for sent in self.wires.sent.values():
            is_its = self._owner.get(sent.token) == record.operation and sent.is_honest
            if is_its and sent.acts_at <= sent.not_after:
                self._find(
                    "S5", f"{record.operation} ended while its {sent.power.value} of {sent.plug.plug_id} may act"
                )

    def _command(self, host: HostName, record: r.StepStarted, *, seconds: float) -> None:
        """`seconds`: how long the command may act. The record's times are in a daemon's clock, which may be wrong."""
        assert record.token is not None
        self._owner[record.token] = record.operation
        self._not_after[record.token] = self.now() + seconds
        self._token(host, record.token, f"{record.what.value} {record.device}")
        highest = self._plug_tokens.get(record.plug_id)
        if highest is not None and record.token <= highest:
            self._find("S5", f"token {record.token} for {record.plug_id} is not above {highest}")
        self._plug_tokens[record.plug_id] = record.token
        told = self._operations[record.operation]
        if record.what is What.ON and host in self._fenced_under:
            self._fenced_under[host].add(str(record.token))  # an ON that failed leaves it fenced, under that token
        if record.what is What.OFF and record.plug_id in told.mismatched:
            self._find("identity", f"OFF for {record.plug_id} in an operation that met another machine there")
        if record.what is What.ON and told.action not in GIVES_POWER and not (told.is_fenced or told.is_stopped):
            self._find("S8", f"ON for {record.plug_id} before a level of {host} was verified OFF")

    def _token(self, host: HostName, token: Token, what: str) -> None:
        highest = self._tokens.get(host)
        if highest is not None and token < highest:
            self._find("token", f"{what} of {host} has {token} after {highest}")
        self._tokens[host] = max(token, highest or token)

    def _fenced(self, host: HostName, record: r.HostFenced) -> None:
        self._token(host, record.token, "fenced")
        self._fenced_under.setdefault(host, set()).add(str(record.token))
        self._fenced_at[host] = self.now()
        if record.operation in self._operations:
            self._operations[record.operation].is_fenced = True
        if liars := self._distrusted.get(host, set()) & {*record.devices}:
            self._find("S17", f"{host} is announced as fenced by {', '.join(sorted(liars))}, which is distrusted")
        machine = self.machines.get(host)
        if machine is None or record.proof is Proof.HUMAN or not self.is_answerable(machine):
            return
        if machine.is_powered:
            self._find("S1", f"{host} is announced as fenced and has power")
        for device in record.devices:
            for sent in self.wires.pending(machine.plug(device)):
                if sent.power is Power.ON:
                    self._find("S5", f"{host} is announced as fenced while an ON of {device} may still act")

    # -- devices ------------------------------------------------------------------------------------------------------

    def left(self, daemon: str, token: Token) -> None:
        """A command leaves its daemon. On its way to a proxy it may outlive the daemon, within its `not_after`.

        A daemon that stood still until now sends what it had begun, within its `not_after`: nobody can stop that.
        """
        if token.epoch < self.durable.epoch and not virtual().is_just_released(daemon):
            self._find("epoch", f"a command leaves under {token}, {self.durable.epoch} is newer")
        self.call("left", daemon, token)

    def sent(self, sent: Sent) -> None:
        """A command left for its plug."""
        self.look()
        self.call("sent", sent)
        if sent.token not in self._owner:
            self._find("S3", f"{sent.power.value} for {sent.plug.plug_id} was sent before its record was durable")
        for other in filter(lambda other: other.is_honest, self.wires.pending(sent.plug)):
            if other.number != sent.number and other.power is not sent.power and sent.power is Power.ON:
                self._find("S5", f"ON for {sent.plug.plug_id} is sent while an OFF may still act")

    def acting(self, sent: Sent) -> None:
        """A command is about to act."""
        self.look()
        self.call("acting", sent)
        owner = self._owner.get(sent.token)
        is_late = self.now() > self._not_after.get(sent.token, math.inf) + LATE_SECONDS
        if not sent.is_honest:
            sent.plug.has_lied = sent.plug.has_lied or is_late  # through a proxy whose clock lies
            return
        if is_late:
            self._find("S5", f"{sent.power.value} of {sent.plug.plug_id} acts after its not_after")
        if owner is not None and self._operations[owner].is_ended:
            self._find("S14", f"{sent.power.value} of {sent.plug.plug_id} acts after {owner} ended")

    def wrong_machine(self, plug: Plug) -> None:
        """Another machine answered at a plug's address."""
        self.look()
        running = self._running.get(plug.machine.name)
        if running is not None:
            self._operations[running].mismatched.add(plug.plug_id)

    def power_came(self, machine: Machine) -> None:
        """A machine got power: from now on no daemon may believe that it is fenced."""
        state = self._states.get(machine.name)
        if state is not None and self._is_ours_to_answer(machine, state):
            self._find("S1", f"{machine.name} gets power while it is announced as fenced")

    # -- the bus ------------------------------------------------------------------------------------------------------

    def published(self, message: Message) -> None:
        """The broker accepted a message: it must be durable, and a host's events must be in the journal's order."""
        self.look()
        self.call("published", message)
        if not message.payload:  # clears the retained state of a host that was removed from the inventory
            return
        told = json.loads(message.payload)
        if "/state/" in message.topic:
            host = HostName(told["host"])
            if told["state"] == State.FENCED.value and told["token"] not in self._fenced_under.get(host, set()):
                self._find("S3", f"the bus says that {host} is fenced under {told['token']}, the journal does not")
        elif "/event/" in message.topic and told["id"] not in self._told:
            self._told.add(told["id"])
            host, number = HostName(told["subject"]), Token.parse(told["id"])
            if number < self._last_told.get(host, number):
                self._find("order", f"{told['type']} {number} of {host} comes after {self._last_told[host]}")
            self._last_told[host] = number

    # -- the live state -----------------------------------------------------------------------------------------------

    def stored(self, fleet: Fleet) -> None:
        """A batch is durable and applied to the fleet: a start at this moment must give the same fleet."""
        self.look()
        if self.is_replaying:
            self._folding.compare(fleet, self._states)
        for name, state in fleet.hosts.items():
            machine = self.machines[name]
            if machine.is_powered and self._is_ours_to_answer(machine, state):
                self._find("S1", f"{name} is fenced and has power")
        self._states = dict(fleet.hosts)

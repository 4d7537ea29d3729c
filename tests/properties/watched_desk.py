"""A desk that checks every decision of the core against its own record of what the core was told.

It knows only the answers of devices, and never asks the core for its opinion.
"""

import heapq
from collections.abc import Mapping
from dataclasses import replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Operation
from fenced.core.fleet import Fleet
from fenced.model.names import DeviceName, HostName, OperationId, PlugId, Token
from fenced.model.power import Action, Outcome, Power, Proof, What
from tests.core.desk import FOR_EVER, Desk
from tests.world.rack import Rack

Plug = tuple[HostName, DeviceName]


class WatchedDesk(Desk):
    """`offs`: OFF readings in a row since any other reading of a device; `debts`: commanded off, not seen ON;
    `cut`: plugs that were ever commanded off. `follower`: the desk's fleet, another one from its records, and how many
    it has taken."""

    def __init__(self, rack: Rack) -> None:
        self.offs: dict[Plug, int] = {}
        self.debts: set[Plug] = set()
        self.cut: set[PlugId] = set()
        self.is_armed = self.is_leased = self.is_listening = True
        self.paused, self.maintained = False, set[HostName]()
        self.asked: dict[tuple[OperationId, DeviceName, int, str], Plug] = {}
        self.over: set[OperationId] = set()
        self.plug_tokens: dict[PlugId, Token] = {}
        self.host_tokens: dict[HostName, Token] = {}
        self.fenced_operations: set[OperationId] = set()
        self.cuts: list[tuple[int, dict[HostName, HostState]]] = []
        self.follower: tuple[Fleet, Fleet, int] | None = None
        super().__init__(rack)

    def do(self, event: e.Event) -> Decision:
        self._hear(event)
        before = {name: state.operation for name, state in self.fleet.hosts.items()}
        begun = len(self.entries)
        decision = super().do(event)
        self._take(self.entries[begun:])
        for command in decision.commands:
            self._commanded(command, before, self.entries[begun:])
        self.cuts.append((len(self.entries), dict(self.fleet.hosts)))
        return decision

    # -- inputs of the core -------------------------------------------------------------------------------------------

    def _hear(self, event: e.Event) -> None:
        match event:
            case e.RaceFinished():
                self._answered((event.operation, event.device, event.number, "race"), event.power)
            case e.StepFinished():
                is_read = event.outcome in {Outcome.ON, Outcome.OFF, Outcome.UNKNOWN}
                power = Power(event.outcome.value) if is_read else Power.UNKNOWN
                self._answered((event.operation, event.device, event.number, "step"), power)
            case e.WatchEnded():
                for device, power in event.powers:
                    self._read((event.host, device), power)
            case e.LeaseLost():
                self.is_leased = False
            case e.LeaseRenewed():
                self.is_leased = True
            case e.BusConnected() | e.BusDisconnected():
                self.is_listening = isinstance(event, e.BusConnected)
            case e.ArmAsked():
                self.is_armed = event.is_on
            case _:
                pass

    def _answered(self, key: tuple[OperationId, DeviceName, int, str], power: Power) -> None:
        """The first answer to a request counts; a repeat says nothing new.

        A status read outside an operation is no part of its proof: only ON counts, against it.
        """
        plug = self.asked.pop(key, None)
        if plug is None:
            return
        operation = self.fleet.hosts[plug[0]].operation if plug[0] in self.fleet.hosts else None
        if operation is None or operation.id == key[0] or power is Power.ON:
            self._read(plug, power)

    def _read(self, plug: Plug, power: Power) -> None:
        self.offs[plug] = self.offs.get(plug, 0) + 1 if power is Power.OFF else 0
        if power is Power.ON:
            self.debts.discard(plug)

    # -- decisions of the core ----------------------------------------------------------------------------------------

    def _take(self, entries: list[r.Entry]) -> None:
        for entry in entries:
            record, host = entry.record, entry.host
            operation = getattr(record, "operation", None)
            if isinstance(operation, str) and not isinstance(record, r.LeftOff | r.DrillEnded):  # after its end
                assert operation not in self.over, f"{record.kind} of {operation}, which has ended"
            match record:
                case r.OperationEnded():
                    self.over.add(record.operation)
                case r.HostFenced() if host is not None:
                    self._fenced(host, record)
                case r.PauseSet() | r.PauseEnded():
                    self.paused = bool(self.fleet.state.pauses)
                case r.MaintenanceSet() if host is not None:
                    self.maintained.add(host)
                case r.MaintenanceEnded() if host is not None:
                    self.maintained.discard(host)
                    owed = self.fleet.known(host).owed  # a person controlled what else was off
                    self.debts = {(name, device) for name, device in self.debts if name != host or device in owed}
                case _:
                    pass

    def _fenced(self, host: HostName, record: r.HostFenced) -> None:
        if record.operation is not None:
            self.fenced_operations.add(record.operation)
        if record.proof is Proof.HUMAN:
            return
        level = {device.name for device in self.fleet.host(host).devices if device.level == record.level}
        assert {*record.devices} == level != set(), "fenced on the word of some devices of its level, or of none"
        for device in record.devices:
            stable = self.fleet.host(host).device(device).power.stable_reads
            seen = self.offs.get((host, device), 0)
            assert seen >= stable, f"{host} is fenced with {device} read OFF {seen} times"

    def _commanded(self, command: c.Command, before: dict[HostName, Operation | None], new: list[r.Entry]) -> None:
        match command:
            case c.RunRace():
                self.asked[(command.operation, command.device, command.number, "race")] = (command.host, command.device)
            case c.ReadDevice():
                self.asked[(command.operation, command.device, command.number, "step")] = (command.host, command.device)
            case c.SwitchDevice():
                self._switched(command, before[command.host], new)
            case _:
                pass

    def _switched(self, command: c.SwitchDevice, before: Operation | None, new: list[r.Entry]) -> None:
        plug = (command.host, command.device)
        plug_id = self.fleet.host(command.host).device(command.device).spec.plug_id
        recorded = [it.record for it in new if isinstance(it.record, r.StepStarted)]
        assert any(it.token == command.token and it.what is command.what for it in recorded), "a command without record"
        assert self.is_leased, "a command without the lease"
        assert command.token > self.plug_tokens.get(plug_id, Token(epoch=0, sequence=0)), "a token that does not rise"
        assert command.token > self.host_tokens.get(command.host, Token(epoch=0, sequence=0))
        self.plug_tokens[plug_id] = self.host_tokens[command.host] = command.token
        operation = self.operation(command.host)
        assert operation.id == command.operation, "a command of an operation that does not run"
        if command.what is What.OFF:
            self.debts.add(plug)
            self.cut.add(plug_id)
            self._may_cut(operation, before)
        elif operation.action is Action.ON and operation.is_automatic:
            assert plug_id in self.cut, f"{plug_id} gets an ON of ours and was never switched off"
        elif operation.action is Action.RESTART:
            assert operation.id in self.fenced_operations or operation.is_stopped, "ON before fenced"
        if command.what is What.ON:
            self.offs[plug] = 0

    def _may_cut(self, operation: Operation, before: Operation | None) -> None:
        """The first OFF of an automatic operation: every gate that this desk knows is open (S10)."""
        if not operation.is_automatic or (before is not None and before.is_off_sent):
            return
        assert self.is_armed, "an automatic OFF while disarmed"
        assert not self.paused, "an automatic OFF in a pause"
        assert operation.host not in self.maintained, "an automatic OFF in maintenance"
        assert self.is_listening, "an automatic OFF without the bus"

    # -- events from outside ------------------------------------------------------------------------------------------

    def replayed(self, *, cut: int = 0) -> Fleet:
        """Return the fleet from the records: all of them, or those after a snapshot (counted from the newest)."""
        fleet = Fleet(self.inventory, epoch=self.fleet.epoch, started=self.fleet.started)
        number = 0
        if cut:
            number, hosts = self.cuts[-min(cut, len(self.cuts))]
            fleet.restore(hosts, fleet.state)
        for at, entry in enumerate(self.entries):
            if at >= number or entry.host is None:
                fleet.apply(entry)
        return fleet

    def followed(self) -> Fleet:
        """Return the fleet from the records, of which only the new ones are folded: a history looks after each step."""
        fleet, again, number = self.follower or (None, self.fleet, 0)
        if fleet is not self.fleet or again.inventory is not self.inventory:
            again, number = self.replayed(), len(self.entries)
        for entry in self.entries[number:]:
            again.apply(entry)
        self.follower = self.fleet, again, len(self.entries)
        return again

    def crash(self, faults: Mapping[HostName, str] | None = None) -> None:
        """Kill and restart: what was only heard is gone, commands go on or not, and no pending request is answered.

        `faults`: what can't be read of hosts. The inventory may have been edited meanwhile.
        """
        fleet = self.replayed()
        again = Fleet(self.inventory, epoch=self.fleet.epoch + 1, started=self.now)
        again.restore({**fleet.gone, **fleet.hosts}, fleet.state)
        again.faults = dict(faults or {})
        self.fleet, self.pending, self.wakes = again, [], []
        self.asked.clear()
        self.offs.clear()
        self.do(e.LeaseRenewed(until=FOR_EVER))
        self.do(e.Started())
        self.do(e.BusConnected(at=self.now))

    def idle(self, seconds: float) -> None:
        """Only timers fire; nothing answers and nothing is heard."""
        end = self.now + seconds
        while self.wakes and self.wakes[0][0] <= end:
            at, name = heapq.heappop(self.wakes)
            self.now = max(self.now, at)
            self.do(e.TimerFired(host=name))
        self.now = end

    def look(self) -> None:
        """Check what must hold between two events."""
        again = self.followed()
        for name, state in self.fleet.hosts.items():
            assert replace(again.hosts[name], since=state.since) == state, f"{name} differs replayed"
            owed = {(name, device) for device in (*state.owed, *(orphan.device for orphan in state.orphans))}
            debts = {plug for plug in self.debts if plug[0] == name}
            assert debts <= owed, f"forgotten: {debts - owed}"
            if state.operation is not None:
                is_asked = any(getattr(it, "host", None) == name for it in self.pending)
                assert is_asked or any(host == name for _, host in self.wakes), f"{name} waits for nothing"
        assert again.state == self.fleet.state

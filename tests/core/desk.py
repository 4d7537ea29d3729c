"""A desk for tests of the core: events in, decisions out. The test moves time and answers for the devices.

No asyncio, journal or bus. `pending` holds the unanswered commands, in order.
"""

import heapq
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import Decision, decide
from fenced.core.durable import records as r
from fenced.core.durable.state import WRONG_MACHINE, HostState, Operation, RaceEntry
from fenced.core.fleet import Fleet
from fenced.engine.reactor import GATES_LOOK_SECONDS
from fenced.model.answers import Accepted, RefusedBy
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Action, Outcome, Power, Verdict, What
from tests.core.refusing import decided_twice
from tests.fakes.looks import Sees, answer
from tests.world import rack as racks
from tests.world.rack import Rack

C = TypeVar("C", c.RunRace, c.ReadDevice, c.SwitchDevice, c.WatchHost, c.AskLife)
R = TypeVar("R")

NODE = HostName("node-2")
ZERO = 1000.0
FOR_EVER = 1e12
WAKES_A_STEP_MAX = 10_000

ROUTINE = (e.Health, e.TimerFired, e.LifeAsked, e.GatesDue, e.PausesDue)
ROUTINE_ONE_IN = 31
"""These are most of the events, and come again: of them, only one in this many is rejected first and decided again."""
CALM_PACE_SECONDS = 5.0
"""The interval of heartbeats, by default."""


class Desk:
    """The fleet of a rack. Unless configured otherwise: connected, with the lease, past its quiet time, all hosts
    heard."""

    def __init__(self, rack: Rack | None = None, *, is_calm: bool = True) -> None:
        self.inventory: Inventory = racks.inventory(rack or Rack())
        self.now = ZERO
        self.fleet = Fleet(self.inventory, epoch=1, started=ZERO)
        self.pending: list[c.Command] = []
        self.entries: list[r.Entry] = []
        self.told: list[str] = []
        self.wakes: list[tuple[float, HostName]] = []
        self.decided = 0
        self.gates_looked_at = 0.0
        self.powers: dict[tuple[HostName, DeviceName], Power] = {}
        self.life: dict[HostName, str] = {}
        """What hosts answer everybody who looks at them."""
        self.sees: dict[HostName, Sees] = {}
        """What observers see of hosts. All others are silent for everybody, and everybody reaches a control."""
        self.are_looks_lost = False
        self.boots: dict[HostName, str] = {}
        self.sequence = 0
        if is_calm:
            self.calm()

    def calm(self) -> None:
        """Take the lease, connect the bus, and let the quiet time pass with every host heard."""
        self.calm_but(())

    def calm_but(self, silent: Sequence[HostName]) -> None:
        """The same, with some hosts that are not heard."""
        self.do(e.LeaseRenewed(until=FOR_EVER))
        self.do(e.Started())
        self.do(e.BusConnected(at=self.now))
        self.go(self.inventory.daemon.startup_quiet_seconds + 20.0, silent=silent, pace=CALM_PACE_SECONDS)

    # -- events -------------------------------------------------------------------------------------------------------

    def do(self, event: e.Event) -> Decision:
        """Decide one event in a batch that the store first rejects. The roll-back must leave nothing, and the second
        result must be equal."""
        self.decided += 1
        if isinstance(event, ROUTINE) and self.decided % ROUTINE_ONE_IN:
            decision = decide(self.fleet, event, self.now)
        else:
            decision = decided_twice(self.fleet, event, self.now)
        self.entries += decision.entries
        self.told += [told.type.removeprefix("io.fenced.") for told in decision.told]
        for command in decision.commands:
            match command:
                case c.Wake():
                    heapq.heappush(self.wakes, (command.at, command.host))
                case c.DropReads():
                    self.pending = [left for left in self.pending if not _is_dropped(left, command)]
                case _:
                    self.pending.append(command)
        return decision

    def go(self, seconds: float, *, silent: Sequence[HostName] = (), pace: float = 1.0) -> None:
        """Let time pass: timers fire, probes are answered, all hosts but the silent ones are heard once a pace."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            step = min(self.now + pace, end)
            woken = 0
            while self.wakes and self.wakes[0][0] <= step:
                at, name = heapq.heappop(self.wakes)
                woken += 1
                assert woken < WAKES_A_STEP_MAX, f"at {at} time does not go on: {name} is woken again and again"
                self.now = max(self.now, at)
                self.do(e.TimerFired(host=name))
                self._answer_life()
            self.now = step
            for name in self.inventory.hosts:
                if name not in silent:
                    self.beat(name, boot=self.boots.get(name, "b1"))
            self.do(e.PausesDue())
            self._look_at_gates()

    def _look_at_gates(self) -> None:
        """Check the gates as often as the reactor does."""
        if self.now >= self.gates_looked_at + GATES_LOOK_SECONDS:
            self.gates_looked_at = self.now
            self.do(e.GatesDue())

    def _answer_life(self) -> None:
        for asked in [command for command in self.pending if isinstance(command, c.AskLife)]:
            self.pending.remove(asked)
            if not self.are_looks_lost:
                self.do(answer(asked, self.now, answered=self.life.get(asked.host), sees=self.sees.get(asked.host)))

    def beat(
        self, name: HostName = NODE, *, boot: str | None = "b1", sequence: int | None = None, is_retained: bool = False,
        status: e.HealthStatus = e.HealthStatus.OK, interval: float | None = None, workloads: int | None = None,
        roles: tuple[str, ...] = (),
    ) -> Decision:  # fmt: skip
        self.sequence += 1
        return self.do(
            e.Health(
                host=name,
                received=self.now,
                is_retained=is_retained,
                boot=BootId(boot) if boot is not None else None,
                sequence=sequence if sequence is not None else self.sequence,
                status=status,
                interval_seconds=interval,
                workloads=workloads,
                roles=roles,
            )
        )

    def reported(self, reporter: str, *, sequence: int, boot: str = "b1") -> Decision:
        """Send a beat of one of several reporters."""
        return self.do(
            e.Health(
                host=NODE, received=self.now, is_retained=False, boot=BootId(boot), reporter=reporter, sequence=sequence
            )
        )  # fmt: skip

    def beat_on(self, name: HostName = NODE, *, boot: str | None = "b1") -> None:
        """Send two intervals of beats at the pace of a living host."""
        for _ in range(3):
            self.beat(name, boot=boot)
            self.go(5.0, silent=[name])

    # -- requests -----------------------------------------------------------------------------------------------------

    def ask(self, action: Action, name: HostName = NODE, *, by: str = "person", force: bool = True) -> str:
        """Request an action. Return `accepted ID` or `refused RULE`."""
        answer = self.do(e.ActionAsked(host=name, action=action, by=by, reason="told", is_forced=force)).answer
        return said(answer)

    def cancel(self, name: HostName = NODE) -> str:
        operation = self.operation(name)
        return said(self.do(e.CancelAsked(host=name, operation=operation.id, by="person", reason="told")).answer)

    def maintain(self, name: HostName = NODE, *, is_on: bool = True) -> None:
        self.do(e.MaintenanceAsked(host=name, is_on=is_on, by="person", reason="told"))

    # -- devices ------------------------------------------------------------------------------------------------------

    def set_power(self, power: Power, *devices: str, name: HostName = NODE) -> None:
        for device in devices:
            self.powers[(name, DeviceName(device))] = power

    def power(self, name: HostName, device: DeviceName) -> Power:
        return self.powers.get((name, device), Power.ON)

    def waiting(self, kind: type[C], device: str | None = None) -> list[C]:
        """Return the pending commands of a kind."""
        found = [command for command in self.pending if isinstance(command, kind)]
        if device is None:
            return found
        return [command for command in found if getattr(command, "device", None) == device]

    def take(self, kind: type[C], device: str | None = None) -> C:
        """Return the first pending command of a kind and remove it."""
        found = self.waiting(kind, device)
        assert found, f"no {kind.__name__} for {device} among {self.pending}"
        self.pending.remove(found[0])
        return found[0]

    def race(
        self, device: str, power: Power | None = None, *, winner: str | None = "engine", wrong: str | None = None,
        settling: float = 0.0, others: Mapping[str, Power] = MappingProxyType({}), kind: str = "",
    ) -> None:  # fmt: skip
        """End a race: `winner` reads the device as it is (or as given), `others` read powers of their own.

        `wrong`: paths that found another machine. `settling`: seconds for which an OFF does not count. `kind`: the
        error if no path could read.
        """
        command = self.take(c.RunRace, device)
        read = power if power is not None else self.power(command.host, command.device)
        proxy = ProxyName(winner) if winner is not None else None
        verdict = Verdict.WON if winner is not None else Verdict.FAILED
        counts = (Power.UNKNOWN if settling else read) if proxy is not None else None
        entries = [
            RaceEntry(
                proxy=proxy or ProxyName("engine"), tier=1, verdict=verdict, error="dead", power=counts, kind=kind
            )
        ]
        entries += [
            RaceEntry(proxy=ProxyName(other), tier=2, verdict=Verdict.RESERVE, power=said)
            for other, said in others.items()
        ]
        if wrong is not None:
            other = RaceEntry(
                proxy=ProxyName(wrong), tier=1, verdict=Verdict.FAILED, error="another", kind=WRONG_MACHINE
            )
            entries = [other, *(entries if winner is not None else [])]
        self.do(
            e.RaceFinished(
                host=command.host,
                operation=command.operation,
                device=command.device,
                number=command.number,
                winner=proxy,
                reserves=tuple(ProxyName(other) for other in others),
                entries=tuple(entries),
                power=read if winner is not None and not settling else Power.UNKNOWN,
                settling_until=self.now + settling if settling else 0.0,
            )
        )

    def read(
        self,
        device: str,
        power: Power | None = None,
        *,
        error: str | None = None,
        kind: str = "",
        settling: float = 0.0,
    ) -> None:
        """End a read; `settling` as in `race`."""
        command = self.take(c.ReadDevice, device)
        power = power if power is not None else self.power(command.host, command.device)
        outcome = Outcome(power.value) if error is None and not settling else Outcome.UNKNOWN
        self._finish(command, outcome, error=error, kind=kind, settling=settling)

    def switched(
        self, device: str, outcome: Outcome = Outcome.DONE, *, is_end_known: bool = True, kind: str = ""
    ) -> c.SwitchDevice:
        """End a power command; DONE changes the device."""
        command = self.take(c.SwitchDevice, device)
        if outcome is Outcome.DONE and command.what is not What.SOFT_OFF:  # that only asks the host
            self.powers[(command.host, command.device)] = Power.OFF if command.what is What.OFF else Power.ON
        error = None if outcome is Outcome.DONE else outcome.value
        self._finish(command, outcome, error=error, is_end_known=is_end_known, kind=kind)
        return command

    def _finish(
        self, command: c.ReadDevice | c.SwitchDevice, outcome: Outcome, *, error: str | None, is_end_known: bool = True,
        kind: str = "", settling: float = 0.0,
    ) -> None:  # fmt: skip
        self.do(
            e.StepFinished(
                host=command.host,
                operation=command.operation,
                device=command.device,
                number=command.number,
                outcome=outcome,
                error=error,
                is_end_known=is_end_known,
                kind=kind,
                note="reads OFF, which does not count yet" if settling else None,
                settling_until=self.now + settling if settling else 0.0,
            )
        )

    def serve(self, *, silent: Sequence[HostName] = (NODE,), seconds: float = 60.0, until: str = "") -> None:
        """Honest devices answer every command, for `seconds` or until a record of kind `until`."""
        end = self.now + seconds
        begun = len(self.entries)
        while self.now < end:
            if until and any(entry.record.kind == until for entry in self.entries[begun:]):
                return
            if not self.serve_one():
                self.go(0.25, silent=silent)

    def serve_one(self) -> bool:
        """Answer the first pending command that a device or host can answer. Return whether there was one."""
        self._answer_life()
        for command in self.pending:
            match command:
                case c.RunRace():
                    self.race(command.device)
                    return True
                case c.ReadDevice():
                    self.read(command.device)
                    return True
                case c.SwitchDevice():
                    self.switched(command.device)
                    return True
                case c.WatchHost():
                    self.watched()
                    return True
                case _:
                    continue
        return False

    def watched(self, *powers: tuple[str, Power]) -> Decision:
        """End a watch round that read the devices as they are, or as given."""
        command = self.take(c.WatchHost)
        read = tuple((device, self.power(command.host, device)) for device, _ in command.paths)
        if powers:
            read = tuple((DeviceName(device), power) for device, power in powers)
        return self.do(e.WatchEnded(host=command.host, started=self.now, powers=read))

    # -- looking ------------------------------------------------------------------------------------------------------

    def state(self, name: HostName = NODE) -> HostState:
        return self.fleet.hosts[name]

    def operation(self, name: HostName = NODE) -> Operation:
        operation = self.state(name).operation
        assert operation is not None, f"{name} has no operation"
        return operation

    def records(self, kind: type[R]) -> list[R]:
        return [entry.record for entry in self.entries if isinstance(entry.record, kind)]

    def ended(self, operation: str) -> r.OperationEnded:
        """Return the record of that operation's end."""
        return next(record for record in self.records(r.OperationEnded) if record.operation == OperationId(operation))

    # -- short stories ------------------------------------------------------------------------------------------------

    def suspect(self, name: HostName = NODE) -> None:
        """Keep the host silent until it is suspect."""
        self.go(21.0, silent=[name])

    def fence(self, name: HostName = NODE) -> None:
        """Keep the host silent until its operation runs."""
        for _ in range(60):
            if self.state(name).operation is not None:
                return
            self.go(1.0, silent=[name])
        raise AssertionError(f"{name} is {self.state(name)}")


def said(answer: Accepted | RefusedBy | None) -> str:
    match answer:
        case Accepted():
            return f"accepted {answer.operation}"
        case RefusedBy():
            return f"refused {answer.rule}"
        case None:
            return "nothing"


def _is_dropped(command: c.Command, drop: c.DropReads) -> bool:
    return (
        isinstance(command, c.RunRace | c.ReadDevice)
        and command.host == drop.host
        and command.operation == drop.operation
    )

"""Each change of outcome, or of the closed gates of a host, has exactly one decision record, which stands before it.

A decision waits for the record that follows from it: HostHeld, OperationStarted, HostHeard, RequestRefused and others.
One that nothing follows explains nothing; one that is missing leaves a change unexplained.
"""

from fenced.core.durable import records as r
from fenced.core.durable.decision import Ruling
from fenced.core.durable.state import Slot
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, State, What
from tests.world.rules.base import Rule

DECISIONS_FORMAT = 3
SUSPECTED = {State.SUSPECT.value, State.FAILED.value}


class DecisionsExplain(Rule):
    """The first OFF of an automatic operation, too, has its `fence` with every gate open."""

    name = "decisions"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._waiting: dict[HostName, tuple[float, r.Decided]] = {}
        self._held: dict[HostName, frozenset[str]] = {}
        self._fences: dict[OperationId, r.Decided] = {}
        self._begun: set[OperationId] = set()
        self._ids: set[tuple[HostName, str]] = set()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if self.truth.durable.format < DECISIONS_FORMAT:
            return
        if isinstance(record, r.Decided):
            self._decided(host, at, record)
            return
        decision = self._waiting.pop(host, None)
        wanted = self._wanted(host, record, is_decided=decision is not None)
        self._follow(host, record)
        if decision is not None and decision[0] != at:
            self.found(f"{decision[1].id} of {host} was decided at another moment than {record.kind}")
        if decision is None and wanted:
            self.found(f"{record.kind} of {host} has no decision record")
        elif decision is not None and decision[1].outcome not in wanted:
            self.found(f"{decision[1].id} of {host} says {decision[1].outcome.value}, and {record.kind} follows")
        elif decision is not None:
            self._compare(host, decision[1], record)

    def _decided(self, host: HostName, at: float, record: r.Decided) -> None:
        if host in self._waiting:
            self.found(f"{self._waiting[host][1].id} of {host} explains nothing: {record.id} comes at once")
        if (host, record.id) in self._ids:
            self.found(f"{host} has two decisions {record.id}")
        self._ids.add((host, record.id))
        self._waiting[host] = (at, record)

    def _wanted(self, host: HostName, record: r.Record, *, is_decided: bool) -> set[Ruling]:
        """Return the outcomes of which one must stand before the record; empty: none may."""
        is_due = is_decided or bool(self._held.get(host))
        match record:
            case r.HostHeld():
                return {Ruling.HOLD, Ruling.WOULD_FENCE}
            case r.OperationStarted() if _is_fence(record):
                return {Ruling.FENCE}
            case r.HostHeard() if record.before in SUSPECTED:
                return {Ruling.RECOVER}
            case r.HostLeft() if is_due:
                return {Ruling.RECOVER}
            case r.HostPutAside() if is_decided:  # of a host that the inventory lacks nothing is decided
                return {Ruling.HOLD}
            case r.MaintenanceSet() if is_due:
                return {Ruling.HOLD}
            case r.RequestRefused():
                return {Ruling.REFUSE}
            case r.StepStarted() if record.what is What.OFF and record.operation in self._begun:
                self._first_off(host, record.operation)
                return set()
            case _:
                return set()

    def _compare(self, host: HostName, decision: r.Decided, record: r.Record) -> None:
        shut = frozenset(gate.gate for gate in decision.shut)
        match record:
            case r.HostHeld():
                closed = frozenset(verdict.gate for verdict in record.gates if not verdict.is_open)
                if shut != closed:
                    self.found(f"{decision.id} of {host} names {sorted(shut)}, and {sorted(closed)} hold it")
                if (decision.outcome is Ruling.WOULD_FENCE) is not (closed == {"armed"}):
                    self.found(f"{decision.id} of {host} says {decision.outcome.value}, held by {sorted(closed)}")
            case r.OperationStarted():
                if shut or decision.operation != record.operation.id:
                    self.found(f"{decision.id} of {host} does not explain {record.operation.id}")
                self._fences[record.operation.id] = decision
            case _:
                pass

    def _first_off(self, host: HostName, operation: OperationId) -> None:
        self._begun.discard(operation)
        if operation not in self._fences:
            self.found(f"{operation} sends its first OFF to {host} without a decision")

    def _follow(self, host: HostName, record: r.Record) -> None:
        """Keep which gates hold the host, and which automatic operations have sent no OFF yet."""
        match record:
            case r.HostHeld():
                closed = frozenset(verdict.gate for verdict in record.gates if not verdict.is_open)
                if self._held.get(host) == closed:
                    self.found(f"{host} is held again by {sorted(closed)}: nothing changed")
                self._held[host] = closed
            case r.OperationStarted():
                self._held.pop(host, None)
                if _is_fence(record):
                    self._begun.add(record.operation.id)
            case (
                r.HostHeard() | r.HostLeft() | r.HostFenced() | r.HostRevoked() | r.MaintenanceSet() | r.HostSuspected()
                | r.SuspicionReleased() | r.HostPutAside() | r.AnnouncementLost() | r.HostRemoved()
            ):  # fmt: skip
                self._held.pop(host, None)
            case _:
                pass


def _is_fence(record: r.OperationStarted) -> bool:
    """Return whether the daemon fences the host by itself: it also gives power back, and saves power, by itself."""
    operation = record.operation
    is_other = operation.action is Action.ON or operation.is_saving
    return record.slot is Slot.RUNNING and operation.is_automatic and not is_other

"""S9, S19: what was switched off is on again, owed, or told; and no ON against a person's word."""

from fenced.core import records as r
from fenced.model.names import HostName, OperationId, PlugId
from fenced.model.power import Action, Power, State, What
from tests.world.rules.base import Rule
from tests.world.wires import Sent


class NothingIsForgotten(Rule):
    """A plug that is off by our own OFF is owed by its host for as long as no operation of it runs, and that is told."""

    name = "S9"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._ours: dict[PlugId, bool] = {}
        self._told: dict[HostName, bool] = {}
        self._left_off: set[HostName] = set()
        self._ended: dict[HostName, OperationId] = {}

    def acting(self, sent: Sent) -> None:
        self._ours[sent.plug.plug_id] = sent.power is Power.OFF

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.OperationStarted() if record.slot == "running":
                self._told[host] = host in self._left_off
            case r.LeftOff():
                self._left_off.add(host)
                self._told[host] = True
            case r.RestoreFailed() | r.HostRestored() | r.HostFenced() | r.FenceFailed():
                self._told[host] = True
            case r.HostHeard() | r.HostRevoked():
                self._left_off.discard(host)
            case r.OperationEnded() if record.operation in self.truth.operations:
                if self.truth.operations[record.operation].action not in {Action.STATUS, Action.PROBE}:
                    self._ended[host] = record.operation
            case _:
                pass

    def stepped(self) -> None:
        for host, operation in self._ended.items():
            self._look(host, operation)
        self._ended.clear()

    def _look(self, host: HostName, operation: OperationId) -> None:
        machine = self.truth.machines[host]
        state = self.truth.folded().get(host)
        if state is None or state.operation is not None or not self.truth.is_answerable(machine):
            return
        for name, plug in machine.plugs.items():
            if plug.is_on or not self._ours.get(plug.plug_id):
                continue
            if name not in state.owed:
                self.found(f"{name} of {host} is off by our OFF, and {operation} ended without owing it an ON")
            elif not self._told.get(host, True) and state.state is not State.FENCED:
                self.found(f"{name} of {host} is left off by {operation}, and nobody was told")


class NoOnAgainstAPerson(Rule):
    """After `cancel` while power is given back, or maintenance, the operation of then sends no ON; nothing automatic does."""

    name = "S19"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._barred: set[OperationId] = set()
        self._maintained: set[HostName] = set()
        self._restoring: set[OperationId] = set()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.PhaseEntered() if record.phase.value in {"announcing", "restoring"}:
                self._restoring.add(record.operation)
            case r.MaintenanceSet():
                self._maintained.add(host)
                op = self.truth.running.get(host)
                if op is not None and op.id in self._restoring:
                    self._barred.add(op.id)
            case r.MaintenanceEnded():
                self._maintained.discard(host)
            case r.OperationStopped() if record.is_on_forbidden:
                self._barred.add(record.operation)
            case r.StepStarted() if record.token is not None and record.what is What.ON:
                self._on(host, record)
            case _:
                pass

    def _on(self, host: HostName, record: r.StepStarted) -> None:
        op = self.truth.operations[record.operation]
        if record.operation in self._barred:
            self.found(f"{record.operation} sends ON to {record.plug_id} after a person stopped its restore")
        elif host in self._maintained and op.is_automatic:
            self.found(f"{record.operation} sends ON to {record.plug_id} by itself, in maintenance")

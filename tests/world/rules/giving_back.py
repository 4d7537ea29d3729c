"""S9, S19: what was switched off is on again, owed, or told; and no ON against a person's word."""

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState
from fenced.model.names import DeviceName, HostName, OperationId, PlugId
from fenced.model.power import Power, State, What
from tests.world.rules.base import Rule, is_plug_good
from tests.world.wires import Sent

TOLD_SECONDS = 5.0
"""So long after an operation's end it may take until a person is told."""
DUE_SECONDS = 180.0
"""So long a host may beat with everything well before it gets what it is owed: its next look, and some waiting for turns."""
TRIED_SECONDS = 2 * 3600.0
"""The same where giving it back has failed before: the longest wait between two attempts, and an attempt."""


class NothingIsForgotten(Rule):
    """A plug that is off by our own OFF is owed by its host for as long as no operation of it runs, and that is told. A host
    that runs gets it back, unless people keep it off.

    Looked at all the time, by plugs: an edit of the inventory gives one another name, and the journal keeps under which it was
    switched off. What the inventory has no more on that name is told and left to people. What people keep off is taken from
    the journal's own words (`withheld`): the rules of S19 judge those.
    """

    name = "S9"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._ours: dict[PlugId, bool] = {}
        self._touched: set[HostName] = set()
        self._told: dict[HostName, bool] = {}
        self._left_off: set[HostName] = set()
        self._untold_since: dict[HostName, float] = {}
        self._due_since: dict[HostName, float] = {}
        self._tried: set[HostName] = set()
        self._is_disarmed = False

    def acting(self, sent: Sent) -> None:
        self._ours[sent.plug.plug_id] = sent.power is Power.OFF
        self._touched |= {host for host, machine in self.truth.machines.items() if sent.plug in machine.plugs.values()}

    def fleet_recorded(self, at: float, record: r.Record) -> None:
        if isinstance(record, r.Armed | r.Disarmed):
            self._is_disarmed = isinstance(record, r.Disarmed)

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.OperationStarted() if record.slot == "running":
                if record.operation.is_giving_back:  # what was told before holds for as long as it is tried
                    self._tried.add(host)
                else:
                    self._told[host] = host in self._left_off
            case r.LeftOff():
                self._left_off.add(host)
                self._told[host] = True
            case r.RestoreFailed() | r.HostRestored() | r.HostFenced() | r.FenceFailed():
                self._told[host] = True
            case r.HostHeard() | r.HostRevoked():
                self._left_off.discard(host)
            case _:
                pass

    def stepped(self) -> None:
        for host in tuple(self._touched):
            self._look(host)

    def _look(self, host: HostName) -> None:
        machine = self.truth.machines[host]
        off = [name for name, plug in machine.plugs.items() if not plug.is_on and self._ours.get(plug.plug_id)]
        state = self.truth.folded().get(host) if off else None  # else it needs no fold
        if state is None or state.operation is not None or not self.truth.is_answerable(machine):
            self._untold_since.pop(host, None)
            self._due_since.pop(host, None)
            if not off and not any(self._ours.get(plug.plug_id) for plug in machine.plugs.values()):
                self._touched.discard(host)
                self._tried.discard(host)
            return
        owed, orphans = _debts(state)
        for name in off:
            if machine.plugs[name].plug_id not in owed | orphans:
                self.found(f"{name} of {host} is off by our OFF, and nobody owes it an ON")
        self._look_told(host, state, off)
        self._look_due(host, state, off)

    def _look_told(self, host: HostName, state: HostState, off: list[DeviceName]) -> None:
        if self._told.get(host, True) or state.state is State.FENCED:
            self._untold_since.pop(host, None)
        elif self.truth.now() > self._untold_since.setdefault(host, self.truth.now()) + TOLD_SECONDS:
            self._told[host] = True  # once
            self.found(f"{', '.join(off)} of {host} is left off, and nobody was told")

    def _look_due(self, host: HostName, state: HostState, off: list[DeviceName]) -> None:
        """A host that beats and is believed gets it back: at once, and where that failed as soon as it is tried again."""
        machine, bound = self.truth.machines[host], TRIED_SECONDS if host in self._tried else DUE_SECONDS
        owed, _ = _debts(state)
        is_ours = [name for name in off if name not in state.withheld and machine.plugs[name].plug_id in owed]
        is_well = all(is_plug_good(machine.plugs[name]) for name in off) and self.truth.are_paths_good()
        is_up = self.truth.up_since is not None and self.truth.broker.is_heard and not self._is_disarmed
        is_free = state.state is State.HEALTHY and state.maintenance is None and machine.is_beating
        is_host_ours = not self.truth.inventory.hosts[host].is_own_machine
        if not (is_ours and is_well and is_up and is_free and is_host_ours):
            self._due_since.pop(host, None)
            return
        since = max(
            self._due_since.setdefault(host, self.truth.now()), self.truth.troubled_at, self.truth.up_since or 0.0
        )
        if self.truth.now() > since + bound:
            self._due_since[host] = float("inf")  # once
            self.found(
                f"{', '.join(is_ours)} of {host}, which runs, is owed for {bound:.0f} s and nobody switches it on"
            )


def _debts(state: HostState) -> tuple[set[PlugId | None], set[PlugId | None]]:
    """The plugs that are owed, and those that the inventory does not have any more as they were."""
    plugs = dict(state.owed_plugs)
    return {plugs.get(name) for name in state.owed}, {orphan.plug_id for orphan in state.orphans}


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

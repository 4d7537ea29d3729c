"""S9, S19: what was switched off is on again, owed, or reported; and no ON against a person's will."""

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState, Slot
from fenced.model.names import DeviceName, HostName, OperationId, PlugId
from fenced.model.power import Power, State, What
from tests.world.rules.base import Rule, is_plug_good
from tests.world.wires import Sent

TOLD_SECONDS = 5.0
"""How long after an operation's end the report to people may take."""
DUE_SECONDS = 180.0
"""How long a host may beat, with everything well, before it gets what is owed: until its next check,
plus some queueing."""
TRIED_SECONDS = 2 * 3600.0
"""The same after a failed attempt: the longest wait between two attempts, plus an attempt."""


class NothingIsForgotten(Rule):
    """While no operation runs, a host is owed every plug that is off by the daemon's own OFF, and that is reported. A
    host that runs gets it back, unless a person keeps it off.

    Checked all the time, by plug: an edit of the inventory gives a plug another name, while the journal keeps the name
    under which it was switched off. What the inventory no longer has under that name is reported and left to people.
    What people keep off comes from the journal (`withheld`), because the rules of S19 judge that.
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
            case r.OperationStarted() if record.slot is Slot.RUNNING:
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
        state = self.truth.folded().get(host) if off else None  # folding is slow, so only if needed
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
                self.found(f"{name} of {host} was switched off by the daemon, and no ON is owed")
        self._look_told(host, state, off)
        self._look_due(host, state, off)

    def _look_told(self, host: HostName, state: HostState, off: list[DeviceName]) -> None:
        if self._told.get(host, True) or state.state is State.FENCED:
            self._untold_since.pop(host, None)
        elif self.truth.now() > self._untold_since.setdefault(host, self.truth.now()) + TOLD_SECONDS:
            self._told[host] = True  # report it once
            self.found(f"{', '.join(off)} of {host} is left off, and no person was notified")

    def _look_due(self, host: HostName, state: HostState, off: list[DeviceName]) -> None:
        """A host that beats and is believed gets it back: at once, or after a failure at the next attempt."""
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
            self._due_since[host] = float("inf")  # report it once
            self.found(f"{', '.join(is_ours)} of {host}, which runs, is owed for {bound:.0f} s and not switched on")


def _debts(state: HostState) -> tuple[set[PlugId | None], set[PlugId | None]]:
    """Return the owed plugs, and the owed ones that the inventory has no longer in that form."""
    plugs = dict(state.owed_plugs)
    return {plugs.get(name) for name in state.owed}, {orphan.plug_id for orphan in state.orphans}


class NoOnAgainstAPerson(Rule):
    """After `cancel` while power is given back, or maintenance, the operation sends no ON,
    nor does any automatic one.
    """

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
            case r.EndingDecided() if record.is_on_forbidden:
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

"""S24: power saving harms nobody. Judged by what the machines really do."""

from fenced.core.durable import records as r
from fenced.core.durable.state import HostState
from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, Kind, State, What
from tests.world.machines import Machine, Run
from tests.world.rules.base import Rule, is_plug_good

TROUBLE = frozenset({State.SUSPECT, State.FENCING, State.FAILED})
LATE_INTERVALS = 3.0
"""What a machine has said for so long has reached a daemon that listens."""


class SavingHarmsNobody(Rule):
    """A host is asked to shut down only while it says that it has no work, at most once in a run until that failed for
    long, one of a cluster at a time, with `min_on` others running and nobody of its cluster in trouble. Nothing of it
    is switched off hard, and it is called asleep only while it has no power."""

    name = "S24"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._idle_at: dict[HostName, float] = {}
        self._asked: dict[HostName, tuple[object, float]] = {}
        self._sleeps: dict[OperationId, HostName] = {}

    def stepped(self) -> None:
        now = self.truth.now()
        for name, machine in self.truth.machines.items():
            if machine.workloads == 0:
                self._idle_at[name] = now

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.OperationStarted() if record.operation.action is Action.SLEEP:
                self._sleeps[record.operation.id] = host
            case r.StepStarted() if record.what is What.SOFT_OFF:
                self._soft_off(host, at)
            case r.StepStarted() if record.what is What.OFF and record.operation in self._sleeps:
                self.found(f"{host} is switched off hard by {record.operation}, which puts it to sleep")
            case r.OperationEnded():
                self._sleeps.pop(record.operation, None)
            case r.HostSlept():
                self._slept(host)
            case _:
                pass

    def _soft_off(self, host: HostName, at: float) -> None:
        machine, inventory = self.truth.machines[host], self.truth.inventory
        saving, cluster = inventory.hosts[host].settings.saving, inventory.hosts[host].cluster
        if at - self._idle_at.get(host, 0.0) > LATE_INTERVALS * machine.interval and machine.is_beating:
            self.found(f"{host} is asked to shut down and has {machine.workloads} workloads")
        boot, before = self._asked.get(host, (None, 0.0))
        if boot == machine.boot and at < before + saving.soft_timeout_seconds:
            self.found(f"{host} is asked to shut down a second time within {at - before:.0f} s")
        self._asked[host] = machine.boot, at
        others = [it for it, other in inventory.hosts.items() if other.cluster == cluster and it != host]
        if going := [it for it in self._sleeps.values() if it in others]:
            self.found(f"{host} is asked to shut down beside {going[0]}")
        folded = self.truth.folded()
        if trouble := [it for it in others if self._is_in_trouble(folded[it])]:
            self.found(f"{host} is asked to shut down while {trouble[0]} is {folded[trouble[0]].state.value}")
        on = sum(_is_on(self.truth.machines[it]) for it in others if it in self.truth.machines)
        if on < min(saving.min_on, 1):
            self.found(f"{host} is asked to shut down and {on} others run")

    @staticmethod
    def _is_in_trouble(state: HostState) -> bool:
        return state.state in TROUBLE and not state.is_asleep

    def _slept(self, host: HostName) -> None:
        machine = self.truth.machines[host]
        lit = [plug for plug in machine.plugs.values() if plug.kind is Kind.CHASSIS and plug.is_on]
        if machine.is_powered and not machine.liars and all(is_plug_good(plug) for plug in lit) and lit:
            self.found(f"{host} is called asleep while it has power")


def _is_on(machine: Machine) -> bool:
    return machine.does is Run.RUNNING and not machine.is_stopping

"""Drills: only of hosts for drills, never beside a fence; a success means that the host was off and came back."""

from dataclasses import dataclass
from typing import Final

from fenced.core.durable import records as r
from fenced.core.durable.drill_state import DrillResult
from fenced.core.durable.standing import NOT_MONITORED
from fenced.model.names import BootId, HostName, OperationId
from fenced.model.power import Action
from tests.world.rules.base import Rule

FORCED: Final = "told, by force"
"""The reason of people who use force."""
SURELY_SECONDS: Final = 1.0
"""A beat that is older than this was decided, unless the daemon was held."""


@dataclass(slots=True)
class _Told:
    """A drill so far. `was_dark`: its host had no power at some moment; `is_joined`: it is no drill any more."""

    host: HostName
    boot: BootId
    was_dark: bool = False
    is_joined: bool = False
    is_off_sent: bool = False
    is_announced: bool = False
    off_at: float = 0.0


class DrillsProve(Rule):
    """A drill cuts only a host for drills, begins no OFF once another host needs a fence, announces a host only while
    its own OFF explains that it does not beat, and succeeds only if the host had no power and runs again. While it
    beats, only force joins its drill.
    """

    name = "drill"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._told: dict[OperationId, _Told] = {}
        self._suspect: dict[HostName, float] = {}
        self._begun: dict[OperationId, float] = {}
        self._removed: set[HostName] = set()
        """Hosts that the inventory lacks: the daemon does not hear them."""

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.OperationStarted() if record.operation.is_drill:
                self._started(host, at, record)
            case r.OperationJoined() if record.operation in self._told:
                self._joined(host, self._told[record.operation], record)
            case r.StepStarted() if record.operation in self._told and record.what.value == "off":
                self._off(host, self._told[record.operation], record)
            case r.HostSuspected():
                self._suspect[host] = at
            case r.HostHeard() | r.HostFenced():
                self._suspect.pop(host, None)
                if isinstance(record, r.HostFenced) and record.operation in self._told:
                    self._fenced(host, self._told[record.operation])
            case r.DrillEnded():
                self._ended(host, record)
            case r.HostRemoved():
                self._removed.add(host)
            case r.HostReturned():
                self._removed.discard(host)
            case _:
                pass

    def stepped(self) -> None:
        for told in self._told.values():
            told.was_dark = told.was_dark or not self.truth.machines[told.host].is_powered

    def _started(self, host: HostName, at: float, record: r.OperationStarted) -> None:
        self._told[record.operation.id] = _Told(host, self.truth.machines[host].boot)
        self._begun[record.operation.id] = at
        if not self.truth.inventory.hosts[host].is_drill:
            self.found(f"{host}, which is no host for drills, is drilled")
        if record.operation.action is not Action.RESTART:
            self.found(f"the drill of {host} is {record.operation.action.value}")

    def _off(self, host: HostName, told: _Told, record: r.StepStarted) -> None:
        if told.is_off_sent or told.is_joined:
            return
        told.is_off_sent, told.off_at = True, self.truth.now()
        begun = self._begun[record.operation]
        late = [other for other, at in self._suspect.items() if other != host and at > begun]
        if late:
            self.found(f"the drill of {host} sends its first OFF while {', '.join(late)} is suspect")

    def _joined(self, host: HostName, told: _Told, record: r.OperationJoined) -> None:
        is_first, told.is_joined = not told.is_joined, True
        is_clear = self.truth.now() - self.truth.troubled_at > 2 * self.truth.machines[host].interval
        if is_first and record.reason != FORCED and is_clear and self._beats(host):
            self.found(f"the drill of {host} is joined without force, and it beats")

    def _beats(self, host: HostName) -> bool:
        machine, (heard_at, _) = self.truth.machines[host], self.truth.heard.get(host, (0.0, None))
        return machine.is_beating and SURELY_SECONDS < self.truth.now() - heard_at < 2 * machine.interval

    def _fenced(self, host: HostName, told: _Told) -> None:
        told.is_announced = True
        machine = self.truth.machines[host]
        if not machine.is_powered or machine.is_meddled or told.is_joined:
            return
        heard_at, _ = self.truth.heard.get(host, (0.0, None))
        if machine.is_beating and self.truth.now() - heard_at < 2 * machine.interval:
            self.found(f"the drill of {host} announces it as fenced, and it beats")
        if machine.is_stopping:
            self.found(f"the drill of {host} announces it as fenced, and it said that it stops")
        for other in sorted(self.truth.machines.keys() - self._removed):
            if other != host and self._fell_silent(other, told.off_at):
                self.found(f"the drill of {host} announces it as fenced, and {other} fell silent with it")

    def _fell_silent(self, name: HostName, since: float) -> bool:
        """Return whether a host that should beat was heard until then, and surely misses its heartbeats now."""
        machine, state = self.truth.machines[name], self.truth.folded().get(name)
        heard_at, _ = self.truth.heard.get(name, (0.0, None))
        if state is None or state.state in NOT_MONITORED or state.operation is not None or state.is_off_by_person:
            return False
        missed = self.truth.inventory.hosts[name].settings.detection.missed_heartbeats + 1
        is_missing = not machine.is_beating and self.truth.now() - heard_at > missed * machine.interval
        return is_missing and heard_at > since - machine.interval

    def _ended(self, host: HostName, record: r.DrillEnded) -> None:
        told, machine = self._told.pop(record.operation), self.truth.machines[host]
        if record.result is not DrillResult.SUCCEEDED:
            return
        if told.is_joined:
            self.found(f"the drill of {host} succeeded although another request took it over")
        if not told.is_announced:
            self.found(f"the drill of {host} succeeded without an announcement")
        if not told.was_dark:
            self.found(f"the drill of {host} succeeded, and it always had power")
        if machine.boot == told.boot:
            self.found(f"the drill of {host} succeeded, and it did not restart")

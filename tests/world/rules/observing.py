"""S10: no automatic OFF begins unless enough failure domains saw the host silent just now, each with a control.

Judges by what observers really answered, and by who may observe as the inventory says; knows nothing of the daemon's
own count. Where a machine of an observer is in doubt, the rule wants less than the daemon.
"""

from fenced.core.durable import records as r
from fenced.core.heard.looks import Saw
from fenced.model.inventory import PLACES
from fenced.model.names import ENGINE, HostName, OperationId, ProxyName
from fenced.model.power import State, What
from tests.world.looking import Answered
from tests.world.rules.base import STORED_SECONDS, Rule

LATE_SECONDS = 2.0
"""Between the end of an answer's time and the record: the time of a batch, and of a clock that goes wrong."""


class EnoughSawItSilent(Rule):
    """The first OFF of an automatic operation, judged when its gates were passed."""

    name = "S10"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._answers: dict[HostName, list[Answered]] = {}
        self._why: dict[OperationId, str] = {}

    def looked(self, answered: Answered) -> None:
        self._answers.setdefault(answered.host, []).append(answered)

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.GatesPassed():
                op = self.truth.operations[record.operation]
                if op.is_automatic and not op.has_sent_off:
                    self._why[op.id] = self._why_not(host, at)
            case r.StepStarted() if record.token is not None and record.what is What.OFF:
                op = self.truth.operations[record.operation]
                if op.is_automatic and not op.has_sent_off:
                    why = self._why[op.id] if op.id in self._why else self._why_not(host, at)
                    if why:
                        self.found(f"{op.id} sends its first OFF to {host}, {why}")
            case _:
                pass

    def _why_not(self, host: HostName, at: float) -> str:
        """Return what speaks against it; "": nothing."""
        detection = self.truth.inventory.hosts[host].settings.detection
        is_reported = detection.on_report == "fence" and host in self.truth.reported
        if not detection.probe_ports or is_reported or at < self.truth.troubled_at + STORED_SECONDS:
            return ""
        last = self._last(host, at)
        alive = [it for it in last if it.look.saw is Saw.ALIVE]
        if alive and detection.alive_but_silent == "fence":
            return ""
        if alive:
            return f"which {alive[0].look.observer.name} reached {at - alive[0].at:.1f} s ago"
        silent = {self._domain(it.look.observer.name) for it in last if it.look.saw is Saw.SILENT and it.has_control}
        far, needed = self._voters(host)
        if len(silent & far) < needed:
            return f"which {len(silent & far)} of {needed} failure domains saw silent with a control: {sorted(silent)}"
        return ""

    def _last(self, host: HostName, at: float) -> list[Answered]:
        """Return the last answer of each observer over each network, as far as it still counts and this daemon got
        it."""
        timeout = self.truth.inventory.hosts[host].settings.detection.probe_timeout_seconds
        since = at - 2 * timeout - LATE_SECONDS
        last: dict[tuple[ProxyName, str], Answered] = {}
        for it in self._answers.get(host, ()):
            is_of_this_life = it.at >= self.truth.running_since.get(it.daemon, it.at + 1.0)
            if since <= it.at <= at and is_of_this_life and it.daemon == self.truth.disk.row.name:
                last[(it.look.observer.name, it.look.network)] = it
        return list(last.values())

    def _domain(self, name: ProxyName) -> str:
        inventory = self.truth.inventory
        if name == ENGINE:
            return inventory.daemon.domain
        machine = inventory.machine_of(inventory.proxies[name])
        return inventory.proxies[name].domain or (machine.rack if machine is not None else "")

    def _voters(self, host: HostName) -> tuple[set[str], int]:
        """Return the domains whose silence counts, and how many of them surely are needed."""
        inventory, states = self.truth.inventory, self.truth.folded()
        configured = inventory.hosts[host]
        near = {*map(configured.value_of, PLACES), *(value for _, value in configured.labels)} - {""}
        others = {name for name in self.truth.observers if inventory.proxies[name].machine != host}
        domains = {self._domain(name) for name in (*others, ENGINE)}
        far = domains - near or domains
        sure = {
            self._domain(name)
            for name in (*others, ENGINE)
            if name == ENGINE
            or (machine := inventory.proxies[name].machine) is None
            or (machine in states and states[machine].state is State.HEALTHY)
        }
        return far, max(1, min(inventory.daemon.observers, len(far & sure)))

"""S10, S19: what a host's other reporters and other systems say holds as long as it is said, and no longer.

Judges by what the broker passed to a daemon that lives since; messages that came while a daemon was held, or its store
bad, count for nothing. A shutdown that was said for too long, or of an earlier run, is no matter of this rule.
"""

from dataclasses import dataclass

from fenced.core.durable import records as r
from fenced.core.events import Evidence, Health, HealthStatus
from fenced.core.heard.evidence import NO_LIFE, SHUTTING_DOWN
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause, OperationState, State
from tests.world.looking import Answered
from tests.world.machines import Machine
from tests.world.rules.base import STORED_SECONDS, Op, Rule

IN_INBOX_SECONDS = 0.2
LIFE_SECONDS = 30.0
"""For so long a sign of life explains that an operation was stopped: it is seen again at the next level."""


@dataclass(frozen=True, slots=True)
class _Stopping:
    """When a reporter said that a run of its host stops."""

    at: float
    boot: BootId
    reporter: str


class VouchedHostsAreHeld(Rule):
    """A host that shuts down is not suspected, one that said so does not come back with an older word, and nothing but
    life ends a fence after its first OFF."""

    name = "S10"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._until: dict[HostName, dict[tuple[str, str], tuple[float, float]]] = {}
        """When it was said, and until when it holds; by source and kind."""
        self._booted: dict[HostName, tuple[float, BootId | None]] = {}
        self._stopping: dict[HostName, _Stopping] = {}
        self._life: dict[HostName, float] = {}
        """The last sign of life of whatever kind."""

    def vouched(self, event: Evidence) -> None:
        if event.is_retained:
            return
        now, said = self.truth.now(), self._until.setdefault(event.host, {})
        key = (event.source, event.evidence_kind)
        said.pop(key, None)
        if event.is_alive and self.truth.is_taken_in:
            said[key] = (now, now + event.ttl_seconds)
            if event.evidence_kind not in NO_LIFE:
                self._life[event.host] = max(self._life.get(event.host, now), now + event.ttl_seconds)

    def looked(self, answered: Answered) -> None:
        if answered.look.saw.value == "alive":
            self._live(answered.host)

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        self._live(machine.name)
        if boot is not None and self._booted.get(machine.name, (0.0, None))[1] != boot:
            self._booted[machine.name] = (self.truth.now(), boot)

    def reported(self, event: Health) -> None:
        known = self._stopping.get(event.host)
        if event.status is HealthStatus.STOPPING and event.boot is not None:
            self._stopping[event.host] = _Stopping(self.truth.now(), event.boot, event.reporter)
        elif known is not None and (event.boot != known.boot or event.reporter == known.reporter):
            del self._stopping[event.host]

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        if self._is_in_doubt(at):
            return
        match record:
            case r.HostSuspected() if record.cause is Cause.SILENCE and self._is_shutting_down(host, at):
                self.found(f"{host} is suspect by silence, and is said to shut down")
            case r.HostHeard() if record.before == State.LEFT.value:
                self._came_back(host, at, record)
            case r.EndingDecided() if record.ending is OperationState.CANCELLED:
                self._stopped(self.truth.operations[record.operation], at, record.why)
            case _:
                pass

    def _is_in_doubt(self, at: float) -> bool:
        """Return whether a daemon may not have got what was said, or a store may have written this late."""
        return self.truth.up_since is None or at < self.truth.troubled_at + STORED_SECONDS

    def _is_of_this_life(self, said_at: float) -> bool:
        return self.truth.up_since is not None and said_at > self.truth.up_since + IN_INBOX_SECONDS

    def _is_shutting_down(self, host: HostName, at: float) -> bool:
        detection, heard = self.truth.inventory.hosts[host].settings.detection, self.truth.heard.get(host)
        if SHUTTING_DOWN not in self.truth.inventory.daemon.gates.live_evidence or heard is None:
            return False
        if at - heard[0] > detection.stopping_max_seconds - IN_INBOX_SECONDS:
            return False
        booted_at, _ = self._booted.get(host, (0.0, None))
        return any(
            kind == SHUTTING_DOWN and self._is_of_this_life(said_at) and booted_at < said_at < at - IN_INBOX_SECONDS
            and at < until - IN_INBOX_SECONDS
            for (_, kind), (said_at, until) in self._until.get(host, {}).items()
        )  # fmt: skip

    def _came_back(self, host: HostName, at: float, record: r.HostHeard) -> None:
        """It may by a new run, by the reporter that said it, after `stopping_max`, or by a daemon that forgot it."""
        stopping = self._stopping.get(host)
        if stopping is None or not self._is_of_this_life(stopping.at) or record.boot != stopping.boot:
            return
        if at < stopping.at + self.truth.inventory.hosts[host].settings.detection.stopping_max_seconds:
            self.found(f"{host} is back {at - stopping.at:.0f} s after it said that it stops, by another's older word")

    def _stopped(self, op: Op, at: float, why: str) -> None:
        """A fence that has sent an OFF goes on, unless the host lives or a person may stop it (giving power back)."""
        if not op.is_automatic or not op.has_sent_off or "cancelled by" in why:
            return
        if self._life.get(op.host, 0.0) < at - LIFE_SECONDS:
            self._find("S19", f"{op.id} of {op.host} is stopped after an OFF without a sign of life: {why}")

    def _live(self, host: HostName) -> None:
        self._life[host] = max(self._life.get(host, 0.0), self.truth.now())

"""S19 for words that a standby accepts: from then on nothing begins that they forbid, whoever holds the lease.

The word counts from when the store has it, not from when a record says it.
"""

from fenced.core.durable import records as r
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid, Word
from fenced.core.durable.state import Operation
from fenced.core.restricting import pause_id
from fenced.model.names import HostName
from fenced.model.power import Action, What
from tests.world.rules.base import Rule

SWITCHING_OFF = frozenset({Action.OFF, Action.RESTART})


class WordsHold(Rule):
    """No batch is durable after a word that starts a fence of a host under it, or sends the first OFF of one."""

    name = "S19"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._is_disarmed = False
        self._pauses: dict[str, str] = {}
        self._maintained: set[HostName] = set()

    def said(self, word: Word) -> None:
        match what := word.said.what:
            case DisarmSaid():
                self._is_disarmed = True
            case PauseSaid():
                self._pauses[pause_id(word.id, what)] = what.match
            case MaintenanceSaid():
                self._maintained.add(what.host)

    def fleet_recorded(self, at: float, record: r.Record) -> None:
        match record:
            case r.Armed():
                self._is_disarmed = False
            case r.PauseEnded():
                self._pauses.pop(record.id, None)
            case _:
                pass

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.MaintenanceEnded():
                self._maintained.discard(host)
            case r.OperationStarted() if record.operation.action in SWITCHING_OFF:
                self._begun(host, record.operation)
            case r.StepStarted() if record.token is not None and record.what is What.OFF:
                op = self.truth.operations[record.operation]
                if not op.has_sent_off and (why := self._forbidden(host, is_automatic=op.is_automatic)):
                    self.found(f"{op.id} sends its first OFF to {host}, {why} at a standby")
            case _:
                pass

    def _begun(self, host: HostName, operation: Operation) -> None:
        if why := self._forbidden(host, is_automatic=operation.is_automatic):
            self.found(f"{operation.id} of {host} begins, {why} at a standby")

    def _forbidden(self, host: HostName, *, is_automatic: bool) -> str:
        """Return what forbids it. A person's request passes pauses and maintenance."""
        is_paused = any(match in {"*", f"host={host}"} for match in self._pauses.values())
        if self._is_disarmed:
            return "disarmed"
        if is_automatic and is_paused:
            return "paused"
        return "maintained" if is_automatic and host in self._maintained else ""

"""S13: what an operation may still do after a restart of the daemon. It reads first; what is too late is left
to people.

Only what is late by the daemon's wall clock counts: if that was set back over the restart, the daemon can't know.
"""

from fenced.core.durable import records as r
from fenced.model.names import DeviceName, HostName
from fenced.model.power import What
from tests.world.rules.base import Op, Rule


class AfterACrash(Rule):
    """A resumed operation reads before it sends, and sends no OFF past its deadline, in maintenance or
    to another boot.
    """

    name = "S13"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._read: dict[HostName, set[DeviceName]] = {}
        self._maintained: set[HostName] = set()
        self._resumed_in_maintenance: set[HostName] = set()

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.MaintenanceSet():
                self._maintained.add(host)
            case r.MaintenanceEnded():
                self._maintained.discard(host)
            case r.OperationResumed():
                self._read[host] = set()
                self._resumed_in_maintenance = (self._resumed_in_maintenance - {host}) | (self._maintained & {host})
            case r.RaceEnded() if record.winner is not None:
                self._read.setdefault(host, set()).add(record.device)
            case r.StepStarted() if record.token is not None:
                op = self.truth.operations[record.operation]
                if op.resumed_at is not None:
                    self._command(host, at, op, record)
            case _:
                pass

    def _command(self, host: HostName, at: float, op: Op, record: r.StepStarted) -> None:
        what = f"{record.what.value} {record.device} of {host} after a restart"
        if record.device not in self._read[host]:
            self.found(f"{what}, before it was read")
        if record.what is What.ON:
            is_late = op.restore_due is not None and self.truth.stated_at > op.restore_due
            if is_late and op.restore_deadline is not None and at > op.restore_deadline:
                self.found(f"{what}, {at - op.restore_deadline:.0f} s past its restore_timeout")
            return
        assert op.resumed_at is not None
        if not op.has_sent_off:
            self.found(f"{what}, which had sent no OFF before")
        if at > op.deadline and self.truth.stated_at > op.due:
            self.found(f"{what}, past its deadline")
        if host in self._resumed_in_maintenance & self._maintained:  # one that begins later finds its OFF sent (S19)
            self.found(f"{what}, in maintenance")
        heard_at, boot = self.truth.heard.get(host, (0.0, None))
        if op.boot is not None and boot is not None and boot != op.boot and heard_at > op.resumed_at:
            self.found(f"{what}, which runs with another boot since")

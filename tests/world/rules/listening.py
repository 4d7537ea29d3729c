"""S11: silence is what we could have heard. The listening time is taken from the world's own book of when messages arrive."""

from fenced.core import records as r
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause, What
from tests.world.machines import Machine
from tests.world.rules.base import Rule

MARGIN_SECONDS = 0.1
"""A beat that arrives as the suspicion is decided may still lie in the inbox."""

STORED_SECONDS = 5.0


class SilenceIsListened(Rule):
    """No suspicion by silence, and no OFF because of it, before the host's grace of listening is over."""

    name = "S11"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._total = 0.0
        self._open_since: float | None = None
        self._heard_total: dict[HostName, tuple[float, float]] = {}

    def _listened(self) -> float:
        return self._total + (self.truth.now() - self._open_since if self._open_since is not None else 0.0)

    def ear_changed(self) -> None:
        is_heard = self.truth.broker.is_subscribed and self.truth.up_since is not None
        if is_heard and self._open_since is None:
            self._open_since = self.truth.now()
        elif not is_heard and self._open_since is not None:
            self._total, self._open_since = self._listened(), None

    daemon_changed = ear_changed

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        if boot == machine.boot:
            _, last = self._heard_total.get(machine.name, (0.0, 0.0))
            self._heard_total[machine.name] = (last, self._listened())

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.HostSuspected() if record.cause is Cause.SILENCE:
                self._silent(host, "suspect")
            case r.StepStarted() if record.token is not None and record.what is What.OFF:
                op = self.truth.operations[record.operation]
                if op.cause is Cause.SILENCE and not op.has_sent_off and op.resumed_at is None:
                    self._silent(host, "sent an OFF")
            case _:
                pass

    def _silent(self, host: HostName, what: str) -> None:
        if self.truth.now() < self.truth.troubled_at + STORED_SECONDS:
            return  # decided before it was stored, who knows when
        detection = self.truth.inventory.hosts[host].settings.detection
        missed = detection.missed_heartbeats * self.truth.machines[host].interval
        wanted = max(detection.grace_seconds, missed)
        before, last = self._heard_total.get(host, (0.0, 0.0))
        is_in_inbox = self._listened() - last < MARGIN_SECONDS
        listened = self._listened() - (before if is_in_inbox else last)
        if listened < wanted - MARGIN_SECONDS:
            self.found(f"{host} is {what} by silence after {listened:.1f} s of listening, not {wanted:.1f}")

"""S11: silence counts only while the daemon could hear. The listening time comes from the world's record
of message arrivals.

A suspicion is judged at the moment of its decision, however long the store took to write it. One thing can't be known
from outside and is left out: whether a message reached a daemon that is held or waits for its store. Such messages
count for none.
"""

from collections import deque
from dataclasses import dataclass

from fenced.core.durable import records as r
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause, What
from tests.world.machines import Machine
from tests.world.rules.base import Rule

MARGIN_SECONDS = 0.1
"""A heartbeat that arrives when the suspicion is decided may still be in the inbox."""
STALL_SECONDS = 1.25
"""The daemon does not notice shorter stalls (fenced/engine/reactor.py: STALL_SECONDS and a tick)."""
BEATS_KEPT = 40
"""Kept for each host: more than arrive while any store hangs."""


@dataclass(frozen=True, slots=True)
class _Change:
    """From `at` on a daemon listened, or none did; `total` seconds of listening before."""

    at: float
    total: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class _Beat:
    """When a heartbeat arrived, and for how long the daemons had been held by then."""

    at: float
    held_seconds: float


class SilenceIsListened(Rule):
    """No suspicion by silence, and no OFF because of it, before the host was silent for its grace of listening time."""

    name = "S11"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type] # those of Rule
        self._changes = [_Change(self.truth.now(), 0.0, is_open=False)]
        self._beats: dict[HostName, deque[_Beat]] = {}
        self._ended: dict[HostName, BootId | None] = {}

    def _listened(self, at: float) -> float:
        """Return the seconds of listening until then."""
        last = next((change for change in reversed(self._changes) if change.at <= at), self._changes[0])
        return last.total + (at - last.at if last.is_open else 0.0)

    def ear_changed(self) -> None:
        is_heard = self.truth.broker.is_subscribed and self.truth.up_since is not None
        if is_heard is not self._changes[-1].is_open:
            now = self.truth.now()
            self._changes.append(_Change(now, self._listened(now), is_open=is_heard))

    daemon_changed = ear_changed

    def heard(self, machine: Machine, boot: BootId | None) -> None:
        """Ignore a run that was proven to have ended: the daemon does not listen to it, rightly or (if devices lied)
        wrongly.
        """
        if boot is None or (boot == machine.boot and self._ended.get(machine.name) != boot):
            beats = self._beats.setdefault(machine.name, deque(maxlen=BEATS_KEPT))
            beats.append(_Beat(self.truth.now(), self.truth.held_seconds))

    def recorded(self, host: HostName, at: float, record: r.Record) -> None:
        match record:
            case r.HostFenced():
                self._ended[host] = record.boot
            case r.HostRevoked():
                self._ended.pop(host, None)
            case r.HostSuspected() if record.cause is Cause.SILENCE:
                self._silent(host, "suspect")
            case r.StepStarted() if record.token is not None and record.what is What.OFF:
                op = self.truth.operations[record.operation]
                if op.cause is Cause.SILENCE and not op.has_sent_off and op.resumed_at is None:
                    self._silent(host, "sent an OFF")
            case _:
                pass

    def _silent(self, host: HostName, what: str) -> None:
        decided = self.truth.decided_at
        if decided is None:
            return
        detection = self.truth.inventory.hosts[host].settings.detection
        missed = detection.missed_heartbeats * self.truth.machines[host].interval
        wanted = max(detection.grace_seconds, missed)
        beats = self._beats.get(host, ())
        last = next((beat for beat in reversed(beats) if beat.at <= decided - MARGIN_SECONDS), _Beat(0.0, 0.0))
        listened = self._listened(decided) - self._listened(last.at)
        if decided > self.truth.now() - MARGIN_SECONDS:  # earlier holds are not recorded
            listened -= max(self.truth.held_seconds - last.held_seconds - STALL_SECONDS, 0.0)
        if listened < wanted - MARGIN_SECONDS:
            self.found(f"{host} is {what} by silence after {listened:.1f} s of listening, not {wanted:.1f}")

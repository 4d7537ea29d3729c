"""S11: silence counts only while the daemon could hear. The listening time comes from the world's record
of message arrivals.

A suspicion is judged at the moment of its decision, however long the store took to write it. One thing can't be known
from outside and is left out: whether a message reached a daemon that is held or waits for its store. Such messages
count for none.
"""

from collections import deque
from dataclasses import dataclass

from fenced.core.durable import records as r
from fenced.core.events import Health, OwnHealthMeasured
from fenced.core.heard.own_health import LAG_FACTOR, LAG_SECONDS, WAITED_FACTOR, WAITED_SECONDS
from fenced.core.heard.reporters import SLOWEST_INTERVALS
from fenced.model.names import BootId, HostName
from fenced.model.power import Cause, What
from tests.world.machines import Machine
from tests.world.rules.base import Rule

MARGIN_SECONDS = 0.1
"""A heartbeat that arrives when the suspicion is decided may still be in the inbox."""
STALL_SECONDS = 1.25
"""The daemon does not notice shorter stalls (fenced/engine/reactor.py: STALL_SECONDS and a tick)."""
LATE_INTERVALS = 1.5
"""A reporter is late after so many of its intervals, and its interval is the measure no more."""
LATE_MARGIN_SECONDS = 1.0
MEASURED_SECONDS = 25.0
"""For so long a measurement of the daemon itself surely counts (fenced/core/heard/own_health.py: LASTS_SECONDS)."""
SETTLED_SECONDS = 40.0
"""After the last trouble: what daemons heard of several reporters in it is not known."""
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
        self._reporters: dict[HostName, dict[str, tuple[float, float]]] = {}
        """By reporter, the listening time of its last beat, and the interval that it named."""
        self._measure: dict[HostName, float] = {}
        """Of hosts with several reporters: the least interval that may be the measure since the newest beat."""
        self._slow: tuple[float, str, float] = (0.0, "", 0.0)
        """When which daemon last measured itself, and for how many seconds of patience."""

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

    def reported(self, event: Health) -> None:
        default = self.truth.machines[event.host].interval
        named = default if event.interval_seconds is None else min(event.interval_seconds, SLOWEST_INTERVALS * default)
        known, now = self._reporters.setdefault(event.host, {}), self._listened(self.truth.now())
        known[event.reporter] = (now, named)
        self._measure[event.host] = min(
            it for at, it in known.values() if now - at <= LATE_INTERVALS * it + LATE_MARGIN_SECONDS
        )

    def measured(self, daemon: str, event: OwnHealthMeasured) -> None:
        lag = LAG_FACTOR * event.lag_seconds if event.lag_seconds >= LAG_SECONDS else 0.0
        waited = WAITED_FACTOR * event.waited_seconds if event.waited_seconds >= WAITED_SECONDS else 0.0
        self._slow = (self.truth.now(), daemon, lag + waited)

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
        wanted = max(detection.grace_seconds, detection.missed_heartbeats * self._interval(host))
        wanted += max(min(self._patience(decided), detection.grace_max_seconds - wanted), 0.0)
        beats = self._beats.get(host, ())
        last = next((beat for beat in reversed(beats) if beat.at <= decided - MARGIN_SECONDS), _Beat(0.0, 0.0))
        listened = self._listened(decided) - self._listened(last.at)
        if decided > self.truth.now() - MARGIN_SECONDS:  # earlier holds are not recorded
            listened -= max(self.truth.held_seconds - last.held_seconds - STALL_SECONDS, 0.0)
        if listened < wanted - MARGIN_SECONDS:
            self.found(f"{host} is {what} by silence after {listened:.1f} s of listening, not {wanted:.1f}")

    def _interval(self, host: HostName) -> float:
        """Return the interval that measures its silence: of the fastest reporter that was not late at the newest
        beat."""
        own = self.truth.machines[host].interval
        is_sure = self.truth.now() > self.truth.troubled_at + SETTLED_SECONDS
        return max(self._measure.get(host, own), own) if is_sure else own

    def _patience(self, decided: float) -> float:
        """Return the seconds that what the daemon measured of itself adds to each grace. After a stall it measures
        itself anew."""
        at, daemon, seconds = self._slow
        is_of_this_life = self.truth.running_since.get(daemon, at + 1.0) < at
        is_active = len(self.truth.running_since) == 1 and at > self.truth.troubled_at
        return seconds if is_active and is_of_this_life and at < decided < at + MEASURED_SECONDS else 0.0

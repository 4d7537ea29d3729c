"""Lanes of the outbox: each host has one, so that what the broker does with its messages delays nobody else's (S15).

Knows what became of each attempt, nothing of messages. A lane that failed waits longer and longer. One rule: a lane that
may have cost us the connection is tried again alone, and the more often that happens the later: while we reconnect, and
until the bus has settled again, we hear nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fenced.model.names import HostName
from fenced.ports.bus import BusAway, BusLost, BusRefused

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0
TICK_SECONDS: Final = 0.1
"""Lanes that wait are looked at together, so that ten thousand of them cost no look each."""
SILENT_AT_ONCE: Final = 4
"""Attempts whose answer did not come in time occupy the broker's slots; others need them."""
BLAME_SECONDS: Final = 5.0
"""A broker that hangs up this soon after a refusal did so because of it (Mosquitto with `max_queued_messages 0`)."""
FIRST_HANG_UP_SECONDS: Final = 1.0
FIRST_TRY_LONGEST_SECONDS: Final = 60.0
"""How long a lane that was merely under way when the connection ended waits for its turn at most."""
LONGEST_HANG_UP_SECONDS: Final = 600.0
"""Far longer than `bus_settle` and a grace: between two of them every dead host is found."""
STUCK_FAILURES: Final = 2
"""One failure may be a connection that ended; the second says that it is this lane."""


class Own(Enum):
    """Lanes that belong to no host."""

    FLEET = "the fleet"
    CONTROLLER = "this controller"
    REPLIES = "the replies"


LaneKey = HostName | Own


class Doubt(Enum):
    """What the last failure of a lane was."""

    REFUSED = "refused"
    SILENT = "silent"
    LOST = "lost"


@dataclass(slots=True)
class Lane:
    """`is_busy`: something of it is under way. `failures` in a row; `not_before`: its own back-off."""

    key: LaneKey
    is_busy: bool = False
    failures: int = 0
    doubt: Doubt | None = None
    not_before: float = 0.0
    failed_at: float = 0.0
    why: str = ""


class Lanes:
    """The lanes that are busy or failed; every other one may begin."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._hang_up_seconds = 0.0
        self._hung_up_at = float("-inf")
        self._repeated_at = float("-inf")

    @property
    def repeats_from(self) -> float:
        """Before it nothing is told again that the broker had already: earlier than any lane in doubt has its turn."""
        return self._hung_up_at + self._hang_up_seconds / 2

    def stuck(self) -> dict[LaneKey, str]:
        """Lanes whose messages the broker does not take, with what it said last."""
        return {
            lane.key: lane.why
            for lane in self._lanes.values()
            if lane.failures >= STUCK_FAILURES and lane.key is not Own.REPLIES
        }

    def has_failed(self, key: LaneKey) -> bool:
        return key in self._lanes and self._lanes[key].failures > 0

    def barred(self, now: float) -> set[LaneKey]:
        """Lanes of which nothing may begin now."""
        busy = {lane.key for lane in self._lanes.values() if lane.is_busy}
        waiting = {lane.key for lane in self._waiting()}
        return busy | waiting - self._turns(now)

    def next_at(self, now: float) -> float:
        """The next moment at which a back-off ends, infinity for none. What waits for an end of another is not among them."""
        moments = {self._due_at(lane) for lane in self._waiting()} | {self.repeats_from}
        return min((moment for moment in moments if moment > now), default=float("inf"))

    # -- what becomes of them -----------------------------------------------------------------------------------------

    def begin(self, key: LaneKey) -> None:
        lane = self._lanes.setdefault(key, Lane(key=key))
        assert not lane.is_busy, f"{key}: two at once"
        lane.is_busy = True

    def rest(self, key: LaneKey) -> None:
        """What was under way has ended."""
        lane = self._lanes[key]
        lane.is_busy = False
        if not lane.failures:
            del self._lanes[key]

    def succeeded(self, key: LaneKey) -> None:
        """The broker took something of it."""
        self._lanes[key].failures = 0

    def repeated(self, now: float) -> None:
        """The broker took what is told again after each connection."""
        self._repeated_at = now

    def failed(self, key: LaneKey, error: Exception, now: float) -> None:
        """It did not. What was never sent is no failure of its lane, nor is a hang-up that another one explains."""
        lane = self._lanes.setdefault(key, Lane(key=key))
        is_blameless = not lane.failures and isinstance(error, BusLost) and self._is_explained(now)
        if isinstance(error, BusAway) or is_blameless:
            return
        is_again = lane.doubt is Doubt.LOST and lane.failures > 0
        lane.failures += 1
        lane.failed_at, lane.why = now, str(error)
        if isinstance(error, BusLost):
            lane.doubt = Doubt.LOST
            if is_again:
                self._hang_up(now)
            return
        lane.doubt = Doubt.REFUSED if isinstance(error, BusRefused) else Doubt.SILENT
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(lane.failures - 1, 10), LONGEST_PAUSE_SECONDS)
        lane.not_before = (now + pause) // TICK_SECONDS * TICK_SECONDS + TICK_SECONDS

    def due(self, barred: set[LaneKey]) -> list[LaneKey]:
        """Those that wait and were not among the barred."""
        return [lane.key for lane in self._waiting() if lane.key not in barred]

    def drop(self, keys: Iterable[LaneKey]) -> None:
        """These have nothing to send any more."""
        for key in keys:
            del self._lanes[key]

    def may_reply(self, now: float) -> bool:
        """Replies are not repeated: only a broker that hung up on them has them wait, all of them."""
        lane = self._lanes.get(Own.REPLIES)
        return lane is None or lane.doubt is not Doubt.LOST or self._due_at(lane) <= now

    def replied(self, error: Exception | None, now: float) -> None:
        """What became of a reply."""
        if error is None:
            self._lanes.pop(Own.REPLIES, None)
        else:
            self.failed(Own.REPLIES, error, now)

    def disconnected(self, now: float) -> None:
        """The connection ended: a lane that was refused right before is why.

        MQTT 3.1.1 knows no refusal: brokers acknowledge what they refuse, and some hang up then. What each connection
        tells again must not end each connection.
        """
        refused = [
            lane
            for lane in self._lanes.values()
            if lane.doubt is Doubt.REFUSED and lane.failures and now - lane.failed_at < BLAME_SECONDS
        ]
        for lane in refused:
            lane.doubt = Doubt.LOST
            lane.failures = max(lane.failures, STUCK_FAILURES)
        if refused or now - self._repeated_at < BLAME_SECONDS:
            self._hang_up(now)

    def connected(self, now: float) -> None:
        """Another connection: those that only wait for a better answer may try it at once."""
        for lane in self._lanes.values():
            lane.not_before = min(lane.not_before, now)

    def _is_explained(self, now: float) -> bool:
        """Whether a lane that was refused just now, or that did it before, is why the broker hung up."""
        return any(
            (lane.doubt is Doubt.REFUSED and now - lane.failed_at < BLAME_SECONDS)
            or (lane.doubt is Doubt.LOST and (lane.is_busy or now - lane.failed_at < BLAME_SECONDS))
            for lane in self._lanes.values()
            if lane.failures >= (1 if lane.doubt is Doubt.REFUSED else STUCK_FAILURES)
        )

    # -- turns --------------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[Lane]:
        """Replies are nobody's turn: they are not kept."""
        return [
            lane for lane in self._lanes.values() if lane.failures and not lane.is_busy and lane.key is not Own.REPLIES
        ]

    def _turns(self, now: float) -> set[LaneKey]:
        """The lanes that wait and may begin now: of those in doubt a few, and first those that failed least."""
        due = [lane for lane in self._waiting() if self._due_at(lane) <= now]
        due.sort(key=lambda lane: (lane.failures, lane.failed_at))
        turns = [lane.key for lane in due if lane.doubt is Doubt.REFUSED]
        for doubt, at_once in ((Doubt.SILENT, SILENT_AT_ONCE), (Doubt.LOST, 1)):
            room = at_once - self._busy_with(doubt)
            turns += [lane.key for lane in due if lane.doubt is doubt][: max(room, 0)]
        return set(turns)

    def _busy_with(self, doubt: Doubt) -> int:
        return sum(lane.is_busy and lane.failures > 0 and lane.doubt is doubt for lane in self._lanes.values())

    def _due_at(self, lane: Lane) -> float:
        if lane.doubt is not Doubt.LOST:
            return lane.not_before
        pause = self._hang_up_seconds
        if lane.failures < STUCK_FAILURES:
            pause = min(pause, FIRST_TRY_LONGEST_SECONDS)
        return self._hung_up_at + pause

    def _hang_up(self, now: float) -> None:
        """The broker hung up because of a lane: the next doubtful one waits, longer each time until it is calm for long."""
        is_calm = now - self._hung_up_at > 2 * LONGEST_HANG_UP_SECONDS
        longer = max(FIRST_HANG_UP_SECONDS, 2 * self._hang_up_seconds)
        self._hang_up_seconds = FIRST_HANG_UP_SECONDS if is_calm else min(longer, LONGEST_HANG_UP_SECONDS)
        self._hung_up_at = now

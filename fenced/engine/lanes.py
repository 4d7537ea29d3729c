"""Schedules the outbox's lanes, one for each host: a broker that rejects one host's messages delays no other (S15).

Knows the result of each attempt, not the messages. A failed lane backs off. A lane that may have cost the connection is
retried alone, and later each time: until the daemon has reconnected and the bus has settled, it hears no host.
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
"""Back-offs end on multiples of this, so that one check serves ten thousand waiting lanes."""
SILENT_AT_ONCE: Final = 4
"""Attempts without an answer occupy the broker's slots; this many lanes in that state are tried at once."""
BLAME_SECONDS: Final = 5.0
"""A broker that hangs up this soon after a refusal did so because of it (Mosquitto with `max_queued_messages 0`)."""
FIRST_HANG_UP_SECONDS: Final = 1.0
FIRST_TRY_LONGEST_SECONDS: Final = 60.0
"""The longest wait of a lane that was merely under way when the connection ended."""
LONGEST_HANG_UP_SECONDS: Final = 600.0
"""Far longer than `bus_settle` and a grace, so that between two hang-ups every dead host is found."""
STUCK_FAILURES: Final = 2
"""One failure may be a connection that ended; the second is caused by the lane."""


class Own(Enum):
    """Lanes that belong to no host."""

    FLEET = "the fleet"
    CONTROLLER = "this controller"
    REPLIES = "the replies"


LaneKey = HostName | Own


def name_of(lane: LaneKey) -> str:
    return lane.value if isinstance(lane, Own) else lane


class Doubt(Enum):
    """Why a lane failed last."""

    REFUSED = "refused"
    SILENT = "silent"
    LOST = "lost"


@dataclass(slots=True)
class Lane:
    """`is_busy`: a message of it is under way. `failures`: in a row; `not_before`: the end of its back-off."""

    key: LaneKey
    is_busy: bool = False
    failures: int = 0
    doubt: Doubt | None = None
    not_before: float = 0.0
    failed_at: float = 0.0
    why: str = ""


class Lanes:
    """The lanes that are busy or failed; every other lane may begin."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._hang_up_seconds = 0.0
        self._hung_up_at = float("-inf")
        self._repeated_at = float("-inf")

    @property
    def repeats_from(self) -> float:
        """Return when states that the broker already had may be repeated: before any lane in doubt has its turn."""
        return self._hung_up_at + self._hang_up_seconds / 2

    def stuck(self) -> dict[LaneKey, str]:
        """Return the lanes that the broker keeps rejecting, each with its last error."""
        return {
            lane.key: lane.why
            for lane in self._lanes.values()
            if lane.failures >= STUCK_FAILURES and lane.key is not Own.REPLIES
        }

    def has_failed(self, key: LaneKey) -> bool:
        return key in self._lanes and self._lanes[key].failures > 0

    def barred(self, now: float) -> set[LaneKey]:
        """Return the lanes of which nothing may begin now."""
        busy = {lane.key for lane in self._lanes.values() if lane.is_busy}
        waiting = {lane.key for lane in self._waiting()}
        return busy | waiting - self._turns(now)

    def next_at(self, now: float) -> float:
        """Return when the next back-off ends, or infinity. Lanes that wait for another lane are not included."""
        moments = {self._due_at(lane) for lane in self._waiting()} | {self.repeats_from}
        return min((moment for moment in moments if moment > now), default=float("inf"))

    # -- results of attempts ------------------------------------------------------------------------------------------

    def begin(self, key: LaneKey) -> None:
        lane = self._lanes.setdefault(key, Lane(key=key))
        assert not lane.is_busy, f"{key}: two at once"
        lane.is_busy = True

    def rest(self, key: LaneKey) -> None:
        """Mark a lane as no longer under way."""
        lane = self._lanes[key]
        lane.is_busy = False
        if not lane.failures:
            del self._lanes[key]

    def succeeded(self, key: LaneKey) -> None:
        """Note that the broker acknowledged a message of the lane."""
        self._lanes[key].failures = 0

    def repeated(self, now: float) -> None:
        """Note that the broker acknowledged a message that is repeated after each connection."""
        self._repeated_at = now

    def failed(self, key: LaneKey, error: Exception, now: float) -> None:
        """Note a failure. It is not the lane's if the message was never sent, or if another lane caused the hang-up."""
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
        """Return the waiting lanes that are not barred."""
        return [lane.key for lane in self._waiting() if lane.key not in barred]

    def drop(self, keys: Iterable[LaneKey]) -> None:
        """Forget lanes that have nothing more to send."""
        for key in keys:
            del self._lanes[key]

    def may_reply(self, now: float) -> bool:
        """Return whether a reply may be sent. Replies are not retried; after a hang-up on one, all replies wait."""
        lane = self._lanes.get(Own.REPLIES)
        return lane is None or lane.doubt is not Doubt.LOST or self._due_at(lane) <= now

    def replied(self, error: Exception | None, now: float) -> None:
        """Note the result of a reply."""
        if error is None:
            self._lanes.pop(Own.REPLIES, None)
        else:
            self.failed(Own.REPLIES, error, now)

    def disconnected(self, now: float) -> None:
        """Note the end of the connection; a lane that was refused right before caused it.

        MQTT 3.1.1 has no refusal: brokers acknowledge what they refuse, and some then hang up. Messages that are
        repeated after each connection must not end each connection.
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
        """Note a new connection: lanes in back-off may retry at once."""
        for lane in self._lanes.values():
            lane.not_before = min(lane.not_before, now)

    def _is_explained(self, now: float) -> bool:
        """Return whether another lane explains the hang-up: one that was just refused, or that caused one before."""
        return any(
            (lane.doubt is Doubt.REFUSED and now - lane.failed_at < BLAME_SECONDS)
            or (lane.doubt is Doubt.LOST and (lane.is_busy or now - lane.failed_at < BLAME_SECONDS))
            for lane in self._lanes.values()
            if lane.failures >= (1 if lane.doubt is Doubt.REFUSED else STUCK_FAILURES)
        )

    # -- turns --------------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[Lane]:
        """Return the failed lanes that wait. Replies are excluded: they are not kept."""
        return [
            lane for lane in self._lanes.values() if lane.failures and not lane.is_busy and lane.key is not Own.REPLIES
        ]

    def _turns(self, now: float) -> set[LaneKey]:
        """Return the waiting lanes that may begin now. Few of those in doubt, and first those that failed least."""
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
        """Note a hang-up caused by a lane: the next lane in doubt waits, longer each time, until a long calm."""
        is_calm = now - self._hung_up_at > 2 * LONGEST_HANG_UP_SECONDS
        longer = max(FIRST_HANG_UP_SECONDS, 2 * self._hang_up_seconds)
        self._hang_up_seconds = FIRST_HANG_UP_SECONDS if is_calm else min(longer, LONGEST_HANG_UP_SECONDS)
        self._hung_up_at = now

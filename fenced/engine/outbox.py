"""From the journal's outbox to the bus: each host's messages in order, repeated until the broker acknowledged each without
an error code (S3).

Its one rule: what is sent is read from the journal, so a message that was never durable is never heard of. Hosts are
served side by side (`lanes`), what belongs to no host as if it were one more: what the broker refuses of one delays no
other (S15). After each connection the controller's word and every host's state are told again, each state behind what is
still pending of its host.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from fenced.bus.topics import Topics
from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.batch import state_payload
from fenced.engine.lanes import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LaneKey, Lanes, Own
from fenced.engine.waiting import nudged
from fenced.model.answers import Accepted, RefusedBy
from fenced.model.moments import Wall, as_steady, rfc3339
from fenced.model.names import HostName
from fenced.ports.bus import Bus, BusError, Message
from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, OutboxMessage, StoreError

log = structlog.get_logger(__name__)

SLICE = 200
"""Messages under way at once."""
LANE_SLICE: Final = 10
"""Of one host: half of what Mosquitto takes before it has acknowledged."""
PUBLISH_SECONDS = 10.0
LOOK_SECONDS = 5.0
SHOWN_STUCK_MAX: Final = 3


Publishing = Awaitable[BusError | None]
"""One message on its way; it ends with what went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the broker took of a lane and the store does not know yet."""

    lane: LaneKey
    messages: Sequence[OutboxMessage]


class Outbox:
    """Sends; nudged after every durable batch and every connection. One task looks, a task a lane publishes."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        deliver: Callable[[e.Event], None],
        holds_lease: Callable[[], bool],
        controller: str,
        wall: Wall = as_steady,
    ) -> None:
        self._wall, self._holds_lease = wall, holds_lease
        self._fleet, self._journal, self._bus, self._clock = fleet, journal, bus, clock
        self._deliver, self._controller = deliver, controller
        self._nudged = asyncio.Event()
        self._lanes = Lanes()
        self._under_way = 0
        self._taken: list[Taken] = []
        self._stored = 0
        self._connection = 0
        self._untold: dict[HostName, None] = {}
        self._told_controller: tuple[bool, int] | None = None
        self._store_pause = FIRST_PAUSE_SECONDS
        self._store_from = clock.now()
        self.turned_at = clock.now()

    def nudge(self) -> None:
        """There may be something to send."""
        self._nudged.set()

    def connected(self) -> None:
        """A new connection: what a broker may have lost is told again, first what it was not told at all."""
        self._lanes.connected(self._clock.now())
        self._connection += 1
        self._untold |= dict.fromkeys(self._fleet.durable_names())
        self._told_controller = None
        self._nudged.set()

    def disconnected(self) -> None:
        """The connection is gone."""
        self._lanes.disconnected(self._clock.now())

    @property
    def pending(self) -> int:
        """Messages that the broker has not acknowledged: of the journal, states to be told again, the controller's word."""
        return self._stored + len(self._untold) + (self._told_controller != self._controller_word())

    @property
    def stuck(self) -> dict[str, str]:
        """Hosts (and the fleet, and this controller) whose messages the broker does not take, and what it says."""
        return {_name_of(key): why for key, why in self._lanes.stuck().items()}

    def stuck_words(self) -> tuple[str, ...]:
        """The same for /readyz: the first few by name."""
        stuck = self.stuck
        if not stuck:
            return ()
        shown = "; ".join(f"{name} ({stuck[name]})" for name in sorted(stuck)[:SHOWN_STUCK_MAX])
        more = f" and {len(stuck) - SHOWN_STUCK_MAX} more" if len(stuck) > SHOWN_STUCK_MAX else ""
        return (f"the broker does not take the messages of {shown}{more}",)

    async def run(self) -> None:
        """For ever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            while True:
                await nudged(self._nudged, seconds=self._seconds_to_look())
                self._nudged.clear()
                self.turned_at = self._clock.now()
                if self.turned_at < self._store_from:
                    continue
                try:
                    await self._write_down()
                    await self._begin_all(group)
                    self._store_pause = FIRST_PAUSE_SECONDS
                except StoreError as exc:
                    log.error("outbox_unreadable", error=str(exc))
                    self._store_from = self._clock.now() + self._store_pause
                    self._store_pause = min(2 * self._store_pause, LONGEST_PAUSE_SECONDS)

    def _seconds_to_look(self) -> float:
        """Until a back-off ends, of a lane or of the store; whatever waits for the end of another is nudged by that."""
        now = self._clock.now()
        return min(max(self._lanes.next_at(now), self._store_from) - now, LOOK_SECONDS)

    def _may_send(self) -> bool:
        """Asked before each slice, and after each read of the store: both may take longer than the lease lasts."""
        return self._bus.is_connected and self._holds_lease()

    # -- from the journal ---------------------------------------------------------------------------------------------

    async def _begin_all(self, group: asyncio.TaskGroup) -> None:
        """Whatever may be sent now, as far as there is room: the controller's word, what is pending, states told again."""
        room = SLICE - self._under_way
        if not self._may_send() or room <= 0:
            self._stored = await self._journal.outbox_pending()
            return
        self._begin_controller(group)
        barred = self._lanes.barred(self._clock.now())
        skipping = {None if key is Own.FLEET else key for key in barred if not isinstance(key, Own) or key is Own.FLEET}
        messages = await self._journal.outbox(limit=room, each=LANE_SLICE, skipping=skipping)
        self._stored = await self._journal.outbox_pending() if messages or barred else 0
        if not self._may_send():
            return
        self._begin_pending(group, messages)
        if len(messages) < room:  # of whoever is neither barred nor among these nothing is pending
            served = {_lane_of(message) for message in messages}
            self._begin_states(group, room - len(messages), barred | served)
            self._lanes.drop(key for key in self._lanes.due(barred) if key not in self._untold)

    def _begin_pending(self, group: asyncio.TaskGroup, messages: Sequence[OutboxMessage]) -> None:
        """Given to the bus in the order of the journal; each lane ends for itself."""
        slices: dict[LaneKey, list[tuple[OutboxMessage, Publishing]]] = {}  # behind the first of each lane
        for message in messages:
            lane = _lane_of(message)
            if lane not in slices:
                self._lanes.begin(lane)
                slices[lane] = []
                sending = self._send_lane(lane, message, self._publishing(_wire(message)), slices[lane])
                group.create_task(sending, name=f"outbox {lane}")
            elif not self._lanes.has_failed(lane):  # else one is enough to see whether it is taken now
                task = group.create_task(self._publishing(_wire(message)), name=f"publish {message.topic}")
                slices[lane].append((message, task))

    async def _send_lane(
        self,
        lane: LaneKey,
        first: OutboxMessage,
        publishing: Publishing,
        others: Sequence[tuple[OutboxMessage, Publishing]],
    ) -> None:
        """Of a host nothing counts as sent behind what was not taken: it is sent again, in its place. `others` are under way
        in tasks of their own, begun behind this one."""
        error = await publishing
        taken = [first] if error is None else []
        for message, task in others:
            failure = await task
            error = error or failure
            if error is None:
                taken.append(message)
        self._note(lane, error, is_any_taken=bool(taken))
        if taken:
            self._taken.append(Taken(lane=lane, messages=taken))  # the lane rests once the store knows
        else:
            self._lanes.rest(lane)

    async def _write_down(self) -> None:
        """What the broker has taken is told to the store, then to whoever waits for it."""
        ended, self._taken = self._taken, []
        messages = [message for taken in ended for message in taken.messages]
        try:
            if messages:
                await self._journal.delivered(messages)
        except StoreError as exc:  # then it is sent again
            for taken in ended:
                self._lanes.failed(taken.lane, exc, self._clock.now())
            raise
        finally:
            for taken in ended:
                self._lanes.rest(taken.lane)
        for message in messages:
            if message.operation is not None and message.host is not None:
                self._deliver(e.AnnouncementDelivered(host=message.host, operation=message.operation))

    # -- told again after each connection -----------------------------------------------------------------------------

    def _begin_states(self, group: asyncio.TaskGroup, room: int, barred: set[LaneKey]) -> None:
        if self._clock.now() < self._lanes.repeats_from:
            return
        topics = Topics(site=self._fleet.inventory.daemon.site)
        for name in list(self._untold):
            if not self._fleet.is_durable(name):  # a reload removed it
                del self._untold[name]
            elif name not in barred and room > 0:
                room -= 1
                self._lanes.begin(name)
                message = Message(
                    topic=topics.state(name),
                    payload=state_payload(self._fleet.durable(name), self._controller, self._wall),
                    is_retained=True,
                )
                sending = self._send_state(name, self._publishing(message), self._connection)
                group.create_task(sending, name=f"outbox state {name}")

    async def _send_state(self, name: HostName, publishing: Publishing, connection: int) -> None:
        error = await publishing
        self._note(name, error, is_any_taken=error is None)
        if error is None:
            self._lanes.repeated(self._clock.now())
            if connection == self._connection:
                self._untold.pop(name, None)
        self._lanes.rest(name)

    def _begin_controller(self, group: asyncio.TaskGroup) -> None:
        word = self._controller_word()
        is_due = self._clock.now() >= self._lanes.repeats_from
        if word != self._told_controller and is_due and Own.CONTROLLER not in self._lanes.barred(self._clock.now()):
            self._lanes.begin(Own.CONTROLLER)
            sending = self._send_controller(self._publishing(self.controller_message("active")), word, self._connection)
            group.create_task(sending, name="outbox controller")

    async def _send_controller(self, publishing: Publishing, word: tuple[bool, int], connection: int) -> None:
        error = await publishing
        self._note(Own.CONTROLLER, error, is_any_taken=error is None)
        if error is None:
            self._lanes.repeated(self._clock.now())
            if connection == self._connection:
                self._told_controller = word
        self._lanes.rest(Own.CONTROLLER)

    # -- one message --------------------------------------------------------------------------------------------------

    def _publishing(self, message: Message) -> Coroutine[Any, Any, BusError | None]:
        """To be awaited as the first thing of a task: its first step gives the message to the bus, so that tasks begun one
        after the other keep their order. Under way from now on."""
        self._under_way += 1
        return self._published(message)

    async def _published(self, message: Message) -> BusError | None:
        """None: the broker has it."""
        try:
            await self._bus.publish(message, timeout_seconds=PUBLISH_SECONDS)
        except BusError as exc:
            return exc
        finally:
            self._under_way -= 1
        return None

    def _note(self, lane: LaneKey, error: BusError | None, *, is_any_taken: bool) -> None:
        """What became of a lane's attempt; whatever waits for its end or for its room is looked at."""
        if is_any_taken:
            self._lanes.succeeded(lane)
        if error is not None:
            log.warning("publish_failed", lane=_name_of(lane), error=str(error))
            self._lanes.failed(lane, error, self._clock.now())
        self._nudged.set()

    # -- the controller's own topic -----------------------------------------------------------------------------------

    def controller_message(self, state: str) -> Message:
        """`active`, `standby` or `offline`; the last one is also the will."""
        daemon = self._fleet.inventory.daemon
        payload = {
            "name": daemon.name,
            "state": state,
            "armed": self._fleet.is_armed_durably,
            "epoch": self._fleet.epoch,
            "since": rfc3339(self._wall(self._fleet.started)),
        }
        topic = Topics(site=daemon.site).controller(daemon.name)
        return Message(topic=topic, payload=json.dumps(payload).encode(), is_retained=True)

    def _controller_word(self) -> tuple[bool, int]:
        """What of it may change while we run."""
        return self._fleet.is_armed_durably, self._fleet.epoch

    async def say_offline(self) -> None:
        """Before we leave in order: the will is not sent then."""
        if self._bus.is_connected:
            try:
                await self._bus.publish(self.controller_message("offline"), timeout_seconds=2.0)
            except BusError as exc:
                log.warning("publish_failed", error=str(exc))

    async def reply(self, command: c.Reply) -> None:
        """The answer to a request of the bus; it is journalled, and told again when the request is repeated."""
        site = self._fleet.inventory.daemon.site
        payload: dict[str, object] = {"id": command.request_id, "host": str(command.host)}
        match command.answer:
            case Accepted():
                payload |= {"accepted": True, "operation": command.answer.operation or None}
            case RefusedBy():
                payload |= {"accepted": False, "rule": command.answer.rule, "why": command.answer.why}
        message = Message(
            topic=command.reply_topic or Topics(site=site).reply(command.request_id),
            payload=json.dumps(payload).encode(),
            is_retained=False,
            correlation=command.correlation,
        )
        error: BusError | None = BusError("the broker hung up on the last replies")
        if self._lanes.may_reply(self._clock.now()):
            error = await self._published(message)
            self._lanes.replied(error, self._clock.now())
        if error is not None:
            log.warning("reply_failed", request=command.request_id, error=str(error))


def _wire(message: OutboxMessage) -> Message:
    return Message(topic=message.topic, payload=message.payload, is_retained=message.is_retained)


def _lane_of(message: OutboxMessage) -> LaneKey:
    return Own.FLEET if message.host is None else message.host


def _name_of(lane: LaneKey) -> str:
    return lane.value if isinstance(lane, Own) else lane

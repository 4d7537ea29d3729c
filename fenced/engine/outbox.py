"""Publishes the journal's outbox: each host's messages in order, repeated until the broker acknowledges them (S3).

An acknowledgement with an error code counts as a refusal. Messages are read from the journal, so one that was never
durable is never sent. Each host has a lane (`lanes`), as have messages without a host, so that a broker that refuses
one host's messages delays no other (S15). After each connection the controller's status and every host's state are
repeated, each state behind its host's pending messages; last, when nothing else is under way, `info`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from fenced.bus.topics import Topics
from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine import replies
from fenced.engine.batch import controller_payload, device_names, state_payload
from fenced.engine.beside import Beside, HeldHere
from fenced.engine.info import Info
from fenced.engine.lanes import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LaneKey, Lanes, Own, name_of
from fenced.engine.repeats import Repeats
from fenced.engine.retired import Retired
from fenced.engine.waiting import nudged
from fenced.model.moments import Wall, as_steady
from fenced.model.names import HostName
from fenced.model.text import some
from fenced.ports.bus import Bus, BusError, Message
from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, OutboxMessage, StoreError

log = structlog.get_logger(__name__)

SLICE = 200
"""Messages under way at once."""
LANE_SLICE: Final = 10
"""The same for one host: half of what Mosquitto accepts before it acknowledges."""
PUBLISH_SECONDS = 10.0
LOOK_SECONDS = 5.0
SHOWN_STUCK_MAX: Final = 3
SETTLE_SECONDS: Final = 2.0
SETTLE_LOOK_SECONDS: Final = 0.05

Publishing = Awaitable[BusError | None]
"""One message under way; awaiting it returns the error, if any."""
ControllerWord = tuple[bool, int, str, tuple[HeldHere, ...]]
"""Armed, epoch, address: what the controller's own topic says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Messages of a lane that the broker acknowledged and the store does not yet know as delivered."""

    lane: LaneKey
    messages: Sequence[OutboxMessage]


class Outbox:
    """Sends; nudged after every durable batch and every connection. One task schedules, one task per lane publishes."""

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
        retired: Retired | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._beside = beside or Beside()
        self._retired = retired
        self._wall, self._holds_lease = wall, holds_lease
        self._fleet, self._journal, self._bus, self._clock = fleet, journal, bus, clock
        self._deliver, self._controller = deliver, controller
        self._nudged = asyncio.Event()
        self._lanes = Lanes()
        self._info = Info(fleet=fleet, now=clock.now, wall=wall)
        self._under_way = 0
        self._taken: list[Taken] = []
        self._stored = 0
        self._connection = 0
        self._untold = Repeats()
        self._inventory = fleet.durable_inventory
        self._told_controller: ControllerWord | None = None
        self._store_pause = FIRST_PAUSE_SECONDS
        self._store_from = clock.now()
        self.turned_at = clock.now()

    def nudge(self) -> None:
        """Wake the sender: there may be something to send."""
        self._nudged.set()

    def connected(self) -> None:
        """Handle a new connection: repeat what the broker may have lost, first what it never acknowledged."""
        self._lanes.connected(self._clock.now())
        self._connection += 1
        self._untold.at_once(self._fleet.durable_names())
        self._told_controller = None
        self._info.connected()
        self._nudged.set()

    def disconnected(self) -> None:
        """Handle the end of the connection."""
        self._lanes.disconnected(self._clock.now())

    def again(self, name: HostName) -> None:
        """Repeat a host's state, because the bus shows another one."""
        self._untold.contradicted(name, self._clock.now())
        self._nudged.set()

    @property
    def pending(self) -> int:
        """Return the number of unacknowledged messages: pending, to be repeated, and the controller's status."""
        waiting = self._stored + len(self._untold) + (self._told_controller != self._controller_word())
        return 0 if self._fleet.is_standby else waiting  # they are the holder's to send

    @property
    def stuck(self) -> dict[str, str]:
        """Return the hosts (and the fleet, and this controller) that the broker keeps rejecting, and its last error."""
        return {name_of(key): why for key, why in self._lanes.stuck().items()}

    def stuck_words(self) -> tuple[str, ...]:
        """Return the same as warnings for /readyz: the first few by name."""
        stuck = self.stuck
        if not stuck:
            return ()
        named = [f"{name} ({stuck[name]})" for name in sorted(stuck)]
        return (f"the broker rejects the messages of {some(named, SHOWN_STUCK_MAX, between='; ')}",)

    async def run(self) -> None:
        """Run until cancelled."""
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
        """Return the seconds until a back-off of a lane, a state or the store ends. The end of an attempt nudges."""
        now = self._clock.now()
        return min(max(min(self._lanes.next_at(now), self._untold.next_at(now)), self._store_from) - now, LOOK_SECONDS)

    def _may_send(self) -> bool:
        """Return whether messages may be sent. Checked before each slice and after each read of the store: both may
        outlast the lease."""
        return self._bus.is_connected and self._holds_lease()

    # -- from the journal ---------------------------------------------------------------------------------------------

    async def _begin_all(self, group: asyncio.TaskGroup) -> None:
        """Start what may be sent now, up to the bound: the controller's status, pending messages, repeated states."""
        room = SLICE - self._under_way
        if not self._may_send() or room <= 0:
            self._stored = await self._journal.outbox_pending()
            return
        self._begin_controller(group)
        self._follow_inventory()
        barred = self._lanes.barred(self._clock.now())
        skipping = {None if key is Own.FLEET else key for key in barred if not isinstance(key, Own) or key is Own.FLEET}
        messages = await self._journal.outbox(limit=room, each=LANE_SLICE, skipping=skipping)
        self._stored = await self._journal.outbox_pending() if messages or barred else 0
        if not self._may_send():
            return
        self._begin_pending(group, messages)
        if len(messages) < room:  # then lanes that are neither barred nor served have nothing pending
            served = {_lane_of(message) for message in messages}
            self._begin_states(group, room - len(messages), barred | served)
            self._lanes.drop(key for key in self._lanes.due(barred) if key not in self._untold)
        if not self._under_way and self._retired is not None and self._retired.is_due:
            clearing = self._clear_old(self._retired, self._publishing(self._retired.begin()))
            group.create_task(clearing, name="outbox old name")
        if not self._under_way and self._info.is_due:
            sending = self._send_info(self._publishing(self._info.begin()), self._connection)
            group.create_task(sending, name="outbox info")

    def _begin_pending(self, group: asyncio.TaskGroup, messages: Sequence[OutboxMessage]) -> None:
        """Hand messages to the bus in the journal's order; each lane completes independently."""
        slices: dict[LaneKey, list[tuple[OutboxMessage, Publishing]]] = {}  # behind the first of each lane
        for message in messages:
            lane = _lane_of(message)
            if lane not in slices:
                self._lanes.begin(lane)
                slices[lane] = []
                sending = self._send_lane(lane, message, self._publishing(_wire(message)), slices[lane])
                group.create_task(sending, name=f"outbox {lane}")
            elif not self._lanes.has_failed(lane):  # a failed lane tries a single message first
                task = group.create_task(self._publishing(_wire(message)), name=f"publish {message.topic}")
                slices[lane].append((message, task))

    async def _send_lane(
        self,
        lane: LaneKey,
        first: OutboxMessage,
        publishing: Publishing,
        others: Sequence[tuple[OutboxMessage, Publishing]],
    ) -> None:
        """Await a lane's messages. Those behind a rejected one don't count as sent: they are sent again, in their
        order.

        `others` are under way in tasks that were begun after `publishing`.
        """
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
        """Mark acknowledged messages as delivered in the store, then report announcements to the core."""
        ended, self._taken = self._taken, []
        messages = [message for taken in ended for message in taken.messages]
        try:
            if messages:
                await self._journal.delivered(messages)
        except StoreError as exc:  # they are sent again
            for taken in ended:
                self._lanes.failed(taken.lane, exc, self._clock.now())
            raise
        finally:
            for taken in ended:
                self._lanes.rest(taken.lane)
        for message in messages:
            if message.operation is not None and message.host is not None:
                self._deliver(e.AnnouncementDelivered(host=message.host, operation=message.operation))

    # -- repeated after each connection -------------------------------------------------------------------------------

    def _follow_inventory(self) -> None:
        """After a reload, repeat the states of hosts with other devices: a state names only those of the inventory."""
        before, now = self._inventory, self._fleet.durable_inventory
        if now is before:
            return
        self._inventory = now
        for name, host in now.hosts.items():
            was = before.hosts.get(name)
            if was is not None and was is not host and device_names(before, name) != device_names(now, name):
                self._untold.at_once((name,))

    def _begin_states(self, group: asyncio.TaskGroup, room: int, barred: set[LaneKey]) -> None:
        if self._clock.now() < self._lanes.repeats_from:
            return
        topics = Topics(site=self._fleet.inventory.daemon.site)
        for name, mark in self._untold.due(self._clock.now()):
            if not self._fleet.is_durable(name):  # a reload removed it
                self._untold.drop(name)
            elif name not in barred and room > 0:
                room -= 1
                self._lanes.begin(name)
                state, devices = self._fleet.durable(name), device_names(self._inventory, name)
                rev = str(self._fleet.token_of_durable())
                payload = state_payload(state, self._controller, self._wall, devices=devices, rev=rev)
                message = Message(topic=topics.state(name), payload=payload, is_retained=True)
                sending = self._send_state(name, mark, self._publishing(message))
                group.create_task(sending, name=f"outbox state {name}")

    async def _send_state(self, name: HostName, mark: int, publishing: Publishing) -> None:
        error = await publishing
        self._note(name, error, is_any_taken=error is None)
        if error is None:
            self._lanes.repeated(self._clock.now())
            self._untold.done(name, mark)
        self._lanes.rest(name)

    def _begin_controller(self, group: asyncio.TaskGroup) -> None:
        word = self._controller_word()
        is_due = self._clock.now() >= self._lanes.repeats_from
        if word != self._told_controller and is_due and Own.CONTROLLER not in self._lanes.barred(self._clock.now()):
            self._lanes.begin(Own.CONTROLLER)
            sending = self._send_controller(self._publishing(self.controller_message("active")), word, self._connection)
            group.create_task(sending, name="outbox controller")

    async def _send_controller(self, publishing: Publishing, word: ControllerWord, connection: int) -> None:
        error = await publishing
        self._note(Own.CONTROLLER, error, is_any_taken=error is None)
        if error is None:
            self._lanes.repeated(self._clock.now())
            if connection == self._connection:
                self._told_controller = word
        self._lanes.rest(Own.CONTROLLER)

    async def _send_info(self, publishing: Publishing, connection: int) -> None:
        error = await publishing
        self._info.ended(error, is_current=connection == self._connection)
        self._nudged.set()

    async def _clear_old(self, retired: Retired, publishing: Publishing) -> None:
        retired.ended(await publishing)
        self._nudged.set()

    # -- one message --------------------------------------------------------------------------------------------------

    def _publishing(self, message: Message) -> Coroutine[Any, Any, BusError | None]:
        """Return a coroutine to be awaited as the first step of a task, and count it as under way.

        Its first step hands the message to the bus, so tasks keep the order in which they were begun.
        """
        self._under_way += 1
        return self._published(message)

    async def _published(self, message: Message) -> BusError | None:
        """Publish a message. Return the error, or None when the broker acknowledged it."""
        try:
            await self._bus.publish(message, timeout_seconds=PUBLISH_SECONDS)
        except BusError as exc:
            return exc
        finally:
            self._under_way -= 1
        return None

    def _note(self, lane: LaneKey, error: BusError | None, *, is_any_taken: bool) -> None:
        """Note the result of a lane's attempt, and nudge the sender for whatever waited for this end."""
        if is_any_taken:
            self._lanes.succeeded(lane)
        if error is not None:
            log.warning("publish_failed", lane=name_of(lane), error=str(error))
            self._lanes.failed(lane, error, self._clock.now())
        self._nudged.set()

    # -- the controller's own topic -----------------------------------------------------------------------------------

    def controller_message(self, state: str) -> Message:
        """Return the controller's retained message: `active`, `standby` or `offline`; the last one is also the will."""
        daemon = self._fleet.inventory.daemon
        payload = controller_payload(self._fleet, state, self._wall, beside=self._beside)
        return Message(topic=Topics(site=daemon.site).controller(daemon.name), payload=payload, is_retained=True)

    def _controller_word(self) -> ControllerWord:
        """Return what may change in the controller's message while the daemon runs."""
        address, others = self._fleet.inventory.daemon.address, tuple(self._beside.held())
        return self._fleet.is_armed_durably, self._fleet.epoch, address, others

    async def say(self, state: str) -> None:
        """Publish `standby`, or `offline` before an orderly stop, in which the broker sends no will."""
        if self._bus.is_connected:
            try:
                await self._bus.publish(self.controller_message(state), timeout_seconds=2.0)
            except BusError as exc:
                log.warning("publish_failed", error=str(exc))

    async def settle(self) -> None:
        """Wait until no message is under way, but not for long: another controller's must come after them."""
        end = self._clock.now() + SETTLE_SECONDS
        while self._under_way and self._clock.now() < end:  # noqa: ASYNC110 - bounded, once a life
            await asyncio.sleep(SETTLE_LOOK_SECONDS)

    async def reply(self, command: c.Reply) -> None:
        """Send the answer to a request of the bus. It is journalled, and sent again when the request is repeated."""
        site = self._fleet.inventory.daemon.site
        message = Message(
            topic=command.reply_topic or Topics(site=site).reply(command.request_id),
            payload=replies.payload(command),
            is_retained=False,
            correlation=command.correlation,
        )
        error: BusError | None = BusError("not sent: the broker closed the connection after the last replies")
        if self._lanes.may_reply(self._clock.now()):
            error = await self._publishing(message)
            self._lanes.replied(error, self._clock.now())
        if error is not None:
            log.warning("reply_failed", request=command.request_id, error=str(error))


def _wire(message: OutboxMessage) -> Message:
    return Message(topic=message.topic, payload=message.payload, is_retained=message.is_retained)


def _lane_of(message: OutboxMessage) -> LaneKey:
    return Own.FLEET if message.host is None else message.host

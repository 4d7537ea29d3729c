"""From the journal's outbox to the bus: in order, repeated until the broker acknowledged without an error code (S3).

Its one rule: what is sent is read from the journal, so a message that was never durable is never heard of. After each
(re)connection every host's state is published again, after what was still pending.
"""

import asyncio
import json
from collections.abc import Callable, Sequence

import structlog

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.announce import timestamp
from fenced.core.fleet import Fleet
from fenced.engine.batch import state_payload
from fenced.engine.waiting import nudged
from fenced.ports.bus import Bus, BusError, Message
from fenced.ports.clock import Clock
from fenced.ports.journal import Journal, OutboxMessage, StoreError

log = structlog.get_logger(__name__)

SLICE = 200
PUBLISH_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
LOOK_SECONDS = 5.0


class Outbox:
    """Sends; nudged after every durable batch and every connection."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        deliver: Callable[[e.Event], None],
        controller: str,
    ) -> None:
        self._fleet, self._journal, self._bus, self._clock = fleet, journal, bus, clock
        self._deliver, self._controller = deliver, controller
        self._nudged = asyncio.Event()
        self._is_fresh = False
        self._told_controller: tuple[bool, int] | None = None
        self.pending = 0
        self.turned_at = clock.now()

    def nudge(self) -> None:
        """There may be something to send."""
        self._nudged.set()

    def connected(self) -> None:
        """A new connection: states are told again."""
        self._is_fresh, self._told_controller = True, None
        self._nudged.set()

    async def run(self) -> None:
        """For ever; ends by cancellation."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await nudged(self._nudged, seconds=LOOK_SECONDS)
            self._nudged.clear()
            self.turned_at = self._clock.now()
            if await self._send_all():
                pause = FIRST_PAUSE_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._nudged.set()

    async def _send_all(self) -> bool:
        """Whether everything went out (True also where there is no bus: its return nudges)."""
        try:
            if not self._may_send():
                self.pending = await self._journal.outbox_pending()
                return True
            await self._send_controller()
            if not await self._send_pending():
                return False
            return await self._send_states()
        except StoreError as exc:
            log.error("outbox_unreadable", error=str(exc))
            return False
        except BusError as exc:
            log.warning("publish_failed", error=str(exc))
            return False

    def _may_send(self) -> bool:
        """Asked before each slice, and after each read of the store: both may take longer than the lease lasts."""
        return self._bus.is_connected and self._clock.now() < self._fleet.lease_until

    async def _send_pending(self) -> bool:
        while self._may_send():
            self.turned_at = self._clock.now()
            messages = await self._journal.outbox(limit=SLICE)
            is_last = len(messages) < SLICE  # what comes after this read nudges us again
            self.pending = len(messages) if is_last else await self._journal.outbox_pending()
            if not messages:
                return True
            if not self._may_send():
                return False
            delivered = await self._publish(messages)
            await self._journal.delivered(delivered)
            self.pending = max(self.pending - len(delivered), 0)
            for message in delivered:
                if message.operation is not None and message.host is not None:
                    self._deliver(e.AnnouncementDelivered(host=message.host, operation=message.operation))
            if len(delivered) < len(messages):
                return False
            if is_last:
                return True
        return False

    async def _publish(self, messages: Sequence[OutboxMessage]) -> list[OutboxMessage]:
        """Those that the broker took; of a host, none behind one that it did not take."""
        results = await asyncio.gather(
            *(
                self._bus.publish(
                    Message(topic=message.topic, payload=message.payload, is_retained=message.is_retained),
                    timeout_seconds=PUBLISH_SECONDS,
                )
                for message in messages
            ),
            return_exceptions=True,
        )
        delivered: list[OutboxMessage] = []
        stuck: set[object] = set()
        for message, result in zip(messages, results, strict=True):
            if isinstance(result, BusError):
                log.warning("publish_failed", topic=message.topic, error=str(result))
                stuck.add(message.host)
            elif isinstance(result, BaseException):
                raise result
            elif message.host not in stuck:
                delivered.append(message)
        return delivered

    async def _send_states(self) -> bool:
        if not self._is_fresh:
            return True
        self._is_fresh = False
        site = self._fleet.inventory.daemon.site
        names = list(self._fleet.hosts)
        for start in range(0, len(names), SLICE):
            self.turned_at = self._clock.now()
            if not self._may_send():
                self._is_fresh = True
                return False
            states = [self._fleet.durable(name) for name in names[start : start + SLICE] if name in self._fleet.hosts]
            try:
                await asyncio.gather(
                    *(
                        self._bus.publish(
                            Message(
                                topic=f"fenced/v1/{site}/state/{state.name}",
                                payload=state_payload(state, self._controller),
                                is_retained=True,
                            ),
                            timeout_seconds=PUBLISH_SECONDS,
                        )
                        for state in states
                    )
                )
            except BusError:
                self._is_fresh = True
                raise
        return True

    # -- the controller's own topic -----------------------------------------------------------------------------------

    def controller_message(self, state: str) -> Message:
        """`active`, `standby` or `offline`; the last one is also the will."""
        daemon = self._fleet.inventory.daemon
        payload = {
            "name": daemon.name,
            "state": state,
            "armed": self._fleet.is_armed,
            "epoch": self._fleet.epoch,
            "since": timestamp(self._fleet.started),
        }
        topic = f"fenced/v1/{daemon.site}/controller/{daemon.name}"
        return Message(topic=topic, payload=json.dumps(payload).encode(), is_retained=True)

    async def _send_controller(self) -> None:
        told = (self._fleet.is_armed, self._fleet.epoch)
        if told != self._told_controller:
            await self._bus.publish(self.controller_message("active"), timeout_seconds=PUBLISH_SECONDS)
            self._told_controller = told

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
        verdict, _, rest = command.answer.partition(" ")
        payload: dict[str, object] = {
            "id": command.request_id,
            "host": str(command.host),
            "accepted": verdict == "accepted",
        }
        if verdict == "accepted":
            payload["operation"] = rest or None
        else:
            rule, _, why = rest.partition(": ")
            payload |= {"rule": rule, "why": why}
        message = Message(
            topic=command.reply_topic or f"fenced/v1/{site}/reply/{command.request_id}",
            payload=json.dumps(payload).encode(),
            is_retained=False,
            correlation=command.correlation,
        )
        try:
            await self._bus.publish(message, timeout_seconds=PUBLISH_SECONDS)
        except BusError as exc:
            log.warning("reply_failed", request=command.request_id, error=str(exc))

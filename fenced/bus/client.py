"""The Bus port over MQTT: parse messages, count the dropped ones, and deliver the others.

It knows the site's topics and which names are hosts, and leaves the meaning of a message to the engine. It delivers
each message as it reads it and queues nothing: the engine's inbox is the only queue, and it is bounded. It counts the
messages that it drops (malformed, oversized, unknown host); the engine counts the other results.
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import structlog

from fenced.bus import messages
from fenced.bus.link import Link
from fenced.bus.settings import BusSettings
from fenced.bus.topics import Address, Topics
from fenced.model.names import HostName
from fenced.ports.bus import (
    BusConnected,
    BusDisconnected,
    BusEvent,
    Message,
    MessageKind,
    MessageResult,
    ShutdownOrder,
)
from fenced.ports.clock import Clock
from fenced.ports.health import Malformed, health
from fenced.ports.telemetry import Telemetry

WARNING_INTERVAL_SECONDS: Final = 5.0
SHOWN_LENGTH_MAX: Final = 200

_log = structlog.get_logger(__name__)


class BusClient:
    """`will`: what the broker publishes if the daemon vanishes (the retained `offline` on its controller topic).

    `ahead_seconds`: how far `clock` is ahead of the wall clock now. `on_stranger`: gets the name of a heartbeat that
    matches no host. `on_controller`: gets the name of a controller whose state on the bus changes now.
    """

    def __init__(
        self,
        settings: BusSettings,
        *,
        is_host: Callable[[str], bool],
        telemetry: Telemetry,
        clock: Clock,
        will: Callable[[], Message | None] = lambda: None,
        ahead_seconds: Callable[[], float] = lambda: 0.0,
        on_stranger: Callable[[str], None] = lambda name: None,
        on_controller: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._settings = settings
        self._on_stranger, self._on_controller = on_stranger, on_controller
        self._topics = Topics(site=settings.site)
        self._link = Link(settings, subscriptions=self._topics.incoming, will=will)
        self._is_host = is_host
        self._telemetry = telemetry
        self._clock = clock
        self._ahead_seconds = ahead_seconds

    @property
    def is_connected(self) -> bool:
        return self._link.is_connected

    @property
    def suspicion(self) -> str:
        """Return the suspicion that another client uses this client's name at the broker; "" if there is none now."""
        return self._link.rivals.suspicion

    @property
    def taken_over_count(self) -> int:
        """How often the broker reported a takeover."""
        return self._link.rivals.taken_over_count

    async def run(self, deliver: Callable[[BusEvent], None]) -> NoReturn:
        """See ports.bus. Messages that the broker sends before it grants the subscriptions come before BusConnected.

        An exception of `deliver` is a bug and ends the run.
        """
        receiver = _Receiver(
            settings=self._settings,
            topics=self._topics,
            is_host=self._is_host,
            telemetry=self._telemetry,
            clock=self._clock,
            deliver=deliver,
            waited_seconds=lambda: self._link.waited_seconds,
            ahead_seconds=self._ahead_seconds,
            on_stranger=self._on_stranger,
            on_controller=self._on_controller,
        )
        await self._link.run(receiver)

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        """See ports.bus. At most `publishes_max` are in flight; more wait within their timeout."""
        await self._link.publish(message, timeout_seconds=timeout_seconds)

    async def command(self, host: HostName, order: ShutdownOrder) -> None:
        """See ports.bus."""
        message = messages.command(self._topics, host, order)
        await self._link.publish(message, timeout_seconds=order.within_seconds)


class _Receiver:
    """Listens to the link during one `run`."""

    def __init__(
        self,
        *,
        settings: BusSettings,
        topics: Topics,
        is_host: Callable[[str], bool],
        telemetry: Telemetry,
        clock: Clock,
        deliver: Callable[[BusEvent], None],
        waited_seconds: Callable[[], float] = lambda: 0.0,
        ahead_seconds: Callable[[], float] = lambda: 0.0,
        on_stranger: Callable[[str], None] = lambda name: None,
        on_controller: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._on_stranger, self._on_controller = on_stranger, on_controller
        self._waited_seconds, self._ahead_seconds = waited_seconds, ahead_seconds
        self._broker = f"{settings.host}:{settings.port}"
        self._payload_bytes_max = settings.payload_bytes_max
        self._topics = topics
        self._is_host = is_host
        self._telemetry = telemetry
        self._clock = clock
        self._deliver = deliver
        self._warnings = {result: _RateLimit(WARNING_INTERVAL_SECONDS) for result in MessageResult}
        self._unreachable_why: str | None = None
        self._is_refusal_told = False

    def subscribed(self) -> None:
        self._unreachable_why = None
        _log.info("bus_connected", broker=self._broker)
        self._deliver(BusConnected(at=self._clock.now()))

    def refused(self, filters: Sequence[str]) -> None:
        """Log it once, because the next connection meets the same access list."""
        if not self._is_refusal_told:
            self._is_refusal_told = True
            _log.warning(
                "bus_subscription_refused", broker=self._broker, topics=list(filters),
                advice="let this user read them: without state/+ an old state may stand until the next connection, and "
                "without controller/+ a takeover comes half a second later; without request the bus wakes no hosts",
            )  # fmt: skip

    def lost(self, why: str) -> None:
        _log.warning("bus_lost", broker=self._broker, reason=why)
        self._deliver(BusDisconnected(at=self._clock.now(), why=why))

    def unreachable(self, why: str) -> None:
        """Log each reason once, because the link retries for ever."""
        if why != self._unreachable_why:
            self._unreachable_why = why
            _log.warning("bus_unreachable", broker=self._broker, reason=why)

    def received(
        self, topic: str, payload: bytes, is_retained: bool, reply_topic: str | None, correlation: bytes | None
    ) -> None:
        address = self._topics.parse(topic)
        if topic == self._topics.cluster_request:
            self._received_wake(topic, payload, is_retained, reply_topic, correlation)
            return
        if address is None:
            name = self._topics.controller_of(topic)
            if name is not None and not is_retained:
                self._on_controller(name)
            return
        if not self._is_host(address.host):
            if address.kind is MessageKind.HEALTH and not is_retained:
                self._on_stranger(address.host)
            if address.kind is MessageKind.STATE:  # a host that was removed: its topic is cleared, or soon will be
                self._telemetry.bus_message(address.kind, MessageResult.UNKNOWN_HOST)
            else:
                self._drop(address.kind, MessageResult.UNKNOWN_HOST, topic, "the inventory has no such host")
            return
        if len(payload) > self._payload_bytes_max:
            self._drop(address.kind, MessageResult.OVERSIZED, topic, f"{len(payload)} bytes")
            return
        try:
            event = self._event(address, payload, is_retained, reply_topic, correlation)
        except Malformed as exc:
            self._drop(address.kind, MessageResult.MALFORMED, topic, str(exc))
            return
        self._deliver(event)

    def _received_wake(
        self, topic: str, payload: bytes, is_retained: bool, reply_topic: str | None, correlation: bytes | None
    ) -> None:
        if len(payload) > self._payload_bytes_max:
            self._drop(MessageKind.REQUEST, MessageResult.OVERSIZED, topic, f"{len(payload)} bytes")
            return
        try:
            event = messages.wake(
                payload, received=self._clock.now(), is_retained=is_retained, topics=self._topics,
                reply_topic=reply_topic, correlation=correlation, ahead_seconds=self._ahead_seconds(),
            )  # fmt: skip
        except Malformed as exc:
            self._drop(MessageKind.REQUEST, MessageResult.MALFORMED, topic, str(exc))
            return
        self._deliver(event)

    def _event(
        self, address: Address, payload: bytes, is_retained: bool, reply_topic: str | None, correlation: bytes | None
    ) -> BusEvent:
        """Raises Malformed."""
        host, now = HostName(address.host), self._clock.now()
        match address.kind:
            case MessageKind.HEALTH:
                waited = self._waited_seconds()
                return health(payload, host=host, received=now, is_retained=is_retained, waited_seconds=waited)
            case MessageKind.PRESENCE:
                return messages.presence(payload, host=host, received=now, is_retained=is_retained)
            case MessageKind.EVIDENCE:
                return messages.evidence(
                    payload, host=host, source=address.source, received=now, is_retained=is_retained
                )
            case MessageKind.STATE:
                return messages.state(payload, host=host, received=now, is_retained=is_retained)
            case MessageKind.REQUEST:
                return messages.request(
                    payload,
                    host=host,
                    received=now,
                    is_retained=is_retained,
                    topics=self._topics,
                    reply_topic=reply_topic,
                    correlation=correlation,
                    ahead_seconds=self._ahead_seconds(),
                )

    def _drop(self, kind: MessageKind, result: MessageResult, topic: str, why: str) -> None:
        """Count the message and log a short warning, rate-limited because any client can send rubbish."""
        self._telemetry.bus_message(kind, result)
        dropped = self._warnings[result].take(self._clock.now())
        if dropped is not None:
            _log.warning(
                "bus_message_dropped",
                result=result.value,
                topic=topic[:SHOWN_LENGTH_MAX],
                reason=why[:SHOWN_LENGTH_MAX],
                since_last_told=dropped,
            )


class _RateLimit:
    """Allows one log line per interval."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._next = 0.0
        self._count = 0

    def take(self, now: float) -> int | None:
        """Return None before the next line is due; else the number of calls since the last line, this one included."""
        self._count += 1
        if now < self._next:
            return None
        count, self._count = self._count, 0
        self._next = now + self._interval_seconds
        return count

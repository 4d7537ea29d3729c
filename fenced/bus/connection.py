"""One MQTT connection from start to end: the only module that uses aiomqtt and paho (ADR 0003).

aiomqtt runs paho on the event loop. This class adds what it lacks: it delivers incoming messages where they are read
instead of through a queue, heartbeats even past paho; a publish sees the broker's reason code and fails when the
connection ends; no socket, task or future outlives the connection. It knows no topics and no payloads. Use it once.
"""

import asyncio
import contextlib
import logging
import math
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import aiomqtt
import paho.mqtt.client as mqtt
from aiomqtt.exceptions import MqttConnectError
from aiomqtt.types import PahoSocket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fenced.bus import subscribing
from fenced.bus.errors import Silent, Unreachable, VersionRefused, bounded, why_ended
from fenced.bus.overriding import override
from fenced.bus.pacing import Reader
from fenced.bus.reading import Incoming
from fenced.bus.settings import BusSettings
from fenced.bus.tls import explanation
from fenced.bus.topics import Subscription
from fenced.ports.bus import BusAway, BusError, BusLost, BusRefused, Message

CLOSE_SECONDS: Final = 2.0
UNSUPPORTED_PROTOCOL_VERSION: Final = 132
SESSION_TAKEN_OVER: Final = 142

ResultT = TypeVar("ResultT")

OnMessage = Callable[[str, bytes, bool, str | None, bytes | None], None]
"""Topic, payload, retained flag, MQTT 5 response topic and correlation data. It must neither block nor raise."""


class Connection(aiomqtt.Client):
    """`open`, `subscribe_all`, `publish_message` as often as needed, `ended`, and `close` in any case."""

    def __init__(
        self,
        settings: BusSettings,
        *,
        is_version_5: bool,
        will: Message | None,
        tls: ssl.SSLContext | None,
        on_message: OnMessage,
        on_subscribed: Callable[[], None],
    ) -> None:
        super().__init__(
            settings.host,
            settings.port,
            username=settings.username or None,
            password=settings.password.reveal() if settings.password is not None else None,
            logger=_quiet_logger(),
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if is_version_5 else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(will.topic, will.payload, 1, will.is_retained) if will is not None else None,
            # Start without a session: queued heartbeats would be old, and an old heartbeat is no sign of life.
            clean_session=None if is_version_5 else True,
            clean_start=True if is_version_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            timeout=settings.connect_timeout_seconds,
            keepalive=settings.keepalive_seconds,
            tls_context=tls,
            max_inflight_messages=65535,  # _slots is the bound, because it also respects the broker's maximum
        )
        self._client.connect_timeout = settings.connect_timeout_seconds
        self._is_version_5 = is_version_5
        self._open_timeout_seconds = 2 * settings.connect_timeout_seconds
        self._hand_over = on_message
        self._subscribed = on_subscribed
        self._wanted: Sequence[Subscription] = ()
        self._thread = threading.get_ident()
        self._is_abandoned = False
        self.is_taken_over = False  # the broker reported that another client uses this name (MQTT 5 only)
        self._ended = asyncio.Event()
        self._socket_closed = asyncio.Event()
        self._why = ""
        self._failure: Exception | None = None
        self._publishes_max = settings.publishes_max
        self._slots = asyncio.Semaphore(settings.publishes_max)
        self._acknowledgements: dict[int, asyncio.Future[ReasonCode]] = {}
        self._given_up: set[int] = set()
        self._reader: Reader | None = None
        self._disconnected.add_done_callback(self._on_read_failure)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and log in. Raises VersionRefused, Silent or Unreachable."""
        try:
            async with asyncio.timeout(self._open_timeout_seconds):
                await self.__aenter__()
        except MqttConnectError as exc:
            code = exc.rc.value if isinstance(exc.rc, ReasonCode) else exc.rc
            kind = VersionRefused if code == UNSUPPORTED_PROTOCOL_VERSION else Unreachable
            raise kind(bounded(exc)) from exc
        except TimeoutError as exc:
            raise Silent(f"no connection within {self._open_timeout_seconds:g} s; is the broker running?") from exc
        except (aiomqtt.MqttError, OSError, ValueError) as exc:
            kind = Silent if "timed out" in str(exc) else Unreachable
            raise kind(await explanation(exc, self._hostname, self._port)) from exc

    async def subscribe_all(self, topics: Sequence[Subscription]) -> tuple[str, ...]:
        """Subscribe, and return the optional filters that the broker refused. `on_subscribed` is called once all others
        are granted, before any later message.

        Raises Unreachable.
        """
        self._wanted = topics
        if not topics:
            self._subscribed()
            return ()
        try:
            codes = await self.subscribe(subscribing.asked(topics, is_version_5=self._is_version_5))
        except (aiomqtt.MqttError, OSError, ValueError) as exc:
            raise Unreachable(self._why or f"not subscribed: {bounded(exc)}") from exc
        if not subscribing.is_enough(topics, codes):
            raise Unreachable(
                "the broker refused a subscription; let this user read the incoming topics in its access list"
            )
        return subscribing.refused(topics, codes)

    async def publish_message(self, message: Message, *, qos: int) -> None:
        """Return once the broker acknowledged it (QoS 1) or it is written (QoS 0). The caller sets the deadline.

        Raises BusError.
        """
        await self._slots.acquire()
        try:
            number = self._send(message, qos)
        except BaseException:
            self._slots.release()
            raise
        acknowledgement: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._acknowledgements[number] = acknowledgement
        if self._reader is not None:
            self._reader.hurry()
        try:
            code = await acknowledgement
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        if code.is_failure:
            raise BusRefused(f"the broker refused {message.topic[:200]}: {code.getName()}; see its access list")

    @property
    def waited_seconds(self) -> float:
        """The longest time that the message now delivered may have waited in the socket."""
        return self._reader.waited_seconds if self._reader is not None else 0.0

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    async def ended(self) -> str:
        """Wait for the end and return its reason. Raises what `on_message` raised, which is a bug."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure
        return self._why

    async def close(self) -> None:
        """Disconnect cleanly if possible, so that the will is not sent, and leave nothing behind. Idempotent."""
        self._is_abandoned = True
        await asyncio.sleep(0)  # let the loop run what the connecting thread has handed to it
        if self._client.is_connected() and not self._ended.is_set():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._socket_closed.wait()
        self._end("closed")
        if self._reader is not None:
            self._client._sock_close()  # paho has no public way
            self._reader.stop()
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait({self._misc_task})
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # mark it as retrieved; otherwise asyncio complains

    # -- paho's callbacks, on the event loop --------------------------------------------------------------------------

    @override
    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        receive_maximum = getattr(properties, "ReceiveMaximum", None)
        if isinstance(receive_maximum, int) and receive_maximum < self._publishes_max:
            self._publishes_max = receive_maximum  # MQTT 5, 4.9; paho ignores it
            self._slots = asyncio.Semaphore(receive_maximum)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    @override
    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        answer = getattr(properties, "ResponseTopic", None), getattr(properties, "CorrelationData", None)
        self._deliver(topic, bytes(message.payload), message.retain, *answer)

    @override
    def _on_publish(
        self, client: mqtt.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        acknowledgement = self._acknowledgements.pop(mid, None)
        if acknowledgement is None and mid not in self._given_up:
            return
        self._given_up.discard(mid)
        self._slots.release()
        if acknowledgement is not None and not acknowledgement.done():
            acknowledgement.set_result(reason_code)

    @override
    def _on_subscribe(
        self,
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if subscribing.is_enough(self._wanted, reason_codes):
            self._subscribed()
        super()._on_subscribe(client, userdata, mid, reason_codes, properties)

    @override
    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        is_from_broker = flags.is_disconnect_packet_from_server
        self.is_taken_over = is_from_broker and reason_code.value == SESSION_TAKEN_OVER
        why = why_ended(reason_code.getName(), is_from_broker=is_from_broker)
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(why))  # otherwise aiomqtt waits for its timeout
        if not self._connected.cancelled():  # aiomqtt fails on a cancelled log-in
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
        self._end(why)

    @override
    def _on_socket_open(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        """Runs in the connecting thread, which can't be cancelled."""
        assert isinstance(sock, socket.socket), "no web sockets"
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = Incoming(
            sock, is_version_5=self._is_version_5, on_message=self._deliver, read_packet=client.loop_read
        )
        client._sock = incoming  # paho has no public way; if it looked elsewhere, no connection would come about
        self._loop.call_soon_threadsafe(self._enter_loop, incoming)

    def _enter_loop(self, incoming: Incoming) -> None:
        """Do what aiomqtt does when a socket opens, at once instead of in the next turn, with our reader."""
        if self._is_abandoned or incoming.open_socket() is None:
            incoming.close()
            return
        self._reader = Reader(incoming, is_awaited=lambda: bool(self._acknowledgements), on_fault=self._on_fault)
        self._reader.start()
        self._misc_task = self._loop.create_task(self._misc_loop(), name="keepalive")

    @override
    def _on_socket_close(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        if self._reader is not None:
            self._reader.stop()
            super()._on_socket_close(client, userdata, sock)
            self._socket_closed.set()

    @override
    def _on_socket_register_write(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        """Register now: aiomqtt registers later, by a descriptor number that another file may have by then."""
        if threading.get_ident() == self._thread:
            self._add_writer(sock)
        else:
            self._loop.call_soon_threadsafe(self._add_writer, sock)

    @override
    def _on_socket_unregister_write(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        if self._reader is not None and sock.fileno() >= 0:
            super()._on_socket_unregister_write(client, userdata, sock)

    # -- helpers ------------------------------------------------------------------------------------------------------

    @override
    async def _wait_for(self, fut: Awaitable[ResultT], timeout: float | None) -> ResultT:
        """Avoid asyncio.wait_for, which aiomqtt uses: before Python 3.12 it swallows a cancellation that arrives in the
        same turn of the loop as the answer, and the cancelled task would run on for ever."""
        seconds = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                return await fut
        except TimeoutError as exc:
            raise aiomqtt.MqttError("Operation timed out") from exc

    def _deliver(
        self, topic: str, payload: bytes, is_retained: bool, reply_to: str | None = None, same: bytes | None = None
    ) -> None:
        try:
            self._hand_over(topic, payload, is_retained, reply_to, same)
        except Exception as exc:
            self._failure = exc  # a bug: `ended` raises it, where paho would swallow it
            raise

    def _on_fault(self, exc: Exception) -> None:
        if not self._disconnected.done():
            self._disconnected.set_exception(exc)

    def _add_writer(self, sock: Any) -> None:
        current = self._client.socket()
        if current is None or current is not sock or self._reader is None:
            return
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except (OSError, ValueError) as exc:
            self._end(f"connection lost: {bounded(exc)}")

    def _send(self, message: Message, qos: int) -> int:
        """Hand a message to paho and return its packet number. Raises BusError."""
        if self._ended.is_set():
            raise BusAway(self._why)
        properties = None
        if self._is_version_5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no type here
            if message.correlation is not None:
                properties.CorrelationData = message.correlation
            if message.expiry_seconds is not None:
                properties.MessageExpiryInterval = message.expiry_seconds
        try:
            info = self._client.publish(message.topic, message.payload, qos, message.is_retained, properties)
        except ValueError as exc:
            raise BusError(f"can't publish to {message.topic[:200]}: {bounded(exc)}") from exc
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise BusError(f"could not send: {mqtt.error_string(info.rc)}")
        return info.mid

    def _give_up(self, number: int) -> None:
        """Forget the waiter of a message in flight; its slot becomes free with the acknowledgement.

        A broker that leaves half of the slots unacknowledged counts as gone.
        """
        if self._acknowledgements.pop(number, None) is None:
            return
        self._given_up.add(number)
        if 2 * len(self._given_up) >= self._publishes_max:
            self._end("the broker does not acknowledge published messages")

    def _on_read_failure(self, disconnected: "asyncio.Future[None]") -> None:
        """Take the exception of aiomqtt's reader (a malformed packet, a broken pipe) from this future."""
        exc = None if disconnected.cancelled() else disconnected.exception()
        why = f"connection lost: {bounded(exc)}" if exc is not None else "closed"
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(why))  # otherwise aiomqtt waits for its timeout
        self._end(why)

    def _end(self, why: str) -> None:
        """End the connection; only the first reason counts."""
        if self._ended.is_set():
            return
        self._why = why
        self._ended.set()
        waiting, self._acknowledgements = self._acknowledgements, {}
        for acknowledgement in waiting.values():
            if not acknowledgement.done():
                acknowledgement.set_exception(BusLost(why))
        # A publish that waits for a slot sees the end as soon as it gets one.
        for _ in range(len(waiting) + len(self._given_up)):
            self._slots.release()
        self._given_up.clear()


def _quiet_logger() -> logging.Logger:
    """Silence aiomqtt and paho, which log what they also raise; the listener logs it once."""
    logger = logging.getLogger("fenced.bus.mqtt")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger

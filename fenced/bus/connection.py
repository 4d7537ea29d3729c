"""One MQTT connection from its start to its end: the only module that knows aiomqtt and paho (ADR 0003).

aiomqtt brings the event loop to paho. What it leaves out is added here: incoming messages are handed over where they
are read instead of through a queue; a publish sees the broker's reason code and ends with the connection; nothing
(socket, task, future) outlives the connection. Knows no topics and no payloads. One rule: a connection is used once.
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
from paho.mqtt.subscribeoptions import SubscribeOptions

from fenced.bus.errors import Silent, Unreachable, VersionRefused, bounded, why_ended
from fenced.bus.overriding import override
from fenced.bus.settings import BusSettings
from fenced.bus.tls import told
from fenced.bus.waiting import Waiting
from fenced.ports.bus import BusAway, BusError, BusLost, BusRefused, Message

CLOSE_SECONDS: Final = 2.0
UNSUPPORTED_PROTOCOL_VERSION: Final = 132
SESSION_TAKEN_OVER: Final = 142

ResultT = TypeVar("ResultT")

OnMessage = Callable[[str, bytes, bool, str | None, bytes | None], None]
"""Topic, payload, whether it is retained, MQTT 5 response topic and correlation data. Must neither block nor raise."""


class Connection(aiomqtt.Client):
    """`open`, `subscribe`, `publish_message` as often as wanted, `ended`, and in any case `close`."""

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
            # No session is kept: heartbeats that were queued for us are old, and old ones must not count as life.
            clean_session=None if is_version_5 else True,
            clean_start=True if is_version_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            timeout=settings.connect_timeout_seconds,
            keepalive=settings.keepalive_seconds,
            tls_context=tls,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            max_inflight_messages=65535,  # the bound is _slots, which also knows the broker's own
        )
        self._client.connect_timeout = settings.connect_timeout_seconds
        self._is_version_5 = is_version_5
        self._open_timeout_seconds = 2 * settings.connect_timeout_seconds
        self._hand_over = on_message
        self._subscribed = on_subscribed
        self._thread = threading.get_ident()
        self._is_abandoned = False
        self.is_taken_over = False  # the broker says that another client came under our name; only MQTT 5 does
        self._is_in_loop = False
        self._ended = asyncio.Event()
        self._socket_closed = asyncio.Event()
        self._why = ""
        self._failure: Exception | None = None
        self._publishes_max = settings.publishes_max
        self._slots = asyncio.Semaphore(settings.publishes_max)
        self._acknowledgements: dict[int, asyncio.Future[ReasonCode]] = {}
        self._given_up: set[int] = set()
        self._waiting = Waiting(lambda: None if self._ended.is_set() else self._client.socket())
        self._disconnected.add_done_callback(self._on_read_failure)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and log in. Raises VersionRefused or Unreachable."""
        try:
            async with asyncio.timeout(self._open_timeout_seconds):
                await self.__aenter__()
        except MqttConnectError as exc:
            code = exc.rc.value if isinstance(exc.rc, ReasonCode) else exc.rc
            kind = VersionRefused if code == UNSUPPORTED_PROTOCOL_VERSION else Unreachable
            raise kind(bounded(exc)) from exc
        except TimeoutError as exc:
            raise Silent(f"no connection within {self._open_timeout_seconds:g} s") from exc
        except (aiomqtt.MqttError, OSError, ValueError) as exc:
            kind = Silent if "timed out" in str(exc) else Unreachable
            raise kind(await told(exc, self._hostname, self._port)) from exc

    async def subscribe_all(self, topics: Sequence[tuple[str, int]]) -> None:
        """Subscribe to (filter, QoS) pairs; `on_subscribed` is called when all are granted, before any later message.

        Raises Unreachable.
        """
        if not topics:
            self._subscribed()
            return
        wanted: Any = [(topic, SubscribeOptions(qos=qos)) for topic, qos in topics] if self._is_version_5 else topics
        try:
            codes = await self.subscribe(list(wanted))
        except (aiomqtt.MqttError, OSError, ValueError) as exc:
            raise Unreachable(self._why or f"not subscribed: {bounded(exc)}") from exc
        if not _all_granted(codes):
            raise Unreachable(
                "the broker refused a subscription: its access list must let this user read the incoming topics"
            )

    async def publish_message(self, message: Message, *, qos: int) -> None:
        """Returns once the broker has it (QoS 1) or it was written (QoS 0). The caller sets the deadline.

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
        try:
            code = await acknowledgement
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        if code.is_failure:
            raise BusRefused(f"the broker refused {message.topic[:200]}: {code.getName()}; see its access list")

    @property
    def waited_seconds(self) -> float:
        """How long what is being handed over may have waited in our socket: since that was last seen empty."""
        return self._waiting.seconds

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    async def ended(self) -> str:
        """Wait for the end; why it came. Raises what `on_message` raised, which is our bug."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure
        return self._why

    async def close(self) -> None:
        """Say goodbye where that is possible (the will is not sent then), and leave nothing behind. Idempotent."""
        self._is_abandoned = True
        await asyncio.sleep(0)  # what the connecting thread handed to the loop is in place after this
        if self._client.is_connected() and not self._ended.is_set():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._socket_closed.wait()
        self._end("closed")
        if self._is_in_loop:
            # paho has no public way, and after a packet that it could not read it would read the same one for ever.
            self._client._sock_close()
        self._waiting.stop()
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait({self._misc_task})
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # seen: nobody else asks for it, and asyncio would complain

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
            self._publishes_max = receive_maximum  # MQTT 5, 4.9; paho does not look at it
            self._slots = asyncio.Semaphore(receive_maximum)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    @override
    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        try:
            self._hand_over(
                topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
            )
        except Exception as exc:
            self._failure = exc  # our bug: told by `ended`, not swallowed by paho
            raise

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
        if _all_granted(reason_codes):
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
        is_word = flags.is_disconnect_packet_from_server
        self.is_taken_over = is_word and reason_code.value == SESSION_TAKEN_OVER
        why = why_ended(reason_code.getName(), is_brokers_word=is_word)
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(why))  # else aiomqtt waits for its timeout
        if not self._connected.cancelled():  # when nobody waits for the log-in any more, aiomqtt stumbles over it
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
        self._end(why)

    @override
    def _on_socket_open(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        """Called in the connecting thread, which can't be cancelled."""
        self._loop.call_soon_threadsafe(self._enter_loop, client, userdata, sock)

    def _enter_loop(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        if self._is_abandoned:
            sock.close()
            return
        self._is_in_loop = True
        super()._on_socket_open(client, userdata, sock)
        self._waiting.start()

    @override
    def _on_socket_close(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        if self._is_in_loop:
            super()._on_socket_close(client, userdata, sock)
            self._socket_closed.set()

    @override
    def _on_socket_register_write(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        """aiomqtt registers later, by the number of a descriptor that may by then belong to somebody else."""
        if threading.get_ident() == self._thread:
            self._add_writer(sock)
        else:
            self._loop.call_soon_threadsafe(self._add_writer, sock)

    @override
    def _on_socket_unregister_write(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:
        if self._is_in_loop and sock.fileno() >= 0:
            super()._on_socket_unregister_write(client, userdata, sock)

    # -- helpers ------------------------------------------------------------------------------------------------------

    @override
    async def _wait_for(self, fut: Awaitable[ResultT], timeout: float | None) -> ResultT:
        """aiomqtt uses asyncio.wait_for, which before Python 3.12 swallows a cancellation that comes in the same turn
        of the loop as the answer: who was told to stop at that moment ran on for ever."""
        seconds = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                return await fut
        except TimeoutError as exc:
            raise aiomqtt.MqttError("Operation timed out") from exc

    def _add_writer(self, sock: Any) -> None:
        current = self._client.socket()
        if current is None or current is not sock or not self._is_in_loop:
            return
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except (OSError, ValueError) as exc:
            self._end(f"connection lost: {bounded(exc)}")

    def _send(self, message: Message, qos: int) -> int:
        """Give a message to paho; its packet number. Raises BusError."""
        if self._ended.is_set():
            raise BusAway(self._why)
        properties = None
        if self._is_version_5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own gap
            if message.correlation is not None:
                properties.CorrelationData = message.correlation
            if message.expiry_seconds is not None:
                properties.MessageExpiryInterval = message.expiry_seconds
        try:
            info = self._client.publish(message.topic, message.payload, qos, message.is_retained, properties)
        except ValueError as exc:
            raise BusError(f"{message.topic[:200]} can't be published: {bounded(exc)}") from exc
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise BusError(f"not sent: {mqtt.error_string(info.rc)}")
        return info.mid

    def _give_up(self, number: int) -> None:
        """Nobody waits any more, but the message is on its way: its slot is free when it is acknowledged.
        A broker that leaves half of the slots unacknowledged is as good as gone."""
        if self._acknowledgements.pop(number, None) is None:
            return
        self._given_up.add(number)
        if 2 * len(self._given_up) >= self._publishes_max:
            self._end("the broker does not acknowledge what is published")

    def _on_read_failure(self, disconnected: "asyncio.Future[None]") -> None:
        """aiomqtt puts what its reader raised (a malformed packet, a broken pipe) there."""
        exc = None if disconnected.cancelled() else disconnected.exception()
        why = f"connection lost: {bounded(exc)}" if exc is not None else "closed"
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(why))  # else aiomqtt waits for its timeout
        self._end(why)

    def _end(self, why: str) -> None:
        """The connection is over; only the first reason counts."""
        if self._ended.is_set():
            return
        self._why = why
        self._ended.set()
        waiting, self._acknowledgements = self._acknowledgements, {}
        for acknowledgement in waiting.values():
            if not acknowledgement.done():
                acknowledgement.set_exception(BusLost(why))
        # Those that wait for a slot find the end as soon as they have one.
        for _ in range(len(waiting) + len(self._given_up)):
            self._slots.release()
        self._given_up.clear()


def _all_granted(codes: Sequence[ReasonCode] | Sequence[int]) -> bool:
    return all((code.value if isinstance(code, ReasonCode) else code) < 0x80 for code in codes)


def _quiet_logger() -> logging.Logger:
    """aiomqtt and paho log what they raise as well; we tell it once, in our own words."""
    logger = logging.getLogger("fenced.bus.mqtt")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger

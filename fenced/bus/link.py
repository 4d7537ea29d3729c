"""Keeps one connection up for ever: connects, subscribes, and reconnects with back-off and jitter.

Each attempt tries MQTT 5 first, and 3.1.1 if the broker refuses the version or does not answer (amqtt hangs on an
MQTT 5 will). Only MQTT 5 reports a refused publish, so the older version is never remembered. The link knows no topics
and no payloads. Only cancellation ends `run`.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from fenced.bus.connection import Connection
from fenced.bus.errors import Silent, Unreachable, VersionRefused
from fenced.bus.rivals import Rivals
from fenced.bus.settings import BusSettings
from fenced.bus.tls import tls_context
from fenced.bus.topics import Subscription
from fenced.ports.bus import BusAway, BusError, Message


class Listener(Protocol):
    """Gets the link's messages and states, on the event loop. Its methods must neither block nor raise."""

    def received(
        self, topic: str, payload: bytes, is_retained: bool, reply_topic: str | None, correlation: bytes | None
    ) -> None: ...

    def subscribed(self) -> None:
        """All subscriptions but optional ones are granted. Called before any message that the broker sends later."""
        ...

    def refused(self, filters: Sequence[str]) -> None:
        """The broker refused these optional subscriptions; the others are granted."""
        ...

    def lost(self, why: str) -> None:
        """A subscribed connection ended."""
        ...

    def unreachable(self, why: str) -> None:
        """One attempt to connect and subscribe failed; the link retries."""
        ...


class Link:
    """`will` is called at each attempt, so that it returns the current will."""

    def __init__(
        self,
        settings: BusSettings,
        *,
        subscriptions: Sequence[Subscription] = (),
        will: Callable[[], Message | None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._subscriptions = subscriptions
        self._will = will
        self._jitter = jitter
        self._connection: Connection | None = None
        self.rivals = Rivals(settings.client_id)
        self._delay_seconds = settings.reconnect_min_seconds

    @property
    def is_connected(self) -> bool:
        """Whether it is connected and subscribed."""
        return self._connection is not None and not self._connection.is_over

    @property
    def waited_seconds(self) -> float:
        """Within `Listener.received`: how long the message may have waited in the socket, at most."""
        return self._connection.waited_seconds if self._connection is not None else 0.0

    async def run(self, listener: Listener) -> NoReturn:
        """Connect again and again. Raises only what the listener raises."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            why = await self._attempt(listener)
            if why is not None:
                listener.unreachable(why)
            elif loop.time() - started >= self._settings.stable_after_seconds:
                self._delay_seconds = self._settings.reconnect_min_seconds
            await asyncio.sleep(self._next_delay())

    async def publish(self, message: Message, *, qos: int = 1, timeout_seconds: float) -> None:
        """Raises BusError if not connected, refused, or not acknowledged in time (the message may have arrived)."""
        connection = self._connection
        if connection is None:
            raise BusAway("not connected to the broker; the link is reconnecting")
        try:
            async with asyncio.timeout(timeout_seconds):
                await connection.publish_message(message, qos=qos)
        except TimeoutError as exc:
            raise BusError(f"not acknowledged within {timeout_seconds:g} s: {message.topic[:200]}") from exc

    async def _attempt(self, listener: Listener) -> str | None:
        """Run one connection from start to end, in the newest version that the broker speaks.

        Return None if it was subscribed (the listener knows its end), else why it failed.
        """
        try:
            tls = await asyncio.to_thread(tls_context, self._settings) if self._settings.is_tls else None
            try:
                await self._live(listener, is_version_5=self._settings.is_version_5_tried, tls=tls)
            except (VersionRefused, Silent):
                if not self._settings.is_version_5_tried:
                    raise
                await self._live(listener, is_version_5=False, tls=tls)
        except Unreachable as exc:
            return str(exc)
        return None

    async def _live(self, listener: Listener, *, is_version_5: bool, tls: ssl.SSLContext | None) -> None:
        """Raises Unreachable until it is subscribed."""

        def subscribed() -> None:
            self._connection = connection
            listener.subscribed()

        connection = Connection(
            self._settings,
            is_version_5=is_version_5,
            will=self._will(),
            tls=tls,
            on_message=listener.received,
            on_subscribed=subscribed,
        )
        try:
            await connection.open()
            try:
                refused = await connection.subscribe_all(self._subscriptions)
            except Unreachable as exc:
                if not connection.is_over:
                    raise
                raise Unreachable(self._explained(str(exc), connection)) from exc
            if refused:
                listener.refused(refused)
            why = await connection.ended()
        finally:
            self._connection = None
            await connection.close()
        listener.lost(self._explained(why, connection))

    def _explained(self, why: str, connection: Connection) -> str:
        return self.rivals.explained(why, is_taken_over=connection.is_taken_over)

    def _next_delay(self) -> float:
        """Double the delay up to its bound. Half of it is random, so that a fleet does not reconnect all at once."""
        delay = self._delay_seconds
        self._delay_seconds = min(2 * delay, self._settings.reconnect_max_seconds)
        return delay * (0.5 + 0.5 * self._jitter())

"""Decide when to read: at once when bytes arrive, and under load every few milliseconds, many messages at a time.

To wake up for a single heartbeat costs more than to handle it, in the event loop as in the engine, which decides
whatever arrived together in one batch. So once reads follow each other closely, `Reader` lets the messages gather.
While an acknowledgement is awaited it does so for a fifth of the time: a fence does not wait, and a fleet that becomes
healthy at once, with an announcement for each host, costs no wake-up for each of its heartbeats.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from fenced.bus.reading import Incoming
from fenced.bus.waiting import Waiting

GATHER_SECONDS: Final = 0.05
"""How long messages gather. A host is heard that much later; its grace is seconds."""

CLOSE_FACTOR: Final = 2
"""Reads follow each other closely if the next one comes within so many times that: one that gathered does, too."""

AWAITED_SECONDS: Final = 0.002
"""How long they gather while an acknowledgement is awaited."""


class Reader:
    """From `start` to `stop`.

    `is_awaited`: whether an answer of the broker is awaited. `on_fault`: gets what ended the reading.
    """

    def __init__(
        self, incoming: Incoming, *, is_awaited: Callable[[], bool], on_fault: Callable[[Exception], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._incoming = incoming
        self._is_awaited = is_awaited
        self._on_fault = on_fault
        self._waiting = Waiting(incoming.open_socket, lambda: incoming.read_bytes)
        self._gathering: asyncio.TimerHandle | None = None
        """The next read. None: the loop calls when bytes arrive."""
        self._read_at = float("-inf")

    @property
    def waited_seconds(self) -> float:
        """The longest time that the message now handed over may have waited in the socket."""
        return self._waiting.seconds

    def start(self) -> None:
        self._loop.add_reader(self._incoming.fileno(), self._read)
        self._waiting.start()

    def hurry(self) -> None:
        """Read soon, because an answer is awaited."""
        if self._gathering is not None and self._gathering.when() > self._loop.time() + AWAITED_SECONDS:
            self._gathering.cancel()
            self._gathering = self._loop.call_later(AWAITED_SECONDS, self._read)

    def stop(self) -> None:
        self._waiting.stop()
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        elif self._incoming.open_socket() is not None:
            self._loop.remove_reader(self._incoming.fileno())

    def _read(self) -> None:
        try:
            heard = self._incoming.read()
        except Exception as exc:  # an unreadable packet, or a bug of the listener: this connection is over
            self.stop()
            self._on_fault(exc)
            return
        if self._incoming.open_socket() is None:
            return
        now = self._loop.time()
        is_close, self._read_at = now < self._read_at + CLOSE_FACTOR * GATHER_SECONDS, now
        is_empty = self._waiting.look()
        if heard and is_close and is_empty:
            self._gather(AWAITED_SECONDS if self._is_awaited() else GATHER_SECONDS)
        elif self._gathering is not None:
            self._gathering = None
            self._loop.add_reader(self._incoming.fileno(), self._read)

    def _gather(self, seconds: float) -> None:
        if self._gathering is None:
            self._loop.remove_reader(self._incoming.fileno())
        self._gathering = self._loop.call_later(seconds, self._read)

"""The broker of the world, a daemon's connection to it, and the true time.

Knows messages, not their contents. The broker outlives every daemon and accepts nothing from a dead one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fenced.bus import messages
from fenced.core import events as e
from fenced.core.durable.replacing import replace
from fenced.model.names import BootId, HostName
from fenced.ports.bus import (
    BusAway,
    BusConnected,
    BusDisconnected,
    BusError,
    BusEvent,
    BusLost,
    BusRefused,
    Message,
    ShutdownOrder,
)
from fenced.ports.clock import Clock
from tests.world.loop import owned, virtual

START = 1_800_000_000.0
"""2027-01-15T08:00:00Z, when the world begins."""

ACKNOWLEDGE_SECONDS: Final = 0.01
"""How long a healthy broker takes to acknowledge."""


class WorldClock:
    """ports.clock.Clock over the running loop's virtual time."""

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()


# -- the bus ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Broker:
    """The broker; it outlives the daemon. `is_cut`: connected, but nothing passes (the daemon's own link is dead).

    Faults in one direction: `is_unheard`: nothing from it reaches the daemon; `is_swallowing`: nothing from the daemon
    reaches it; `deaf` and `dumb`: the same for these daemons only; `away`: daemons whose connection is lost.
    `refused`: last words of topics for which it allows no publisher. `reached`: when the newest message of each host
    arrived at a daemon, and from which run. `spell`: returns what a message means, and what a daemon makes of it
    (None: nothing).
    """

    clock: Clock
    is_up: bool = True
    is_cut: bool = False
    is_refusing: bool = False
    acknowledge_seconds: float = ACKNOWLEDGE_SECONDS
    published: list[tuple[float, Message]] = field(default_factory=list)
    kept: dict[str, Message] = field(default_factory=dict)
    on_published: Callable[[Message], None] = lambda message: None
    on_sender: Callable[[str, Message], None] = lambda client, message: None
    on_ordered: Callable[[HostName, ShutdownOrder], None] = lambda host, order: None
    ordered: list[tuple[float, HostName, ShutdownOrder]] = field(default_factory=list)
    on_subscribed: Callable[[Callable[[BusEvent], None]], None] = lambda subscriber: None
    on_delivered: Callable[[BusEvent], None] = lambda event: None
    spell: Callable[[BusEvent], tuple[BusEvent, BusEvent | None]] = lambda event: (event, event)
    on_ear: Callable[[], None] = lambda: None
    is_unheard: bool = False
    is_swallowing: bool = False
    refused: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()
    dumb: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    reached: dict[HostName, tuple[float, BootId | None]] = field(default_factory=dict)
    _subscribers: dict[str, Callable[[BusEvent], None]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set_up(self, is_up: bool) -> None:
        self.is_up = is_up
        self.on_ear()
        self._changed.set()
        self._changed = asyncio.Event()

    def set_cut(self, is_cut: bool) -> None:
        self.is_cut = is_cut
        self.set_up(self.is_up)

    async def changed(self) -> None:
        await self._changed.wait()

    def serves(self, client: str) -> bool:
        """Return whether that client is or can be connected."""
        return self.is_up and client not in self.away

    def send_away(self, client: str, *, is_away: bool) -> None:
        """Close a client's connection and refuse a new one, or accept it again."""
        self.away = self.away | {client} if is_away else self.away - {client}
        self.set_up(self.is_up)

    async def until(self, client: str, *, is_up: bool) -> None:
        while self.serves(client) is not is_up:
            await self.changed()

    def subscribe(self, client: str, subscriber: Callable[[BusEvent], None] | None) -> None:
        """Register a client; None: it is gone."""
        if subscriber is None:
            self._subscribers.pop(client, None)
        else:
            self._subscribers[client] = subscriber
        self.on_ear()
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def is_heard(self) -> bool:
        """Whether a message would reach a daemon now."""
        return self.is_up and not self.is_cut and not self.is_unheard and not self.deaf.issuperset(self._subscribers)

    @property
    def is_subscribed(self) -> bool:
        """Whether a daemon believes that it hears: a cut link looks like silence to it."""
        return self.is_up and bool(self._subscribers)

    def send(self, event: BusEvent) -> None:
        """Send a host's or person's message; lost if no daemon listens.

        Reported as delivered if all of them hear it.
        """
        if self.is_heard:
            meant, spelled = self.spell(event)
            if not self.deaf.intersection(self._subscribers):
                self.on_delivered(meant)
            if isinstance(event, e.Health):
                self.reached[event.host] = (self.clock.now(), event.boot)
            for client, subscriber in list(self._subscribers.items()):
                if client not in self.deaf and spelled is not None:
                    subscriber(spelled)

    def refuses(self, topic: str) -> bool:
        """Return whether it rejects the topic, by its access list or because it rejects everything."""
        return self.is_refusing or topic.rpartition("/")[2] in self.refused

    @property
    def is_willing(self) -> bool:
        """Whether it accepts at once what an authorised daemon sends."""
        is_through = self.is_heard and not (self.is_swallowing or self.dumb or self.away)
        return is_through and not self.is_refusing and self.acknowledge_seconds <= ACKNOWLEDGE_SECONDS

    def take(self, message: Message) -> None:
        self.published.append((self.clock.now(), message))
        self.on_published(message)

    def order(self, host: HostName, order: ShutdownOrder) -> None:
        """Pass an order on to the host's reporter. It is not kept: one that nobody hears now is lost."""
        self.ordered.append((self.clock.now(), host, order))
        if self.is_heard:
            self.on_ordered(host, order)

    def show(self, client: str, message: Message) -> None:
        """Keep a host's state, and pass it on to all clients but the one that published it (no-local)."""
        if "/state/" not in message.topic:
            return
        self.kept[message.topic] = message
        if self.is_heard:
            for other, subscriber in list(self._subscribers.items()):
                if other != client and other not in self.deaf:
                    subscriber(self.state_of(message, is_retained=False))

    def show_kept(self, client: str) -> None:
        """Send the states that it keeps to a client that has just subscribed."""
        for message in self.kept.values() if self.is_heard and client not in self.deaf else ():
            if message.payload:
                self._subscribers[client](self.state_of(message, is_retained=True))

    def state_of(self, message: Message, *, is_retained: bool) -> e.StateSeen:
        host = HostName(message.topic.rpartition("/")[2])
        return messages.state(message.payload, host=host, received=self.clock.now(), is_retained=is_retained)


class WorldBus:
    """ports.bus.Bus: one daemon's connection. `is_dead`: that daemon was killed, so nothing of it is sent any more.

    `is_deaf`: messages for it are lost (its machine is suspended). Times are in the daemon's own clock."""

    def __init__(self, broker: Broker, clock: Clock, owner: str) -> None:
        self._broker, self._clock, self._owner = broker, clock, owner
        self._context = owned(owner)
        self._is_connected = False
        self.is_dead = self.is_deaf = False

    @property
    def is_connected(self) -> bool:
        return self._is_connected and not self.is_dead

    async def run(self, deliver: Callable[[BusEvent], None]) -> None:
        broker = self._broker
        try:
            while True:
                await broker.until(self._owner, is_up=True)
                self._is_connected = True
                deliver(BusConnected(at=self._clock.now()))
                broker.subscribe(self._owner, lambda event: self._hear(event, deliver))
                broker.on_subscribed(lambda event: self._hear(event, deliver))
                broker.show_kept(self._owner)
                await broker.until(self._owner, is_up=False)
                self._is_connected = False
                broker.subscribe(self._owner, None)
                deliver(BusDisconnected(at=self._clock.now(), why="the broker is gone"))
        finally:
            broker.subscribe(self._owner, None)
            self._is_connected = False

    def _hear(self, event: BusEvent, deliver: Callable[[BusEvent], None]) -> None:
        """Deliver a message.

        While the daemon stalls it waits in the socket, and gets its time stamp when it is read.
        """
        if self.is_deaf or self.is_dead:
            return
        loop = virtual()
        if loop.is_held(self._owner):
            loop.call_soon(self._read, event, deliver, context=self._context)
        else:
            self._read(event, deliver)

    def _read(self, event: BusEvent, deliver: Callable[[BusEvent], None]) -> None:
        if not self.is_dead and isinstance(event, e.Health | e.Presence | e.Evidence):
            deliver(replace(event, received=self._clock.now()))
        elif not self.is_dead:
            deliver(event)

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        def send() -> None:
            self._broker.on_sender(self._owner, message)
            self._broker.take(message)
            self._broker.show(self._owner, message)

        await self._send(message.topic, send, timeout_seconds)

    async def command(self, host: HostName, order: ShutdownOrder) -> None:
        await self._send(f"command/{host}", lambda: self._broker.order(host, order), order.within_seconds)

    async def _send(self, topic: str, send: Callable[[], None], timeout_seconds: float) -> None:
        """Raises BusError as the real bus does."""
        broker = self._broker
        if not self.is_connected:
            raise BusAway("not connected")
        if broker.is_cut or broker.is_swallowing or self._owner in broker.dumb:
            await asyncio.sleep(timeout_seconds)
            raise BusError("no answer in time")
        if broker.refuses(topic):
            raise BusRefused("refused: not authorized")
        send()
        await asyncio.sleep(min(broker.acknowledge_seconds, timeout_seconds))
        if not self.is_connected:
            raise BusLost("connection lost")
        if broker.acknowledge_seconds > timeout_seconds:
            raise BusError("no answer in time")

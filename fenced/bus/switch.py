"""One connection to the broker for the engines of several shards.

Every message of a host goes to the engine of its shard, over that engine's `Line`, which implements the Bus port. A
new life of an engine hears what it would hear over a connection of its own: that it is connected, then what the broker
keeps of its hosts. Heartbeats while nobody listens on a line are lost, as in any gap.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fenced.model.names import HostName
from fenced.ports.bus import (
    Bus,
    BusConnected,
    BusDisconnected,
    BusEvent,
    Evidence,
    Health,
    Message,
    MessageKind,
    Presence,
    ShutdownOrder,
    StateSeen,
    WakeRequest,
)
from fenced.ports.clock import Clock

Deliver = Callable[[BusEvent], None]
CONNECTION: Final = (BusConnected, BusDisconnected)
KEPT_MAX: Final = 200_000
"""Further topics are not kept: names of sources are the clients' own."""


class Switch:
    """`shard_of`: returns the shard of a host; None: of no engine here. `shard_of_cluster`: the same of a cluster; a
    request for one that nobody knows goes to the first shard, which refuses it with an answer."""

    def __init__(
        self, bus: Bus, *, shard_of: Callable[[HostName], str | None], clock: Clock,
        shard_of_cluster: Callable[[str], str | None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._bus, self._shard_of, self._clock = bus, shard_of, clock
        self._shard_of_cluster = shard_of_cluster
        self._lines: dict[str, Line] = {}

    def line(self, shard: str) -> "Line":
        """Return the line of a shard."""
        if shard not in self._lines:
            self._lines[shard] = Line(self._bus, self._clock)
        return self._lines[shard]

    async def run(self) -> None:
        """Run the connection until cancelled."""
        await self._bus.run(self._deliver)

    def _deliver(self, event: BusEvent) -> None:
        if type(event) is Health:  # by far the most frequent
            shard = self._shard_of(event.host)
            if shard is not None and (line := self._lines.get(shard)) is not None:
                line.hear(event)
            return
        if isinstance(event, CONNECTION):
            for line in self._lines.values():
                line.deliver(event)
            return
        shard = self._shard(event)
        if shard is not None and (own := self._lines.get(shard)) is not None:
            own.deliver(event)

    def _shard(self, event: BusEvent) -> str | None:
        """Return the shard that an event concerns."""
        if isinstance(event, WakeRequest):
            return self._shard_of_cluster(event.cluster) or min(self._lines, default=None)
        assert not isinstance(event, CONNECTION)
        return self._shard_of(event.host)


class Line:
    """The bus of one shard's engine, from one life of it to the next."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self._listener: Deliver | None = None
        self._connected: BusConnected | None = None
        self._kept: dict[tuple[MessageKind, HostName, str], BusEvent] = {}
        """The newest message of each topic that a broker may keep."""

    @property
    def is_connected(self) -> bool:
        return self._bus.is_connected

    async def run(self, deliver: Deliver) -> None:
        """See ports.bus. A connection that stands counts as a new one, and it is settled anew."""
        assert self._listener is None, "one engine a shard"
        if self._connected is not None:
            deliver(replace(self._connected, at=self._clock.now()))
        for event in self._kept.values():
            deliver(event)
        self._listener = deliver
        try:
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            self._listener = None

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        """See ports.bus."""
        await self._bus.publish(message, timeout_seconds=timeout_seconds)

    async def command(self, host: HostName, order: ShutdownOrder) -> None:
        """See ports.bus."""
        await self._bus.command(host, order)

    def hear(self, event: Health) -> None:
        """Pass a heartbeat on. None is kept: the next life hears the next one."""
        if self._listener is not None:
            self._listener(event)

    def deliver(self, event: BusEvent) -> None:
        """Pass another event on, and keep what the next life can't get otherwise."""
        match event:
            case BusConnected():
                self._connected = event
            case BusDisconnected():  # with the next connection the broker sends all that it keeps
                self._connected = None
                self._kept.clear()
            case StateSeen():
                self._keep(MessageKind.STATE, "", event.host, replace(event, is_retained=True))
            case Presence():
                self._keep(MessageKind.PRESENCE, "", event.host, replace(event, is_retained=True))
            case Evidence():
                self._keep(MessageKind.EVIDENCE, event.source, event.host, event)
            case _:
                pass
        if self._listener is not None:
            self._listener(event)

    def _keep(self, kind: MessageKind, source: str, host: HostName, event: BusEvent) -> None:
        key = kind, host, source
        if key in self._kept or len(self._kept) < KEPT_MAX:
            self._kept[key] = event

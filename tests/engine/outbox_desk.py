"""An outbox between a memory journal and a broker that can reject or hang up, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.engine.outbox import Outbox
from fenced.engine.retired import Retired
from fenced.model.names import HostName, OperationId
from fenced.ports.bus import Bus, BusAway, BusError, BusLost, BusRefused, Message
from fenced.ports.journal import Batch, OutboxMessage
from tests.fakes.journal import MemoryJournal
from tests.journal.strategies import entry
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import START, Broker, WorldBus, WorldClock
from tests.world.rack import Rack


class Choosy(WorldBus):
    """A bus that refuses the topics in `stuck`, never answers those in `mute`, and hangs up on those in `fatal`.

    `is_touchy`: it also hangs up after a refusal. `is_old`: as with MQTT 3.1.1, it acknowledges a fatal message before
    it hangs up.
    """

    def __init__(self, broker: Broker, clock: WorldClock) -> None:
        super().__init__(broker, clock, "fenced-a")
        self.stuck: set[str] = set()
        self.mute: set[str] = set()
        self.fatal: set[str] = set()
        self.is_old = self.is_touchy = False
        self.hung_up: list[float] = []
        self.under_way = self.most_under_way = 0

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await self._publish(message, timeout_seconds)
        finally:
            self.under_way -= 1

    async def _publish(self, message: Message, timeout_seconds: float) -> None:
        if message.topic in self.stuck:
            if self.is_touchy:
                asyncio.get_running_loop().call_later(0.001, self.hang_up)
            raise BusRefused("refused")
        if message.topic in self.mute:
            await asyncio.sleep(timeout_seconds)
            raise BusError("no answer in time")
        if message.topic not in self.fatal:
            await super().publish(message, timeout_seconds=timeout_seconds)
            return
        if self.is_old:
            await super().publish(message, timeout_seconds=timeout_seconds)
        elif not self.is_connected:
            raise BusAway("not connected")
        self.hang_up()
        if not self.is_old:
            raise BusLost("connection lost")

    def hang_up(self) -> None:
        self.hung_up.append(self._clock.now())
        self._broker.set_up(False)
        asyncio.get_running_loop().call_later(0.5, self._broker.set_up, True)


class SlowReader(MemoryJournal):
    """A journal that reads the outbox slowly."""

    read_seconds = 0.0

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        await asyncio.sleep(self.read_seconds)
        return await super().outbox(limit=limit, each=each, skipping=skipping)


class Desk:
    """An outbox that runs between a memory journal and a broker."""

    def __init__(self, hosts: Sequence[str], retired: Retired | None = None) -> None:
        self.clock = WorldClock()
        self.broker = Broker(self.clock)
        self.bus = Choosy(self.broker, self.clock)
        self.journal = SlowReader(is_checked=True)
        self.fleet = Fleet(racks.inventory(Rack(hosts=tuple(hosts))), epoch=1, started=self.clock.now())
        self.fleet.own = replace(self.fleet.own, lease_until=START + 1e9)
        self.delivered: list[e.Event] = []
        bus: Bus = self.bus
        self.outbox = Outbox(
            fleet=self.fleet, journal=self.journal, bus=bus, clock=self.clock, deliver=self.delivered.append,
            controller="fenced-a", holds_lease=lambda: self.fleet.holds_lease(self.clock.now()),
            retired=retired,
        )  # fmt: skip

    async def store(self, *messages: OutboxMessage) -> None:
        await self.journal.append(Batch(entries=[entry()], outbox=messages))
        self.outbox.nudge()

    def sent(self, word: str = "/event/") -> list[str]:
        """Return the payloads that the broker accepted, in order."""
        return [message.payload.decode() for _, message in self.broker.published if word in message.topic]

    async def pending(self) -> int:
        return await self.journal.outbox_pending()


def message(number: int, host: str = "node-1", *, operation: str | None = None) -> OutboxMessage:
    return OutboxMessage(
        id=f"m-{number}", host=HostName(host), topic=topic(host), payload=f"{number}".encode(),
        is_retained=False, operation=OperationId(operation) if operation is not None else None,
    )  # fmt: skip


def topic(host: str) -> str:
    return f"fenced/v1/site-1/event/{host}"


def play(
    story: Callable[[Desk], Awaitable[None]], *, hosts: Sequence[str] = Rack().hosts, retired: Retired | None = None
) -> None:
    async def main() -> None:
        desk = Desk(hosts, retired)
        await desk.journal.opened(holder="fenced-a", now=desk.clock.now())

        def deliver(event: e.Event) -> None:
            if isinstance(event, e.BusConnected):
                desk.outbox.connected()
            elif isinstance(event, e.BusDisconnected):
                desk.outbox.disconnected()

        tasks = [
            asyncio.get_running_loop().create_task(desk.bus.run(deliver)),
            asyncio.get_running_loop().create_task(desk.outbox.run()),
        ]
        await asyncio.sleep(1.0)
        try:
            await story(desk)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())

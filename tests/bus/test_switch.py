"""One connection for several shards: who hears what, also between two lives of an engine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from fenced.bus.switch import Switch
from fenced.core.events import BusConnected, BusDisconnected, BusEvent, Health, HealthStatus, StateSeen
from fenced.model.names import BootId, HostName, OperationId, Token
from fenced.ports.bus import Message, ShutdownOrder
from tests.world.loop import run
from tests.world.network import WorldClock

SHARDS = {"node-1": "main", "node-2": "dc2", "node-4": "dc2"}


class OneBus:
    """Delivers what a test says."""

    def __init__(self) -> None:
        self.deliver: Callable[[BusEvent], None] = lambda _: None
        self.is_connected = False
        self.sent: list[Message] = []
        self.ordered: list[tuple[HostName, ShutdownOrder]] = []

    async def run(self, deliver: Callable[[BusEvent], None]) -> NoReturn:
        self.deliver = deliver
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        self.sent.append(message)

    async def command(self, host: HostName, order: ShutdownOrder) -> None:
        self.ordered.append((host, order))


def beat(host: str) -> Health:
    return Health(host=HostName(host), received=1.0, is_retained=False, status=HealthStatus.OK)


def shown(host: str) -> StateSeen:
    return StateSeen(
        host=HostName(host), received=1.0, is_retained=True, controller="fenced-a", state="healthy", is_proven=False,
        token=None, rev=None,
    )  # fmt: skip


class Desk:
    """A switch over two shards, and what each engine heard."""

    def __init__(self, *, shard_of_cluster: Callable[[str], str | None] = lambda _: None) -> None:
        self.clock, self.bus = WorldClock(), OneBus()
        self.switch = Switch(self.bus, shard_of=SHARDS.get, clock=self.clock, shard_of_cluster=shard_of_cluster)
        self.lines = {shard: self.switch.line(shard) for shard in ("main", "dc2")}
        self.heard: dict[str, list[BusEvent]] = {"main": [], "dc2": []}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, *shards: str) -> None:
        if "bus" not in self._tasks:
            self._tasks["bus"] = asyncio.create_task(self.switch.run())
        for shard in shards:
            self._tasks[shard] = asyncio.create_task(self.lines[shard].run(self.heard[shard].append))
        await asyncio.sleep(0.1)

    async def end(self, *shards: str) -> None:
        for shard in shards or list(self._tasks):
            task = self._tasks.pop(shard)
            task.cancel()
            await asyncio.wait({task})


def test_each_engine_hears_its_own_hosts_and_all_hear_of_the_connection() -> None:
    async def story() -> None:
        desk = Desk()
        await desk.begin("main", "dc2")
        connected, lost = BusConnected(at=1.0), BusDisconnected(at=2.0, why="a test")
        for event in (connected, beat("node-1"), beat("node-2"), shown("node-2"), beat("node-9"), lost):
            desk.bus.deliver(event)
        assert desk.heard == {
            "main": [connected, beat("node-1"), lost],
            "dc2": [connected, beat("node-2"), shown("node-2"), lost],
        }
        await desk.end()

    run(story())


def test_a_new_life_hears_what_it_would_hear_over_a_connection_of_its_own() -> None:
    """That there is one, which is settled anew, and what the broker keeps: not the beats."""

    async def story() -> None:
        desk = Desk()
        await desk.begin("main", "dc2")
        desk.bus.deliver(BusConnected(at=1.0))
        live = replace(shown("node-2"), is_retained=False, state="suspect")
        for event in (shown("node-2"), live, beat("node-2")):
            desk.bus.deliver(event)
        await desk.end("dc2")
        desk.heard["dc2"].clear()
        for event in (beat("node-2"), shown("node-4"), beat("node-1")):
            desk.bus.deliver(event)
        await asyncio.sleep(5.0)
        before = desk.clock.now()
        await desk.begin("dc2")
        assert desk.heard["dc2"] == [
            BusConnected(at=before), replace(shown("node-2"), state="suspect"), shown("node-4"),
        ]  # fmt: skip
        await desk.end("dc2")
        desk.heard["dc2"].clear()
        desk.bus.deliver(BusDisconnected(at=2.0, why="a test"))
        await desk.begin("dc2")
        assert desk.heard["dc2"] == [], "there is no connection; with the next one the broker sends them"
        await desk.end()

    run(story())


def test_every_engine_publishes_over_the_one_connection() -> None:
    async def story() -> None:
        desk = Desk()
        message = Message(topic="fenced/v1/lab/state/node-1", payload=b"{}", is_retained=True)
        for line in desk.lines.values():
            await line.publish(message, timeout_seconds=1.0)
        assert desk.bus.sent == [message, message]
        order = ShutdownOrder(
            id=OperationId("4-1"), token=Token(epoch=4, sequence=2), boot=BootId("b"), seq=1, within_seconds=30.0,
            reason="",
        )  # fmt: skip
        await desk.lines["dc2"].command(HostName("node-2"), order)
        assert desk.bus.ordered == [("node-2", order)]
        assert not desk.lines["main"].is_connected
        desk.bus.is_connected = True
        assert desk.lines["dc2"].is_connected

    run(story())

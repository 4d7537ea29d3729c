"""The outbox on a Mosquitto whose access list denies some topics: all others go out, even if the broker disconnects."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fenced.core.fleet import Fleet
from fenced.engine.outbox import Outbox
from fenced.model.names import HostName
from fenced.ports.bus import BusConnected, BusDisconnected, BusEvent
from fenced.ports.journal import Batch, OutboxMessage
from tests.bus.parts import WallClock, mosquitto, other, running, settings
from tests.fakes.journal import MemoryJournal
from tests.journal.strategies import entry
from tests.needs import needs
from tests.net import until
from tests.world import rack as racks
from tests.world.rack import Rack

pytestmark = [pytest.mark.integration, needs("mosquitto")]

HOSTS = tuple(f"node-{number}" for number in range(1, 1001))
DENIED = HOSTS[500]
STATES = {f"fenced/v1/site-1/state/{name}" for name in HOSTS}


@dataclass(kw_only=True)
class Site:
    """An outbox on a broker, and the topics that a reader sees. `lost`: the number of connections that ended."""

    outbox: Outbox
    journal: MemoryJournal
    seen: list[str] = field(default_factory=list)
    lost: int = 0

    async def announce(self, *hosts: str) -> None:
        events = [
            OutboxMessage(
                id=f"{name}-{number}", host=HostName(name), topic=f"fenced/v1/site-1/event/{name}", payload=b"{}",
                is_retained=False,
            )
            for number, name in enumerate(hosts)
        ]  # fmt: skip
        await self.journal.append(Batch(entries=[entry()], outbox=events))
        self.outbox.nudge()

    @property
    def states(self) -> set[str]:
        return STATES & set(self.seen)


@contextlib.asynccontextmanager
async def site(folder: Path, denied: list[str], more: str = "") -> AsyncIterator[Site]:
    """The outbox's user may write everything but `denied`; the reader may read everything."""
    access = folder / "acl"
    refused = "\n".join(f"topic deny {topic}" for topic in denied)
    access.write_text(f"topic readwrite fenced/v1/#\n{refused}\nuser reader\ntopic read #\n")
    clock, journal = WallClock(), MemoryJournal()
    await journal.opened(holder="fenced-a", now=clock.now())
    fleet = Fleet(racks.inventory(Rack(hosts=HOSTS)), epoch=1, started=clock.now())
    fleet.own = replace(fleet.own, lease_until=clock.now() + 1e6)
    lines = f"allow_anonymous true\nacl_file {access}\nmax_inflight_messages 1000\n{more}"
    async with (
        mosquitto(folder, more=lines) as broker,
        other(broker.port, username="reader", max_queued_incoming_messages=0) as reader,
        running(settings(broker.port, site="site-1"), hosts=HOSTS) as bus,
    ):
        await reader.subscribe("fenced/v1/#", qos=0)
        outbox = Outbox(
            fleet=fleet,
            journal=journal,
            bus=bus.client,
            clock=clock,
            deliver=lambda _: None,
            controller="fenced-a",
            holds_lease=lambda: fleet.holds_lease(clock.now()),
        )
        it = Site(outbox=outbox, journal=journal)

        def hear(event: BusEvent) -> None:
            if isinstance(event, BusConnected):
                outbox.connected()
            elif isinstance(event, BusDisconnected):
                it.lost += 1
                outbox.disconnected()

        async def follow() -> None:
            async for message in reader.messages:
                it.seen.append(str(message.topic))

        async def hand_on() -> None:
            taken = 0
            while True:
                for event in bus.events[taken:]:
                    hear(event)
                taken = len(bus.events)
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in (follow(), hand_on(), outbox.run())]
            try:
                yield it
            finally:
                for task in tasks:
                    task.cancel()


async def test_a_denied_host_and_a_denied_controller_block_no_other(tmp_path: Path) -> None:
    denied = [
        f"fenced/v1/site-1/state/{DENIED}",
        f"fenced/v1/site-1/event/{DENIED}",
        "fenced/v1/site-1/controller/fenced-a",
    ]
    async with site(tmp_path, denied) as it:
        await it.announce(*[DENIED] * 300, "node-1", "node-2")
        await until(lambda: len(it.states) == len(HOSTS) - 1, what="every other state")
        await until(lambda: {"fenced/v1/site-1/event/node-1", "fenced/v1/site-1/event/node-2"} <= set(it.seen))
        await until(lambda: set(it.outbox.stuck) == {DENIED, "this controller"}, what="both names in `stuck`")
        assert it.outbox.pending == 300 + 1 + 1
        assert not it.lost and not [topic for topic in it.seen if topic in denied]


async def test_a_broker_that_disconnects_on_a_denied_host_gets_everything_else(tmp_path: Path) -> None:
    async with site(tmp_path, [f"fenced/v1/site-1/state/{DENIED}"], "max_queued_messages 0") as it:
        await it.announce("node-1", "node-2")
        await until(lambda: len(it.states) == len(HOSTS) - 1, seconds=60, what="every other state")
        await until(lambda: {"fenced/v1/site-1/event/node-1", "fenced/v1/site-1/event/node-2"} <= set(it.seen))
        await until(lambda: set(it.outbox.stuck) == {DENIED}, seconds=60, what="its name in `stuck`")
        before = it.lost
        assert before < 12, "the back-off doubles each time"
        await it.announce("node-3")
        await until(lambda: "fenced/v1/site-1/event/node-3" in it.seen)

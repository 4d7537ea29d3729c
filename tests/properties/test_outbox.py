"""The outbox under random histories: a broker that goes, rejects and forgets to answer, a store that fails,
killed daemons.

The model is the list of what was stored. Nothing else is sent. With a working broker, in the end everything has been
sent, each host's events in the journal's order, and each retained state is the newest.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fenced.core import events as e
from fenced.core.decide import decide
from fenced.engine import outbox as module
from fenced.engine.batch import batch_of, collect, state_payload
from fenced.engine.outbox import Outbox
from fenced.engine.replaying import replay
from fenced.model.names import HostName, OperationId
from fenced.ports.bus import BusRefused, Message
from fenced.ports.journal import Batch, OutboxMessage, StoreError
from tests.fakes.journal import Durable, MemoryJournal
from tests.properties.profiles import histories
from tests.properties.running import Running
from tests.world import rack as racks
from tests.world.network import START, Broker, WorldBus, WorldClock
from tests.world.rack import Rack

CONTROLLER = "fenced-a"
HOSTS = ("node-1", "node-2")
SLICE = 4
"""So small that a history needs many slices: the real one holds hundreds."""
TROUBLES = ("", "down", "cut", "mute", "slow", "denied", "one in two", "one in three", "store", "lease")
MOMENTS = (0.000001, 0.02, 0.3, 1.0, 6.0, 15.0)
LONG_SECONDS = 60.0
FOR_EVER = 1e9


class Store(MemoryJournal):
    """A store that writes one batch after the other, and may fail for a while."""

    def __init__(self, durable: Durable) -> None:
        super().__init__(durable)
        self.is_failing = False
        self._writer = asyncio.Lock()

    async def append(self, batch: Batch) -> int:
        async with self._writer:
            return await super().append(batch)

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        async with self._writer:
            await super().delivered(messages)

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        await asyncio.sleep(self.delay_seconds)
        if self.is_failing:
            raise StoreError("disk I/O error")
        return await super().outbox(limit=limit, each=each, skipping=skipping)

    async def _writing(self) -> None:
        await super()._writing()
        if self.is_failing:
            raise StoreError("no space left")


class ChoosyBus(WorldBus):
    """A broker that rejects messages for these hosts, and one in so many of all others (0: none)."""

    refused: frozenset[str] = frozenset()
    one_in = 0
    count = 0

    async def publish(self, message: Message, *, timeout_seconds: float) -> None:
        self.count += 1
        if message.topic.rpartition("/")[2] in self.refused or (self.one_in and self.count % self.one_in == 0):
            raise BusRefused("not authorized")
        await super().publish(message, timeout_seconds=timeout_seconds)


def content(payload: bytes) -> str:
    """Return a message without its number, which a repetition has anew."""
    return re.sub(rb'"rev":"[0-9-]*"', b"", payload).decode()


class Life:
    """One daemon, from its start to its death: a miniature reactor and the real outbox."""

    def __init__(self, machine: "Deliveries") -> None:
        self.machine, self.clock = machine, machine.clock
        self.journal, self.bus = Store(machine.durable), ChoosyBus(machine.broker, machine.clock, CONTROLLER)
        machine.durable.owner = None
        self.asked: asyncio.Queue[e.Event] = asyncio.Queue()
        self.tasks = [machine.running.begin(self.run())]

    async def run(self) -> None:
        loaded = await self.journal.open(holder=CONTROLLER, now=self.clock.now())
        self.fleet = replay(self.machine.inventory, loaded, started=self.clock.now())
        taken = await self.journal.take(after=loaded.sequence, now=self.clock.now())
        assert taken is not None
        self.fleet.epoch = taken.epoch
        self.machine.found |= {content(state_payload(it, CONTROLLER)) for it in self.fleet.hosts.values()}
        self.fleet.own = replace(self.fleet.own, lease_until=START + FOR_EVER)
        self.outbox = Outbox(
            fleet=self.fleet, journal=self.journal, bus=self.bus, clock=self.clock, deliver=self.machine.told,
            controller=CONTROLLER, holds_lease=lambda: self.fleet.holds_lease(self.clock.now()),
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            group.create_task(self.outbox.run())
            group.create_task(self.bus.run(self._hear))
            group.create_task(self._react())

    def _hear(self, event: e.Event) -> None:
        if isinstance(event, e.BusConnected):
            self.outbox.connected()

    async def _react(self) -> None:
        while True:
            event = await self.asked.get()
            self.fleet.begin()
            collected = collect([decide(self.fleet, event, self.clock.now())], self.fleet, CONTROLLER, self.clock.now())
            collected.outbox = [self._waited_for(message) for message in collected.outbox]
            try:
                await self.journal.append(batch_of(collected))
            except StoreError:
                self.fleet.roll_back()
                continue
            self.fleet.settle()
            self.outbox.nudge()

    def _waited_for(self, message: OutboxMessage) -> OutboxMessage:
        """Make a restart wait for every event of a host, so that each acknowledgement is visible."""
        if message.is_retained or message.host is None:
            return message
        return replace(message, operation=OperationId(message.id))


class Deliveries(RuleBasedStateMachine):
    """`stored`: what all daemons' journals have accepted, in order; `found`: the states with
    which each daemon began.
    """

    @initialize()
    def begin(self) -> None:
        self.slice = mock.patch.object(module, "SLICE", SLICE)
        self.slice.start()
        self.running = Running()
        self.clock = WorldClock()
        self.inventory = racks.inventory(Rack(hosts=HOSTS))
        self.broker = Broker(self.clock, on_published=self.published)
        self.durable = Durable()
        self.count = 0
        self.lives: list[Life] = []
        self.found: set[str] = set()
        self.kept_from = 0
        self.start()

    def start(self) -> None:
        self.lives.append(Life(self))
        self.running.go()

    @property
    def life(self) -> Life:
        return self.lives[-1]

    @property
    def stored(self) -> list[OutboxMessage]:
        return [message for life in self.lives for batch in life.journal.appended for message in batch.outbox]

    # -- checked as it happens ----------------------------------------------------------------------------------------

    def published(self, message: Message) -> None:
        if "/controller/" in message.topic:
            return
        assert self.clock.now() < self.life.fleet.own.lease_until, "published without the lease"
        said = content(message.payload)
        known = said in self.found or any(said == content(it.payload) for it in self.stored)
        assert known, f"{message.topic}: nothing of it is durable"

    def told(self, event: e.Event) -> None:
        assert isinstance(event, e.AnnouncementDelivered)
        row = next(row for row in self.durable.outbox.values() if row.message.operation == event.operation)
        assert any(row.message.payload == taken.payload for _, taken in self.broker.published), "delivered to nobody"
        assert row.is_delivered, "told before it was written down"

    # -- what happens -------------------------------------------------------------------------------------------------

    @rule(
        hosts=st.lists(st.sampled_from(HOSTS), max_size=6), is_fleet=st.booleans(), trouble=st.sampled_from(TROUBLES),
        write_seconds=st.sampled_from((0.0, 0.0, 0.05, 1.0)), seconds=st.sampled_from(MOMENTS), is_over=st.booleans(),
    )  # fmt: skip
    def something_becomes_true(
        self, hosts: list[str], is_fleet: bool, trouble: str, write_seconds: float, seconds: float, is_over: bool
    ) -> None:
        """Changes of these hosts and of the fleet, during a trouble. `write_seconds`: the duration of each write."""
        self.life.journal.delay_seconds = write_seconds
        self._trouble(trouble, is_on=True)
        for host in hosts:
            self.count += 1
            is_on = self.life.fleet.hosts[HostName(host)].maintenance is None
            event = e.MaintenanceAsked(host=HostName(host), is_on=is_on, by="person", reason=f"{self.count}")
            self.life.asked.put_nowait(event)
        if is_fleet:
            self.life.asked.put_nowait(e.PauseAsked(match="*", by="person", reason=f"{self.count}", until=None))
        self.running.go(seconds)
        if is_over:
            self._trouble(trouble, is_on=False)

    @rule(trouble=st.sampled_from(TROUBLES), is_on=st.booleans(), seconds=st.sampled_from(MOMENTS))
    def trouble_comes_or_goes(self, trouble: str, is_on: bool, seconds: float) -> None:
        self._trouble(trouble, is_on=is_on)
        self.running.go(seconds)

    def _trouble(self, trouble: str, *, is_on: bool) -> None:
        """`mute`: the broker accepts and does not acknowledge; `slow`: it does so late; `down`:
        it loses what it retained.
        """
        broker, life = self.broker, self.life
        match trouble:
            case "down":
                if broker.is_up and is_on:
                    self.kept_from = len(broker.published)
                broker.set_up(not is_on)
            case "cut":
                broker.is_cut = is_on
            case "mute" | "slow":
                broker.acknowledge_seconds = {"mute": 20.0, "slow": 1.0}[trouble] if is_on else 0.01
            case "denied":
                life.bus.refused = frozenset(HOSTS[:1]) if is_on else frozenset()
            case "one in two" | "one in three":
                life.bus.one_in = {"one in two": 2, "one in three": 3}[trouble] if is_on else 0
            case "store":
                life.journal.is_failing = is_on
            case "lease":  # it ends in the midst of what goes on
                life.fleet.own = replace(life.fleet.own, lease_until=self.clock_now() + (0.5 if is_on else FOR_EVER))
            case _:
                assert not trouble

    def clock_now(self) -> float:
        return START + self.running.now()

    @rule()
    def killed_and_started(self) -> None:
        self.life.bus.is_dead = True
        self.running.end(*self.life.tasks)
        self.start()

    # -- what must result ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "running"):
            return
        try:
            if not self.running.is_broken:
                self._left_alone()
                self._everything_went_out()
        finally:
            self.life.bus.is_dead = True
            self.running.close()
            self.slice.stop()

    def _left_alone(self) -> None:
        for trouble in TROUBLES:
            self._trouble(trouble, is_on=False)
        self.life.journal.delay_seconds = 0.0
        self.running.go(LONG_SECONDS)

    def _everything_went_out(self) -> None:
        taken = [message for _, message in self.broker.published]
        assert self.running.do(self.life.journal.outbox_pending()) == 0
        last = {message.payload: number for number, message in enumerate(taken)}
        order: dict[HostName | None, list[int]] = defaultdict(list)
        for message in self.stored:
            assert message.payload in last, f"{message.topic} {message.id} never went out"
            if not message.is_retained:
                order[message.host].append(last[message.payload])
        for host, numbers in order.items():
            assert numbers == sorted(numbers), f"the events of {host} stand in another order"
        shown = {message.topic: message.payload for message in taken[self.kept_from :] if message.is_retained}
        for name, state in self.life.fleet.hosts.items():
            topic = f"fenced/v1/{self.inventory.daemon.site}/state/{name}"
            newest = content(state_payload(state, CONTROLLER))
            assert content(shown.get(topic, b"")) == newest, f"{topic} does not show the newest state"


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = histories(40, 25)

"""Records before effects; nothing is lost when the store fails; a stall of the daemon is no silence (S3, S11)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import Decision
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.engine import reactor as reactor_module
from fenced.engine.batch import Collected
from fenced.engine.reactor import Reactor
from fenced.model.answers import Accepted
from fenced.model.names import BootId, HostName
from fenced.model.power import Action, State
from fenced.ports.control import Unavailable
from fenced.ports.journal import EpochLost, StoreError
from tests.fakes.journal import MemoryJournal
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import START
from tests.world.rack import Rack
from tests.world.telemetry import RecordingTelemetry

NODE = HostName("node-2")


class JumpingClock:
    """The steady clock over the loop's time; `ahead`: time in which the daemon did not run (a suspend, a blocked
    loop)."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return START + self.ahead + asyncio.get_running_loop().time()


class Desk:
    """A running reactor over a memory journal; `started` keeps each effect with what was durable at its start."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.journal = MemoryJournal(is_checked=True)
        self.fleet = Fleet(racks.inventory(Rack()), epoch=1, started=self.clock.now())
        self.observed: list[Collected] = []
        self.heard: list[tuple[e.Event, Decision]] = []
        self.started: list[tuple[c.Command, int]] = []
        self.reactor = Reactor(
            fleet=self.fleet, journal=self.journal, clock=self.clock, telemetry=RecordingTelemetry(),
            controller="fenced-a", observe=self.observed.append,
            heard=lambda event, decision: self.heard.append((event, decision)),
        )  # fmt: skip
        self.reactor.use(self)

    def start(self, command: c.Command) -> None:
        self.started.append((command, len(self.journal.durable.entries)))

    def commands(self, kind: type[c.Command]) -> list[c.Command]:
        return [command for command, _ in self.started if isinstance(command, kind)]

    def kinds(self) -> list[str]:
        return [entry.record.kind for entry in self.journal.durable.entries.values()]

    def beat(self, name: HostName = NODE, sequence: int = 1) -> None:
        self.reactor.deliver(
            e.Health(host=name, received=self.clock.now(), is_retained=False, boot=BootId("b1"), sequence=sequence)
        )

    def reboot(self, number: int) -> None:
        """Send a heartbeat that causes a record."""
        name, boot = HostName(f"node-{(1, 3, 4)[number % 3]}"), BootId(f"again-{number}")
        self.reactor.deliver(e.Health(host=name, received=self.clock.now(), is_retained=False, boot=boot))

    async def ask(self, action: Action) -> object:
        return await self.reactor.ask(
            e.ActionAsked(host=NODE, action=action, by="person", reason="told", is_forced=True)
        )


def play(story: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a story beside the reactor, with the lease and the bus."""

    async def main() -> None:
        desk = Desk()
        await desk.journal.opened(holder="fenced-a", now=desk.clock.now())
        task = asyncio.get_running_loop().create_task(desk.reactor.run(), name="reactor")
        desk.reactor.deliver(e.LeaseRenewed(until=START + 1e9))
        desk.reactor.deliver(e.BusConnected(at=desk.clock.now()))
        await asyncio.sleep(0.1)
        try:
            await story(desk)
        finally:
            task.cancel()
            results = await asyncio.gather(task, return_exceptions=True)
        if results and not isinstance(results[0], asyncio.CancelledError | EpochLost):
            raise AssertionError(f"the reactor ended with {results[0]!r}")

    run(main())


def test_no_effect_starts_before_its_record_is_durable() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.delay_seconds = 5.0
        asking = asyncio.get_running_loop().create_task(desk.ask(Action.OFF))
        await asyncio.sleep(4.9)
        assert not desk.commands(c.RunRace) and not asking.done()
        await asyncio.sleep(0.3)
        assert isinstance(asking.result(), Accepted)
        races = [durable for command, durable in desk.started if isinstance(command, c.RunRace)]
        assert len(races) == 2 and min(races) == len(desk.journal.durable.entries)

    play(story)


def test_a_batch_that_the_store_refuses_is_decided_again_and_nothing_is_lost() -> None:
    async def story(desk: Desk) -> None:
        desk.beat()
        desk.beat(HostName("node-1"))
        desk.journal.fail_next = StoreError("disk full")
        await asyncio.sleep(0.1)
        assert desk.kinds() == [] and desk.fleet.hosts[NODE].state is State.UNKNOWN
        await asyncio.sleep(1.0)
        assert desk.kinds() == ["host_heard", "host_heard"]
        assert desk.fleet.hosts[NODE].state is State.HEALTHY

    play(story)


def test_a_request_is_answered_at_once_that_the_store_takes_nothing() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.fail_next = StoreError("disk full")
        with pytest.raises(Unavailable, match="disk full"):
            await desk.ask(Action.OFF)
        await asyncio.sleep(2.0)
        assert desk.fleet.hosts[NODE].operation is None
        assert not desk.commands(c.RunRace)
        assert isinstance(await desk.ask(Action.OFF), Accepted)

    play(story)


def test_what_the_world_did_is_kept_through_failures_of_any_length() -> None:
    async def story(desk: Desk) -> None:
        for _ in range(20):
            desk.journal.fail_next = StoreError("locked")
            desk.beat(sequence=5)
            await asyncio.sleep(0.4)
        desk.journal.fail_next = None
        await asyncio.sleep(1.0)
        assert desk.kinds() == ["host_heard"]

    play(story)


def test_nothing_starts_while_the_store_fails_and_all_is_decided_again_afterwards() -> None:
    """Found by the simulation (a full disk while a suspect is released): each try probed the host once more."""

    async def story(desk: Desk) -> None:
        desk.beat()
        await asyncio.sleep(60.0)
        for _ in range(1000):
            desk.journal.fail_next = StoreError("disk full")
            await asyncio.sleep(0.3)
        assert "host_suspected" not in desk.kinds() and not desk.commands(c.AskLife)
        desk.journal.fail_next = None
        await asyncio.sleep(1.0)
        assert desk.kinds().count("host_suspected") == 1 and len(desk.commands(c.AskLife)) == 1

    play(story)


def test_a_gate_that_stays_closed_is_reported_by_the_running_daemon() -> None:
    """In the daemon only the end of a pause checked the gates, while the tests of the core did so every second."""

    async def story(desk: Desk) -> None:
        desk.reactor.deliver(e.ArmAsked(is_on=False, by="person", reason="a test"))
        for _ in range(370):
            desk.reactor.deliver(e.LeaseRenewed(until=START + 1e9))
            await asyncio.sleep(10.0)
        assert desk.kinds().count("gate_stayed_closed") == 1

    play(story)


def test_a_lost_connection_is_recorded_although_the_store_failed_first() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.fail_next = StoreError("locked")
        desk.reactor.deliver(e.BusDisconnected(at=desk.clock.now(), why="gone"))
        await asyncio.sleep(1.0)
        assert desk.kinds() == ["bus_lost"]
        assert desk.fleet.state.is_bus_lost and desk.fleet.own.ear.opened_at is None

    play(story)


def test_a_lost_lease_kills_ons_although_the_store_takes_nothing() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.delay_seconds = 3600.0
        desk.beat()
        await asyncio.sleep(1.0)
        desk.reactor.deliver(e.LeaseLost(why="the store does not answer"))
        await asyncio.sleep(0.1)
        assert desk.commands(c.KillOns)
        assert not desk.reactor.has_lease() and not desk.reactor.holds_lease()

    play(story)


def test_an_agents_process_is_recorded_although_the_store_failed_first() -> None:
    """Its agent waits for its parameters until then (S16)."""

    async def story(desk: Desk) -> None:
        await desk.ask(Action.OFF)
        operation = desk.fleet.hosts[NODE].operation
        assert operation is not None
        seen = e.AgentSeen(
            host=NODE, operation=operation.id, device=operation.devices[0].device, number=1, pid=7, pid_started="1"
        )
        desk.journal.fail_next = StoreError("locked")
        asking = asyncio.get_running_loop().create_task(desk.reactor.ask(seen))
        await asyncio.sleep(0.1)
        assert not asking.done()
        await asyncio.sleep(1.0)
        assert asking.done() and desk.kinds().count("agent_started") == 1

    play(story)


def test_a_newer_epoch_ends_the_reactor() -> None:
    async def main() -> None:
        desk = Desk()
        await desk.journal.opened(holder="fenced-a", now=desk.clock.now())
        task = asyncio.get_running_loop().create_task(desk.reactor.run(), name="reactor")
        await desk.journal.reopen().opened(holder="fenced-b", now=desk.clock.now())
        desk.beat()
        with pytest.raises(EpochLost):
            await task
        assert desk.kinds() == [] and desk.observed == []

    run(main())


def test_a_stall_does_not_count_as_silence() -> None:
    async def story(desk: Desk) -> None:
        for _ in range(90):
            desk.beat()
            await asyncio.sleep(1.0)
        heard = desk.fleet.silence_seconds(NODE, desk.clock.now())
        desk.clock.ahead += 300.0
        await asyncio.sleep(1.0)
        assert desk.fleet.silence_seconds(NODE, desk.clock.now()) < heard + 3.0
        assert desk.fleet.hosts[NODE].state is State.HEALTHY
        await asyncio.sleep(30.0)
        assert desk.fleet.hosts[NODE].state is State.HEALTHY, "the stall stretches every grace"

    play(story)


def test_a_loop_that_turns_has_no_stall() -> None:
    async def story(desk: Desk) -> None:
        await asyncio.sleep(100.0)
        assert desk.fleet.own.lag_until == 0.0

    play(story)


def test_messages_beyond_the_inbox_are_our_deafness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "INBOX_MAX", 10)

    async def story(desk: Desk) -> None:
        for number in range(50):
            desk.beat(sequence=number)
        desk.reactor.deliver(e.BusDisconnected(at=desk.clock.now(), why="gone"))
        await asyncio.sleep(0.5)
        assert desk.fleet.own.lag_until > desk.clock.now()
        assert "bus_lost" in desk.kinds(), "only heartbeats are dropped"

    play(story)


def test_one_batch_is_one_transaction() -> None:
    async def story(desk: Desk) -> None:
        before = len(desk.journal.appended)
        for name in desk.fleet.hosts:
            desk.beat(name)
        await asyncio.sleep(0.1)
        assert len(desk.journal.appended) == before + 1
        assert len(desk.journal.appended[-1].entries) == 4
        assert len(desk.observed) == 1

    play(story)


def test_a_host_is_looked_at_when_its_grace_is_over() -> None:
    async def story(desk: Desk) -> None:
        for _ in range(80):
            for name in desk.fleet.hosts:
                desk.beat(name)
            await asyncio.sleep(1.0)
        last = desk.clock.now() - 1.0
        while "host_suspected" not in desk.kinds():
            for name in desk.fleet.hosts:
                if name != NODE:
                    desk.beat(name)
            await asyncio.sleep(1.0)
            assert desk.clock.now() < last + 60.0
        suspected = next(
            entry.at for entry in desk.journal.durable.entries.values() if isinstance(entry.record, r.HostSuspected)
        )
        assert suspected == pytest.approx(last + 20.0, abs=0.1)

    play(story)


def test_a_look_waits_for_what_had_come_when_it_was_due_and_for_nothing_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine with many hosts the inbox is never empty, and a silence is still found soon after its grace."""
    monkeypatch.setattr(reactor_module, "BATCH_MAX", 4)

    async def story(desk: Desk) -> None:
        for number in range(80):
            for name in desk.fleet.hosts:
                desk.beat(name, sequence=number)
            await asyncio.sleep(1.0)
        desk.beat(sequence=100)
        due = desk.clock.now() + 20.0
        await asyncio.sleep(19.5)
        desk.journal.delay_seconds = 0.4
        for number in range(20):
            desk.reboot(number)
        for number in range(20, 100):
            desk.reboot(number)
            await asyncio.sleep(0.125)
        desk.journal.delay_seconds = 0.0
        await asyncio.sleep(0.1)
        suspected = [
            entry.at
            for entry in desk.journal.durable.entries.values()
            if isinstance(entry.record, r.HostSuspected) and entry.host == NODE
        ]
        assert len(suspected) == 1 and due <= suspected[0] < due + 3.0

    play(story)


def test_timers_of_many_hosts_that_are_due_at_once_fill_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "BATCH_MAX", 1)

    async def story(desk: Desk) -> None:
        for number in range(80):
            for name in desk.fleet.hosts:
                desk.beat(name, sequence=number)
            await asyncio.sleep(1.0)
        await asyncio.sleep(60.0)
        kinds = [[entry.record.kind for entry in batch.entries] for batch in desk.journal.appended]
        assert [each.count("host_suspected") for each in kinds if "host_suspected" in each] == [2, 2]

    play(story)


def test_a_beat_that_waits_behind_others_is_heard_before_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "BATCH_MAX", 4)

    async def story(desk: Desk) -> None:
        for number in range(80):
            for name in desk.fleet.hosts:
                desk.beat(name, sequence=number)
            await asyncio.sleep(1.0)
        await asyncio.sleep(18.8)
        desk.journal.delay_seconds = 0.4
        for number in range(16):
            desk.reboot(number)
        desk.beat(sequence=100)
        await asyncio.sleep(3.0)
        assert NODE not in [
            entry.host for entry in desk.journal.durable.entries.values() if isinstance(entry.record, r.HostSuspected)
        ]

    play(story)


def test_a_hosts_own_answer_finds_no_silence_while_its_beat_waits() -> None:
    """Found by the simulation (the store failed while a host hung): the probe's answer lay before the beat in the
    inbox."""

    async def story(desk: Desk) -> None:
        for number in range(80):
            desk.beat(sequence=number + 1)
            await asyncio.sleep(1.0)
        await asyncio.sleep(18.8)
        desk.clock.ahead += 0.5
        desk.reactor.deliver(e.LifeAsked(host=NODE, answered=None))
        desk.beat(sequence=100)
        await asyncio.sleep(1.0)
        assert "host_suspected" not in desk.kinds()

    play(story)

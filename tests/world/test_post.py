"""The hosts' messages on their way: lost, late, repeated and retained."""

import asyncio

import pytest

from fenced.core import events as e
from fenced.model.names import HostName
from fenced.ports.bus import BusEvent
from tests.world.loop import run
from tests.world.manners import Manner
from tests.world.rack import Rack
from tests.world.world import World


def heard(*, sent: int = 40, **fault: object) -> list[e.Health]:
    """Return what a subscriber hears of so many heartbeats, one a second, and of what the broker retained."""

    async def main() -> list[e.Health]:
        world = World(Rack())
        for name, value in fault.items():
            setattr(world.post, name, value)
        events: list[BusEvent] = []
        world.broker.subscribe("test", events.append)
        for _ in range(sent):
            world.machine("node-1").beats += 1
            world.say("node-1")
            await asyncio.sleep(1.0)
        await asyncio.sleep(60.0)
        world.broker.on_subscribed(events.append)
        return [event for event in events if isinstance(event, e.Health)]

    return run(main())


def test_without_a_fault_each_comes_once_and_at_once() -> None:
    assert [message.sequence for message in heard()] == list(range(1, 41))


def test_some_are_lost() -> None:
    assert 5 < len(heard(lost_share=0.5)) < 35


def test_late_ones_overtake_each_other() -> None:
    numbers = [message.sequence or 0 for message in heard(delay_seconds_max=10.0)]
    assert sorted(numbers) == list(range(1, 41)) and numbers != sorted(numbers)


def test_some_come_twice() -> None:
    assert len(heard(repeated_share=0.5)) > 45


@pytest.mark.parametrize(("host", "lost"), [("node-1", True), ("node-2", False)])
def test_the_messages_of_one_host_alone(host: str, lost: bool) -> None:
    assert len(heard(of_hosts={HostName(host): (1.0, 0.0)})) == (0 if lost else 40)


def test_one_daemon_alone_hears_nothing() -> None:
    async def main() -> tuple[int, int, list[bool]]:
        world = World(Rack())
        events: dict[str, list[BusEvent]] = {"fenced-a": [], "fenced-b": []}
        for name, into in events.items():
            world.broker.subscribe(name, into.append)
        world.broker.deaf = frozenset({"fenced-a"})
        world.say("node-1")
        is_heard = [world.broker.is_heard]
        world.broker.deaf |= {"fenced-b"}
        is_heard.append(world.broker.is_heard)
        return len(events["fenced-a"]), len(events["fenced-b"]), is_heard

    assert run(main()) == (0, 1, [True, False])


def test_only_the_last_message_is_retained_and_marked_so() -> None:
    kept = [message for message in heard(keeps=True) if message.is_retained]
    assert [message.sequence for message in kept] == [40]


def test_a_bridge_lets_go_at_once_what_it_kept_back() -> None:
    async def main() -> list[float]:
        world = World(Rack())
        events: list[BusEvent] = []
        world.broker.subscribe("test", events.append)
        began = world.clock.now()
        world.post.keeps_back = frozenset({HostName("node-1")})
        for host in ("node-1", "node-2"):
            world.say(host)
        await asyncio.sleep(30.0)
        world.post.let_go()
        return [event.received - began for event in events if isinstance(event, e.Health)]

    assert run(main()) == [0.0, 30.0]


def test_a_beat_reaches_the_daemon_in_the_manner_of_its_reporter() -> None:
    """The world, too, judges the message by what it means."""

    async def main() -> tuple[list[BusEvent], float]:
        world = World(Rack())
        events: list[BusEvent] = []
        world.broker.subscribe("test", events.append)
        world.machine("node-1").manner = Manner.WITHOUT_A_BOOT
        world.say("node-1")
        truth = world.checker.truth
        assert truth is not None
        return events, truth.heard[HostName("node-1")][0] - world.clock.now()

    (event,), ago = run(main())
    assert isinstance(event, e.Health) and event.boot is None and ago == 0.0

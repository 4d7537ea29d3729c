"""The hosts' messages on their way: lost, late, repeated and kept."""

import asyncio

from fenced.core import events as e
from fenced.ports.bus import BusEvent
from tests.world.loop import run
from tests.world.rack import Rack
from tests.world.world import World


def heard(*, sent: int = 40, **fault: float | bool) -> list[e.Health]:
    """What a subscriber hears of so many heartbeats, one a second, and of what the broker kept."""

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


def test_the_last_one_is_kept_and_said_to_be() -> None:
    kept = [message for message in heard(keeps=True) if message.is_retained]
    assert [message.sequence for message in kept] == [40]

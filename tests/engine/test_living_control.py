"""Requests over the lives of a shard's engine."""

import asyncio

import pytest

from fenced.engine.living_control import WAIT_SECONDS, LivingControl
from fenced.ports.control import Control, NotFound, Unavailable
from tests.fakes.control import FakeControl
from tests.world.loop import run


def control(name: str) -> FakeControl:
    made = FakeControl()
    made.name = name
    return made


def test_a_change_between_two_lives_waits_for_the_next_and_a_look_does_not() -> None:
    async def story() -> None:
        living = LivingControl("dc2")
        port: Control = living.as_port()
        first, second = control("first"), control("second")
        living.begin(first)
        await port.disarm(by="p", reason="r")
        living.end()
        asked = [
            asyncio.create_task(port.disarm(by="p", reason="again")),
            asyncio.create_task(port.keyed("a key", "its content").arm(by="p", reason="keyed")),
        ]
        await asyncio.sleep(WAIT_SECONDS / 2)
        assert not any(task.done() for task in asked)
        assert port.fleet().name == "first"
        living.begin(second)
        await asyncio.gather(*asked)
        assert (len(first.calls), len(second.calls)) == (1, 2), "nothing more reached the life that ended"

    run(story())


def test_a_change_does_not_wait_for_ever() -> None:
    async def story() -> None:
        living = LivingControl("dc2")
        living.begin(control("first"))
        living.end()
        with pytest.raises(Unavailable, match="dc2"):
            await living.as_port().disarm(by="p", reason="r")

    run(story())


def test_it_controls_its_own_shard_alone() -> None:
    living = LivingControl("dc2")
    living.begin(control("first"))
    assert living.as_port().of_shard("dc2").fleet().name == "first"
    with pytest.raises(NotFound):
        living.as_port().of_shard("main")

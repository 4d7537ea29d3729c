"""S22: what the bus shows as fenced without the journal is found, unless somebody replaces it in time."""

import asyncio
import json

import pytest

from fenced.ports.bus import Message
from tests.world.test_checker import NODE, fenced, write
from tests.world.test_rules import found
from tests.world.world import World

TOPIC = f"fenced/v1/site-1/state/{NODE}"


def shown(state: str, token: str) -> Message:
    body = {"host": NODE, "state": state, "token": token, "rev": token, "controller": "fenced-a"}
    return Message(topic=TOPIC, payload=json.dumps(body).encode(), is_retained=True)


@pytest.mark.parametrize(
    ("messages", "is_found"),
    [
        ((shown("fenced", "1-900"),), True),
        ((shown("fenced", "1-900"), shown("healthy", "2-1")), False),
        ((shown("fenced", str(fenced().token)),), False),
    ],
    ids=["stands", "is replaced", "is the journal's"],
)
def test_an_unknown_fenced_on_the_bus_is_found(messages: tuple[Message, ...], is_found: bool) -> None:
    async def plant(world: World) -> None:
        await write(world, fenced())
        for message in messages:
            world.broker.show("a predecessor", message)
            world.checker.look()
            await asyncio.sleep(60.0)
        for _ in range(3):
            world.checker.look()
            await asyncio.sleep(60.0)

    assert (f"the bus shows {NODE} as fenced under 1-900" in found(plant)) is is_found

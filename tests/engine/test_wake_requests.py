"""Requests of the bus to wake hosts, while controllers change."""

import asyncio

from fenced.core import events as e
from fenced.core.durable import records as r
from tests.engine.pair import ACCEPTED, both, play, records
from tests.world.rack import Rack


def test_the_successor_answers_a_request_to_wake_that_came_while_nobody_decided() -> None:
    async def main() -> None:
        world, first, _ = await both(Rack(other_daemons=("fenced-b",), settings={ACCEPTED: ("wake",)}))
        await first.crash()
        await asyncio.sleep(1.0)
        now = world.clock.now()
        world.broker.send(
            e.WakeRequest(
                cluster="c1",
                hosts=1,
                received=now,
                is_retained=False,
                id="w-1",
                reason="a test",
                by="a person",
                sent_at=now,
                reply_topic="replies/w-1",
                correlation=None,
            )
        )
        await asyncio.sleep(60.0)
        assert [(it.request.id, it.request.answer) for it in records(world, r.RequestAnswered)] == [
            ("w-1", "accepted - 1")
        ]
        assert [it.topic for _, it in world.broker.published if it.topic.startswith("replies/")] == ["replies/w-1"]
        await world.end()

    play(main())

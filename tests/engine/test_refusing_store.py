"""A store that refuses batches for long: what the daemon knows of itself, not of its hosts, is known all the same."""

import asyncio

from fenced.ports.journal import StoreError
from tests.engine.test_reactor import Desk, play

FULL = StoreError("disk full")


def test_a_short_stall_that_is_decided_again_does_not_shorten_a_long_one_after_it() -> None:
    async def story(desk: Desk) -> None:
        desk.journal.delay_seconds, desk.journal.fail_next = 30.0, FULL
        desk.clock.ahead += 2.0
        desk.beat()
        await asyncio.sleep(30.2)
        desk.journal.delay_seconds = 0.0
        await asyncio.sleep(1.0)
        assert desk.kinds() == ["host_heard"]
        assert desk.fleet.own.lag_seconds > 25.0 and desk.fleet.own.lag_until > desk.clock.now() + 50.0

    play(story)

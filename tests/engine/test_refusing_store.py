"""A store that refuses batches for long: the daemon still keeps what it knows of its own lease, gates and lag."""

import asyncio

from fenced.core import closed_gates
from fenced.core import events as e
from fenced.ports.journal import StoreError
from tests.engine.test_reactor import Desk, play

FULL = StoreError("disk full")


async def refuse(desk: Desk, *, seconds: float) -> None:
    """Refuse every batch for so long; the lease is renewed as before."""
    end = desk.clock.now() + seconds
    while desk.clock.now() < end:
        desk.journal.fail_next = FULL
        desk.reactor.deliver(e.LeaseRenewed(until=desk.clock.now() + 10.0))
        await asyncio.sleep(0.3)


def test_a_lease_that_the_store_renews_is_held_although_it_refuses_every_batch() -> None:
    """A full disk may take the row of the lease and not the batch: what is in the outbox is sent meanwhile."""

    async def story(desk: Desk) -> None:
        desk.reactor.deliver(e.LeaseRenewed(until=desk.clock.now() + 10.0))
        await asyncio.sleep(0.1)
        desk.beat()
        await refuse(desk, seconds=60.0)
        assert not desk.kinds() and desk.reactor.holds_lease() and desk.reactor.has_lease()

    play(story)


def test_it_is_known_until_the_store_accepts_records_again() -> None:
    """`fencectl status` and /readyz warn: a full disk stops every fence."""

    async def story(desk: Desk) -> None:
        assert desk.reactor.store_refusal == ""
        desk.journal.fail_next = FULL
        desk.beat()
        await asyncio.sleep(0.1)
        assert desk.reactor.store_refusal == "disk full"
        await asyncio.sleep(1.0)
        assert desk.kinds() == ["host_heard"]
        assert desk.reactor.store_refusal == ""

    play(story)


def test_a_gate_counts_as_closed_through_the_trouble_of_the_store() -> None:
    async def story(desk: Desk) -> None:
        desk.reactor.deliver(e.ArmAsked(is_on=False, by="person", reason="a test"))
        await asyncio.sleep(0.1)
        desk.beat()
        await refuse(desk, seconds=120.0)
        assert closed_gates.closed_seconds(desk.fleet, desk.clock.now())["armed"] > 100.0

    play(story)


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


def test_a_lease_that_is_renewed_with_its_loss_is_held_at_once() -> None:
    async def story(desk: Desk) -> None:
        desk.reactor.deliver(e.LeaseLost(why="the store does not answer"))
        desk.reactor.deliver(e.LeaseRenewed(until=desk.clock.now() + 30.0))
        await asyncio.sleep(0.1)
        assert desk.reactor.holds_lease()

    play(story)

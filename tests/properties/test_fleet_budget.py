"""Whatever the moments at which the hosts of two shards fall silent, and however slow the store is: together they never
have more draws in force than the budget, and what is left is used in the end."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.shards import HOSTS_EACH, Shard, most_at_once, play

PER = 60.0
SILENT_MAX = HOSTS_EACH - 2
MOMENTS = st.lists(st.sampled_from([0.0, 0.05, 0.5, 5.0, 20.0]), max_size=SILENT_MAX)
DELAYS = st.sampled_from([0.0, 0.01, 0.2, 1.0])


async def fall_silent(shard: Shard, pauses: list[float]) -> None:
    for seconds in pauses:
        await asyncio.sleep(seconds)
        shard.silence()


async def draw_elsewhere(shard: Shard, moments: list[float]) -> None:
    """Let a third shard lock the budget now and then."""
    for seconds in moments:
        await asyncio.sleep(seconds)
        shard.journal.durable.budget.is_locked = True
        await asyncio.sleep(0.3)
        shard.journal.durable.budget.is_locked = False


@given(pauses=st.tuples(MOMENTS, MOMENTS), delays=st.tuples(DELAYS, DELAYS), locks=MOMENTS, most=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_two_shards_never_draw_more_than_the_budget(
    pauses: tuple[list[float], list[float]], delays: tuple[float, float], locks: list[float], most: int
) -> None:
    async def story(a: Shard, b: Shard) -> None:
        shards = (a, b)
        for shard, delay in zip(shards, delays, strict=True):
            shard.journal.delay_seconds = delay
        await asyncio.gather(fall_silent(a, pauses[0]), fall_silent(b, pauses[1]), draw_elsewhere(a, locks))
        await asyncio.sleep(45.0)
        assert most_at_once(shards, PER) <= most
        fenced = len(a.fenced()) + len(b.fenced())
        assert fenced >= min(most, len(a.silent) + len(b.silent)), "the budget is used as far as it goes"

    play(story, gates__budget_hosts=most, gates__budget_at_most=most, gates__budget_unrecovered=2 * HOSTS_EACH)

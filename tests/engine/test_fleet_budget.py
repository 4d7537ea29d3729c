"""Two shards share the fleet's budget: together they never fence more, and what is left is used (S20)."""

import asyncio

import pytest

from fenced.core import events as e
from fenced.core.heard.others import Elsewhere, Others
from fenced.model.answers import Accepted
from fenced.model.names import HostName
from fenced.model.power import Action
from tests.engine.shards import Shard, most_at_once, play

PER = 60.0


def test_two_shards_that_race_for_the_last_draw_fence_one_host() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.journal.delay_seconds = b.journal.delay_seconds = 0.1
        a.silence()
        b.silence()
        await asyncio.sleep(40.0)
        assert len(a.fenced()) + len(b.fenced()) == 1
        late = b if a.fenced() else a
        assert late.held_by(late.hosts[0]) == {"budget"}
        await asyncio.sleep(PER)
        assert len(late.fenced()) == 1, "once the other's draw has expired"
        assert most_at_once((a, b), PER) == 1

    play(story, gates__budget_hosts=1)


def test_each_uses_what_the_other_leaves() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.silence(2)
        await asyncio.sleep(30.0)
        b.silence(3)
        await asyncio.sleep(30.0)
        assert (len(a.fenced()), len(b.fenced())) == (2, 1)

    play(story, gates__budget_hosts=3)


def test_draws_of_one_batch_count_each_other() -> None:
    """Both hosts are decided together, before the shard knows of another one's draw."""

    async def story(a: Shard, b: Shard) -> None:
        a.journal.delay_seconds = 2.0  # events wait meanwhile
        a.silence(2)
        budget = a.journal.durable.budget
        budget.draws["c", HostName("c-1"), 1.0] = a.clock.now() + 1000.0
        await asyncio.sleep(45.0)
        assert len(a.fenced()) == 1

    play(story, gates__budget_hosts=2)


def test_a_draw_that_is_returned_counts_for_others_no_more() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.silence()
        await asyncio.sleep(30.0)
        b.silence()
        await asyncio.sleep(30.0)
        assert (len(a.fenced()), len(b.fenced())) == (1, 0)
        a.silent.clear()  # it lives, so its operation ends before an OFF
        await asyncio.sleep(6.0)
        await b.others.look()
        await asyncio.sleep(3.0)
        assert len(b.fenced()) == 1

    play(story, gates__budget_hosts=1, gates__budget_per_seconds=600.0)


def test_hosts_that_are_not_back_count_in_all_shards() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.silence(2)
        await asyncio.sleep(30.0)
        b.silence(2)
        await asyncio.sleep(90.0)
        assert (len(a.fenced()), len(b.fenced())) == (2, 1)
        assert b.fleet.own.others.unrecovered == 2

    play(story, gates__budget_hosts=10, gates__budget_unrecovered=3)


def test_hosts_that_came_back_count_no_more() -> None:
    async def story(a: Shard, b: Shard) -> None:
        told = a.journal.durable.budget.unrecovered
        a.silence(2)
        await asyncio.sleep(30.0)
        assert told["a"] == 2
        a.silent.clear()  # they live, so their operations end before an OFF
        await asyncio.sleep(10.0)
        assert told["a"] == 0

    play(story, gates__budget_hosts=10)


def test_the_first_batch_of_a_life_tells_which_hosts_are_not_back() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.journal.durable.budget.unrecovered["a"] = 7
        life = Shard("a", a.journal.durable.budget, {})
        await life.journal.opened(holder="fenced-a", now=life.clock.now())
        async with asyncio.TaskGroup() as group:
            tasks = life.begin(group)
            await asyncio.sleep(10.0)
            assert life.journal.durable.entries
            for task in tasks:
                task.cancel()
        assert a.journal.durable.budget.unrecovered["a"] == 0

    play(story)


def test_a_shard_that_draws_at_the_moment_delays_another_one() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.journal.durable.budget.is_locked = True
        a.silence()
        await asyncio.sleep(40.0)
        assert not a.fenced() and a.held_by(a.hosts[0]) == {"budget"}
        a.journal.durable.budget.is_locked = False
        await asyncio.sleep(3.0)
        assert len(a.fenced()) == 1

    play(story)


@pytest.mark.parametrize("is_locked", [False, True])
def test_callers_beside_a_refused_draw_get_their_answer(is_locked: bool) -> None:
    async def story(a: Shard, b: Shard) -> None:
        budget = a.journal.durable.budget
        a.journal.delay_seconds = 0.2  # events wait meanwhile, and are decided together
        budget.is_locked = is_locked
        budget.draws[b.name, b.hosts[0], 1.0] = a.clock.now() + 900.0
        a.silence()
        asked: list[asyncio.Task[object]] = []
        while not a.fleet.own.others.until and not a.fleet.own.others.locked_until:
            action = e.ActionAsked(host=a.hosts[-1], action=Action.STATUS, by="person", reason="told")
            asked.append(asyncio.create_task(a.reactor.ask(action)))
            await asyncio.sleep(0.05)
        answers = await asyncio.gather(*asked)
        assert any(isinstance(answer, Accepted) for answer in answers)
        assert not a.reactor.store_refusal

    play(story, gates__budget_hosts=1)


def test_what_others_draw_is_seen_before_it_hinders_a_fence() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.silence()
        await asyncio.sleep(30.0)
        assert b.fleet.own.others == Others()
        await b.others.look()
        await asyncio.sleep(0.1)
        assert b.fleet.own.others.drawn(b.clock.now()) == 1
        budget = a.journal.durable.budget
        budget.draws.clear()
        budget.unrecovered.clear()
        await b.others.look()
        await asyncio.sleep(0.1)
        assert b.fleet.own.others == Others()

    play(story)


def test_what_was_known_of_others_stays_known_while_the_store_does_not_answer() -> None:
    async def story(a: Shard, b: Shard) -> None:
        a.silence()
        await asyncio.sleep(30.0)
        await b.others.look()
        await asyncio.sleep(0.1)
        known = b.fleet.own.others
        await b.journal.close()
        await b.others.look()
        await asyncio.sleep(0.1)
        assert b.fleet.own.others == known != Others()

    play(story)


def test_the_store_is_asked_again_for_each_draw() -> None:
    """What a shard knows may be old: the store refuses what it does not know yet."""

    async def story(a: Shard, b: Shard) -> None:
        b.reactor.deliver(e.BudgetSeen(at=b.clock.now(), elsewhere=Elsewhere()))
        b.journal.durable.budget.draws["c", HostName("c-1"), 1.0] = a.clock.now() + 1000.0
        b.silence()
        await asyncio.sleep(40.0)
        assert not b.fenced() and b.held_by(b.hosts[0]) == {"budget"}

    play(story, gates__budget_hosts=1)

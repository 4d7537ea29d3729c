"""The fleet's budget in PostgreSQL: draws of several shards come one after the other, and none is above it (S20)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from fenced.core.durable.records import BudgetDrawn, BudgetReturned, Entry
from fenced.core.heard.others import Elsewhere, Room
from fenced.journal import budget, migrations
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.names import HostName
from fenced.ports.journal import Batch, BudgetClosed, StoreError
from tests.journal.rigs import PostgresRig, start
from tests.journal.strategies import entry
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
PER = 600.0
MANY = 10**6


def draw(
    host: str = "node-1", *, at: float = 100.0, drawn: int = MANY, unrecovered: int = MANY, per: float = PER,
    told: int | None = None,
) -> Batch:  # fmt: skip
    """Return a batch that draws for a host, and leaves so much to other shards."""
    record = BudgetDrawn(host=HostName(host), cluster="c1")
    return Batch(
        entries=[Entry(at=at, host=None, record=record), entry(host)],
        room=Room(per_seconds=per, drawn=drawn, unrecovered=unrecovered), unrecovered=told,
    )  # fmt: skip


async def shard(database: PostgresRig, name: str) -> PostgresJournal:
    journal = database.build(shard=name)
    await start(journal, holder=f"fenced-{name}")
    return journal


async def two(database: PostgresRig) -> tuple[PostgresJournal, PostgresJournal]:
    return await shard(database, "a"), await shard(database, "b")


@asynccontextmanager
async def drawing(database: PostgresRig) -> AsyncIterator[asyncpg.Connection]:
    """Let a third shard be in the midst of a draw, in another session, for the duration of the block."""
    session = await database.server.connect(database.database)
    try:
        async with session.transaction():
            await session.execute("SELECT shard FROM budget WHERE shard = '' FOR NO KEY UPDATE")
            until = "extract(epoch FROM clock_timestamp()) + 600"
            await session.execute(f"INSERT INTO draws VALUES ('c', 'node-9', 1.0, {until})")
            yield session
    finally:
        await session.close()


async def until_waiting(session: asyncpg.Connection) -> None:
    """Return once another session waits for a lock."""
    for _ in range(500):
        if await session.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_what_others_have_drawn_refuses_a_draw_that_leaves_less_to_them(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw("node-1", at=1.0))
    await a.append(draw("node-2", at=2.0, drawn=0))
    with pytest.raises(BudgetClosed) as refused:
        await b.append(draw("node-3", drawn=1))
    found = refused.value.elsewhere
    assert found is not None and found == Elsewhere(lasting_seconds=found.lasting_seconds)
    assert len(found.lasting_seconds) == 2
    assert all(PER - 30.0 < seconds <= PER for seconds in found.lasting_seconds)
    assert await b.entries(host=None, limit=9) == [], "nothing of the batch is stored"
    assert await b.append(draw("node-3", drawn=2)) == 2
    assert len((await a.elsewhere()).lasting_seconds) == 1


async def test_a_draw_is_compared_after_the_one_that_it_waited_for(
    database: PostgresRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LOCK_MILLISECONDS", 2900)
    a, _ = await two(database)
    async with drawing(database) as session:
        asked = asyncio.create_task(a.append(draw(drawn=0)))
        await until_waiting(session)
    with pytest.raises(BudgetClosed) as refused:
        await asked
    assert refused.value.elsewhere is not None and len(refused.value.elsewhere.lasting_seconds) == 1


async def test_two_shards_that_race_never_draw_both(database: PostgresRig) -> None:
    journals = await two(database)
    for number in range(20):
        at = 100.0 + number
        batches = [draw(f"node-{name}", at=at, drawn=0) for name in "ab"]
        done = await asyncio.gather(
            *(journal.append(batch) for journal, batch in zip(journals, batches, strict=True)), return_exceptions=True
        )
        won = [result for result in done if isinstance(result, int)]
        refused = [result for result in done if isinstance(result, BudgetClosed)]
        assert (len(won), len(refused)) == (1, 1), done
        await database.execute("DELETE FROM draws")


async def test_shards_that_draw_as_fast_as_they_can_use_the_whole_budget_and_no_more(database: PostgresRig) -> None:
    most = 7

    async def draw_all(journal: PostgresJournal, name: str) -> int:
        own, others = 0, 0
        while own + others < most:
            batch = draw(f"node-{name}{own}", at=100.0 + own, drawn=most - own - 1)
            try:
                await journal.append(batch)
                own += 1
            except BudgetClosed as refused:
                others = len(refused.elsewhere.lasting_seconds) if refused.elsewhere is not None else others
        return own

    journals = [await shard(database, name) for name in "abc"]
    drawn = await asyncio.gather(*(draw_all(journal, name) for journal, name in zip(journals, "abc", strict=True)))
    assert sum(drawn) == most


async def test_a_draw_waits_only_a_moment_for_another_shard_and_other_writes_not_at_all(database: PostgresRig) -> None:
    a, b = await two(database)
    async with drawing(database):
        began = time.monotonic()
        with pytest.raises(BudgetClosed) as refused:
            await a.append(draw())
        assert refused.value.elsewhere is None
        assert time.monotonic() - began < PostgresRig.LEASE_SECONDS / 3, "not as long as for a lease's row"
        assert await a.append(Batch(entries=[entry()], unrecovered=3)) == 1
        assert await b.append(Batch(entries=[entry()])) == 1
    assert await a.append(draw()) == 3


async def test_a_draw_that_expired_counts_no_more(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw(per=1.0))
    with pytest.raises(BudgetClosed):
        await b.append(draw(drawn=0))
    await asyncio.sleep(1.1)
    assert await b.elsewhere() == Elsewhere()
    await b.append(draw(drawn=0))


async def test_a_draw_that_is_returned_counts_no_more(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw(at=100.5))
    await a.append(draw("node-2", at=100.5))
    back = BudgetReturned(host=HostName("node-1"), drawn_at=100.5)
    await a.append(Batch(entries=[Entry(at=200.0, host=None, record=back)]))
    assert len((await b.elsewhere()).lasting_seconds) == 1


async def test_hosts_of_other_shards_that_are_not_back_refuse_a_draw(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw(told=4))
    assert (await b.elsewhere()).unrecovered == 4
    with pytest.raises(BudgetClosed) as refused:
        await b.append(draw(unrecovered=3))
    assert refused.value.elsewhere is not None and refused.value.elsewhere.unrecovered == 4
    await a.append(Batch(entries=[entry()], unrecovered=3))
    await b.append(draw(unrecovered=3))
    assert (await a.elsewhere()).unrecovered == 0, "nobody counts its own"


async def test_a_shard_that_nobody_holds_counts_for_a_day(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(Batch(entries=[entry()], unrecovered=4))
    await a.close()
    assert (await b.elsewhere()).unrecovered == 4
    await database.execute("UPDATE lease SET released_at = released_at - 86000 WHERE shard = 'a'")
    assert (await b.elsewhere()).unrecovered == 4
    await database.execute("UPDATE lease SET released_at = released_at - 800 WHERE shard = 'a'")
    assert (await b.elsewhere()).unrecovered == 0


async def test_draws_outlast_the_controller_that_made_them(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw(told=1))
    await a.close()
    again = await shard(database, "a")
    assert (await again.elsewhere(), len((await b.elsewhere()).lasting_seconds)) == (Elsewhere(), 1)


async def test_without_the_row_that_is_locked_nothing_is_drawn(database: PostgresRig) -> None:
    a, _ = await two(database)
    await database.execute("DELETE FROM budget WHERE shard = ''")
    with pytest.raises(StoreError):
        await a.append(draw())
    assert await a.append(Batch(entries=[entry()])) == 1


async def test_old_draws_are_pruned_but_none_that_counts(database: PostgresRig) -> None:
    a, b = await two(database)
    await a.append(draw("node-1", at=1.0))
    await a.append(draw("node-2", at=2.0, per=0.1))
    await a.append(draw("node-3", at=300.0, per=0.1))
    await asyncio.sleep(0.2)
    await a.prune(before=200.0, events_before=200.0, limit=100)
    session = await database.server.connect(database.database)
    rows = await session.fetch("SELECT host FROM draws ORDER BY host")
    await session.close()
    assert [row["host"] for row in rows] == ["node-1", "node-3"]
    assert len((await b.elsewhere()).lasting_seconds) == 1


async def test_a_store_of_an_older_program_gets_the_tables(database: PostgresRig) -> None:
    a, b = await two(database)
    await database.execute("DROP TABLE budget, draws")
    await a._write("migrate", migrations._add_budget, batches=0)
    await a.append(draw())
    with pytest.raises(BudgetClosed):
        await b.append(draw(drawn=0))


async def test_a_draw_that_leaves_nothing_said_to_others_is_a_bug(database: PostgresRig) -> None:
    a, _ = await two(database)
    with pytest.raises(AssertionError):
        await a.append(Batch(entries=draw().entries))

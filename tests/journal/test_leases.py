"""The lease in PostgreSQL: when it may be taken, by whom, and what an older holder can still write (S20)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from fenced.journal import leases
from fenced.journal.postgres.store import PostgresJournal
from fenced.journal.taking import HAND_OVER_SECONDS
from fenced.ports.journal import Batch, ClockAnchor, EpochLost, StoreError, StoreWentBack, Taken
from tests.journal.rigs import Clock, PostgresRig, start, taken_in_time
from tests.journal.strategies import entry
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
SHORT_LEASE = 3.0
LEASE = PostgresRig.LEASE_SECONDS
OVER = "UPDATE lease SET until = 1.0"
"""The database's clock jumps ahead by years: each lease is over by it."""


@dataclass(slots=True)
class Standby:
    """A controller on another machine that looks at the lease."""

    journal: PostgresJournal
    clock: Clock

    async def look(self, after_seconds: float = 0.0, *, patience_seconds: float = 0.0) -> Taken | None:
        self.clock.now += after_seconds
        return await self.journal.take(after=0, now=1.0, patience_seconds=patience_seconds)


async def standby(database: PostgresRig, name: str = "fenced-b", *, place: str = "another machine") -> Standby:
    clock = Clock()
    journal = database.build(place=place, clock=clock)
    await journal.open(holder=name, now=1.0)
    return Standby(journal, clock)


@asynccontextmanager
async def row_held(database: PostgresRig) -> AsyncIterator[asyncpg.Connection]:
    """Lock the lease's row in another session for the duration of the block."""
    other = await database.server.connect(database.database)
    held = other.transaction()
    await held.start()
    await other.execute("SELECT * FROM lease FOR UPDATE")
    yield other
    await held.rollback()
    await other.close()


async def held_up(holder: PostgresJournal) -> tuple[asyncio.Event, asyncio.Task[None]]:
    """Begin a write, and let it wait between its lock of the row and its commit. Return what lets it go on."""
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: Connection) -> None:
        leases.advance(connection, holder._held)
        loop.call_soon(begun.set)
        await_only(may_go_on.wait())

    write = asyncio.create_task(holder._write("slow", slow))
    await begun.wait()
    return may_go_on, write


# -- when it may be taken ---------------------------------------------------------------------------------------------


async def test_a_dead_holders_lease_is_taken_once_it_is_over(database: PostgresRig) -> None:
    first = database.build(lease_seconds=SHORT_LEASE)
    await start(first)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    second = database.build(place="another machine", lease_seconds=SHORT_LEASE)
    await second.open(holder="fenced-b", now=2.0)
    taken = await taken_in_time(second)
    assert (taken.epoch, taken.is_own, taken.before) == (2, False, "fenced-a")
    assert loop.time() - begun >= SHORT_LEASE
    with pytest.raises(EpochLost, match="fenced-b"):
        await first.append(Batch(entries=[entry()]))


async def test_a_lease_is_over_only_after_a_whole_lease_without_a_change(database: PostgresRig) -> None:
    await database.open()
    await database.execute(OVER)
    other = await standby(database)
    assert await other.look() is None
    assert await other.look(LEASE - 0.1) is None
    await database.journal.append(Batch(entries=[entry()]))
    assert await other.look(0.2) is None, "the holder wrote in between"
    assert await other.look(LEASE - 0.1) is None
    taken = await other.look(0.2)
    assert taken is not None
    assert taken.until == 1.0 + LEASE
    assert [one.sequence for one in [taken.rest]] == [1]


async def test_a_lease_that_lasts_by_the_databases_clock_is_not_taken(database: PostgresRig) -> None:
    """The own clock may jump as well."""
    await database.open()
    other = await standby(database)
    assert await other.look() is None
    assert await other.look(1e6) is None


@pytest.mark.parametrize("is_renewed", [False, True])
async def test_a_databases_clock_that_went_back_keeps_no_lease(database: PostgresRig, is_renewed: bool) -> None:
    """It reads an earlier time than when the holder, which is dead, took or renewed its lease."""
    await database.open()
    if is_renewed:
        anchor = ClockAnchor(boot_id="b", boottime=1.0, steady=1.0)
        await database.journal.renew_lease(now=1.0, ttl_seconds=LEASE, anchor=anchor)
    await database.execute("UPDATE lease SET until = until + 3600, since = since + 3600, anchor_at = anchor_at + 3600")
    other = await standby(database)
    assert await other.look() is None
    assert await other.look(LEASE - 0.1) is None
    assert await other.look(0.2) is not None


async def test_an_unfit_controller_waits_longer(database: PostgresRig) -> None:
    await database.open()
    await database.execute(OVER)
    other = await standby(database)
    assert await other.look(patience_seconds=LEASE) is None
    assert await other.look(LEASE + 0.1, patience_seconds=LEASE) is None
    assert await other.look(LEASE, patience_seconds=LEASE) is not None


async def test_a_released_lease_is_taken_at_once(database: PostgresRig) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry()]))
    other = await standby(database)
    assert await other.look() is None
    await database.journal.close()
    taken = await other.look()
    assert taken is not None
    assert (taken.epoch, taken.rest.sequence, taken.is_own) == (2, 1, False)


async def test_patience_leaves_a_released_lease_to_a_better_controller(database: PostgresRig) -> None:
    await database.open()
    other = await standby(database)
    await database.journal.close()
    assert await other.look(patience_seconds=LEASE) is None
    assert await other.look(LEASE - 0.1, patience_seconds=LEASE) is None
    assert await other.look(LEASE, patience_seconds=LEASE) is not None


async def test_the_own_lease_of_this_boot_is_taken_at_once(database: PostgresRig) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry()]))
    await database.crash()
    assert (database.taken.epoch, database.taken.is_own) == (2, True)


async def test_a_start_that_decided_nothing_hides_no_other_controller(database: PostgresRig) -> None:
    """It may have taken the lease from another one, and died before it recorded that one's commands as acting."""
    await database.open()
    await database.journal.append(Batch(entries=[entry()]))
    await database.journal.close()
    other = await standby(database)
    first = await other.look()
    again = await other.look()
    assert first is not None and again is not None
    assert (first.is_own, again.is_own, again.reason) == (False, False, "start")
    await other.journal.append(Batch(entries=[entry()]))
    third = await other.look()
    assert third is not None and third.is_own


async def test_the_holder_may_take_it_again_above_an_epoch_that_a_proxy_knows(database: PostgresRig) -> None:
    await database.open()
    first = database.taken
    again = await database.journal.take(after=0, now=2.0, at_least=41)
    assert again is not None
    assert (first.epoch, again.epoch, again.holder) == (1, 42, first.holder)
    assert await database.journal.append(Batch(entries=[entry()])) == 1


async def test_an_impossible_epoch_from_elsewhere_is_refused(database: PostgresRig) -> None:
    await database.open()
    with pytest.raises(StoreError, match="a proxy reports it"):
        await database.journal.take(after=0, now=2.0, at_least=leases.EPOCH_MAX)
    assert await database.journal.append(Batch(entries=[entry()])) == 1


async def test_what_is_held_changes_before_the_next_write_begins(database: PostgresRig) -> None:
    """Otherwise a renewal that waited for the taking would go on under the old epoch, and report it as lost."""
    journal = database.build()
    await start(journal)
    free: list[bool] = []
    await journal._write("any", lambda _: None, batches=0, then=lambda _: free.append(not journal._writing.locked()))
    assert free == [False]


async def test_an_append_that_runs_is_waited_for_and_counts(database: PostgresRig) -> None:
    """It locked the row before the taker did; the taker must see that the holder lives."""
    holder = database.build()
    await start(holder)
    await database.execute(OVER)
    other = await standby(database)
    assert await other.look() is None
    may_go_on, write = await held_up(holder)
    looking = asyncio.create_task(other.look(LEASE + 0.1))
    done, _ = await asyncio.wait({looking}, timeout=LEASE / 18)
    assert not done
    may_go_on.set()
    await write
    assert await looking is None
    assert await holder.append(Batch(entries=[entry()])) == 1


async def test_a_holder_that_froze_between_lock_and_commit_delays_a_taker_by_its_timeout(database: PostgresRig) -> None:
    """The server ends the transaction of the frozen one; then the taker, which waits for the row, wins."""
    holder = database.build(lease_seconds=SHORT_LEASE)
    await start(holder)
    await database.execute(OVER)
    other = await standby(database)
    assert await other.look() is None
    may_go_on, write = await held_up(holder)
    taken = await other.look(LEASE + 0.1)  # its own limit for the lock is three times the holder's limit for a pause
    assert taken is not None
    assert taken.epoch == 2
    may_go_on.set()
    with pytest.raises(StoreError):
        await write
    with pytest.raises(EpochLost, match="fenced-b"):
        await holder.append(Batch(entries=[entry()]))


async def test_of_two_that_look_at_once_one_gets_the_lease(database: PostgresRig) -> None:
    await database.open()
    await database.execute(OVER)
    two = [await standby(database, f"fenced-{number}", place=f"machine {number}") for number in (2, 3)]
    for one in two:
        assert await one.look() is None
    outcomes = await asyncio.gather(*(one.look(LEASE + 0.1) for one in two))
    assert [outcome.epoch for outcome in outcomes if outcome is not None] == [2]


async def test_of_two_that_start_on_an_empty_database_one_gets_the_lease(database: PostgresRig) -> None:
    journals = [database.build(place=f"machine {number}") for number in (1, 2)]
    loaded = await asyncio.gather(*(one.open(holder=f"fenced-{at}", now=1.0) for at, one in enumerate(journals)))
    assert loaded[0].store_id == loaded[1].store_id
    outcomes = await asyncio.gather(*(one.take(after=0, now=1.0) for one in journals))
    assert [outcome.epoch for outcome in outcomes if outcome is not None] == [1]


# -- handing over -----------------------------------------------------------------------------------------------------


async def test_a_hand_over_is_for_any_other_at_once_and_not_for_the_giver(database: PostgresRig) -> None:
    giver = await standby(database, "fenced-a", place="this machine")
    assert await giver.look() is not None
    await giver.journal.release(to="")
    with pytest.raises(EpochLost, match="does not hold"):
        await giver.journal.append(Batch(entries=[entry()]))
    assert await giver.look() is None
    assert await giver.look(LEASE - 0.1) is None
    other = await standby(database)
    assert await other.look() is not None


@pytest.mark.parametrize("is_by_own_clock", [True, False])
async def test_a_hand_over_that_nobody_takes_goes_back_after_a_lease(
    database: PostgresRig, is_by_own_clock: bool
) -> None:
    giver = await standby(database, "fenced-a", place="this machine")
    assert await giver.look() is not None
    await giver.journal.release(to="fenced-b")
    assert await giver.look() is None
    if not is_by_own_clock:
        await database.execute(f"UPDATE lease SET released_at = released_at - {LEASE + 0.1}")
    taken = await giver.look(LEASE + 0.1 if is_by_own_clock else 0.0)
    assert taken is not None
    assert taken.epoch == 2


async def test_a_hand_over_waits_a_while_for_the_one_that_it_names(database: PostgresRig) -> None:
    await database.open()
    named, other = await standby(database, "fenced-b"), await standby(database, "fenced-c", place="a third machine")
    await database.journal.release(to="fenced-b")
    assert await other.look() is None
    assert await other.look(HAND_OVER_SECONDS - 0.1) is None
    taken = await named.look()
    assert taken is not None
    await named.journal.release(to="fenced-a")
    assert await other.look() is None
    assert await other.look(HAND_OVER_SECONDS + 0.1) is not None, "the named one is dead"


async def test_a_new_holder_owes_nothing_to_an_old_hand_over(database: PostgresRig) -> None:
    await database.open()
    await database.journal.release(to="fenced-b")
    named = await standby(database, "fenced-b")
    assert await named.look() is not None
    await named.journal.close()
    other = await standby(database, "fenced-c", place="a third machine")
    assert await other.look() is not None


# -- what the row must be for a write ---------------------------------------------------------------------------------


async def test_a_controller_without_the_lease_can_write_nothing(database: PostgresRig) -> None:
    other = await standby(database)
    for call in (
        other.journal.append(Batch(entries=[entry()])),
        other.journal.renew_lease(now=1.0, ttl_seconds=9.0),
        other.journal.release(to=""),
        other.journal.prune(before=1.0, events_before=1.0, limit=1),
    ):
        with pytest.raises(EpochLost, match="does not hold"):
            await call


@pytest.mark.parametrize("change", ["batch = batch - 1", "batch = batch + 1", "epoch = 0"])
async def test_a_row_that_is_not_as_it_was_left_is_a_store_that_went_back(database: PostgresRig, change: str) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry()]))
    await database.execute(f"UPDATE lease SET {change}")
    with pytest.raises(StoreWentBack, match="this controller"):
        await database.journal.append(Batch(entries=[entry()]))
    assert await database.execute("SELECT * FROM records") == "SELECT 1"


async def test_an_equal_epoch_of_another_holder_can_write_nothing(database: PostgresRig) -> None:
    """Two servers that were promoted at once may each give the same epoch."""
    await database.open()
    await database.execute("UPDATE lease SET holder = 'another', name = 'fenced-b'")
    with pytest.raises(EpochLost, match="fenced-b"):
        await database.journal.append(Batch(entries=[entry()]))


async def test_a_renewal_counts_from_its_statement_not_from_its_transaction(database: PostgresRig) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await start(journal)
    async with row_held(database) as other:
        renewal = asyncio.create_task(journal.renew_lease(now=1.0, ttl_seconds=SHORT_LEASE))
        await asyncio.sleep(SHORT_LEASE / 6)
        released = await other.fetchval("SELECT extract(epoch FROM clock_timestamp())")
    await renewal
    late = f"SELECT 1 FROM lease WHERE until >= {float(released) + SHORT_LEASE!r}"
    assert await database.execute(late) == "SELECT 1"


async def test_a_successor_elsewhere_goes_on_in_the_time_of_the_dead_one(database: PostgresRig) -> None:
    """By the database's clock: the wall clocks of the two machines may be an hour apart."""
    first = database.build(lease_seconds=SHORT_LEASE)
    loaded, taken = await start(first)
    assert (loaded.steady_at, taken.steady_at) == (None, None)
    anchor = ClockAnchor(boot_id="b", boottime=1.0, steady=5000.0)
    await first.renew_lease(now=1.0, ttl_seconds=SHORT_LEASE, anchor=anchor)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    second = database.build(place="another machine", lease_seconds=SHORT_LEASE)
    opened = await second.open(holder="fenced-b", now=9e9)
    assert opened.steady_at is not None
    assert 0.0 <= opened.steady_at - 5000.0 <= loop.time() - begun + 0.5
    taken = await taken_in_time(second)
    assert taken.steady_at is not None
    assert SHORT_LEASE <= taken.steady_at - 5000.0 <= loop.time() - begun + 0.5


@pytest.mark.parametrize("epoch", [41, 10**16])
async def test_an_epoch_that_a_person_raised_is_exceeded(database: PostgresRig, epoch: int) -> None:
    await database.open()
    await database.execute(f"UPDATE lease SET epoch = {epoch}")
    await database.crash()
    assert database.taken.epoch == epoch + 1


async def test_a_sequence_that_a_person_lowered_is_put_right(database: PostgresRig) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry(number=1), entry(number=2)]))
    await database.execute("UPDATE lease SET sequence = 0")
    with pytest.raises(StoreError):
        await database.journal.append(Batch(entries=[entry(number=3)]))
    assert (await database.crash()).sequence == 2
    assert await database.journal.append(Batch(entries=[entry(number=4)])) == 3

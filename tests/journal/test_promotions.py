"""A promotion of a standby database: it may lack records that no controller saw (S22)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fenced.journal.leases import EPOCH_JUMP
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, EpochLost, StoreError, StoreWentBack, Taken
from tests.journal.rigs import Clock, PostgresRig, start
from tests.journal.strategies import entry
from tests.needs import needs
from tests.net import until
from tests.postgres import Server, server, standby_of

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
LEASE = PostgresRig.LEASE_SECONDS
PATIENCE_SECONDS = 60.0
OLDER_TIMELINE = "UPDATE lease SET timeline = timeline - 1"
"""As if the server's database had been promoted since the lease was taken."""


@dataclass(slots=True)
class Standby:
    """A controller that looks at the lease."""

    journal: PostgresJournal
    clock: Clock
    after: int = 0

    async def look(self, after_seconds: float = 0.0) -> Taken | None:
        """Look once; again where a connection of before the failover is dead."""
        self.clock.now += after_seconds
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await self.journal.take(after=self.after, now=1.0)
                except StoreWentBack:
                    raise
                except StoreError:
                    await asyncio.sleep(0.05)


async def standby(database: PostgresRig, name: str, *, place: str = "another machine") -> Standby:
    clock = Clock()
    journal = database.build(place=place, clock=clock)
    loaded = await journal.open(holder=name, now=1.0)
    return Standby(journal, clock, loaded.sequence)


async def taken_after_a_lease(one: Standby) -> Taken:
    assert await one.look() is None
    assert await one.look(LEASE - 0.1) is None
    taken = await one.look(0.2)
    assert taken is not None
    return taken


# -- one server, whose row says that it was promoted ------------------------------------------------------------------


async def test_a_release_of_before_a_promotion_frees_no_lease(database: PostgresRig) -> None:
    await database.open()
    await database.journal.close()
    await database.execute(OLDER_TIMELINE)
    taken = await taken_after_a_lease(await standby(database, "fenced-b"))
    assert (taken.is_promoted, taken.epoch) == (True, 1 + EPOCH_JUMP)


async def test_the_own_place_waits_after_a_promotion_too(database: PostgresRig) -> None:
    """Another controller may have taken the lease in the lost past."""
    await database.open()
    await database.execute(OLDER_TIMELINE)
    taken = await taken_after_a_lease(await standby(database, "fenced-a", place="this machine"))
    assert taken.is_promoted


async def test_a_lease_that_is_over_is_watched_anew_after_a_promotion(database: PostgresRig) -> None:
    await database.open()
    await database.execute("UPDATE lease SET until = 1.0")
    other = await standby(database, "fenced-b")
    assert await other.look() is None
    other.clock.now += LEASE + 0.1
    await database.execute(OLDER_TIMELINE)
    assert (await taken_after_a_lease(other)).is_promoted


async def test_the_doubt_stays_until_a_holder_has_waited(database: PostgresRig) -> None:
    await database.open()
    await database.journal.close()
    await database.execute(OLDER_TIMELINE)
    first = await standby(database, "fenced-b")
    taken = await taken_after_a_lease(first)
    await first.journal.close()
    second = await standby(database, "fenced-c", place="a third machine")
    again = await second.look()
    assert again is not None
    assert (again.is_promoted, again.epoch) == (True, taken.epoch + 1), "it takes at once, and waits as the first did"
    await second.journal.end_doubt()
    await second.journal.close()
    third = await standby(database, "fenced-d", place="a fourth machine")
    last = await third.look()
    assert last is not None
    assert not last.is_promoted


async def test_a_holder_may_take_it_again_above_an_epoch_that_a_proxy_knows(database: PostgresRig) -> None:
    """The takeover does that in the middle of its wait."""
    await database.open()
    await database.execute(OLDER_TIMELINE)
    other = await standby(database, "fenced-b")
    await taken_after_a_lease(other)
    again = await other.journal.take(after=0, now=1.0, at_least=5000)
    assert again is not None
    assert (again.is_promoted, again.epoch) == (True, 5001)


async def test_a_user_that_may_not_read_the_timeline_goes_on_without_it(database: PostgresRig) -> None:
    await database.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain")
    await database.execute("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
    url = database.server.url(database.database).replace("//fenced@", "//plain@")
    settings = PostgresSettings(url=PostgresUrl.parse(url), lease_ttl_seconds=LEASE)
    journal = PostgresJournal(settings, state_dir=database.directory, place="this machine")
    try:
        await start(journal)
        assert await journal.append(Batch(entries=[entry()])) == 1
        assert await database.execute("SELECT 1 FROM lease WHERE timeline IS NULL") == "SELECT 1"
    finally:
        await journal.close()
        await database.execute("GRANT EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) TO PUBLIC")
        await database.execute("DROP OWNED BY plain; DROP ROLE plain")


# -- a real pair ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pair:
    """A primary and its standby database. Controllers know both addresses."""

    primary: Server
    second: Server
    folder: Path

    def build(self, place: str) -> Standby:
        ports = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.second.port}"
        settings = PostgresSettings(
            url=PostgresUrl.parse(f"postgresql://fenced@{ports}/postgres"), lease_ttl_seconds=LEASE
        )
        state_dir = self.folder / place
        state_dir.mkdir(exist_ok=True)
        clock = Clock()
        return Standby(PostgresJournal(settings, state_dir=state_dir, place=place, clock=clock), clock)

    async def begin(self, name: str, *, place: str = "") -> Standby:
        one = self.build(place or name)
        one.after = (await one.journal.open(holder=name, now=1.0)).sequence
        return one

    async def value(self, of: Server, query: str) -> object:
        connection = await of.connect("postgres")
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def has_caught_up(self) -> bool:
        is_equal = "SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication"
        return bool(await self.value(self.primary, is_equal))

    async def cut(self) -> None:
        """Let the standby database receive no more."""
        await self.second.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await self.second.execute("SELECT pg_reload_conf()")

        async def is_cut() -> bool:
            return await self.value(self.primary, "SELECT count(*) FROM pg_stat_replication") == 0

        await until(is_cut, what="the standby database receives no more")

    async def fail_over(self) -> None:
        self.primary.stop()
        await self.value(self.second, "SELECT pg_promote()")

    async def refusal(self, of: Standby) -> StoreError:
        """Return how the store refuses a write of a controller that thaws; the first one may meet a dead connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await of.journal.append(Batch(entries=[entry(number=9)]))
                except (StoreWentBack, EpochLost) as exc:
                    return exc
                except StoreError:
                    await asyncio.sleep(0.05)
                    continue
                raise AssertionError("the store accepted the write")


@asynccontextmanager
async def pair(folder: Path, *, is_synchronous: bool) -> AsyncIterator[Pair]:
    """Run both during the block."""
    with ExitStack() as running:
        primary = running.enter_context(server(("fsync=off", "wal_level=replica", "max_wal_senders=4")))
        made = Pair(primary, running.enter_context(standby_of(primary)), folder)
        if is_synchronous:
            await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await primary.execute("SELECT pg_reload_conf()")
        yield made


async def test_a_tail_that_nobody_saw_is_lost_by_an_asynchronous_failover(tmp_path: Path) -> None:
    async with pair(tmp_path, is_synchronous=False) as both:
        first = await both.begin("fenced-a")
        assert await first.look() is not None
        await first.journal.append(Batch(entries=[entry(number=1)]))
        await first.journal.release(to="")
        survivor = await both.begin("fenced-b")
        await until(both.has_caught_up, what="the standby database caught up")
        await both.cut()
        lost = await both.begin("fenced-c")
        taken = await lost.look()
        assert taken is not None
        assert taken.epoch == 2
        await lost.journal.append(Batch(entries=[entry(number=2)]))
        await both.fail_over()
        assert "epoch 1 for shard main, and this controller took epoch 2" in str(await both.refusal(lost))
        after = await taken_after_a_lease(survivor)
        assert (after.is_promoted, after.rest.sequence, after.epoch) == (True, 1, 1 + EPOCH_JUMP)
        assert isinstance(await both.refusal(lost), EpochLost)
        await survivor.journal.append(Batch(entries=[entry(number=2)]))
        for one in (first, lost, survivor):
            await one.journal.close()


async def test_a_synchronous_failover_loses_nothing_and_the_holder_ends_all_the_same(tmp_path: Path) -> None:
    async with pair(tmp_path, is_synchronous=True) as both:
        first = await both.begin("fenced-a")
        assert await first.look() is not None
        await first.journal.append(Batch(entries=[entry(number=1), entry(number=2)]))
        survivor = await both.begin("fenced-b")
        await both.fail_over()
        refusal = await both.refusal(first)
        assert isinstance(refusal, StoreWentBack)
        assert "on timeline 2, and this controller took the lease on timeline 1" in str(refusal)
        await first.journal.close()
        again = both.build("fenced-a")
        assert (await again.journal.open(holder="fenced-a", now=1.0)).went_back == "", "no gate, no release"
        again.after = 2
        assert await again.look() is None, "its own lease, but another one may have taken it"
        taken = await taken_after_a_lease(survivor)
        assert (taken.is_promoted, taken.rest.sequence, taken.epoch) == (True, 2, 1 + EPOCH_JUMP)
        await survivor.journal.end_doubt()
        assert await survivor.journal.append(Batch(entries=[entry(number=3)])) == 3
        for one in (again, survivor):
            await one.journal.close()

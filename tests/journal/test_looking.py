"""One look at the database for all shards of a process: what it spares, what it never hides, and how it fails."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from fenced.core.durable.restricting import DisarmSaid
from fenced.journal.glances import Glance, Glances
from fenced.journal.postgres.looking import (
    ANSWER_SECONDS_MAX,
    FAILURES_MAX,
    LATE_SECONDS,
    REST_SECONDS,
    SharedLooks,
)
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal, boottime
from fenced.journal.queries import Reader
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, Said
from tests.journal.rigs import Clock, PostgresRig, start
from tests.journal.strategies import entry
from tests.needs import needs
from tests.net import free_port

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
LEASE_SECONDS = 9.0
DISARM = Said(what=DisarmSaid(by="a person", reason="at night"))
MAIN, EAST = "main", "east"


class Counting(PostgresJournal):
    """Counts its own reads by name."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.reads: Counter[str] = Counter()

    async def _read(self, name: str, work: Callable[[Connection], Any], reader: Reader) -> Any:
        self.reads[name] += 1
        return await super()._read(name, work, reader)

    async def look(self) -> set[str]:
        """Look once for everything, as a standby and a holder do; return the names of its own reads."""
        before = Counter(self.reads)
        self.followed = await self.follow(after=self.at, limit=100)
        self.at = self.followed.sequence
        self.taken = await self.take(after=self.at, now=1.0)
        self.found = await self.words()
        return {name for name, count in self.reads.items() if count > before[name]}

    at = 0


class CountingLooks(SharedLooks):
    """`sent`: the shards of each statement."""

    def __init__(self, url: str, clock: Callable[[], float] = boottime) -> None:
        super().__init__(settings(url), clock=clock)
        self.sent: list[set[str]] = []
        self.is_broken = False
        self.busy_seconds = 0.0

    async def _ask(self, asked: Any) -> Mapping[str, Glance]:
        self.sent.append(set(asked.shards))
        if self.is_broken:
            raise OSError("the network is away")
        if self.busy_seconds:
            time.sleep(self.busy_seconds)  # another part of the process holds the loop up
            await asyncio.sleep(0)
        return await super()._ask(asked)


ALL = {"follow", "lease", "words"}


@dataclass(slots=True)
class Process:
    """A standby of two shards that another controller holds."""

    database: PostgresRig
    holders: Mapping[str, PostgresJournal]
    glances: CountingLooks
    journals: Mapping[str, Counting]

    async def settle(self) -> None:
        """Look until glances can be compared."""
        assert await self.look() == {MAIN: ALL, EAST: ALL}, "the first time by themselves"
        await self.look()

    async def look(self) -> Mapping[str, set[str]]:
        """Let the shards look at the same moment."""
        found = await asyncio.gather(*(journal.look() for journal in self.journals.values()))
        return dict(zip(self.journals, found, strict=True))


def settings(url: str) -> PostgresSettings:
    return PostgresSettings(url=PostgresUrl.parse(url), lease_ttl_seconds=LEASE_SECONDS)


def counting(database: PostgresRig, directory: Path, shard: str, glances: Glances | None) -> Counting:
    found = settings(database.server.url(database.database))
    (directory / shard).mkdir(exist_ok=True)
    return Counting(found, state_dir=directory / shard, place="another machine", shard=shard, glances=glances)


@contextlib.asynccontextmanager
async def process(
    database: PostgresRig, directory: Path, glances: CountingLooks | None = None
) -> AsyncIterator[Process]:  # fmt: skip
    holders = {shard: database.build(shard=shard) for shard in (MAIN, EAST)}
    for holder in holders.values():
        await start(holder)
        await holder.append(Batch(entries=[entry(number=1)]))
    shared = glances or CountingLooks(database.server.url(database.database))
    journals = {shard: counting(database, directory, shard, shared) for shard in holders}
    for journal in journals.values():
        loaded = await journal.open(holder="fenced-b", now=1.0)
        journal.at = loaded.sequence
    try:
        yield Process(database, holders, shared, journals)
    finally:
        await asyncio.gather(*(journal.close() for journal in journals.values()))
        await shared.close()


async def test_shards_at_rest_look_only_together(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        it.glances.sent.clear()
        for _ in range(3):
            assert await it.look() == {MAIN: set(), EAST: set()}
        assert it.glances.sent == [{MAIN, EAST}] * 6, "one for records and lease, one for words"


async def test_what_one_shard_has_is_seen_by_the_next_look(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        await it.holders[EAST].append(Batch(entries=[entry(number=2)]))
        assert await it.look() == {MAIN: set(), EAST: {"follow", "lease"}}
        assert [len(it.journals[shard].followed.entries) for shard in (MAIN, EAST)] == [0, 1]
        assert await it.look() == {MAIN: set(), EAST: set()}


async def test_a_word_is_seen_by_the_next_look(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        word = await it.holders[MAIN].say(DISARM, shards=(MAIN,))
        for _ in range(2):  # until it is folded
            await it.look()
            assert [each.id for each in it.journals[MAIN].found] == [word]
            assert it.journals[EAST].found == ()


async def test_a_word_that_is_known_is_read_without_a_glance(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        await it.holders[MAIN].say(DISARM, shards=(MAIN,))
        assert len(await it.journals[MAIN].words()) == 1
        it.glances.sent.clear()
        assert len(await it.journals[MAIN].words()) == 1
        assert it.glances.sent == [], "the reactor waits for this"
        await database.execute("DELETE FROM words")
        for _ in range(2):
            assert await it.journals[MAIN].words() == ()
        assert len(it.glances.sent) == 1


async def test_a_release_is_taken_by_the_next_look(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        assert await it.look() == {MAIN: set(), EAST: set()}
        await it.holders[EAST].release(to="")
        await it.look()
        assert (it.journals[MAIN].taken, it.journals[EAST].taken is None) == (None, False)


async def test_records_that_are_gone_are_noticed_by_the_next_look_that_shows_a_write(
    database: PostgresRig, tmp_path: Path
) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        await database.execute("DELETE FROM records WHERE shard = 'east'")
        await database.execute("UPDATE lease SET batch = batch - 1, sequence = 0 WHERE shard = 'east'")
        with pytest.raises(Exception, match="the store lacks record 1"):
            await it.journals[EAST].look()


async def test_a_shared_look_that_fails_leaves_each_shard_its_own(database: PostgresRig, tmp_path: Path) -> None:
    clock = Clock()
    nobody = f"postgresql://fenced@127.0.0.1:{free_port()}/fenced"
    async with process(database, tmp_path, CountingLooks(nobody, clock)) as it:
        for _ in range(2):
            assert await it.look() == {MAIN: ALL, EAST: ALL}
        await it.holders[EAST].append(Batch(entries=[entry(number=2)]))
        await it.look()
        assert len(it.journals[EAST].followed.entries) == 1


async def test_a_shared_look_that_hangs_delays_the_others_twice_and_not_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it connects, and gets no answer
        port = deaf.getsockname()[1]
        shared = SharedLooks(settings(f"postgresql://fenced@127.0.0.1:{port}/fenced"))
        loop = asyncio.get_running_loop()
        for _ in range(FAILURES_MAX):
            began = loop.time()
            both = await asyncio.gather(*(shared.of(each, has_timeline=False) for each in (MAIN, EAST)))
            assert both == [None, None]
            assert loop.time() - began < 10 * ANSWER_SECONDS_MAX
        began = boottime()
        assert await shared.of(MAIN, has_timeline=False) is None
        assert boottime() - began < ANSWER_SECONDS_MAX / 2, "nobody waits for it again for a while"
        await shared.close()


async def test_after_a_lost_connection_the_next_look_is_shared_again(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%has_words%' AND pid <> pg_backend_pid()"
        )
        assert await it.look() == {MAIN: {"follow", "lease"}, EAST: {"follow", "lease"}}
        await it.look()
        assert await it.look() == {MAIN: set(), EAST: set()}


async def test_a_busy_moment_of_this_process_is_no_failure(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        await it.settle()
        it.glances.busy_seconds = ANSWER_SECONDS_MAX + 2 * LATE_SECONDS
        for _ in range(FAILURES_MAX):
            assert await it.glances.of(MAIN, has_timeline=False) is None
        it.glances.busy_seconds = 0.0
        assert await it.glances.of(MAIN, has_timeline=False) is not None


async def test_after_some_failures_each_looks_by_itself_for_a_while(database: PostgresRig, tmp_path: Path) -> None:
    clock = Clock()
    shared = CountingLooks(database.server.url(database.database), clock)
    async with process(database, tmp_path, shared) as it:
        await it.settle()
        shared.is_broken = True
        assert await it.look() == {MAIN: ALL, EAST: ALL}
        shared.is_broken = False
        shared.sent.clear()
        assert await it.look() == {MAIN: ALL, EAST: ALL}
        assert shared.sent == []
        clock.now += REST_SECONDS
        await it.look()
        assert await it.look() == {MAIN: set(), EAST: set()}


async def test_who_is_cancelled_leaves_the_others_their_answer(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        first = asyncio.create_task(it.glances.of(MAIN, has_timeline=False))
        second = asyncio.create_task(it.glances.of(EAST, has_timeline=False))
        await asyncio.sleep(0)
        first.cancel()
        glance = await second
        assert glance is not None and glance.sequence == 1
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_shard_that_nobody_ever_held_has_no_glance(database: PostgresRig, tmp_path: Path) -> None:
    async with process(database, tmp_path) as it:
        assert await it.glances.of("west", has_timeline=False) is None
        west = counting(database, tmp_path, "west", it.glances)
        await west.open(holder="fenced-b", now=1.0)
        assert await west.look() == ALL
        assert west.taken is not None
        await west.close()

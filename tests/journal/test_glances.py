"""One look at the database for all shards of a process: what it spares, what it never hides, and how it fails."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from fenced.core.durable.restricting import DisarmSaid
from fenced.journal.glances import ALONE_SECONDS, EARLY_SECONDS, Glance, Glances, Hints, Look
from fenced.journal.leases import LeaseRow
from fenced.journal.postgres.looking import ANSWER_SECONDS_MAX, FAILURES_MAX, LATE_SECONDS, REST_SECONDS, SharedLooks
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal, boottime
from fenced.journal.queries import Reader
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, Said
from tests.journal.rigs import PostgresRig, start
from tests.journal.strategies import entry
from tests.needs import needs
from tests.net import free_port

LEASE_SECONDS = 9.0
DISARM = Said(what=DisarmSaid(by="a person", reason="at night"))
MAIN, EAST = "main", "east"
HELD = LeaseRow(
    name="fenced-a", place="there", epoch=3, batch=7, until=1e9, released_by="", released_to="", is_over=False,
    released_seconds=None,
)  # fmt: skip


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Shown:
    """Glances as a test has them. `has_timeline`: of their rows."""

    clock: Clock
    glance: Glance | None = field(
        default=Glance(row=HELD, holder="h", sequence=5, pruned=0, has_words=False, has_timeline=False)
    )

    async def of(self, shard: str, *, has_timeline: bool) -> Glance | None:
        return None if self.glance is None else replace(self.glance, asked=self.clock.now, came=self.clock.now)


@dataclass(slots=True)
class Desk:
    """The hints of a journal that looked by itself a moment ago, after the glance that is shown."""

    clock: Clock = field(default_factory=Clock)
    shown: Shown = field(init=False)
    hints: Hints = field(init=False)

    def __post_init__(self) -> None:
        self.shown = Shown(self.clock)
        self.hints = Hints(self.shown, shard=MAIN, place="here", lease_seconds=LEASE_SECONDS, clock=self.clock)

    async def look(self) -> None:
        glance = await self.ask() or await self.ask()  # the first one waits for nobody
        for look in Look:
            self.hints.looked(look, glance, known_to=5)

    async def ask(self) -> Glance | None:
        return await self.hints.ask(has_timeline=False)

    async def looks(self, *, after: int = 5, patience_seconds: float = 0.0) -> set[Look]:
        """Return what the journal must look for by itself now."""
        glance = await self.ask()
        found = {
            Look.RECORDS: self.hints.has_records(glance, after=after),
            Look.LEASE: self.hints.may_take(glance, name="fenced-b", patience_seconds=patience_seconds),
            Look.WORDS: self.hints.has_words(glance),
        }
        return {look for look, must in found.items() if must}

    def show(self, **changes: Any) -> None:
        assert self.shown.glance is not None
        self.shown.glance = replace(self.shown.glance, **changes)


async def desk() -> Desk:
    made = Desk()
    await made.look()
    return made


BOTH = {Look.RECORDS, Look.LEASE}


async def test_a_row_that_did_not_change_spares_every_look() -> None:
    it = await desk()
    assert await it.looks() == set()
    it.clock.now += ALONE_SECONDS / 2
    assert await it.looks() == set()


@pytest.mark.parametrize(
    ("changes", "looks"),
    [
        ({"sequence": 6}, BOTH),
        ({"pruned": 4}, BOTH),
        ({"holder": "another start"}, BOTH),
        ({"row": replace(HELD, batch=8)}, BOTH),
        ({"row": replace(HELD, batch=6)}, BOTH),
        ({"row": replace(HELD, epoch=4)}, BOTH),
        ({"row": replace(HELD, server_timeline=2)}, BOTH),
        ({"row": replace(HELD, until=0.0, released_to="fenced-b")}, BOTH),
        ({"has_words": True}, {*BOTH, Look.WORDS}),
    ],
)
async def test_whatever_was_written_is_looked_for(changes: Mapping[str, Any], looks: set[Look]) -> None:
    it = await desk()
    it.show(**changes)
    assert await it.looks() == looks


async def test_a_journal_that_knows_less_than_at_its_last_look_looks_again() -> None:
    it = await desk()
    assert await it.looks(after=4) == {Look.RECORDS}
    glance = await it.ask()
    it.hints.looked(Look.RECORDS, glance, known_to=5, is_whole=False)
    assert await it.looks() == {Look.RECORDS}


async def test_a_journal_looks_by_itself_every_few_seconds_whatever_is_shown() -> None:
    it = await desk()
    it.clock.now += ALONE_SECONDS
    assert await it.looks() == set(Look)
    await it.look()
    assert await it.looks() == set()


async def test_without_a_glance_a_journal_looks_by_itself() -> None:
    it = await desk()
    it.shown.glance = None
    assert await it.looks() == set(Look)
    it.hints = Hints(None, shard=MAIN, place="here", lease_seconds=LEASE_SECONDS, clock=it.clock)
    await it.look()
    assert await it.looks() == set(Look)


async def test_the_first_look_waits_for_no_glance() -> None:
    it = Desk()
    assert await it.ask() is None
    assert await it.ask() is not None


async def test_a_glance_of_other_rights_than_the_journals_is_none() -> None:
    it = await desk()
    assert await it.hints.ask(has_timeline=True) is None


async def test_a_lease_that_is_over_is_looked_for_before_it_may_be_taken() -> None:
    it = await desk()
    it.show(row=replace(HELD, is_over=True))
    over = LEASE_SECONDS - EARLY_SECONDS
    for _ in range(round(2 * over)):
        assert Look.LEASE not in await it.looks()
        it.clock.now += 0.5
        it.hints.looked(Look.LEASE, await it.ask())  # nothing is older than a few seconds
    assert Look.LEASE in await it.looks()


async def test_a_released_lease_is_looked_for_in_each_look_while_it_may_be_taken() -> None:
    it = await desk()
    it.show(row=replace(HELD, until=0.0, released_seconds=0.0))
    assert Look.LEASE in await it.looks()
    it.hints.looked(Look.LEASE, await it.ask())
    assert Look.LEASE in await it.looks(), "nothing was written, and it is still free"
    assert Look.LEASE not in await it.looks(patience_seconds=3.0), "an emptier controller comes first"
    it.clock.now += 3.0 - EARLY_SECONDS
    assert Look.LEASE in await it.looks(patience_seconds=3.0)


# -- over a database ---------------------------------------------------------------------------------------------------


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


@pytest.mark.integration
@pytest.mark.database
@needs("postgres")
class TestPostgres:
    async def test_shards_at_rest_look_only_together(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            it.glances.sent.clear()
            for _ in range(3):
                assert await it.look() == {MAIN: set(), EAST: set()}
            assert it.glances.sent == [{MAIN, EAST}] * 6, "one for records and lease, one for words"

    async def test_what_one_shard_has_is_seen_by_the_next_look(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            await it.holders[EAST].append(Batch(entries=[entry(number=2)]))
            assert await it.look() == {MAIN: set(), EAST: {"follow", "lease"}}
            assert [len(it.journals[shard].followed.entries) for shard in (MAIN, EAST)] == [0, 1]
            assert await it.look() == {MAIN: set(), EAST: set()}

    async def test_a_word_is_seen_by_the_next_look(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            word = await it.holders[MAIN].say(DISARM, shards=(MAIN,))
            for _ in range(2):  # until it is folded
                await it.look()
                assert [each.id for each in it.journals[MAIN].found] == [word]
                assert it.journals[EAST].found == ()

    async def test_a_word_that_is_known_is_read_without_a_glance(self, database: PostgresRig, tmp_path: Path) -> None:
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

    async def test_a_release_is_taken_by_the_next_look(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            assert await it.look() == {MAIN: set(), EAST: set()}
            await it.holders[EAST].release(to="")
            await it.look()
            assert (it.journals[MAIN].taken, it.journals[EAST].taken is None) == (None, False)

    async def test_records_that_are_gone_are_noticed_by_the_next_look_that_shows_a_write(
        self, database: PostgresRig, tmp_path: Path
    ) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            await database.execute("DELETE FROM records WHERE shard = 'east'")
            await database.execute("UPDATE lease SET batch = batch - 1, sequence = 0 WHERE shard = 'east'")
            with pytest.raises(Exception, match="the store lacks record 1"):
                await it.journals[EAST].look()

    async def test_a_shared_look_that_fails_leaves_each_shard_its_own(
        self, database: PostgresRig, tmp_path: Path
    ) -> None:
        clock = Clock()
        nobody = f"postgresql://fenced@127.0.0.1:{free_port()}/fenced"
        async with process(database, tmp_path, CountingLooks(nobody, clock)) as it:
            for _ in range(2):
                assert await it.look() == {MAIN: ALL, EAST: ALL}
            await it.holders[EAST].append(Batch(entries=[entry(number=2)]))
            await it.look()
            assert len(it.journals[EAST].followed.entries) == 1

    async def test_a_shared_look_that_hangs_delays_the_others_twice_and_not_for_long(self) -> None:
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

    async def test_after_a_lost_connection_the_next_look_is_shared_again(
        self, database: PostgresRig, tmp_path: Path
    ) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE '%has_words%' AND pid <> pg_backend_pid()"
            )
            assert await it.look() == {MAIN: {"follow", "lease"}, EAST: {"follow", "lease"}}
            await it.look()
            assert await it.look() == {MAIN: set(), EAST: set()}

    async def test_a_busy_moment_of_this_process_is_no_failure(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            await it.settle()
            it.glances.busy_seconds = ANSWER_SECONDS_MAX + 2 * LATE_SECONDS
            for _ in range(FAILURES_MAX):
                assert await it.glances.of(MAIN, has_timeline=False) is None
            it.glances.busy_seconds = 0.0
            assert await it.glances.of(MAIN, has_timeline=False) is not None

    async def test_after_some_failures_each_looks_by_itself_for_a_while(
        self, database: PostgresRig, tmp_path: Path
    ) -> None:
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

    async def test_who_is_cancelled_leaves_the_others_their_answer(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            first = asyncio.create_task(it.glances.of(MAIN, has_timeline=False))
            second = asyncio.create_task(it.glances.of(EAST, has_timeline=False))
            await asyncio.sleep(0)
            first.cancel()
            glance = await second
            assert glance is not None and glance.sequence == 1
            with pytest.raises(asyncio.CancelledError):
                await first

    async def test_a_shard_that_nobody_ever_held_has_no_glance(self, database: PostgresRig, tmp_path: Path) -> None:
        async with process(database, tmp_path) as it:
            assert await it.glances.of("west", has_timeline=False) is None
            west = counting(database, tmp_path, "west", it.glances)
            await west.open(holder="fenced-b", now=1.0)
            assert await west.look() == ALL
            assert west.taken is not None
            await west.close()

"""A standby follows PostgreSQL; a store that lacks what a controller saw is noticed while following, at a write, and
at the next start (S22)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from fenced.core.durable.records import Entry, StoreDoubted
from fenced.journal.leases import EPOCH_JUMP
from fenced.journal.postgres.store import PostgresJournal
from fenced.journal.queries import Reader
from fenced.journal.seen import Seen, SeenFile, Server
from fenced.ports.journal import Batch, Followed, Loaded, StoreWentBack, Taken, Words
from tests.journal.rigs import PostgresRig
from tests.journal.strategies import entry, host_state
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
WORDS = Words(is_disarmed=True)
LOST_TAIL = ("DELETE FROM records WHERE sequence > 2", "UPDATE lease SET sequence = 2, batch = batch - 1")
OTHER_TAIL = ("UPDATE records SET at = at + 1 WHERE sequence = 3",)
OTHER_EPOCH = ("UPDATE records SET epoch = 1 WHERE sequence = 3",)
OLDER_EPOCH = ("UPDATE lease SET epoch = epoch - 1", "UPDATE store SET epochs = epochs - 1")
WENT_BACK = [
    pytest.param(LOST_TAIL, "lacks record 3", id="lost tail"),
    pytest.param(OTHER_TAIL, "record 3 is another one", id="other tail"),
    pytest.param(OTHER_EPOCH, "record 3 is another one", id="tail of another epoch"),
    pytest.param(OLDER_EPOCH, "epoch 1", id="older epoch"),
]


@dataclass(slots=True)
class Life:
    """The lives of one controller in one state directory."""

    database: PostgresRig
    directory: Path
    journal: PostgresJournal

    async def end(self) -> None:
        await self.journal.close()
        self.journal = self.database.build(directory=self.directory)

    async def begin(self) -> Loaded:
        return await self.journal.open(holder="fenced-a", now=1.0)

    async def begin_after(self, changes: Sequence[str]) -> Loaded:
        """Change the store while the controller does not run."""
        await self.end()
        for statement in changes:
            await self.database.execute(statement)
        return await self.begin()

    async def take(self, loaded: Loaded) -> Taken:
        taken = await self.journal.take(after=loaded.sequence, now=1.0)
        assert taken is not None
        return taken

    @property
    def file(self) -> SeenFile:
        return SeenFile(self.directory)

    def seen(self) -> Seen:
        seen = self.file.read()
        assert seen is not None
        return seen


@pytest.fixture
async def life(database: PostgresRig, tmp_path: Path) -> AsyncIterator[Life]:
    """A controller that wrote three records under epoch 2."""
    directory = tmp_path / "state"
    directory.mkdir()
    life = Life(database, directory, database.build(directory=directory))
    await life.take(await life.begin())
    await life.end()
    await life.take(await life.begin())
    for number in (1, 2, 3):
        await life.journal.append(Batch(entries=[entry(number=number)]))
    yield life
    await life.journal.close()


async def standby(database: PostgresRig) -> tuple[PostgresJournal, Loaded]:
    journal = database.build(place="another machine")
    return journal, await journal.open(holder="fenced-b", now=1.0)


def numbers(followed: Followed) -> list[object]:
    return [each.record for each in followed.entries]


# -- following --------------------------------------------------------------------------------------------------------


async def test_a_standby_follows_in_steps_and_knows_how_far_behind_it_is(life: Life) -> None:
    other, loaded = await standby(life.database)
    assert (loaded.sequence, len(loaded.tail)) == (3, 3)
    assert await other.follow(after=3, limit=10) == Followed(sequence=3)
    new = [entry(number=number) for number in range(4, 9)]
    await life.journal.append(Batch(entries=new))
    first = await other.follow(after=3, limit=2)
    assert (first.entries, first.sequence, first.behind) == (tuple(new[:2]), 5, 3)
    assert await other.follow(after=3, limit=2) == first, "a call that was cancelled is repeated"
    rest = await other.follow(after=5, limit=2)
    assert (rest.sequence, rest.behind) == (7, 1)
    assert (await other.follow(after=7, limit=2)).behind == 0


async def test_a_standby_follows_an_active_controller_that_writes(life: Life) -> None:
    other, loaded = await standby(life.database)
    read: list[object] = []

    async def follow(until: int) -> None:
        after = loaded.sequence
        while after < until:
            followed = await other.follow(after=after, limit=7)
            read.extend(numbers(followed))
            after = followed.sequence

    batches = [Batch(entries=[entry(number=n), entry(number=n)]) for n in range(30)]
    following = asyncio.create_task(follow(63))
    for batch in batches:
        await life.journal.append(batch)
    await following
    assert read == [each.record for batch in batches for each in batch.entries]


async def test_an_unreadable_record_is_only_its_hosts_fault(life: Life) -> None:
    other, loaded = await standby(life.database)
    await life.journal.append(Batch(entries=[entry("a", 4), entry("b", 5), entry("a", 6)]))
    await life.database.execute("UPDATE records SET body = '{}' WHERE sequence = 4")
    followed = await other.follow(after=loaded.sequence, limit=10)
    assert [each.host for each in followed.entries] == ["b"]
    assert list(followed.faults) == ["a"]
    assert followed.sequence == 6


@pytest.mark.parametrize(("changes", "what"), WENT_BACK)
async def test_a_standby_notices_a_store_that_went_back(life: Life, changes: Sequence[str], what: str) -> None:
    other, loaded = await standby(life.database)
    for statement in changes:
        await life.database.execute(statement)
    with pytest.raises(StoreWentBack, match=what):
        await other.follow(after=loaded.sequence, limit=10)
    await life.database.execute("UPDATE lease SET until = 0")
    with pytest.raises(StoreWentBack, match=what):
        await other.take(after=loaded.sequence, now=1.0)


async def test_all_statements_of_a_read_see_one_moment(life: Life) -> None:
    """Otherwise a start beside an active controller reads a snapshot that is newer than all records it knows."""

    def count(connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT count(*) FROM records").scalar_one())

    def twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        await_only(life.journal.append(Batch(entries=[entry()])))
        return before, count(connection)

    assert await life.journal._read("twice", twice, Reader.KEEPER) == (3, 3)


async def test_a_missing_number_is_noticed(life: Life) -> None:
    other, loaded = await standby(life.database)
    await life.journal.append(Batch(entries=[entry(number=number) for number in (4, 5, 6)]))
    await life.database.execute("DELETE FROM records WHERE sequence = 5")
    with pytest.raises(StoreWentBack, match="from 5 to 5"):
        await other.follow(after=loaded.sequence, limit=10)


async def test_a_standby_that_was_cut_off_for_too_long_reads_everything_anew(life: Life) -> None:
    """Records that it did not read were deleted because of their age."""
    other, loaded = await standby(life.database)
    await life.journal.append(Batch(entries=[entry(number=4), entry(number=5, at=500.0)], snapshots=[host_state()]))
    assert await life.journal.prune(before=200.0, events_before=0.0, limit=10) == 4
    with pytest.raises(StoreWentBack, match="from 4 to 4; they were deleted because of their age"):
        await other.follow(after=loaded.sequence, limit=10)
    await life.database.execute("UPDATE lease SET pruned = 3")
    with pytest.raises(StoreWentBack, match=r"from 4 to 4$"):
        await other.follow(after=loaded.sequence, limit=10)


async def test_a_position_that_was_deleted_by_its_age_did_not_go_back(life: Life) -> None:
    """The newest record of a quiet fleet is old when the next one comes."""
    other, loaded = await standby(life.database)
    await life.journal.append(Batch(entries=[entry(number=4, at=500.0)], snapshots=[host_state("node-1")]))
    assert await life.journal.prune(before=200.0, events_before=0.0, limit=10) == 3
    assert (await other.follow(after=loaded.sequence, limit=10)).sequence == 4


# -- at the next start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "what"), WENT_BACK)
async def test_the_next_start_says_what_is_missing(life: Life, changes: Sequence[str], what: str) -> None:
    await life.journal.remember(WORDS)
    loaded = await life.begin_after(changes)
    assert what in loaded.went_back
    assert loaded.words == WORDS
    assert loaded.expected_store == ""


async def test_words_of_the_lost_past_stay_until_the_journal_holds_the_doubt(life: Life) -> None:
    """A controller that did not take the lease yet remembers the words of the older store, which are fewer."""
    await life.journal.remember(WORDS)
    loaded = await life.begin_after(OTHER_TAIL)
    await life.journal.remember(Words())
    assert (await life.begin_after(())).words == WORDS
    await life.take(loaded)
    await life.journal.append(Batch(entries=[Entry(at=9.0, host=None, record=StoreDoubted(why="x"))]))
    await life.journal.remember(Words())
    await life.journal.close()
    assert life.seen().words == Words()


async def test_a_store_with_everything_did_not_go_back(life: Life) -> None:
    await life.journal.remember(WORDS)
    for _ in range(2):
        loaded = await life.begin_after(())
        assert (loaded.went_back, loaded.words) == ("", None)


async def test_a_store_that_others_continued_did_not_go_back(life: Life) -> None:
    await life.end()
    other, loaded = await standby(life.database)
    assert await other.take(after=loaded.sequence, now=1.0) is not None
    await other.append(Batch(entries=[entry(number=4)]))
    await other.close()
    assert (await life.begin()).went_back == ""


async def test_a_killed_controller_compares_what_it_had_written_down(life: Life) -> None:
    """`take` and `report` write the file; this one holds what the second life found when it took the lease."""
    assert (life.seen().epoch, life.seen().mark.sequence) == (2, 0)
    await life.begin_after(())
    assert life.seen().mark.sequence == 3


async def test_a_new_epoch_is_above_all_that_was_seen(life: Life) -> None:
    loaded = await life.begin_after((*OLDER_EPOCH, "UPDATE lease SET epoch = 1, until = 0", *LOST_TAIL))
    assert (await life.take(loaded)).epoch == 2 + EPOCH_JUMP, "the lost past may hold more takings than were seen"
    again = await life.begin_after(())
    assert (await life.take(again)).epoch == 3 + EPOCH_JUMP, "one jump is enough"


async def test_the_doubt_lasts_until_the_journal_holds_it(life: Life) -> None:
    """A crash before that must not forget it, even though the lease was taken and the lost number given again."""
    loaded = await life.begin_after(OTHER_TAIL)
    taken = await life.take(loaded)
    again = await life.begin_after(())
    assert again.went_back
    assert (await life.take(again)).epoch == taken.epoch + 1
    await life.journal.append(Batch(entries=[Entry(at=9.0, host=None, record=StoreDoubted(why="x"))]))
    assert (await life.begin_after(())).went_back == ""


async def test_a_standby_lets_the_doubt_go_when_it_follows_it(life: Life) -> None:
    loaded = await life.begin_after(LOST_TAIL)
    assert loaded.went_back
    other, _ = await standby(life.database)
    assert await other.take(after=loaded.sequence, now=1.0) is not None
    await other.append(Batch(entries=[Entry(at=9.0, host=None, record=StoreDoubted(why="x"))]))
    await life.journal.follow(after=loaded.sequence, limit=10)
    assert (await life.begin_after(())).went_back == ""


async def test_a_start_after_another_controller_journalled_the_doubt_does_not_repeat_it(life: Life) -> None:
    """That one saw the same go, and a person may have released the store long ago."""
    await life.end()
    other, loaded = await standby(life.database)
    assert await other.take(after=loaded.sequence, now=1.0) is not None
    await other.append(Batch(entries=[Entry(at=9.0, host=None, record=StoreDoubted(why="x"))]))
    await life.database.execute("UPDATE records SET at = 99 WHERE sequence = 3")
    assert (await life.begin()).went_back == ""
    assert life.seen().mark.sequence == 3
    await life.end()
    assert life.seen().mark.sequence == 4


async def test_an_older_doubt_does_not_hide_a_new_one(life: Life) -> None:
    doubted = Entry(at=9.0, host=None, record=StoreDoubted(why="x"))
    await life.journal.append(Batch(entries=[doubted, entry(number=5)]))
    assert (await life.begin_after(("UPDATE records SET at = 99 WHERE sequence = 5",))).went_back


async def test_of_many_appends_the_last_is_remembered_with_its_epoch(life: Life) -> None:
    """A hand-over follows at once."""
    appends = [life.journal.append(Batch(entries=[entry(number=number)])) for number in range(10)]
    await asyncio.gather(*appends, life.journal.release(to=""))
    assert (await life.begin_after(())).went_back == ""
    assert (life.seen().mark.sequence, life.seen().mark.epoch) == (13, 2)


async def test_a_person_accepts_a_store_that_went_back(life: Life) -> None:
    await life.begin_after((*OLDER_EPOCH, *LOST_TAIL))
    await life.journal.accept_store()
    loaded = await life.begin_after(("UPDATE lease SET until = 0",))
    assert loaded.went_back == ""
    assert (await life.take(loaded)).epoch == 3, "the highest epoch stays"


# -- another server ---------------------------------------------------------------------------------------------------


async def test_a_dump_on_another_server_is_noticed(life: Life) -> None:
    await life.end()
    life.file.write(replace(life.seen(), server=Server(system="1", timeline=1)))
    loaded = await life.begin()
    assert "another one (system" in loaded.went_back
    await life.journal.accept_store()
    assert (await life.begin_after(())).went_back == ""


async def test_an_older_timeline_is_noticed(life: Life) -> None:
    await life.end()
    assert life.seen().server.timeline == 1
    life.file.write(replace(life.seen(), server=replace(life.seen().server, timeline=2)))
    assert "timeline 1, and was on 2" in (await life.begin()).went_back
    await life.end()
    life.file.write(replace(life.seen(), went_back="", server=replace(life.seen().server, timeline=0)))
    assert (await life.begin()).went_back == "", "a failover is no step back"

"""Words of controllers without the lease, in each store: no batch overtakes one, and none is folded twice (S19)."""

import asyncio
import sqlite3

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from fenced.core.durable.records import BusBack, Disarmed, Entry
from fenced.core.durable.restricting import DisarmSaid, MaintenanceSaid, PauseSaid
from fenced.journal import codec, words
from fenced.model.names import HostName
from fenced.ports.journal import Batch, EpochLost, Said, StoreError, Word, WordsNotRead, WordsUnread
from tests.journal.rigs import PostgresRig, Rig, SqlRig, start
from tests.journal.strategies import entry
from tests.journal.test_leases import held_up, row_held
from tests.needs import needs

MAIN = ("main",)
DISARM = Said(what=DisarmSaid(by="a person", reason="at night"))
PAUSE = Said(what=PauseSaid(match="*", by="a person", reason="größer", seconds=60.0), key="key 1", content="abc")
MAINTENANCE = Said(what=MaintenanceSaid(host=HostName("node-1"), by="a person", reason="\ud800"))
POSTGRES = [needs("postgres"), pytest.mark.integration, pytest.mark.database]


def folding(found: "tuple[Word, ...]") -> Batch:
    record = Disarmed(by="a person", reason="at night")
    return Batch(entries=[Entry(at=1.0, host=None, record=record)], words=frozenset(it.number for it in found))


async def test_a_batch_is_refused_until_it_folds_the_word(rig: Rig) -> None:
    await rig.open()
    await rig.journal.append(Batch(entries=[entry(number=1)]))
    word_id = await rig.journal.say(DISARM, shards=MAIN)
    with pytest.raises(WordsUnread) as refused:
        await rig.journal.append(Batch(entries=[entry(number=2)]))
    (word,) = refused.value.words
    assert (word.id, word.said) == (word_id, DISARM)
    assert word.age_seconds >= 0.0
    assert len(await rig.journal.entries(host=None, limit=9)) == 1, "nothing of the batch is stored"
    assert await rig.journal.append(folding(refused.value.words)) == 2
    assert not await rig.journal.words()
    assert await rig.journal.append(Batch(entries=[entry(number=3)])) == 3


async def test_a_batch_that_folds_one_of_two_words_is_refused_and_names_both(rig: Rig) -> None:
    await rig.open()
    first = await rig.journal.say(DISARM, shards=MAIN)
    known = tuple(await rig.journal.words())
    second = await rig.journal.say(PAUSE, shards=MAIN)
    with pytest.raises(WordsUnread) as refused:
        await rig.journal.append(folding(known))
    assert [it.id for it in refused.value.words] == [first, second]
    assert first != second
    assert [it.said for it in await rig.journal.words()] == [DISARM, PAUSE], "none of them is gone"
    await rig.journal.append(folding(refused.value.words))
    assert not await rig.journal.words()


async def test_words_survive_a_crash_and_come_with_the_lease(rig: Rig) -> None:
    await rig.open()
    for said in (DISARM, PAUSE):
        await rig.journal.say(said, shards=MAIN)
    await rig.crash()
    assert [it.said for it in rig.taken.words] == [DISARM, PAUSE]
    await rig.journal.append(folding(rig.taken.words))
    await rig.reopen()
    assert rig.taken.words == ()


async def test_a_word_delays_no_renewal(rig: Rig) -> None:
    await rig.open()
    await rig.journal.say(DISARM, shards=MAIN)
    await rig.journal.renew_lease(now=1.0, ttl_seconds=9.0)
    with pytest.raises(WordsUnread):
        await rig.journal.append(Batch(entries=[entry()]))


# -- files ------------------------------------------------------------------------------------------------------------


async def test_text_that_is_no_unicode_is_kept_as_far_as_it_can_be(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.say(MAINTENANCE, shards=MAIN)
    (word,) = await sql.journal.words()
    assert isinstance(word.said.what, MaintenanceSaid)
    assert (word.said.what.host, word.said.what.reason) == ("node-1", "?")


async def test_a_word_that_cannot_be_read_is_a_disarm(sql: SqlRig) -> None:
    """Somebody forbade something, and nobody knows what."""
    await sql.open()
    await sql.journal.say(PAUSE, shards=MAIN)
    connection = sqlite3.connect(sql.path)
    with connection:
        connection.execute("UPDATE words SET body = '{\"what\": 7}', at = 'x'")
    connection.close()
    (word,) = await sql.journal.words()
    assert isinstance(word.said.what, DisarmSaid)
    assert word.said.what.by == "a person"
    with pytest.raises(WordsUnread):
        await sql.journal.append(Batch(entries=[entry()]))
    await sql.journal.append(folding((word,)))


async def test_words_are_bounded(sql: SqlRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "WORDS_MAX", 2)
    await sql.open()
    for _ in range(2):
        await sql.journal.say(DISARM, shards=MAIN)
    with pytest.raises(StoreError, match="2 words wait"):
        await sql.journal.say(DISARM, shards=MAIN)
    assert len(await sql.journal.words()) == 2


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


async def other(database: PostgresRig, name: str = "fenced-b") -> Rig:
    """Open a controller on another machine, which does not get the lease."""
    rig = PostgresRig(database.server, database.database, database.directory)
    rig.journal = database.build(place=f"the machine of {name}")
    await rig.journal.open(holder=name, now=1.0)
    return rig


class TestPostgres:
    pytestmark = POSTGRES

    async def test_a_controller_without_the_lease_says_a_word(self, database: PostgresRig) -> None:
        await database.open()
        standby = await other(database)
        with pytest.raises(EpochLost):
            await standby.journal.append(Batch(entries=[entry()]))
        await standby.journal.say(DISARM, shards=MAIN)
        with pytest.raises(WordsUnread):
            await database.journal.append(Batch(entries=[entry()]))

    async def test_a_word_before_anybody_held_the_lease_is_found_by_the_first(self, database: PostgresRig) -> None:
        await database.journal.open(holder="fenced-a", now=1.0)
        await database.journal.say(DISARM, shards=MAIN)
        taken = await database.journal.take(after=0, now=1.0)
        assert taken is not None
        assert [it.said for it in taken.words] == [DISARM]

    async def test_a_word_waits_for_a_batch_that_runs_and_every_later_one_sees_it(self, database: PostgresRig) -> None:
        holder = database.build()
        await start(holder)
        standby = await other(database)
        go_on, write = await held_up(holder)
        say = asyncio.create_task(standby.journal.say(DISARM, shards=MAIN))
        await asyncio.sleep(0.3)
        is_early = say.done()
        go_on.set()
        await write
        await say
        assert not is_early, "the batch that ran did not see it"
        with pytest.raises(WordsUnread):
            await holder.append(Batch(entries=[entry()]))

    async def test_a_batch_that_waits_for_a_word_sees_it(self, database: PostgresRig) -> None:
        await database.open()
        await (await other(database)).journal.say(PAUSE, shards=MAIN)
        known = tuple(await database.journal.words())
        connection = await database.server.connect(database.database)
        saying = connection.transaction()
        await saying.start()
        await connection.execute("SELECT * FROM lease FOR SHARE")
        await _insert_copy(connection)
        batch = asyncio.create_task(database.journal.append(folding(known)))
        await asyncio.sleep(0.3)
        assert not batch.done()
        await saying.commit()
        await connection.close()
        with pytest.raises(WordsUnread) as refused:
            await batch
        assert len(refused.value.words) == 2

    async def test_a_batch_waits_for_who_says_a_word(self, database: PostgresRig) -> None:
        await database.open()
        standby = database.build(place="another machine")
        await standby.open(holder="fenced-b", now=1.0)
        said, may_go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(connection: Connection) -> None:
            words.say(connection, DISARM, MAIN, codec.FORMAT)
            loop.call_soon(said.set)
            await_only(may_go_on.wait())

        saying = asyncio.create_task(standby._write("say", slow, batches=0))
        await said.wait()
        batch = asyncio.create_task(database.journal.append(Batch(entries=[entry()])))
        await asyncio.sleep(0.3)
        is_early = batch.done()
        may_go_on.set()
        await saying
        assert not is_early, "it did not see a word that may be durable before it"
        with pytest.raises(WordsUnread):
            await batch

    async def test_words_of_two_controllers_do_not_wait_for_each_other(self, database: PostgresRig) -> None:
        """And a number that is visible late hides no word."""
        await database.open()
        connection = await database.server.connect(database.database)
        saying = connection.transaction()
        await saying.start()
        await connection.execute("SELECT * FROM lease FOR SHARE")
        await connection.execute("SELECT nextval('words_number_seq')")
        async with asyncio.timeout(1.0):
            await (await other(database)).journal.say(DISARM, shards=MAIN)
        (later,) = await database.journal.words()
        await _insert_copy(connection, number=1)
        await saying.commit()
        await connection.close()
        assert later.number == 2
        with pytest.raises(WordsUnread) as refused:
            await database.journal.append(folding((later,)))
        assert [it.number for it in refused.value.words] == [1, 2]

    async def test_a_word_gives_up_on_a_row_that_stays_locked(self, database: PostgresRig) -> None:
        await database.open()
        standby = await other(database)
        async with row_held(database):
            with pytest.raises(StoreError, match="lock"):
                await standby.journal.say(DISARM, shards=MAIN)
        assert not await database.journal.words()

    async def test_a_holder_of_an_older_program_gets_no_word(self, database: PostgresRig) -> None:
        await database.open()
        standby = await other(database)
        await database.execute("UPDATE lease SET reads_words = 0")
        with pytest.raises(WordsNotRead):
            await standby.journal.say(DISARM, shards=MAIN)
        assert not await standby.journal.words()

    async def test_a_store_of_the_schema_before_gets_the_table(self, database: PostgresRig) -> None:
        await database.open()
        await database.journal.append(Batch(entries=[Entry(at=1.0, host=None, record=BusBack())]))
        await database.journal.close()
        await database.execute("DROP TABLE words")
        await database.execute("ALTER TABLE lease DROP COLUMN reads_words")
        await database.execute("DELETE FROM schema WHERE number >= 5")
        database.journal = database.build()
        await database.open()
        await database.journal.say(DISARM, shards=MAIN)
        assert len(await database.journal.words()) == 1


async def _insert_copy(connection: asyncpg.Connection, number: int | None = None) -> None:
    """Insert a word as another controller does."""
    body = '{"what": {"kind": "disarm_said", "by": "another", "reason": ""}}'
    columns, given = ("number, ", f"{number}, ") if number is not None else ("", "")
    await connection.execute(
        f"INSERT INTO words ({columns}id, at, by, body, shard) OVERRIDING SYSTEM VALUE "
        f"VALUES ({given}'word', 1.0, 'another', '{body}', 'main')"
    )

"""What only a database server can do: cut a commit, hang, go read-only, hold a lock, forget to replicate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from fenced.journal import leases
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, EpochLost, StoreError, StoreTooNew, StoreWentBack
from tests.journal.rigs import PostgresRig, start, taken_in_time
from tests.journal.strategies import entry, message
from tests.journal.wire import GOODBYE, Fault, Relay
from tests.needs import needs
from tests.net import until
from tests.postgres import USER, Server, server

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
SHORT_LEASE = 3.0
WAIT_SECONDS = 30.0


@asynccontextmanager
async def through(relay: Relay, database: PostgresRig, tmp_path: Path) -> AsyncIterator[PostgresJournal]:
    """Open a journal whose connections go through the relay."""
    url = PostgresUrl.parse(f"postgresql://{USER}@127.0.0.1:{relay.port}/{database.database}")
    (tmp_path / "relayed").mkdir()
    journal = PostgresJournal(
        PostgresSettings(url=url, lease_ttl_seconds=SHORT_LEASE), state_dir=tmp_path / "relayed", place="relayed"
    )
    await start(journal)
    try:
        yield journal
    finally:
        relay.fault, relay.is_open = Fault.NONE, True
        await journal.close()


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


# -- a commit without an answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.UNANSWERED])
async def test_a_commit_whose_answer_is_lost_counts_as_stored(
    database: PostgresRig, tmp_path: Path, fault: Fault
) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        await journal.append(Batch(entries=[entry(number=1)]))
        relay.fault = fault
        assert await journal.append(Batch(entries=[entry(number=2)], outbox=[message(1)])) == 2
        assert await journal.append(Batch(entries=[entry(number=3)])) == 3
        assert len(await journal.entries(host=None, limit=10)) == 3
        assert await journal.outbox_pending() == 1


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.SWALLOWED])
async def test_a_commit_that_the_server_never_saw_stores_nothing(
    database: PostgresRig, tmp_path: Path, fault: Fault
) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        relay.fault = fault
        with pytest.raises(StoreError) as raised:
            await journal.append(Batch(entries=[entry(number=1)]))
        assert not isinstance(raised.value, EpochLost)
        assert await journal.append(Batch(entries=[entry(number=2)])) == 1
        assert [item for _, item in await journal.entries(host=None, limit=10)] == [entry(number=2)]


async def test_a_commit_whose_outcome_stays_unknown_ends_the_daemon(database: PostgresRig, tmp_path: Path) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        relay.fault, relay.is_open = Fault.CUT_AFTER, False
        with pytest.raises(EpochLost, match="not known whether the last batch is stored"):
            await journal.append(Batch(entries=[entry(number=1)]))


async def test_a_successor_that_took_over_during_the_doubt_ends_the_daemon(
    database: PostgresRig, tmp_path: Path
) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        relay.fault, relay.is_open = Fault.CUT_BEFORE, False
        doubtful = asyncio.create_task(journal.append(Batch(entries=[entry(number=1)])))
        await asyncio.sleep(0.1)
        await database.take_over()
        relay.is_open = True
        with pytest.raises(EpochLost, match="fenced-b"):
            await doubtful


async def test_a_taking_whose_answer_is_lost_is_repeated_under_a_new_epoch(
    database: PostgresRig, tmp_path: Path
) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        await journal.append(Batch(entries=[entry(number=1)]))
        await journal.release(to="")
        await database.execute("UPDATE lease SET released_by = ''")  # it may take it back at once
        relay.fault, relay.passing = Fault.CUT_AFTER, 1  # the look comes first
        with pytest.raises(StoreError):
            await journal.take(after=0, now=2.0)
        assert await database.execute("SELECT 1 FROM lease WHERE epoch = 2") == "SELECT 1"
        with pytest.raises(EpochLost):
            await journal.append(Batch(entries=[entry(number=2)]))
        taken = await taken_in_time(journal)
        assert (taken.epoch, taken.is_own, taken.rest.sequence) == (3, False, 1)
        assert await journal.append(Batch(entries=[entry(number=2)])) == 2


async def test_a_store_that_went_back_during_the_doubt_is_noticed(database: PostgresRig, tmp_path: Path) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        relay.fault, relay.is_open = Fault.CUT_BEFORE, False
        doubtful = asyncio.create_task(journal.append(Batch(entries=[entry(number=1)])))
        await asyncio.sleep(0.1)
        await database.execute("UPDATE lease SET batch = batch - 1")
        relay.is_open = True
        with pytest.raises(StoreWentBack, match="this controller"):
            await doubtful


async def test_a_lost_connection_costs_one_write_at_most(database: PostgresRig, tmp_path: Path) -> None:
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        await journal.append(Batch(entries=[entry(number=1)]))
        await journal.entries(host=None, limit=1)
        relay.cut()
        await asyncio.sleep(0.1)
        for call in (journal.append(Batch(entries=[entry(number=2)])), journal.entries(host=None, limit=1)):
            with pytest.raises(StoreError, match="connection"):
                await call
        assert await journal.append(Batch(entries=[entry(number=3)])) == 2
        assert [number for number, _ in await journal.entries(host=None, limit=9)] == [2, 1]


async def test_a_goodbye_to_an_idle_connection_costs_one_write_at_most(database: PostgresRig, tmp_path: Path) -> None:
    """Until the end of the connection is noticed, the driver takes the next statement for a mistake of the program."""
    async with Relay(database.server.port) as relay, through(relay, database, tmp_path) as journal:
        await journal.append(Batch(entries=[entry(number=1)]))
        await journal.entries(host=None, limit=1)
        relay.tell(GOODBYE)
        await asyncio.sleep(0.1)
        for call in (journal.append(Batch(entries=[entry(number=2)])), journal.entries(host=None, limit=1)):
            with pytest.raises(StoreError, match="another operation"):
                await call
        assert await journal.append(Batch(entries=[entry(number=3)])) == 2
        assert [number for number, _ in await journal.entries(host=None, limit=9)] == [2, 1]


# -- a server in trouble ----------------------------------------------------------------------------------------------


async def test_a_held_row_delays_a_write_by_a_share_of_the_lease(database: PostgresRig) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await start(journal)
    async with row_held(database):
        with pytest.raises(StoreError, match=r"pg_stat_activity|too long"):
            await journal.append(Batch(entries=[entry(number=1)]))
    assert await journal.append(Batch(entries=[entry(number=2)])) == 1


async def test_a_frozen_holder_inside_a_transaction_blocks_its_successor_only_for_a_while(
    database: PostgresRig,
) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await start(journal)
    frozen = database.build(place="this machine", lease_seconds=SHORT_LEASE)
    await start(frozen)
    begun, frozen_now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def freeze(connection: Connection) -> None:
        leases.advance(connection, frozen._held)
        loop.call_soon(begun.set)
        await_only(frozen_now.wait())

    write = asyncio.create_task(frozen._write("frozen", freeze))
    await begun.wait()
    successor = database.build(place="this machine", lease_seconds=SHORT_LEASE * 3)
    try:
        assert (await start(successor))[1].epoch == 3
    finally:
        frozen_now.set()
    with pytest.raises(StoreError):
        await write
    assert await successor.append(Batch(entries=[entry()])) == 1


async def test_a_stopped_server_is_an_error_with_advice_until_it_is_back(tmp_path: Path) -> None:
    with server() as own:
        rig = PostgresRig(own, await own.new_database(), tmp_path)
        await rig.open()
        own.stop("fast")
        with pytest.raises(StoreError, match=rf"127\.0\.0\.1:{own.port}"):
            await rig.journal.append(Batch(entries=[entry(number=1)]))
        own.start()
        end = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            try:
                assert await rig.journal.append(Batch(entries=[entry(number=2)])) == 1
                break
            except StoreError:
                assert asyncio.get_running_loop().time() < end
        await rig.close()


async def test_a_batch_that_the_synchronous_standby_lacks_is_not_reported_as_stored(tmp_path: Path) -> None:
    """PostgreSQL reports success with a warning when the wait for the standby is cancelled."""
    with server(("fsync=off",)) as own:
        rig = PostgresRig(own, await own.new_database(), tmp_path)
        journal = rig.build(lease_seconds=SHORT_LEASE)
        await start(journal)
        await own.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        await own.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)
        waiting = asyncio.create_task(journal.append(Batch(entries=[entry(number=1)])))
        done, _ = await asyncio.wait({waiting}, timeout=SHORT_LEASE / 2)
        assert not done
        await release_standby(own)
        assert await waiting == 1
        await own.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        await own.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)
        with pytest.raises(EpochLost, match="last batch"):
            await journal.append(Batch(entries=[entry(number=2)]))
        await release_standby(own)
        await rig.close()


async def test_a_cancelled_wait_for_the_standby_leaves_a_commit_in_doubt(tmp_path: Path) -> None:
    """PostgreSQL then reports success with a warning. The batch is stored, so an error must not say that it is not."""
    with server(("fsync=off",)) as own:
        rig = PostgresRig(own, await own.new_database(), tmp_path)
        journal = rig.build(lease_seconds=SHORT_LEASE)
        await start(journal)
        await own.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        await own.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)
        waiting = asyncio.create_task(journal.append(Batch(entries=[entry(number=1)])))
        watcher = await own.connect("postgres")
        cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

        async def is_cancelled() -> bool:
            return bool(await watcher.fetchval(cancel))

        await until(is_cancelled, what="the wait for the standby was cancelled")
        with pytest.raises(EpochLost, match="last batch"):
            await waiting
        await watcher.close()
        await release_standby(own)
        await rig.close()


async def release_standby(own: Server) -> None:
    """Let all commits end. A wait that has begun ends when the server reads its configuration anew."""
    connection = await own.connect("postgres")
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


# -- a database that is not ours --------------------------------------------------------------------------------------


async def opening(database: PostgresRig) -> str:
    """Return the error of an attempt to open the store."""
    with pytest.raises(StoreError) as raised:
        await database.open()
    return str(raised.value)


async def test_a_database_of_another_program_is_refused(database: PostgresRig) -> None:
    await database.execute("CREATE TABLE customers (id integer)")
    assert "not a store of fenced" in await opening(database)
    assert await database.execute("SELECT * FROM customers") == "SELECT 0"


async def test_a_newer_schema_is_refused(database: PostgresRig) -> None:
    await database.open()
    await database.journal.close()
    await database.execute("INSERT INTO schema VALUES (99, 1.0)")
    await database.execute("UPDATE store SET minimum = 98, program = '9.8.0'")
    database.journal = database.build()
    with pytest.raises(
        StoreTooNew, match=r"schema 99 is newer than this program's \d+; install fenced 9\.8\.0 or newer"
    ):
        await database.open()


async def test_an_older_schema_is_migrated_with_all_its_content(database: PostgresRig) -> None:
    """The tables are those that the first program with PostgreSQL made."""
    await database.open()
    await database.journal.append(Batch(entries=[entry(number=1)]))
    await database.journal.close()
    await database.execute("DELETE FROM schema WHERE number > 4")
    for column in ("format", "minimum", "program", "home", "adopted", "doubt"):
        await database.execute(f"ALTER TABLE store DROP COLUMN {column}")
    await database.execute("ALTER TABLE controllers DROP COLUMN format")
    database.journal = database.build()
    loaded = await database.open()
    assert list(loaded.tail) == [entry(number=1)]
    assert loaded.went_back == ""
    await database.journal.append(Batch(entries=[entry(number=2)]))


async def test_a_user_without_rights_is_told_which_to_give(database: PostgresRig) -> None:
    role = "poor"
    await database.execute(f"CREATE ROLE {role} LOGIN")
    url = database.server.url(database.database).replace(USER, role, 1)
    directory = database.build()._lock.path.parent
    poor = PostgresJournal(
        PostgresSettings(url=PostgresUrl.parse(url), lease_ttl_seconds=9.0), state_dir=directory, place="poor"
    )
    with pytest.raises(StoreError, match="OWNER TO"):
        await poor.open(holder="fenced-a", now=1.0)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda url: url.removesuffix("postgres") + "absent", "createdb"),
        (lambda url: url.replace(USER, "nobody_of_that_name", 1), "user, password and pg_hba.conf"),
    ],
)
async def test_a_wrong_login_or_name_says_what_to_do(database: PostgresRig, change: object, advice: str) -> None:
    assert callable(change)
    url = PostgresUrl.parse(change(database.server.url(database.database)))
    directory = database.build()._lock.path.parent
    journal = PostgresJournal(PostgresSettings(url=url, lease_ttl_seconds=9.0), state_dir=directory, place="x")
    with pytest.raises(StoreError, match=advice):
        await journal.open(holder="fenced-a", now=1.0)


async def test_a_read_only_server_is_refused(database: PostgresRig) -> None:
    name = await database.server.new_database()
    await database.server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="primary"):
        await PostgresRig(database.server, name, database.directory).open()


async def test_an_encoding_that_is_not_unicode_is_refused(database: PostgresRig) -> None:
    name = "in_ascii"
    await database.server.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    url = PostgresUrl.parse(database.server.url(name))
    directory = database.build()._lock.path.parent
    journal = PostgresJournal(PostgresSettings(url=url, lease_ttl_seconds=9.0), state_dir=directory, place="x")
    with pytest.raises(StoreError, match="UTF8"):
        await journal.open(holder="fenced-a", now=1.0)

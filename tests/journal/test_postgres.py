"""What only a database server can do: cut a commit, hang, go read-only, hold a lock, forget to replicate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from fenced.journal import writing
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, ClockAnchor, EpochLost, StoreError, StoreHeld, StoreTooNew
from tests.journal.rigs import PostgresRig
from tests.journal.strategies import entry, message
from tests.journal.wire import Fault, Relay
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
    await journal.open(holder="fenced-a", now=1.0)
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


# -- the lease --------------------------------------------------------------------------------------------------------


async def test_a_dead_holders_lease_is_taken_once_it_is_over(database: PostgresRig) -> None:
    first = database.build(lease_seconds=SHORT_LEASE)
    await first.open(holder="fenced-a", now=1.0)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    second = database.build(place="another machine", lease_seconds=SHORT_LEASE)
    assert (await second.open(holder="fenced-b", now=2.0)).epoch == 2
    assert loop.time() - begun >= SHORT_LEASE
    with pytest.raises(EpochLost, match="fenced-b"):
        await first.append(Batch(entries=[entry()]))


async def test_a_successor_elsewhere_goes_on_in_the_time_of_the_dead_one(database: PostgresRig) -> None:
    """By the database's clock: the wall clocks of the two machines may be an hour apart."""
    first = database.build(lease_seconds=SHORT_LEASE)
    assert (await first.open(holder="fenced-a", now=1.0)).steady_at is None
    anchor = ClockAnchor(boot_id="b", boottime=1.0, steady=5000.0)
    await first.renew_lease(now=1.0, ttl_seconds=SHORT_LEASE, anchor=anchor)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    loaded = await database.build(place="another machine", lease_seconds=SHORT_LEASE).open(holder="fenced-b", now=9e9)
    assert loaded.steady_at is not None
    assert SHORT_LEASE <= loaded.steady_at - 5000.0 <= loop.time() - begun + 0.5


async def test_a_lease_that_the_databases_clock_ended_early_is_not_taken_before_a_whole_lease(
    database: PostgresRig,
) -> None:
    """The database's clock jumps ahead by a year: the holder still renews, and keeps its lease."""
    first = database.build(lease_seconds=SHORT_LEASE)
    await first.open(holder="fenced-a", now=1.0)
    await database.execute("UPDATE lease SET until = 1.0")
    second = asyncio.create_task(
        database.build(place="another machine", lease_seconds=SHORT_LEASE).open(holder="fenced-b", now=2.0)
    )
    await asyncio.sleep(SHORT_LEASE / 4)
    await first.renew_lease(now=1.0, ttl_seconds=SHORT_LEASE)
    with pytest.raises(StoreHeld, match="fenced-a"):
        await second
    assert await first.append(Batch(entries=[entry()])) == 1


async def test_an_equal_epoch_of_another_holder_can_write_nothing(database: PostgresRig) -> None:
    """Two servers that were promoted at once may each give the same epoch."""
    await database.open()
    await database.execute("UPDATE lease SET holder = 'another', name = 'fenced-b'")
    with pytest.raises(EpochLost, match="fenced-b"):
        await database.journal.append(Batch(entries=[entry()]))


async def test_a_renewal_counts_from_its_statement_not_from_its_transaction(database: PostgresRig) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await journal.open(holder="fenced-a", now=1.0)
    async with row_held(database) as other:
        renewal = asyncio.create_task(journal.renew_lease(now=1.0, ttl_seconds=SHORT_LEASE))
        await asyncio.sleep(SHORT_LEASE / 6)
        released = await other.fetchval("SELECT extract(epoch FROM clock_timestamp())")
    await renewal
    late = f"SELECT 1 FROM lease WHERE until >= {float(released) + SHORT_LEASE!r}"
    assert await database.execute(late) == "SELECT 1"


async def test_of_two_that_wait_for_a_dead_holder_one_gets_the_lease(database: PostgresRig) -> None:
    await database.build(lease_seconds=SHORT_LEASE).open(holder="fenced-a", now=1.0)
    two = [database.build(place=f"machine {number}", lease_seconds=SHORT_LEASE) for number in (2, 3)]
    outcomes = await asyncio.gather(
        *(journal.open(holder=f"fenced-{number}", now=2.0) for number, journal in enumerate(two)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Loaded", "StoreHeld"]


async def test_two_daemons_that_start_on_an_empty_database_make_one_store(database: PostgresRig) -> None:
    two = [database.build(place=f"machine {number}") for number in (1, 2)]
    outcomes = await asyncio.gather(
        *(journal.open(holder="fenced-a", now=1.0) for journal in two), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Loaded", "StoreHeld"]


@pytest.mark.parametrize("epoch", [41, 10**16])
async def test_an_epoch_that_a_person_raised_is_exceeded(database: PostgresRig, epoch: int) -> None:
    await database.open()
    await database.execute(f"UPDATE lease SET epoch = {epoch}")
    assert (await database.crash()).epoch == epoch + 1


async def test_a_sequence_that_a_person_lowered_is_put_right(database: PostgresRig) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry(number=1), entry(number=2)]))
    await database.execute("UPDATE lease SET sequence = 0")
    with pytest.raises(StoreError):
        await database.journal.append(Batch(entries=[entry(number=3)]))
    assert (await database.crash()).sequence == 2
    assert await database.journal.append(Batch(entries=[entry(number=4)])) == 3


# -- a server in trouble ----------------------------------------------------------------------------------------------


async def test_a_held_row_delays_a_write_by_a_share_of_the_lease(database: PostgresRig) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await journal.open(holder="fenced-a", now=1.0)
    async with row_held(database):
        with pytest.raises(StoreError, match=r"pg_stat_activity|too long"):
            await journal.append(Batch(entries=[entry(number=1)]))
    assert await journal.append(Batch(entries=[entry(number=2)])) == 1


async def test_a_frozen_holder_inside_a_transaction_blocks_its_successor_only_for_a_while(
    database: PostgresRig,
) -> None:
    journal = database.build(lease_seconds=SHORT_LEASE)
    await journal.open(holder="fenced-a", now=1.0)
    frozen = database.build(place="this machine", lease_seconds=SHORT_LEASE)
    await frozen.open(holder="fenced-a", now=1.0)
    begun, frozen_now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def freeze(connection: Connection) -> None:
        writing.advance(connection, frozen._held)
        loop.call_soon(begun.set)
        await_only(frozen_now.wait())

    write = asyncio.create_task(frozen._write("frozen", freeze))
    await begun.wait()
    successor = database.build(place="this machine", lease_seconds=SHORT_LEASE * 3)
    try:
        assert (await successor.open(holder="fenced-b", now=1.0)).epoch == 3
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
        await journal.open(holder="fenced-a", now=1.0)
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
        await journal.open(holder="fenced-a", now=1.0)
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
    database.journal = database.build()
    with pytest.raises(StoreTooNew, match="schema 99 is newer"):
        await database.open()


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

"""`copy` between an SQLite file and a real PostgreSQL database: whole, checked, never two stores in force."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import BusBack, Entry
from fenced.core.durable.restricting import DisarmSaid
from fenced.journal import copying
from fenced.journal.copying import Copied, copy
from fenced.journal.postgres.endpoint import PostgresEndpoint
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.sqlite.endpoint import SqliteEndpoint
from fenced.model.power import OperationState
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, ClockAnchor, Loaded, Said, StoreError, StoreHeld, StoreMoved
from tests.journal.rigs import PostgresRig, SqlRig
from tests.journal.strategies import entry, host_state, message, operation
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
SAID = Said(what=DisarmSaid(by="a person", reason="at night"))
ANCHOR = ClockAnchor(boot_id="b", boottime=1.5, steady=2.5, calendar="[]")


@pytest.fixture(autouse=True)
def _few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS", 50)


async def filled(sql: SqlRig) -> Loaded:
    """Fill every table, more rows than one read takes; return what a start reads after the daemon's end."""
    await sql.open()
    entries = [entry(f"node-{number % 7}", number, at=float(number)) for number in range(copying.ROWS * 2 + 1)]
    await sql.journal.append(
        Batch(
            entries=[*entries, Entry(at=1e6, host=None, record=BusBack())],
            snapshots=[host_state("node-1"), host_state("größe")],
            fleet=FleetState(is_disarmed=True),
            operations=[operation(1), operation(2, state=OperationState.DONE, ended=5.0)],
            outbox=[message(1), message(2, is_retained=True), message(3, host=None)],
        )
    )
    pending = await sql.journal.outbox(limit=10, each=10)
    await sql.journal.delivered(pending[-2:])
    await sql.journal.renew_lease(now=1.0, ttl_seconds=15.0, anchor=ANCHOR)
    await sql.journal.say(SAID, shards=["main"])
    loaded = await sql.reopen()
    await sql.journal.close()
    return loaded


def file_of(sql: SqlRig, name: str = "fenced.db") -> SqliteEndpoint:
    return SqliteEndpoint(f"sqlite:///{name}", sql.directory)


def database_of(database: PostgresRig) -> PostgresEndpoint:
    url = PostgresUrl.parse(database.server.url(database.database))
    return PostgresEndpoint(PostgresSettings(url=url, lease_ttl_seconds=9.0))


async def copied(source: copying.Endpoint, target: copying.Endpoint) -> Copied:
    return await copy(source, target, now=5.0, progress=lambda *_: None)


async def copied_without_mark(sql: SqlRig, database: PostgresRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break off after the copy was committed."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(copying, "_compare_start", broken)
        await copied(file_of(sql), database_of(database))


async def test_a_daemon_goes_on_from_the_copy_and_not_from_the_source(sql: SqlRig, database: PostgresRig) -> None:
    before = await filled(sql)
    done = await copied(file_of(sql), database_of(database))
    assert (done.store_id, done.rows["records"], done.was_there) == (before.store_id, copying.ROWS * 2 + 2, False)
    after = await database.open()
    assert (database.taken.epoch, database.taken.is_own) == (sql.taken.epoch + 1, False)
    assert (after.store_id, after.hosts, after.fleet, after.tail) == (
        before.store_id, before.hosts, before.fleet, before.tail,
    )  # fmt: skip
    assert (after.sequence, after.last_at) == (before.sequence, before.last_at)
    assert await database.journal.clock_anchor() == ANCHOR
    assert [event.id for event in await database.journal.events(after=0, limit=10)] == ["m-1", "m-3"]
    assert await database.journal.outbox_pending() == 1
    with pytest.raises(StoreMoved, match=r"moved to postgresql://fenced@127\.0\.0\.1"):
        await sql.reopen()


async def test_there_and_back_again_loses_nothing(sql: SqlRig, database: PostgresRig) -> None:
    before = await filled(sql)
    await copied(file_of(sql), database_of(database))
    await copied(database_of(database), file_of(sql, "back.db"))
    with pytest.raises(StoreMoved, match=r"back\.db"):
        await database.open()
    (sql.directory / "back.db").rename(sql.path)
    after = await sql.reopen()
    assert (after.hosts, after.fleet, after.tail, after.sequence) == (
        before.hosts, before.fleet, before.tail, before.sequence,
    )  # fmt: skip


async def test_numbers_of_messages_are_not_given_again_after_the_copy(sql: SqlRig, database: PostgresRig) -> None:
    """All messages were delivered and pruned: only the counter knows their numbers."""
    await sql.open()
    await sql.journal.append(Batch(entries=[entry()], outbox=[message(number) for number in range(5)]))
    await sql.journal.delivered(await sql.journal.outbox(limit=10, each=10))
    assert await sql.journal.prune(before=0.0, events_before=1e9, limit=10) == 5
    await sql.journal.close()
    await copied(file_of(sql), database_of(database))
    await database.open()
    await database.journal.append(Batch(entries=[], outbox=[message(9)]))
    assert await database.journal.newest_event() == 6


async def test_a_running_daemons_store_is_not_copied(sql: SqlRig, database: PostgresRig) -> None:
    await sql.open()
    with pytest.raises(StoreHeld, match="fenced-a"):
        await copied(file_of(sql), database_of(database))
    await database.open()
    with pytest.raises(StoreError, match="fenced-a uses this store"):
        await copied(database_of(database), SqliteEndpoint("sqlite:///x.db", database.directory))
    await database.journal.append(Batch(entries=[entry()]))


@pytest.mark.parametrize(
    ("statement", "what"),
    [("CREATE TABLE customers (id integer)", "another program"), ("", "another store")],
)
async def test_a_target_that_is_not_empty_is_left_alone(
    sql: SqlRig, database: PostgresRig, statement: str, what: str
) -> None:
    await filled(sql)
    if statement:
        await database.execute(statement)
    else:
        await database.open()
        await database.journal.close()
    with pytest.raises(StoreError, match=what):
        await copied(file_of(sql), database_of(database))
    await sql.reopen()  # the source is still in force


@pytest.mark.parametrize("table", [table.name for table in copying.TABLES])
async def test_a_copy_that_breaks_off_leaves_the_source_in_force_and_the_target_empty(
    sql: SqlRig, database: PostgresRig, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(sql)
    whole = copying._copy_table

    async def broken(of: Table, old: AsyncConnection, new: AsyncConnection, progress: copying.Progress) -> None:
        await whole(of, old, new, progress)
        if of.name == table:
            raise ZeroDivisionError

    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(copying, "_copy_table", broken)
        await copied(file_of(sql), database_of(database))
    assert not (await copied(file_of(sql), database_of(database))).was_there


async def test_a_copy_without_its_mark_is_found_and_only_marked(
    sql: SqlRig, database: PostgresRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(sql)
    await copied_without_mark(sql, database, monkeypatch)
    assert (await copied(file_of(sql), database_of(database))).was_there
    with pytest.raises(StoreMoved):
        await sql.reopen()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET body = replace(body, 'a', 'b') WHERE sequence = 3",
        "DELETE FROM records WHERE sequence = 3",
        "UPDATE operations SET state = 'failed'",
        "UPDATE outbox SET payload = 'x'",
        "UPDATE store SET epochs = epochs - 1",
        "DELETE FROM snapshots",
    ],
)
async def test_a_copy_that_differs_is_not_put_in_force(
    sql: SqlRig, database: PostgresRig, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(sql)
    await copied_without_mark(sql, database, monkeypatch)
    await database.execute(change)
    with pytest.raises(StoreError, match="differs"):
        await copied(file_of(sql), database_of(database))
    await sql.reopen()


async def test_a_store_of_an_older_program_is_migrated_on_the_way(tmp_path: Path, database: PostgresRig) -> None:
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.executescript((Path(__file__).parent / "stores" / "1.sql").read_text())
    done = await copied(SqliteEndpoint("sqlite:///old.db", tmp_path), database_of(database))
    assert done.rows["records"] > 0
    assert (await database.open()).sequence > 0


async def test_an_older_copy_of_the_same_store_is_not_taken_for_a_complete_one(
    sql: SqlRig, database: PostgresRig
) -> None:
    await filled(sql)
    await copied(file_of(sql), database_of(database))
    with pytest.raises(StoreError, match="before it moved"):
        await copied(database_of(database), file_of(sql, sql.path.name))


async def test_a_store_that_belongs_elsewhere_is_not_copied(database: PostgresRig) -> None:
    """Its copy would be at home, and nobody would know that the original goes on."""
    await database.open()
    await database.journal.close()
    await database.execute("UPDATE store SET home = 'elsewhere'")
    with pytest.raises(StoreError, match="fenced store adopt"):
        await copied(database_of(database), SqliteEndpoint("sqlite:///x.db", database.directory))


async def test_a_store_of_a_newer_program_is_not_copied_in_part(database: PostgresRig) -> None:
    await database.open()
    await database.journal.close()
    await database.execute("INSERT INTO schema VALUES (99, 1.0)")
    with pytest.raises(StoreError, match="a newer program made this store"):
        await copied(database_of(database), SqliteEndpoint("sqlite:///x.db", database.directory))


async def test_two_files_are_not_copied(sql: SqlRig) -> None:
    with pytest.raises(StoreError, match="copy the file"):
        await copied(file_of(sql), file_of(sql, "other.db"))

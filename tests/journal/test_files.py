"""What only files can do: the lock file, migrations, foreign and damaged databases, a full disk, a locked database."""

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from fenced.journal.queries import LOOKS_MAX
from fenced.journal.sqlite.connections import WAL_BYTES_KEPT_MAX
from fenced.journal.sqlite.store import SqliteJournal
from fenced.ports.journal import Batch, StoreError, StoreHeld, StoreTooNew
from tests.journal.rigs import SqlRig, start
from tests.journal.strategies import entry, host_state, message
from tests.needs import needs_root

SCHEMA_1 = Path(__file__).parent / "stores" / "1.sql"


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(url=f"sqlite:///{path.name}", state_dir=path.parent, busy_timeout_seconds=0.3)
    try:
        await start(journal)
        yield journal
    finally:
        await journal.close()


async def try_to_open(path: Path) -> None:
    async with opened(path):
        pass


# -- the files themselves ---------------------------------------------------------------------------------------------


async def test_the_files_are_private_and_the_log_is_durable(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.append(Batch(entries=[entry()]))
    for file in sql.directory.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert (sql.directory / "fenced.db-wal").stat().st_size > 0
    await sql.journal.close()
    assert sorted(file.name for file in sql.directory.iterdir()) == [
        "fenced.db", "fenced.lock", "fenced.seen", "fenced.store",
    ]  # fmt: skip


async def test_the_lock_names_its_holder_and_ends_with_its_process(sql: SqlRig) -> None:
    """Kill a daemon while it appends: everything that it reported as stored is there, and nothing stays locked."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.writer", str(sql.directory)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "0\n"
        with pytest.raises(StoreHeld, match=f"pid {writer.pid}, daemon writer, since 1970") as raised:
            await sql.open()
        assert str(sql.directory / "fenced.lock") in str(raised.value)
        while int(writer.stdout.readline()) < 30:
            pass
    finally:
        writer.kill()
        printed = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
    loaded = await sql.open()
    assert sql.taken.epoch == 2
    assert loaded.sequence >= int(printed[-1] if printed else 30)
    assert loaded.sequence % 3 == 0  # no batch was torn
    assert [item.record for item in loaded.tail] == [entry(number=n // 3).record for n in range(loaded.sequence)]


async def test_child_processes_do_not_inherit_the_lock(sql: SqlRig) -> None:
    await sql.open()
    child = await asyncio.create_subprocess_exec("sleep", "60", close_fds=False)
    try:
        await sql.reopen()
    finally:
        child.kill()
        await child.wait()


async def test_two_state_directories_cannot_share_a_database(tmp_path: Path) -> None:
    shared = tmp_path / "shared.db"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = SqliteJournal(url=f"sqlite:///{shared}", state_dir=tmp_path / "a")
    await first.open(holder="fenced-a", now=1.0)
    with pytest.raises(StoreHeld, match=r"shared\.db\.lock: held by .*fenced-a"):
        await SqliteJournal(url=f"sqlite:///{shared}", state_dir=tmp_path / "b").open(holder="fenced-b", now=1.0)
    await first.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u@h/d", "sqlite://", "sqlite:///", "sqlite:///a.db?mode=ro", "fenced.db"]
)
def test_a_url_that_is_not_of_sqlite_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///FILE"):
        SqliteJournal(url=url, state_dir=tmp_path)


async def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20?#ü'\""
    odd.mkdir()
    async with opened(odd / "x.db") as journal:
        await journal.append(Batch(entries=[entry()]))
    assert (odd / "x.db").exists()


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone/fenced\.lock: No such file"):
        await SqliteJournal(url="sqlite:///x.db", state_dir=tmp_path / "gone").open(holder="a", now=1.0)


async def test_a_replaced_database_is_noticed(sql: SqlRig) -> None:
    await sql.open()
    sql.path.rename(sql.path.with_suffix(".old"))
    with pytest.raises(StoreError, match="No such file"):
        await sql.journal.renew_lease(now=1.0, ttl_seconds=15.0)
    sql.path.touch()
    with pytest.raises(StoreError, match="was replaced"):
        await sql.journal.renew_lease(now=1.0, ttl_seconds=15.0)


# -- migrations and foreign files -------------------------------------------------------------------------------------


async def test_an_empty_file_becomes_a_store(sql: SqlRig) -> None:
    sql.path.touch()
    await sql.open()
    assert sql.taken.epoch == 1


async def test_a_store_of_schema_1_is_opened_with_all_its_content(sql: SqlRig) -> None:
    """The text is a dump of a store with number 1; later programs must still read it."""
    with database(sql.path) as connection:
        connection.executescript(SCHEMA_1.read_text())
    loaded = await sql.open()
    assert (loaded.store_id, sql.taken.epoch) == ("0b8e4a52-6a5c-4b1f-9c1e-3d2f5a7b9c10", 8)
    assert loaded.hosts == {host_state().name: host_state(since=5.0)}
    assert list(loaded.tail) == [entry(number=2, at=101.0)]
    assert [stored.id for stored in await sql.journal.outbox(limit=9, each=10)] == ["m-1"]
    assert (await sql.journal.append(Batch(entries=[entry()]))) == 3


async def test_a_newer_schema_is_refused_and_left_alone(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.close()
    with database(sql.path) as connection:
        connection.execute("INSERT INTO schema VALUES (99, 0)")
        connection.execute("UPDATE store SET minimum = 98, program = '9.8.0'")
    before = sql.path.read_bytes()
    with pytest.raises(
        StoreTooNew, match=r"schema 99 is newer than this program's \d+; install fenced 9\.8\.0 or newer"
    ):
        await try_to_open(sql.path)
    assert sql.path.read_bytes() == before


async def test_a_newer_schema_that_only_added_something_is_opened(sql: SqlRig) -> None:
    """The way of an upgrade: the other controller has the newer program already."""
    await sql.open()
    await sql.journal.append(Batch(entries=[entry(number=1)]))
    await sql.journal.close()
    with database(sql.path) as connection:
        connection.execute("ALTER TABLE records ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")
        connection.execute("INSERT INTO schema VALUES (99, 0)")
    loaded = await sql.reopen()
    assert loaded.sequence == 1
    assert (await sql.journal.append(Batch(entries=[entry(number=2)]))) == 2


async def test_a_newer_format_is_refused(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.close()
    with database(sql.path) as connection:
        connection.execute("UPDATE store SET format = 99, program = '9.8.0'")
    with pytest.raises(StoreTooNew, match=r"format 99 is newer than this program's \d+; install fenced 9\.8\.0"):
        await try_to_open(sql.path)


async def test_the_database_of_another_program_is_refused_and_left_alone(sql: SqlRig) -> None:
    with database(sql.path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreError, match="not a store of fenced"):
        await sql.open()
    with database(sql.path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


async def test_a_file_that_is_no_database_is_refused(sql: SqlRig) -> None:
    sql.path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StoreError, match=r"fenced\.db: .*SQLite"):
        await sql.open()
    sql.path.unlink()
    await try_to_open(sql.path)  # the failed start released the lock


async def test_a_damaged_database_is_reported(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.append(Batch(entries=[entry(f"node-{n}", n) for n in range(3000)]))
    await sql.journal.close()
    content = bytearray(sql.path.read_bytes())
    content[8192 : len(content) - 4096] = os.urandom(len(content) - 12288)
    sql.path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        await try_to_open(sql.path)


# -- failures outside -------------------------------------------------------------------------------------------------


async def test_a_locked_database_is_waited_for_and_then_reported(sql: SqlRig) -> None:
    await sql.open()
    with database(sql.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with asyncio.timeout(5.0):
            with pytest.raises(StoreError, match=r"fenced\.db: database is locked; "):
                await sql.journal.append(Batch(entries=[entry()]))
            with pytest.raises(StoreError, match="locked"):
                await sql.journal.renew_lease(now=1.0, ttl_seconds=15.0)
        assert await sql.journal.outbox_pending() == 0  # reads go on
        waiting = asyncio.create_task(sql.journal.append(Batch(entries=[entry()])))
        other.execute("ROLLBACK")
        assert await waiting == 1
    assert await sql.journal.append(Batch(entries=[entry()])) == 2


async def test_a_database_locked_at_the_start_is_reported_in_time(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.close()
    with database(sql.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            await try_to_open(sql.path)
    await try_to_open(sql.path)


async def test_a_cancelled_append_to_a_locked_database_stores_all_or_nothing(sql: SqlRig) -> None:
    await sql.open()
    with database(sql.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sql.journal.append(Batch(entries=[entry()]))
        other.execute("ROLLBACK")
    assert await sql.journal.append(Batch(entries=[entry(), entry()])) == 2


@contextmanager
def no_file_grows(beyond_bytes: int) -> Iterator[None]:
    """Like an exceeded quota: the kernel refuses to write beyond that size (EFBIG; Python ignores the signal)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_after_a_failed_write_a_later_one_works(sql: SqlRig) -> None:
    await sql.open()
    await sql.journal.append(Batch(entries=[entry()]))
    size = (sql.directory / "fenced.db-wal").stat().st_size
    large = Batch(entries=[entry(number=n) for n in range(500)], outbox=[message(1)], snapshots=[host_state()])
    with no_file_grows(size):
        for _ in range(3):
            with pytest.raises(StoreError, match=r"fenced\.db: .*; "):
                await sql.journal.append(large)
        assert [number for number, _ in await sql.journal.entries(host=None, limit=9)] == [1]
    assert await sql.journal.append(large) == 501
    assert (await sql.crash()).sequence == 501


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """Mount a small file system."""
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def fill(ballast: Path) -> None:
    with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@needs_root()
async def test_a_full_disk_is_survived(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    async with opened(small_disk / "fenced.db") as journal:
        stored = await journal.append(Batch(entries=[entry()]))
        fill(ballast)
        with pytest.raises(StoreError, match="the disk is full"):
            while True:
                stored = await journal.append(Batch(entries=[entry(number=stored)] * 20))
        with pytest.raises(StoreError, match="the disk is full"):
            await journal.append(Batch(entries=[entry()] * 500, snapshots=[host_state()], outbox=[message(1)]))
        assert len(await journal.entries(host=None, limit=10_000)) == stored
        ballast.unlink()
        assert await journal.append(Batch(entries=[entry()], outbox=[message(2)])) == stored + 1
    async with opened(small_disk / "fenced.db") as journal:
        assert [pending.id for pending in await journal.outbox(limit=9, each=10)] == ["m-2"]


@needs_root()
async def test_a_start_on_a_full_disk_is_reported(small_disk: Path) -> None:
    fill(small_disk / "ballast")
    with pytest.raises(StoreError, match=r"disk|No space"):
        await try_to_open(small_disk / "fenced.db")
    (small_disk / "ballast").unlink()
    await try_to_open(small_disk / "fenced.db")


@needs_root()
async def test_a_read_only_disk_is_reported(small_disk: Path) -> None:
    await try_to_open(small_disk / "fenced.db")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match=r"Read-only file system|cannot be written"):
        await try_to_open(small_disk / "fenced.db")


async def test_a_checkpoint_moves_appended_records_into_the_database(tmp_path: Path) -> None:
    async with opened(tmp_path / "fenced.db") as journal:
        await journal.append(Batch(entries=[entry()]))
        await journal.checkpoint()
        shutil.copy(tmp_path / "fenced.db", tmp_path / "copy.db")  # without its log
        assert await journal.append(Batch(entries=[entry()])) == 2
    with database(tmp_path / "copy.db") as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchall() == [(1,)]


async def test_the_log_of_commits_stays_bounded(sql: SqlRig) -> None:
    """Write much more than the bound without calling `checkpoint`, while readers come and go."""
    await sql.open()
    log = sql.directory / "fenced.db-wal"
    largest = 0
    for _ in range(100):
        await sql.journal.append(Batch(entries=[entry(f"node-{n}", n) for n in range(1000)]))
        await sql.journal.entries(host=None, limit=10)
        largest = max(largest, log.stat().st_size)
    assert largest < WAL_BYTES_KEPT_MAX
    assert sql.path.stat().st_size > 6 * 1024 * 1024


# -- reads for people delay neither outbox nor lease ------------------------------------------------------------------


async def test_reads_for_people_delay_neither_outbox_nor_lease_nor_checkpoint(tmp_path: Path) -> None:
    """Start hundreds of reads; later calls of the daemon must be answered while most of them still wait."""
    async with opened(tmp_path / "fenced.db") as journal:
        await journal.append(Batch(entries=[entry(number=n) for n in range(500)], outbox=[message(1)]))
        looks = [asyncio.create_task(journal.entries(host=None, limit=500)) for _ in range(LOOKS_MAX)]
        await asyncio.sleep(0)
        assert [stored.id for stored in await journal.outbox(limit=10, each=10)] == ["m-1"]
        assert await journal.outbox_pending() == 1
        await journal.checkpoint()
        assert await journal.renew_lease(now=1.0, ttl_seconds=15.0) == 16.0
        assert sum(look.done() for look in looks) < LOOKS_MAX / 2
        await asyncio.gather(*looks, return_exceptions=True)


async def test_too_many_reads_at_once_are_refused_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "fenced.db") as journal:
        await journal.append(Batch(entries=[entry(number=n) for n in range(50)]))
        looks = [asyncio.create_task(journal.entries(host=None, limit=50)) for _ in range(3 * LOOKS_MAX)]
        answers = await asyncio.gather(*looks, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, StoreError)]
        assert len(refused) >= 2 * LOOKS_MAX and "too many reads" in str(refused[0])
        assert not [answer for answer in answers if isinstance(answer, Exception) and answer not in refused]
        assert len(await journal.entries(host=None, limit=50)) == 50

"""The store of one daemon: a SQLite file (WAL, synchronous=FULL), one connection that writes, others that only read.

It handles transactions, threads and errors; `writing` and `reading` hold the statements. A write returns once it is on
the disk, or raises and stored nothing; either way the next write finds a usable connection. Outbox and housekeeping
have their own connections, so that they never wait for readers (S15). All connections are opened at the start, so that
a lack of descriptors can't stop a read later.

A cancelled call ends when its transaction has ended: it stored all or nothing. If another process locks the database, a
call waits up to `busy_timeout_seconds`.
"""

import asyncio
import contextlib
import dataclasses
import functools
import os
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from fenced.core.durable.records import Entry
from fenced.core.durable.state import Operation
from fenced.journal import codec, reading, schema, writing
from fenced.journal.errors import is_connection_doubtful, translated
from fenced.journal.location import database_path
from fenced.journal.lock import LockFile
from fenced.journal.store_id import StoreIdFile
from fenced.model.names import HostName, OperationId
from fenced.ports.journal import Batch, ClockAnchor, Loaded, OutboxMessage, Page, StoreError

LOCK_NAME: Final = "fenced.lock"
LOOKERS: Final = 3
LOOKS_MAX: Final = 100
"""Reads for operators at once; most of them wait for one of the LOOKERS. One more is refused."""
LOOK_WAIT_SECONDS: Final = 2.0
WAL_PAGES: Final = 4000
"""16 MB: a commit that finds more in the log moves it into the database, which delays that commit."""
WAL_BYTES_KEPT_MAX: Final = 32 * 1024 * 1024
CACHE_KIBIBYTES: Final = 16 * 1024

UNREADABLE_LOGGED_MAX: Final = 1000

T = TypeVar("T")
log = structlog.get_logger(__name__)


class SqlJournal:
    """Implements the `Journal` port, and keeps the anchor of the steady clock."""

    def __init__(self, *, url: str, state_dir: Path, busy_timeout_seconds: float = 5.0) -> None:
        """`url` as in `[store]`. Opens nothing yet. Raises ValueError if the URL is not one of SQLite."""
        self._path = database_path(url, state_dir).resolve()
        self._busy_timeout_seconds = busy_timeout_seconds
        self._locks = _lock_files(self._path, state_dir.resolve())
        self._id_file = StoreIdFile(state_dir.resolve())
        self._store_id = ""
        self._engines: list[AsyncEngine] = []
        self._writer: AsyncConnection | None = None
        self._looker: AsyncEngine | None = None
        self._announcer: AsyncEngine | None = None
        self._keeper: AsyncEngine | None = None
        self._looking = 0
        self._writing = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()
        self._identity: tuple[int, int] | None = None
        self._epoch = 0
        self._unreadable: set[int] = set()

    async def open(self, *, holder: str, now: float) -> Loaded:
        assert self._writer is None, "opened twice"
        try:
            with translated(self._path):
                self._claim_files(holder, now)
                codec.prepare()
                await self._whole("connect", self._connect())
            loaded = self._compared(await self._write("open", lambda connection: self._begin(connection, holder, now)))
        except BaseException:
            await self._disconnect()
            raise
        self._epoch, self._store_id = loaded.epoch, loaded.store_id
        return loaded

    async def accept_store(self) -> None:
        self._opened(self._writer)
        with translated(self._path):
            self._id_file.write(self._store_id)

    async def append(self, batch: Batch) -> int:
        encoded = writing.encode(batch)
        return await self._write("append", lambda connection: writing.append(connection, encoded, epoch=self._epoch))

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """`anchor`: the position of the steady clock, for the next start; None keeps the last one."""
        until = now + ttl_seconds
        with translated(self._path):
            self._check_file()
        work = functools.partial(writing.renew_lease, epoch=self._epoch, until=until, anchor=anchor)
        await self._write("renew-lease", work)
        return until

    async def clock_anchor(self) -> ClockAnchor | None:
        """Return the last anchor, of this start or an earlier one; None in a new store."""
        return await self._read("clock-anchor", reading.clock_anchor, self._keeper)

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        work = functools.partial(reading.outbox, limit=limit, each=each, skipping=skipping, left_out=self._left_out)
        return await self._read("outbox", work, self._announcer)

    def _left_out(self, sequence: int, why: str) -> None:
        """Log each unreadable message once. It stays in the store and counts as pending."""
        if sequence not in self._unreadable and len(self._unreadable) < UNREADABLE_LOGGED_MAX:
            self._unreadable.add(sequence)
            log.error(
                "outbox_message_unreadable", sequence=sequence, error=why, advice="the store is damaged; check its disk"
            )

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        assert all(message.sequence is not None for message in messages), "only messages of `outbox` can be delivered"
        if messages:
            await self._write("delivered", lambda it: writing.delivered(it, messages, epoch=self._epoch))

    async def outbox_pending(self) -> int:
        return await self._read("outbox-pending", reading.outbox_pending, self._announcer)

    async def operation(self, operation: OperationId) -> Operation | None:
        return await self._look("operation", functools.partial(reading.operation, id=operation))

    async def operations(self, *, host: HostName | None, state: str | None, limit: int, after: str | None) -> Page:
        """Raises ValueError if `after` is not a cursor of this list."""
        below = reading.cursor_number(after)
        work = functools.partial(reading.operations, host=host, state=state, limit=limit, below=below)
        return await self._look("operations", work)

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        return await self._look("entries", functools.partial(reading.entries, host=host, limit=limit, before=before))

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        return await self._look(
            "events", functools.partial(reading.events, after=after, limit=limit, left_out=self._left_out)
        )

    async def newest_event(self) -> int:
        return await self._look("newest-event", reading.newest_event)

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        work = functools.partial(
            writing.prune, epoch=self._epoch, before=before, events_before=events_before, limit=limit
        )
        return await self._write("prune", work)

    async def checkpoint(self) -> None:
        """Move the log of commits into the database without delaying the writer; call it every few seconds."""
        await self._read(
            "checkpoint", lambda it: it.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close(), self._keeper
        )

    async def close(self) -> None:
        if self._writer is not None:
            # If the store can't be written any more, its lease expires.
            with contextlib.suppress(StoreError):
                await self._write("give-up-lease", self._give_up_lease)
        await self._disconnect()

    # -- transactions -------------------------------------------------------------------------------------------------

    async def _write(self, name: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, durable on return. Raises StoreError, and what `work` raises."""

        async def transaction() -> T:
            async with self._writing:
                connection = self._opened(self._writer)
                with translated(self._path):
                    try:
                        async with connection.begin():
                            return await connection.run_sync(work)
                    except (DBAPIError, sqlite3.Error) as exc:
                        if is_connection_doubtful(exc):
                            await connection.invalidate()
                        raise

        return await self._whole(name, transaction())

    async def _look(self, name: str, work: Callable[[Connection], T]) -> T:
        """Read for a caller who can repeat it. Raises StoreError also if there are too many such reads."""
        if self._looking >= LOOKS_MAX:
            raise StoreError(f"{self._path}: too many reads at once; try again later")
        self._looking += 1
        try:
            return await self._read(name, work, self._looker)
        finally:
            self._looking -= 1

    async def _read(self, name: str, work: Callable[[Connection], T], engine: AsyncEngine | None) -> T:
        async def reading_only() -> T:
            with translated(self._path):
                async with self._opened(engine).connect() as connection:
                    return await connection.run_sync(work)

        return await self._whole(name, reading_only())

    async def _whole(self, name: str, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to its end even if the caller is cancelled, who gets the cancellation after that."""
        task = asyncio.create_task(call, name=f"journal-{name}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            # Shielded: SQLite's thread finishes a statement in any case. Cut off from it, SQLAlchemy would drop the
            # connection within a transaction, and it would be unknown whether that was committed.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    def _opened(self, part: T | None) -> T:
        if part is None:
            raise StoreError(f"{self._path}: the store is not open")
        return part

    # -- opening and closing ------------------------------------------------------------------------------------------

    def _claim_files(self, holder: str, now: float) -> None:
        """Take the locks, and make the database's file private. Raises StoreHeld, OSError."""
        for lock in self._locks:
            lock.acquire(holder=holder, now=now)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        status = os.fstat(descriptor)
        os.close(descriptor)
        self._identity = (status.st_dev, status.st_ino)

    async def _connect(self) -> None:
        writers = self._engine(readers=0)
        self._writer = await writers.connect()
        self._announcer, self._keeper = self._engine(readers=1), self._engine(readers=1)
        self._looker = self._engine(readers=LOOKERS, wait_seconds=LOOK_WAIT_SECONDS)
        async with contextlib.AsyncExitStack() as opened:
            for engine in (self._announcer, self._keeper, *[self._looker] * LOOKERS):
                await opened.enter_async_context(engine.connect())

    def _engine(self, *, readers: int, wait_seconds: float | None = None) -> AsyncEngine:
        """`readers` 0: the engine of the writing connection. `wait_seconds`: the wait for a free connection."""
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self._path)),
            # None: the driver begins no transaction, this class does, so that a transaction includes DDL.
            connect_args={"timeout": self._busy_timeout_seconds, "isolation_level": None},
            pool_size=readers or 1,
            max_overflow=0,
            pool_timeout=wait_seconds if wait_seconds is not None else self._busy_timeout_seconds,
            pool_reset_on_return=None,
        )
        self._engines.append(engine)
        if readers:
            event.listen(engine.sync_engine, "connect", _set_up_reader)
        else:
            event.listen(engine.sync_engine, "connect", _set_up_writer)
            event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine

    def _begin(self, connection: Connection, holder: str, now: float) -> Loaded:
        schema.migrate(connection, path=self._path, now=now)
        return reading.load(connection, epoch=writing.take_epoch(connection, holder=holder, now=now))

    def _compared(self, loaded: Loaded) -> Loaded:
        """Compare the store with the one used before. Another one needs an operator's release. Raises StoreError."""
        with translated(self._path):
            kept = self._id_file.read()
            if kept is not None and kept not in {loaded.store_id, loaded.fleet.released_store}:
                return dataclasses.replace(loaded, expected_store=kept)
            if kept != loaded.store_id:
                self._id_file.write(loaded.store_id)
        return loaded

    def _give_up_lease(self, connection: Connection) -> None:
        writing.renew_lease(connection, epoch=self._epoch, until=0.0, anchor=None)

    def _check_file(self) -> None:
        """Check that the file was not removed, because its writes would be lost. Raises OSError, StoreError."""
        status = self._path.stat()
        if (status.st_dev, status.st_ino) != self._identity:
            raise StoreError(f"{self._path}: the file was replaced while the daemon ran; restart the daemon")

    async def _disconnect(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)
        if self._writer is not None:
            await self._writer.close()
        for engine in self._engines:
            await engine.dispose()
        self._writer = self._announcer = self._keeper = self._looker = None
        self._engines.clear()
        for lock in self._locks:
            lock.release()


def _lock_files(path: Path, state_dir: Path) -> tuple[LockFile, ...]:
    """Return a lock in the state directory, and one beside a database elsewhere, which two directories could share."""
    state = LockFile(state_dir / LOCK_NAME)
    if path.parent == state_dir:
        return (state,)
    return (state, LockFile(path.with_name(path.name + ".lock")))


def _set_up_writer(connection: Any, _: object) -> None:
    """Sync each commit to the disk, and bound the log of commits."""
    with _closed_on_error(connection) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        if (mode := cursor.fetchone()[0]) != "wal":
            raise StoreError(f"this file system cannot hold a database in WAL mode (it stays {mode}); use a local disk")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT_MAX}")
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")


def _set_up_reader(connection: Any, _: object) -> None:
    with _closed_on_error(connection) as cursor:
        cursor.execute("PRAGMA query_only = ON")


@contextlib.contextmanager
def _closed_on_error(connection: Any) -> Iterator[Any]:
    """Close a connection whose set-up fails: the pool does not know it yet."""
    cursor = connection.cursor()
    try:
        yield cursor
    except BaseException:
        connection.close()
        raise
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that the epoch can't change between its check and the commit."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")

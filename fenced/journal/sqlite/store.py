"""The store of one daemon: a SQLite file (WAL, synchronous=FULL), one connection that writes, others that only read.

It handles files, locks and transactions. Outbox and housekeeping have their own connections. All connections are opened
at the start, so that a lack of descriptors can't stop a read later. If another process locks the database, a call waits
up to `busy_timeout_seconds`.
"""

import asyncio
import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fenced.core.heard.others import Elsewhere
from fenced.journal import codec, migrations
from fenced.journal.database import MayTake, SqlJournal
from fenced.journal.lock import NAME as LOCK_NAME
from fenced.journal.lock import LockFile
from fenced.journal.queries import LOOK_WAIT_SECONDS, LOOKERS, Reader
from fenced.journal.seen import Server
from fenced.journal.sqlite.connections import engine
from fenced.journal.sqlite.errors import is_connection_doubtful, translated
from fenced.journal.sqlite.location import database_path
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import ClockAnchor, Loaded, StoreError

LEASE_TTL_SECONDS: Final = 15.0
"""The configuration's default."""

T = TypeVar("T")


class SqliteJournal(SqlJournal):
    """Implements the `Journal` port over a file."""

    def __init__(
        self, *, url: str, state_dir: Path, busy_timeout_seconds: float = 5.0,
        lease_ttl_seconds: float = LEASE_TTL_SECONDS,
    ) -> None:  # fmt: skip
        """`url` as in `[store]`. Opens nothing yet. Raises ValueError if the URL is not one of SQLite."""
        self._path = database_path(url, state_dir).resolve()
        super().__init__(
            place=str(self._path), shard=MAIN_SHARD, state_dir=state_dir, lease_ttl_seconds=lease_ttl_seconds
        )
        self._busy_timeout_seconds = busy_timeout_seconds
        self._locks = lock_files(self._path, state_dir.resolve())
        self._engines: list[AsyncEngine] = []
        self._writer: AsyncConnection | None = None
        self._readers: dict[Reader, AsyncEngine] = {}
        self._writing = asyncio.Lock()
        self._identity: tuple[int, int] | None = None

    async def open(self, *, holder: str, now: float) -> Loaded:
        assert self._writer is None, "opened twice"
        self._held = replace(self._held, holder=str(uuid.uuid4()))
        try:
            with self._translated():
                self._claim_files(holder, now)
                codec.prepare()
                await self._whole("connect", self._connect())
            await self._write("migrate", lambda it: migrations.migrate(it, place=self._place, now=now), batches=0)
            return await self._load(holder)
        except BaseException:
            await self._disconnect()
            raise

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        with self._translated():
            self._check_file()
        return await super().renew_lease(now=now, ttl_seconds=ttl_seconds, anchor=anchor)

    async def elsewhere(self) -> Elsewhere:
        """A file holds one shard."""
        return Elsewhere()

    async def checkpoint(self) -> None:
        """Move the log of commits into the database without delaying the writer; call it every few seconds."""
        await self._read(
            "checkpoint", lambda it: it.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").close(), Reader.KEEPER
        )

    async def close(self) -> None:
        if self._writer is not None:
            await self._leave()
        await self._disconnect()

    # -- transactions -------------------------------------------------------------------------------------------------

    async def _write(
        self, name: str, work: Callable[[Connection], T], *, batches: int = 1,
        then: Callable[[T], None] = lambda _: None,
    ) -> T:  # fmt: skip
        async def transaction() -> T:
            async with self._writing:
                connection = self._opened(self._writer)
                with self._translated():
                    try:
                        async with connection.begin():
                            result = await connection.run_sync(work)
                    except (DBAPIError, sqlite3.Error) as exc:
                        if is_connection_doubtful(exc):
                            await connection.invalidate()
                        raise
                self._held = replace(self._held, batch=self._held.batch + batches)
                then(result)
                return result

        return await self._whole(name, transaction())

    async def _note(self, name: str, work: Callable[[Connection], T]) -> T:
        return await self._write(name, work, batches=0)

    async def _read(self, name: str, work: Callable[[Connection], T], reader: Reader) -> T:
        async def reading_only() -> T:
            with self._translated():
                async with self._opened(self._readers.get(reader)).connect() as connection:
                    return await connection.run_sync(work)

        return await self._whole(name, reading_only())

    def _check_open(self) -> None:
        self._opened(self._writer)

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(self._path)

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
        self._readers = {
            Reader.ANNOUNCER: self._engine(readers=1),
            Reader.KEEPER: self._engine(readers=1),
            Reader.LOOKER: self._engine(readers=LOOKERS, wait_seconds=LOOK_WAIT_SECONDS),
        }
        async with contextlib.AsyncExitStack() as opened:
            for readers in (*self._readers.values(), *[self._readers[Reader.LOOKER]] * (LOOKERS - 1)):
                await opened.enter_async_context(readers.connect())

    def _engine(self, *, readers: int, wait_seconds: float | None = None) -> AsyncEngine:
        made = engine(
            self._path, readers=readers, busy_timeout_seconds=self._busy_timeout_seconds, wait_seconds=wait_seconds
        )
        self._engines.append(made)
        return made

    async def _look_at_lease(self, patience_seconds: float) -> MayTake:
        """The lock file excludes all others, so the lease is free."""
        return lambda row: True

    async def _server(self) -> Server:
        return Server()

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
        for made in self._engines:
            await made.dispose()
        self._writer = None
        self._readers.clear()
        self._engines.clear()
        for lock in self._locks:
            lock.release()


def lock_files(path: Path, state_dir: Path) -> tuple[LockFile, ...]:
    """Return a lock in the state directory, and one beside a database elsewhere, which two directories could share."""
    state = LockFile(state_dir / LOCK_NAME)
    if path.parent == state_dir:
        return (state,)
    return (state, LockFile(path.with_name(path.name + ".lock")))

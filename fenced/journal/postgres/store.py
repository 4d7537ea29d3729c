"""The store in PostgreSQL: one connection that writes, others that read, and answers to commits of unknown outcome.

A connection that is lost in a commit leaves open whether the batch is stored. The daemon then connects again, locks the
shard's lease row, which waits for a commit that still runs, and reads the row's count of batches. So a write either
returns, or raises StoreError and stored nothing, or raises EpochLost: then a new start reads what is stored.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fenced.journal import codec, migrations, reading, writing
from fenced.journal.database import LOOK_WAIT_SECONDS, LOOKERS, Reader, SqlJournal
from fenced.journal.lock import LockFile
from fenced.journal.postgres.connections import commit, engine, transaction
from fenced.journal.postgres.errors import FAILURES, translated
from fenced.journal.postgres.settings import PostgresSettings
from fenced.ports.journal import EpochLost, Loaded, StoreError, StoreHeld

LOCK_NAME: Final = "fenced.lock"
LOOKS_PER_LEASE: Final = 10
RETRY_SECONDS: Final = 0.2
RETRY_SECONDS_MAX: Final = 2.0
_NOT_REPLICATED: Final = "01000"
"""SQLSTATE of the warning that a wait for the synchronous standby was cancelled: committed on the primary alone."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class PostgresJournal(SqlJournal):
    """Implements the `Journal` port over a database."""

    def __init__(
        self, settings: PostgresSettings, *, state_dir: Path, place: str, shard: str = migrations.SHARD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`place`: this state directory in this boot of the machine, unlike any other in the world."""
        super().__init__(place=str(settings.url), shard=shard, state_dir=state_dir)
        self._settings, self._where, self._clock = settings, place, clock
        self._lock = LockFile(state_dir.resolve() / LOCK_NAME)
        self._writer: AsyncEngine | None = None
        self._readers: dict[Reader, AsyncEngine] = {}
        self._writing = asyncio.Lock()
        self._batch = 0
        """How many writes of the shard are durable, of this start and earlier ones."""
        self._is_replicated = True

    async def open(self, *, holder: str, now: float) -> Loaded:
        """Raises StoreHeld if another daemon holds the lease. A dead one's is taken once it is over (S20)."""
        assert self._writer is None, "opened twice"
        self._held = replace(self._held, holder=str(uuid.uuid4()))
        try:
            with self._translated():
                self._lock.acquire(holder=holder, now=now)
            codec.prepare()
            self._open_engines()
            await self._write("migrate", lambda it: migrations.migrate(it, place=self._place, now=now), batches=0)
            await self._wait_for_lease()
            loaded, self._batch = await self._write("open", lambda it: self._take(it, holder), batches=1)
            return self._took(loaded)
        except BaseException:
            await self._disconnect()
            raise

    async def checkpoint(self) -> None:
        """The database maintains its own files."""

    async def close(self) -> None:
        if self._writer is not None and self._held.epoch:
            # If the store can't be written any more, its lease expires.
            with contextlib.suppress(StoreError):
                await self._write("give-up-lease", lambda it: writing.release_lease(it, self._held))
        await self._disconnect()

    # -- the lease ----------------------------------------------------------------------------------------------------

    async def _wait_for_lease(self) -> None:
        """Return once the lease may be taken. Raises StoreHeld.

        A lease that was not released has ended when the database's clock says so and its row did not change for a whole
        lease on this machine's clock: the database's clock may jump.
        """
        first: writing.LeaseRow | None = None
        end = self._clock() + self._settings.lease_ttl_seconds
        while True:
            row = await self._read("lease", lambda it: writing.lease_row(it, self._held.shard), Reader.KEEPER)
            if row is None or row.is_released or row.place == self._where:
                return
            if first is not None and row != first:
                raise StoreHeld(f"{self._place}: {row.name} holds the lease and renews it; stop it first")
            if first is None:
                log.warning("lease_not_released", holder=row.name, waiting_seconds=self._settings.lease_ttl_seconds)
            first = row
            if self._clock() >= end and row.is_over:
                return
            await asyncio.sleep(self._settings.lease_ttl_seconds / LOOKS_PER_LEASE)

    def _take(self, connection: Connection, name: str) -> tuple[Loaded, int]:
        """Take the lease unless another daemon did meanwhile; return the store's content and its count of batches."""
        row = writing.locked_lease_row(connection, self._held.shard)
        if not (row.is_released or row.is_over or row.place == self._where):
            raise StoreHeld(f"{self._place}: {row.name} took the lease; stop it first")
        steady_at = writing.steady_time(connection, self._held.shard)
        epoch = writing.take_epoch(
            connection, self._held, name=name, place=self._where, ttl_seconds=self._settings.lease_ttl_seconds
        )
        loaded = replace(reading.load(connection, shard=self._held.shard, epoch=epoch), steady_at=steady_at)
        return loaded, row.batch + 1

    # -- transactions -------------------------------------------------------------------------------------------------

    async def _write(self, name: str, work: Callable[[Connection], T], *, batches: int = 1) -> T:
        async def whole() -> T:
            async with self._writing:
                with self._translated():
                    return await self._commit(work, batches)

        return await self._whole(name, whole())

    async def _commit(self, work: Callable[[Connection], T], batches: int) -> T:
        """Run `work`, and return its result when it is durable. `batches`: how many of them it adds."""
        connection: AsyncConnection
        async with self._opened(self._writer).connect() as connection:
            try:
                async with transaction(connection, self._settings):
                    result = await connection.run_sync(work)
            except BaseException:
                await self._drop_if_closed(connection)
                raise
            doubt: BaseException | None = None
            try:
                await self._end(connection)
            except FAILURES as exc:
                await connection.invalidate()
                if not self._held.epoch or not batches:
                    raise  # nothing but this start's own taking or migrating, which the next start repeats
                log.warning("commit_in_doubt", error=str(exc) or type(exc).__name__)
                doubt = exc
        if doubt is not None and not await self._was_committed():
            raise doubt
        self._batch += batches
        return result

    async def _was_committed(self) -> bool:
        """Return whether the batch is stored whose commit has no answer. Raises EpochLost if that stays unknown."""
        end = self._clock() + self._settings.lease_ttl_seconds
        pause = RETRY_SECONDS
        while True:
            try:
                stored = await self._locked_batches()
            except FAILURES as exc:
                if self._clock() + pause >= end:
                    raise EpochLost(
                        f"{self._place}: it is not known whether the last batch is stored, and the database does not "
                        "answer: start anew, and read it"
                    ) from exc
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
                continue
            log.warning("commit_settled", is_stored=stored > self._batch)
            return stored > self._batch

    async def _locked_batches(self) -> int:
        """Wait for a transaction of this shard that still runs, then count the batches. Raises EpochLost."""
        async with self._opened(self._writer).connect() as connection:
            try:
                async with transaction(connection, self._settings):
                    count: int = await connection.run_sync(lambda it: writing.batches(it, self._held))
                await self._end(connection)
            except BaseException:
                await connection.invalidate()
                raise
        return count

    async def _end(self, connection: AsyncConnection) -> None:
        """Commit. If this raises one of FAILURES, it is not known whether the transaction is durable.

        That includes a commit that only the primary has: PostgreSQL reports success with a warning if its wait for the
        synchronous standby is cancelled. It is durable once a later commit succeeded without one.
        """
        self._is_replicated = True
        await commit(connection)
        if not self._is_replicated:
            raise TimeoutError("the synchronous standby did not confirm the commit")

    def _noticed(self, message: Any) -> None:
        if getattr(message, "sqlstate", None) == _NOT_REPLICATED and "replicat" in str(message):
            self._is_replicated = False

    async def _drop_if_closed(self, connection: AsyncConnection) -> None:
        if not connection.invalidated and not connection.closed:
            with contextlib.suppress(Exception):
                driver = (await connection.get_raw_connection()).driver_connection
                if driver is not None and not driver.is_closed():
                    return
            await connection.invalidate()

    async def _read(self, name: str, work: Callable[[Connection], T], reader: Reader) -> T:
        async def reading_only() -> T:
            with self._translated():
                async with self._opened(self._readers.get(reader)).connect() as connection:
                    try:
                        async with transaction(connection, self._settings, is_read_only=True):
                            result = await connection.run_sync(work)
                        await commit(connection)
                    except BaseException:
                        await self._drop_if_closed(connection)
                        raise
                    return result

        return await self._whole(name, reading_only())

    # -- opening and closing ------------------------------------------------------------------------------------------

    def _open_engines(self) -> None:
        wait = self._settings.timeout_seconds
        self._writer = engine(self._settings, size=1, wait_seconds=wait, on_notice=self._noticed)
        self._readers = {
            Reader.ANNOUNCER: engine(self._settings, size=1, wait_seconds=wait),
            Reader.KEEPER: engine(self._settings, size=1, wait_seconds=wait),
            Reader.LOOKER: engine(self._settings, size=LOOKERS, wait_seconds=LOOK_WAIT_SECONDS),
        }

    async def _disconnect(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)
        opened = [*self._readers.values(), *([self._writer] if self._writer is not None else [])]
        self._writer = None
        self._readers.clear()
        for one in opened:
            with contextlib.suppress(Exception):  # a lost connection can't be closed properly
                await one.dispose()
        self._lock.release()

    def _check_open(self) -> None:
        self._opened(self._writer)

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(self._place)

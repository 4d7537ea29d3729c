"""The store in PostgreSQL: one connection that writes, others that read, and answers to commits of unknown outcome.

A connection that is lost in a commit leaves open whether the batch is stored. The daemon then connects again, locks the
shard's lease row, which waits for a commit that still runs, and reads the row's count of batches. So a write either
returns, or raises StoreError and stored nothing, or raises EpochLost: then a new start reads what is stored.
"""

import asyncio
import contextlib
import functools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fenced.journal import codec, controllers, leases, migrations, statements
from fenced.journal.database import MayTake, SqlJournal
from fenced.journal.glances import Glance, Glances, Hints, Look
from fenced.journal.leases import LeaseRow
from fenced.journal.lock import NAME as LOCK_NAME
from fenced.journal.lock import LockFile
from fenced.journal.postgres.connections import commit, engine, transaction
from fenced.journal.postgres.errors import FAILURES, translated
from fenced.journal.postgres.place import instance_of
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.queries import LOOK_WAIT_SECONDS, LOOKERS, Reader
from fenced.journal.seen import Server
from fenced.journal.taking import LeaseWatch
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import EpochLost, Followed, Loaded, StoreError, Word

LOOKS_PER_LEASE: Final = 10
RETRY_SECONDS: Final = 0.2
RETRY_SECONDS_MAX: Final = 2.0
_NOT_REPLICATED: Final = "01000"
"""SQLSTATE of the warning that a wait for the synchronous standby was cancelled: committed on the primary alone."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


def boottime() -> float:
    """Read a clock that goes on while the machine sleeps: a lease of another machine does so, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PostgresJournal(SqlJournal):
    """Implements the `Journal` port over a database."""

    def __init__(
        self, settings: PostgresSettings, *, state_dir: Path, place: str, shard: str = MAIN_SHARD,
        clock: Callable[[], float] = boottime, glances: Glances | None = None,
    ) -> None:  # fmt: skip
        """`place`: this state directory in this boot of the machine, unlike any other in the world. `glances`: looks
        for all shards of this process; None: it looks alone."""
        super().__init__(
            place=str(settings.url), shard=shard, state_dir=state_dir, lease_ttl_seconds=settings.lease_ttl_seconds,
            where=place, instance=instance_of(place),
        )  # fmt: skip
        self._settings, self._clock = settings, clock
        self._watch = LeaseWatch(place=place, lease_seconds=settings.lease_ttl_seconds)
        self._hints = Hints(
            glances, shard=shard, place=place, lease_seconds=settings.lease_ttl_seconds, clock=clock
        )  # fmt: skip
        self._glance: Glance | None = None
        """That of the last `follow`, for the `take` after it."""
        self._has_words = False
        """Whether words waited at the last look."""
        self._lock = LockFile(state_dir.resolve() / LOCK_NAME)
        self._writer: AsyncEngine | None = None
        self._readers: dict[Reader, AsyncEngine] = {}
        self._writing = asyncio.Lock()
        self._is_replicated = True

    async def open(self, *, holder: str, now: float) -> Loaded:
        assert self._writer is None, "opened twice"
        self._held = replace(self._held, holder=str(uuid.uuid4()))
        try:
            with self._translated():
                self._lock.acquire(holder=holder, now=now)
            codec.prepare()
            self._open_engines()
            await self._write("migrate", lambda it: migrations.migrate(it, place=self._place, now=now), batches=0)
            await self._wait_for_name(holder)
            return await self._load(holder)
        except BaseException:
            await self._disconnect()
            raise

    async def _wait_for_name(self, name: str) -> None:
        """Return once no other controller of this name lives. Raises StoreHeld if one reports.

        One that reported a moment ago may have died with its machine, and this one may be its replacement.
        """
        self._name = name
        first: float | None = None
        while True:
            heard = await self._read("name", lambda it: controllers.namesake_heard(it, self._self()), Reader.KEEPER)
            if heard is None:
                return
            if first is not None and heard != first:
                await self._read("name", lambda it: controllers.check_name(it, self._self()), Reader.KEEPER)
            elif first is None:
                log.warning("name_in_use", name=name, waiting_seconds=self._settings.lease_ttl_seconds)
                first = heard
            await asyncio.sleep(self._settings.lease_ttl_seconds / LOOKS_PER_LEASE)

    async def checkpoint(self) -> None:
        """The database maintains its own files."""

    async def close(self) -> None:
        if self._writer is not None:
            await self._leave()
        await self._disconnect()

    # -- looks that a glance may spare ---------------------------------------------------------------------------------

    async def follow(self, *, after: int, limit: int) -> Followed:
        self._check_open()
        glance = self._glance = await self._hints.ask(has_timeline=self._has_timeline)
        if not self._hints.has_records(glance, after=after):
            return Followed(sequence=after)
        followed = await super().follow(after=after, limit=limit)
        self._hints.looked(Look.RECORDS, glance, known_to=followed.sequence, is_whole=not followed.behind)
        return followed

    async def words(self) -> Sequence[Word]:
        """Once some are known, the reactor asks, and waits for no glance."""
        self._check_open()
        glance = None if self._has_words else await self._hints.ask(has_timeline=self._has_timeline)
        if not self._hints.has_words(glance):
            return ()
        found = await super().words()
        self._has_words = bool(found)
        self._hints.looked(Look.WORDS, glance)
        return found

    # -- the lease ----------------------------------------------------------------------------------------------------

    async def _look_at_lease(self, patience_seconds: float) -> MayTake | None:
        glance, self._glance = self._glance, None
        if not self._hints.may_take(glance, name=self._name, patience_seconds=patience_seconds):
            return None
        at = self._clock()
        look = functools.partial(leases.lease_row, shard=self._held.shard, has_timeline=self._has_timeline)
        row = await self._read("lease", look, Reader.KEEPER)
        self._watch.saw(row, at=self._clock())
        self._hints.looked(Look.LEASE, glance)

        def may_take(row: LeaseRow | None) -> bool:
            return self._watch.may_take(row, name=self._name, at=at, patience_seconds=patience_seconds)

        return may_take if may_take(row) else None

    async def _server(self) -> Server:
        """Each part is None where this user may not know it."""
        system = await self._known("SELECT system_identifier FROM pg_control_system()")
        timeline = await self._known(statements.TIMELINE)
        return Server(system=None if system is None else str(system), timeline=timeline)

    async def _advice_on_losses(self) -> str:
        if await self._known("SELECT current_setting('synchronous_commit') IN ('off', 'local')"):
            return "records may be lost that no controller saw: set synchronous_commit = on for this database"
        if await self._known("SELECT current_setting('synchronous_standby_names') = ''"):
            return "records may be lost that no controller saw: set synchronous_standby_names on each server"
        return ""

    async def _known(self, statement: str) -> Any:
        try:
            return await self._read("server", lambda it: it.exec_driver_sql(statement).scalar_one(), Reader.KEEPER)
        except StoreError:  # insufficient rights; whatever else it is, the next read shows
            return None

    # -- transactions -------------------------------------------------------------------------------------------------

    async def _write(
        self, name: str, work: Callable[[Connection], T], *, batches: int = 1,
        then: Callable[[T], None] = lambda _: None,
    ) -> T:  # fmt: skip
        async def whole() -> T:
            async with self._writing:
                with self._translated():
                    result = await self._commit(work, batches)
                then(result)
                return result

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
        self._held = replace(self._held, batch=self._held.batch + batches)
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
            log.warning("commit_settled", is_stored=stored > self._held.batch)
            return stored > self._held.batch

    async def _locked_batches(self) -> int:
        """Wait for a transaction of this shard that still runs, then count the batches.

        Raises EpochLost, StoreWentBack.
        """
        async with self._opened(self._writer).connect() as connection:
            try:
                async with transaction(connection, self._settings):
                    count: int = await connection.run_sync(lambda it: leases.locked_batch(it, self._held))
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
        return await self._aside(name, work, reader, is_read_only=True)

    async def _note(self, name: str, work: Callable[[Connection], T]) -> T:
        return await self._aside(name, work, Reader.KEEPER, is_read_only=False)

    async def _aside(self, name: str, work: Callable[[Connection], T], reader: Reader, *, is_read_only: bool) -> T:
        """Run a transaction beside those of `_write`."""

        async def whole() -> T:
            with self._translated():
                async with self._opened(self._readers.get(reader)).connect() as connection:
                    try:
                        async with transaction(connection, self._settings, is_read_only=is_read_only):
                            result = await connection.run_sync(work)
                        await commit(connection)
                    except BaseException:
                        await self._drop_if_closed(connection)
                        raise
                    return result

        return await self._whole(name, whole())

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

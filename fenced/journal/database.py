"""The `Journal` port over a database: which statements each call runs, whatever the database is.

`writing` and `reading` hold the statements. A subclass owns connections, transactions and errors, in `_write` and
`_read`: a write returns once it is durable, or raises and stored nothing; either way the next write works. A cancelled
call ends when its transaction has ended: it stored all or nothing.
"""

import asyncio
import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection

from fenced.core.durable.records import Entry
from fenced.core.durable.state import Operation
from fenced.journal import reading, writing
from fenced.journal.store_id import IdFile
from fenced.journal.writing import Held
from fenced.model.names import HostName, OperationId
from fenced.ports.journal import Batch, ClockAnchor, Loaded, OutboxMessage, Page, StoreError

LOOKERS: Final = 3
LOOKS_MAX: Final = 100
"""Reads for operators at once; most of them wait for one of the LOOKERS. One more is refused."""
LOOK_WAIT_SECONDS: Final = 2.0
UNREADABLE_LOGGED_MAX: Final = 1000

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Reader(Enum):
    """Who reads. Each has connections of its own, so that outbox and housekeeping never wait for operators (S15)."""

    ANNOUNCER = "outbox"
    KEEPER = "housekeeping"
    LOOKER = "operators"


class SqlJournal(ABC):
    """Implements the `Journal` port, and keeps the anchor of the steady clock."""

    def __init__(self, *, place: str, shard: str, state_dir: Path) -> None:
        """`place`: the store's name in errors, without secrets. Opens nothing yet."""
        self._place = place
        self._id_file = IdFile(state_dir.resolve())
        self._store_id = ""
        self._held = Held(shard=shard)
        self._looking = 0
        self._calls: set[asyncio.Task[Any]] = set()
        self._unreadable: set[int] = set()

    @abstractmethod
    async def open(self, *, holder: str, now: float) -> Loaded: ...

    @abstractmethod
    async def checkpoint(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def _write(self, name: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, durable on return. Raises StoreError, and what `work` raises."""

    @abstractmethod
    async def _read(self, name: str, work: Callable[[Connection], T], reader: Reader) -> T:
        """Run `work`, which only reads. Raises StoreError, and what `work` raises."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raises StoreError if the store is not open."""

    # -- the port -----------------------------------------------------------------------------------------------------

    async def accept_store(self) -> None:
        self._check_open()
        with self._translated():
            self._id_file.write(self._store_id)

    async def append(self, batch: Batch) -> int:
        encoded = writing.encode(batch)
        return await self._write("append", lambda connection: writing.append(connection, encoded, self._held))

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """`anchor`: the position of the steady clock, for the next start; None keeps the last one."""
        until = now + ttl_seconds
        work = functools.partial(
            writing.renew_lease, held=self._held, until=until, ttl_seconds=ttl_seconds, anchor=anchor
        )
        await self._write("renew-lease", work)
        return until

    async def clock_anchor(self) -> ClockAnchor | None:
        """Return the last anchor, of this start or an earlier one; None in a new store."""
        work = functools.partial(reading.clock_anchor, shard=self._held.shard)
        return await self._read("clock-anchor", work, Reader.KEEPER)

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        work = functools.partial(
            reading.outbox,
            shard=self._held.shard,
            limit=limit,
            each=each,
            skipping=skipping,
            left_out=self._left_out,
        )
        return await self._read("outbox", work, Reader.ANNOUNCER)

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        assert all(message.sequence is not None for message in messages), "only messages of `outbox` can be delivered"
        if messages:
            await self._write("delivered", lambda it: writing.delivered(it, messages, self._held))

    async def outbox_pending(self) -> int:
        work = functools.partial(reading.outbox_pending, shard=self._held.shard)
        return await self._read("outbox-pending", work, Reader.ANNOUNCER)

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
        shard = self._held.shard
        work = functools.partial(reading.entries, shard=shard, host=host, limit=limit, before=before)
        return await self._look("entries", work)

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        work = functools.partial(
            reading.events, shard=self._held.shard, after=after, limit=limit, left_out=self._left_out
        )
        return await self._look("events", work)

    async def newest_event(self) -> int:
        return await self._look("newest-event", functools.partial(reading.newest_event, shard=self._held.shard))

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        work = functools.partial(
            writing.prune, held=self._held, before=before, events_before=events_before, limit=limit
        )
        return await self._write("prune", work)

    # -- for subclasses -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _translated(self) -> AbstractContextManager[None]:
        """Return a context that raises StoreError for errors of the database and of the file system."""

    def _took(self, loaded: Loaded) -> Loaded:
        """Remember the epoch that `open` took, and compare the store with the one used before.

        Another one needs an operator's release. Raises StoreError.
        """
        self._held = dataclasses.replace(self._held, epoch=loaded.epoch)
        self._store_id = loaded.store_id
        with self._translated():
            kept = self._id_file.read()
            if kept is not None and kept not in {loaded.store_id, loaded.fleet.released_store}:
                return dataclasses.replace(loaded, expected_store=kept)
            if kept != loaded.store_id:
                self._id_file.write(loaded.store_id)
        return loaded

    async def _look(self, name: str, work: Callable[[Connection], T]) -> T:
        """Read for a caller who can repeat it. Raises StoreError also if there are too many such reads."""
        if self._looking >= LOOKS_MAX:
            raise StoreError(f"{self._place}: too many reads at once; try again later")
        self._looking += 1
        try:
            return await self._read(name, work, Reader.LOOKER)
        finally:
            self._looking -= 1

    async def _whole(self, name: str, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to its end even if the caller is cancelled, who gets the cancellation after that.

        Cut off within a statement, SQLAlchemy would drop the connection inside a transaction, and it would be unknown
        whether that was committed.
        """
        task = asyncio.create_task(call, name=f"journal-{name}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    def _opened(self, part: T | None) -> T:
        if part is None:
            raise StoreError(f"{self._place}: the store is not open")
        return part

    def _left_out(self, sequence: int, why: str) -> None:
        """Log each unreadable message once. It stays in the store and counts as pending."""
        if sequence not in self._unreadable and len(self._unreadable) < UNREADABLE_LOGGED_MAX:
            self._unreadable.add(sequence)
            log.error(
                "outbox_message_unreadable", sequence=sequence, error=why, advice="the store is damaged; check its disk"
            )

"""The reads of the `Journal` port over a database: the outbox, operations, records, events.

`reading` holds the statements. Outbox, housekeeping and operators have connections of their own, and the number of
operators' reads at once is bounded.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from fenced.core.durable.records import Entry
from fenced.core.durable.state import Operation
from fenced.core.heard.others import Elsewhere
from fenced.journal import budget, deciding, reading, words
from fenced.model.names import HostName, OperationId
from fenced.ports.decisions import DecisionPage
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import ClockAnchor, OutboxMessage, Page, StoreError, Word

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


class SqlQueries(ABC):
    """The part of the `Journal` port that only reads."""

    def __init__(self, *, place: str, shard: str) -> None:
        """`place`: the store's name in errors, without secrets."""
        self._place, self._shard = place, shard
        self.division = ""
        """How the configuration in force divides the fleet into shards, for leases (`division`)."""
        self._looking = 0
        self._unreadable: set[int] = set()

    @abstractmethod
    async def _read(self, name: str, work: Callable[[Connection], T], reader: Reader) -> T:
        """Run `work`, which only reads. Raises StoreError, and what `work` raises."""

    async def clock_anchor(self) -> ClockAnchor | None:
        """Return the last anchor, of this start or an earlier one; None in a new store."""
        work = functools.partial(reading.clock_anchor, shard=self._shard)
        return await self._read("clock-anchor", work, Reader.KEEPER)

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        work = functools.partial(
            reading.outbox,
            shard=self._shard,
            limit=limit,
            each=each,
            skipping=skipping,
            left_out=self._left_out,
        )
        return await self._read("outbox", work, Reader.ANNOUNCER)

    async def outbox_pending(self) -> int:
        work = functools.partial(reading.outbox_pending, shard=self._shard)
        return await self._read("outbox-pending", work, Reader.ANNOUNCER)

    async def elsewhere(self) -> Elsewhere:
        """Return what other shards have drawn from the fleet's budget. Raises StoreError."""
        work = functools.partial(budget.elsewhere, shard=self._shard)
        return await self._read("elsewhere", work, Reader.KEEPER)

    async def words(self) -> Sequence[Word]:
        return await self._read("words", functools.partial(words.waiting, shard=self._shard), Reader.KEEPER)

    async def operation(self, operation: OperationId) -> Operation | None:
        return await self._look("operation", functools.partial(reading.operation, id=operation))

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        """Raises ValueError if `after` is not a cursor of this list."""
        below = reading.cursor_number(after)
        work = functools.partial(reading.operations, like=like, limit=limit, below=below)
        return await self._look("operations", work)

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        shard = self._shard
        work = functools.partial(reading.entries, shard=shard, host=host, limit=limit, before=before)
        return await self._look("entries", work)

    async def decisions(self, host: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        place = deciding.place_of(after)
        work = functools.partial(
            deciding.decisions, shard=self._shard, host=host, before=before, limit=limit, after=place
        )
        return await self._look("decisions", work)

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        work = functools.partial(reading.events, shard=self._shard, after=after, limit=limit, left_out=self._left_out)
        return await self._look("events", work)

    async def newest_event(self) -> int:
        return await self._look("newest-event", functools.partial(reading.newest_event, shard=self._shard))

    async def _look(self, name: str, work: Callable[[Connection], T]) -> T:
        """Read for a caller who can repeat it. Raises StoreError also if there are too many such reads."""
        if self._looking >= LOOKS_MAX:
            raise StoreError(f"{self._place}: too many reads at once; try again later")
        self._looking += 1
        try:
            return await self._read(name, work, Reader.LOOKER)
        finally:
            self._looking -= 1

    def _left_out(self, sequence: int, why: str) -> None:
        """Log each unreadable message once. It stays in the store and counts as pending."""
        if sequence not in self._unreadable and len(self._unreadable) < UNREADABLE_LOGGED_MAX:
            self._unreadable.add(sequence)
            log.error(
                "outbox_message_unreadable", sequence=sequence, error=why, advice="the store is damaged; check its disk"
            )

    def _opened(self, part: T | None) -> T:
        if part is None:
            raise StoreError(f"{self._place}: the store is not open")
        return part

"""The store: append-only records, snapshots, outbox, lease. What `append` returned for is on disk (S3).

Every append carries our epoch and fails in its own transaction when a newer one exists.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.model.names import HostName, OperationId


class StoreError(Exception):
    """The store did not take a write or answer a read: disk full, locked, corrupt. Says which file and what to do."""


class EpochLost(StoreError):
    """Another controller holds a newer epoch: this one must not act any more."""


class StoreTooNew(StoreError):
    """The store's schema is newer than this program; install the newer program."""


class StoreHeld(StoreError):
    """Another daemon of this state_dir runs; the text says who (exit 78)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockAnchor:
    """At CLOCK_BOOTTIME `boottime` of the machine's boot `boot_id` (the kernel's) the steady clock read `steady`.

    So that a start on the same boot of the machine goes on from there; says nothing about another boot. `calendar`: how the
    steady clock stood to the wall clock in each boot, as `host.calendar` writes it.
    """

    boot_id: str
    boottime: float
    steady: float
    calendar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A message that must reach the bus. `id` repeats with it; `operation` is set on a `fenced` event only, whose
    acknowledgement a restart waits for. `sequence` is the order of the journal; None before it was stored."""

    id: str
    host: HostName | None
    topic: str
    payload: bytes
    is_retained: bool
    operation: OperationId | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What becomes durable in one transaction. `snapshots`: hosts to write whole; `operations`: rows for queries."""

    entries: Sequence[Entry]
    snapshots: Sequence[HostState] = ()
    fleet: FleetState | None = None
    operations: Sequence[Operation] = ()
    outbox: Sequence[OutboxMessage] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a start reads: snapshots, the records since each (in order), and our new epoch. `last_at`: time of the newest
    record, or None; `tail` holds per host only the entries after its snapshot, fleet entries after the fleet's.

    `faults`: hosts of which something can't be read, and what; nothing behind it is in `tail`. `fleet_fault`: the same of the
    fleet; "" where all was read. `expected_store`: the id of the store that this state directory had, where this is another
    one that nobody accepted yet."""

    store_id: str
    epoch: int
    hosts: dict[HostName, HostState] = field(default_factory=dict)
    fleet: FleetState = field(default_factory=FleetState)
    tail: Sequence[Entry] = ()
    last_at: float | None = None
    sequence: int = 0
    faults: Mapping[HostName, str] = field(default_factory=dict)
    fleet_fault: str = ""
    expected_store: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of operations, newest first; `after` of the next page or None."""

    items: tuple[Operation, ...]
    next: str | None


class Journal(Protocol):
    """One writer. Numbers given to entries rise without gaps in the order of `append`."""

    async def open(self, *, holder: str, now: float) -> Loaded:
        """Take the lock and a new epoch, migrate, read. Raises StoreHeld, StoreTooNew, StoreError."""
        ...

    async def append(self, batch: Batch) -> int:
        """Durable when it returns: the sequence of the batch's last entry. Raises EpochLost or StoreError: then nothing is."""
        ...

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """Hold the lease until the returned time (steady clock, counted from before the request).

        Raises EpochLost, StoreError.
        """
        ...

    async def accept_store(self) -> None:
        """This store is the state directory's from now on: a person said so, and that is durable. Raises StoreError."""
        ...

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        """Undelivered messages in order: at most `limit`, at most `each` of one host (messages of nobody's are one host's,
        too), the oldest of every host before any host's second. `skipping`: hosts of which none is wanted."""
        ...

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        """The broker has them; they are never sent again by a later start. Carries the epoch."""
        ...

    async def outbox_pending(self) -> int: ...

    async def operation(self, operation: OperationId) -> Operation | None:
        """One operation, ended or not, as last written."""
        ...

    async def operations(self, *, host: HostName | None, state: str | None, limit: int, after: str | None) -> Page:
        """Newest first."""
        ...

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        """Newest entries first with their numbers, for `explain`."""
        ...

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        """Event messages (not states), delivered or not, in order, for `GET events` with Last-Event-ID."""
        ...

    async def newest_event(self) -> int:
        """The sequence of the newest event message, 0 where there is none: where a reader of now begins."""
        ...

    async def checkpoint(self) -> None:
        """Housekeeping of the store's files; never delays a writer. Call it every few seconds. Raises StoreError."""
        ...

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        """Delete records and rows of operations that ended before, and events that were delivered and are older than
        `events_before`; at most `limit` rows; how many went."""
        ...

    async def close(self) -> None:
        """Give up the lease and the lock; idempotent."""
        ...

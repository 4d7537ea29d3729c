"""The store: append-only records, snapshots, outbox, lease. What `append` returned for is on disk (S3).

Every append carries the daemon's epoch and fails in its transaction if a newer epoch exists.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.records import Entry
from fenced.core.durable.state import HostState, Operation
from fenced.model.names import HostName, OperationId


class StoreError(Exception):
    """The store rejected a write or failed a read: disk full, locked, corrupt. Says which file and what to do."""


class EpochLost(StoreError):
    """Another controller holds a newer epoch; this daemon must not act any more."""


class StoreTooNew(StoreError):
    """The store's schema is newer than this program; install the newer program."""


class StoreHeld(StoreError):
    """Another daemon uses this state_dir; the text says which process (exit 78)."""


class StoreMoved(StoreError):
    """`fenced store copy` took this store elsewhere; the text says where (exit 78)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockAnchor:
    """A reading of the steady clock: it read `steady` when CLOCK_BOOTTIME read `boottime`
    in the machine's boot `boot_id`.

    After a restart in the same boot the steady clock continues from it; in another boot it is void. `calendar`: the
    offset between steady clock and wall clock in each boot, as `host.calendar` writes it.
    """

    boot_id: str
    boottime: float
    steady: float
    calendar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A message that must reach the bus.

    Repeats carry the same `id`. `operation` is set on a `fenced` event only, because a restart waits for its
    acknowledgement. `sequence` is the order in the journal; None until it is stored.
    """

    id: str
    host: HostName | None
    topic: str
    payload: bytes
    is_retained: bool
    operation: OperationId | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything for one transaction. `snapshots`: whole hosts to write; `operations`: rows for queries."""

    entries: Sequence[Entry]
    snapshots: Sequence[HostState] = ()
    fleet: FleetState | None = None
    operations: Sequence[Operation] = ()
    outbox: Sequence[OutboxMessage] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a start reads: snapshots, the records since each (in order), and the daemon's new epoch. `last_at`: time of
    the newest record, or None. `tail` holds per host only entries after its snapshot, and fleet entries after the
    fleet's.

    `faults`: hosts with unreadable records, and what is wrong; `tail` has none of their later entries. `fleet_fault`:
    the same for the fleet; "" if everything was read. `expected_store`: the id of the store that belongs to this state
    directory, if this is another one that no operator has accepted yet. `steady_at`: what the steady clock of the last
    holder reads now, by the store's clock; None if the store has no clock of its own.
    """

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
    steady_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of operations, newest first. `next`: the `after` of the next page, or None."""

    items: tuple[Operation, ...]
    next: str | None


class Journal(Protocol):
    """A store with one writer. Entries get rising numbers without gaps, in the order of `append`."""

    async def open(self, *, holder: str, now: float) -> Loaded:
        """Take the lock and a new epoch, migrate, read. Raises StoreHeld, StoreTooNew, StoreError."""
        ...

    async def append(self, batch: Batch) -> int:
        """Return the sequence of the last entry once the batch is durable.

        Raises EpochLost, StoreError: nothing is stored.
        """
        ...

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """Extend the lease; return its end (steady clock, counted from before the request).

        Raises EpochLost, StoreError.
        """
        ...

    async def accept_store(self) -> None:
        """Record durably that an operator accepted this store for the state directory. Raises StoreError."""
        ...

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        """Return undelivered messages in order: at most `limit`, at most `each` of one host (messages without a host
        count as one host's), the oldest of every host before the second of any. `skipping`: leave out these hosts.
        """
        ...

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        """Mark messages as acknowledged by the broker; a later start does not send them again. Carries the epoch."""
        ...

    async def outbox_pending(self) -> int: ...

    async def operation(self, operation: OperationId) -> Operation | None:
        """Return one operation, running or ended, as last written."""
        ...

    async def operations(self, *, host: HostName | None, state: str | None, limit: int, after: str | None) -> Page:
        """Return operations, newest first."""
        ...

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        """Return entries with their numbers, newest first, for `explain`."""
        ...

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        """Return event messages (not states), delivered or not, in order, for `GET events` with Last-Event-ID."""
        ...

    async def newest_event(self) -> int:
        """Return the sequence of the newest event message, or 0: a new reader begins there."""
        ...

    async def checkpoint(self) -> None:
        """Maintain the store's files, without delaying a writer. Call it every few seconds. Raises StoreError."""
        ...

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        """Delete records and rows of operations that ended before `before`, and delivered events older than
        `events_before`; at most `limit` rows. Return how many were deleted."""
        ...

    async def close(self) -> None:
        """Release the lease and the lock; idempotent."""
        ...

"""The store: append-only records, snapshots, outbox, lease. What `append` returned for is on disk (S3).

A controller opens the store, follows it, and takes the lease when it may. Every append carries the epoch that it took,
and fails in its transaction if a newer epoch exists (S20).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.fleet_state import Words as Words
from fenced.core.durable.records import Entry
from fenced.core.durable.restricting import Said as Said
from fenced.core.durable.restricting import Word as Word
from fenced.core.durable.state import HostState, Operation
from fenced.core.heard.others import Elsewhere, Room
from fenced.model.names import HostName, OperationId
from fenced.ports.decisions import Decisions
from fenced.ports.hosts import OperationsLike


class StoreError(Exception):
    """The store rejected a write or failed a read: disk full, locked, corrupt. Says which file and what to do."""


class EpochLost(StoreError):
    """Another controller holds a newer epoch; this daemon must not act any more."""


class NotTaken(StoreError):
    """The lease is free, and this controller must not take it: the text says what a person can do. It stands by."""


class WordsUnread(StoreError):
    """Words wait that the batch does not fold, and nothing is stored: fold them, decide again. `words`: all of them."""

    def __init__(self, words: "Sequence[Word]") -> None:
        super().__init__(f"{len(words)} words of other controllers wait in the store")
        self.words = tuple(words)


class WordsNotRead(StoreError):
    """The holder of the lease, an older program, would not look at a word; nothing is stored."""


class StoreWentBack(StoreError):
    """The store lacks what this controller read or wrote there: an older state was put in its place (S22).

    The controller must not act any more; the next `open` reads what there is, and says what is missing.
    """


class BudgetClosed(StoreError):
    """Other shards have drawn more of the fleet's budget than a draw leaves to them. `elsewhere`: what they have; None:
    one of them was drawing at the same moment. Decide the batch again with that."""

    def __init__(self, elsewhere: Elsewhere | None) -> None:
        self.elsewhere = elsewhere
        if elsewhere is None:
            said = "another shard was drawing from the fleet's budget"
        else:
            said = (
                f"other shards have {len(elsewhere.lasting_seconds)} draws from the fleet's budget in force, and "
                f"{elsewhere.unrecovered} hosts that are not back"
            )
        super().__init__(said)


class StoreTooNew(StoreError):
    """The store needs a newer program; the text says which to install (exit 78)."""


class StoreHeld(StoreError):
    """Another daemon uses this state_dir, or a living controller has this name; the text says which (exit 78)."""


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
    """Everything for one transaction. `snapshots`: whole hosts to write; `operations`: rows for queries; `words`: the
    numbers of the words that the entries fold.

    `room`: what the draws among the entries leave to other shards; needed if there are any. `unrecovered`: how many
    hosts of this shard were fenced, or could not be, and are not back; None: as many as before.
    """

    entries: Sequence[Entry]
    snapshots: Sequence[HostState] = ()
    fleet: FleetState | None = None
    operations: Sequence[Operation] = ()
    outbox: Sequence[OutboxMessage] = ()
    room: Room | None = None
    unrecovered: int | None = None
    words: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a start reads: snapshots, and the records since each (in order). `last_at`: time of the newest record, or
    None. `tail` holds per host only entries after its snapshot, and fleet entries after the fleet's. `sequence`: the
    newest record's.

    `faults`: hosts with unreadable records, and what is wrong; `tail` has none of their later entries. `fleet_fault`:
    the same for the fleet; "" if everything was read. `expected_store`: the id of the store that belongs to this state
    directory, if this is another one that no operator has accepted yet. `went_back`: what this store lacks although
    this controller saw it; "" if nothing. `words`: what was kept beside the lock, if the store went back. `steady_at`:
    what the steady clock of the last holder reads now, by the store's clock; None if the store has no clock of its own.
    """

    store_id: str
    hosts: dict[HostName, HostState] = field(default_factory=dict)
    fleet: FleetState = field(default_factory=FleetState)
    tail: Sequence[Entry] = ()
    last_at: float | None = None
    sequence: int = 0
    faults: Mapping[HostName, str] = field(default_factory=dict)
    fleet_fault: str = ""
    expected_store: str = ""
    went_back: str = ""
    words: Words | None = None
    steady_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Records after a position, in order, up to `sequence`. `behind`: how many more there are.

    `faults`: hosts with an unreadable record among them (None: the fleet), and what is wrong; `entries` has none of
    their later ones.
    """

    entries: Sequence[Entry] = ()
    sequence: int = 0
    behind: int = 0
    faults: Mapping[HostName | None, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The lease was taken: nobody else appends from now on. `rest`: all records after the position of the call.
    `words`: what other controllers accepted and no record holds yet.

    `is_own`: nobody held it before, or a start in this state directory in this boot of the machine that decided
    something, so its programs are known and dead, and it recorded what others had under way. `before`: the last
    holder's name; `reason`: how its lease ended, "start" if it was of this place. `holder`: who holds it now, random
    for each start. `until`: the lease's end on the clock of `now`, counted from before the request. `last_at`: as at
    `Loaded`. `steady_at`: what the last holder's steady clock reads now, by the store's clock; None without one.

    `is_promoted`: records that no controller saw may be missing, because the store's database was promoted since the
    last taking, or because the last holder noticed a loss and ended before `end_doubt`. Commands in them may still act.
    """

    epoch: int
    rest: Followed
    until: float
    holder: str = ""
    is_own: bool = True
    is_promoted: bool = False
    before: str = ""
    reason: Literal["start", "released", "handed_over", "expired"] = "start"
    last_at: float | None = None
    steady_at: float | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerReport:
    """What a controller says of itself. `address`: the URL of its API for others, or "". `unfit`: reasons why another
    one should hold the lease; empty if it is fit. `lag`: records that it has not followed yet. `configuration`: a
    digest of the one in force. `takes`: the shards that it would take now, None: not said, any."""

    name: str
    address: str = ""
    version: str = ""
    unfit: tuple[str, ...] = ()
    lag: int = 0
    configuration: str = ""
    takes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShard:
    """A shard that a controller holds. `since`: wall time of the taking, by the store's clock."""

    shard: str
    epoch: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerView:
    """A controller as the store knows it. `heard`: wall time of its last report, by the store's clock. `is_alive`: it
    reported within a lease's time."""

    report: ControllerReport
    heard: float
    is_alive: bool
    shards: tuple[HeldShard, ...] = ()
    is_self: bool = False

    @property
    def holds(self) -> frozenset[str]:
        """Return the names of its shards."""
        return frozenset(held.shard for held in self.shards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of operations, newest first. `next`: the `after` of the next page, or None."""

    items: tuple[Operation, ...]
    next: str | None


class Journal(Decisions, Protocol):
    """A store with one writer. Entries get rising numbers without gaps, in the order of `append`."""

    @property
    def format(self) -> int:
        """The format of the store's texts, as last read: an older one lacks the newest kinds of records."""

    async def open(self, *, holder: str, now: float) -> Loaded:
        """Take the lock of the state directory, migrate, read everything. Takes no lease, so another may hold it.

        `holder`: the controller's name. Raises StoreHeld, StoreTooNew, StoreMoved, StoreError.
        """
        ...

    async def follow(self, *, after: int, limit: int) -> Followed:
        """Return the records after a position. Raises StoreWentBack, StoreError."""
        ...

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        """Take the lease, or return None while another controller holds it or is to have it.

        `at_least`: the highest epoch that is known from elsewhere, as proxies report it; the new one is above it, and
        above what this state directory remembers.

        Call it several times a second: a lease that was not released is over once the store's clock says so and its
        row did not change for the whole lease (and `patience_seconds` more) of looks by this controller's own clock.
        The lease of this state directory in this boot is taken at once, also one that this journal holds: under a new
        epoch, which is above `at_least`. After a promotion of the database neither a release nor the own place counts:
        the row must not change for a whole lease. After that, and after a loss that this controller noticed, the epoch
        jumps above what was lost, and the store keeps the doubt until `end_doubt`. Raises StoreWentBack, StoreError.
        """
        ...

    async def end_doubt(self) -> None:
        """Note durably that no command of a lost past can act any more, so that the next holder need not wait for them.

        Call it after the wait that follows `Taken.is_promoted` or `Loaded.went_back`. Raises EpochLost, StoreWentBack,
        StoreError.
        """
        ...

    async def release(self, *, to: str, is_for_others: bool = True) -> None:
        """End the lease at a safe point, for another controller: `to` is its name, or "" for any. This one takes it
        back only if nobody did for a whole lease; if it is not for others (it stops), at its next start. Raises
        EpochLost, StoreError."""
        ...

    async def report(self, report: ControllerReport, *, is_last: bool = False) -> Sequence[ControllerView]:
        """Tell the others of this controller, and return all that the store knows, by name. Call it about every third
        of a lease. `is_last`: it stands for a lease after `close`. Raises StoreHeld if another one has this name.
        """
        ...

    async def controllers(self) -> Sequence[ControllerView]:
        """Return all controllers that the store knows, by name. Raises StoreError."""
        ...

    async def know_epoch(self, epoch: int) -> None:
        """Remember durably an epoch that is known elsewhere: each later taking of this controller is above it.

        Raises StoreError.
        """
        ...

    async def remember(self, words: Words) -> None:
        """Keep words in the state directory, durably, for a store that goes back. Raises StoreError."""
        ...

    async def append(self, batch: Batch) -> int:
        """Return the sequence of the last entry once the batch is durable, and the words that it folds are gone.

        Raises EpochLost, StoreWentBack, WordsUnread, BudgetClosed, StoreError: nothing is stored.
        """
        ...

    async def elsewhere(self) -> Elsewhere:
        """Return what other shards have drawn from the fleet's budget. Raises StoreError."""
        ...

    async def say(self, said: Said, *, shards: Sequence[str]) -> str:
        """Write a word for each of these shards, with or without the lease; return its id once it is durable.

        It waits for an append that runs; every later one folds the word or is refused. A word that was accepted twice
        is in the store twice. Raises WordsNotRead, StoreError: nothing is stored, unless the answer of the database
        was lost.
        """
        ...

    async def words(self) -> Sequence[Word]:
        """Return the words that no record holds yet, in the order in which they were written. Raises StoreError."""
        ...

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """Extend the lease; return its end (steady clock, counted from before the request).

        Raises EpochLost, StoreWentBack, StoreError.
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

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        """Return the chosen operations, newest first. Raises ValueError if `after` is no cursor of this list."""
        ...

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        """Return entries with their numbers, newest first, for `explain`."""
        ...

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        """Return event messages (not states), delivered or not, in order."""
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

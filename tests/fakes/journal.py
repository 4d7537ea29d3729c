"""`Journal` in memory. What it stores survives in `Durable`, so a test can crash the daemon and open it again.

A write happens between two awaits: all or nothing, as in one transaction. It uses no disk and no clock; delays are
`asyncio.sleep`, which virtual time skips.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

from fenced.core.durable.records import Decided, Entry
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import Operation
from fenced.core.heard.others import Elsewhere
from fenced.journal import codec
from fenced.model.names import MAIN_SHARD, HostName, OperationId
from fenced.model.power import OperationState
from fenced.ports.decisions import DecisionPage, RecordedDecision
from fenced.ports.hosts import OperationsLike
from fenced.ports.journal import (
    Batch,
    ClockAnchor,
    ControllerReport,
    ControllerView,
    EpochLost,
    Followed,
    HeldShard,
    Loaded,
    OutboxMessage,
    Page,
    Said,
    StoreError,
    StoreWentBack,
    Taken,
    Word,
    Words,
)
from tests.fakes.coded import check, check_said
from tests.fakes.durable import Durable as Durable
from tests.fakes.durable import StoredMessage as StoredMessage


class MemoryJournal:
    """Implements the port. `is_checked`: every batch goes through the codec and must come back equal.

    `fail_next`: raised by the next write, which stores nothing. `delay_seconds`: delay before a write is stored
    (cancelled then, nothing is stored); `delay_after_seconds`: delay after it, before the caller learns of it
    (cancelled then, all is).
    """

    def __init__(self, durable: Durable | None = None, *, is_checked: bool = False) -> None:
        self.durable = durable if durable is not None else Durable()
        self.is_checked = is_checked
        self.fail_next: Exception | None = None
        self.delay_seconds = 0.0
        self.delay_after_seconds = 0.0
        self.appended: list[Batch] = []
        """Every batch that was stored through this object, for assertions."""
        self.name = ""
        self.place = ""
        """The state directory in this boot of the machine; "" is a place like any other."""
        self.went_back = ""
        """What `open` says that the store lacks."""
        self.is_promoted = False
        """Whether the store's database was promoted since the last taking."""
        self.kept_words: Words | None = None
        """What `remember` kept."""
        self.known_epoch = 0
        self._epoch: int | None = None
        self._is_open = False

    def reopen(self) -> "MemoryJournal":
        """Return a new journal over the durable contents, as after a kill. Its `take` takes a newer epoch."""
        self.durable.owner = None
        return MemoryJournal(self.durable, is_checked=self.is_checked)

    async def opened(self, *, holder: str, now: float) -> int:
        """Open it and take the lease, which is free. Return the epoch."""
        loaded = await self.open(holder=holder, now=now)
        taken = await self.take(after=loaded.sequence, now=now)
        assert taken is not None, f"{self.durable.holder} holds the lease"
        return taken.epoch

    async def open(self, *, holder: str, now: float) -> Loaded:
        assert not self._is_open, "opened twice"
        self._is_open, self.name, durable = True, holder, self.durable
        if durable.replaces == durable.fleet[1].released_store:
            durable.replaces = ""
        return Loaded(
            expected_store=durable.replaces,
            faults=dict(durable.faults),
            fleet_fault=durable.fleet_fault,
            went_back=self.went_back,
            words=self.kept_words if self.went_back else None,
            store_id=durable.store_id,
            hosts={name: host for name, (_, host) in durable.hosts.items()},
            fleet=durable.fleet[1],
            tail=tuple(entry for sequence, entry in durable.entries.items() if sequence > self._covered(entry.host)),
            last_at=durable.last_at,
            sequence=durable.sequence,
        )

    async def follow(self, *, after: int, limit: int) -> Followed:
        self._opened()
        durable = self.durable
        if after > durable.sequence:
            raise StoreWentBack(f"memory: record {after} is gone")
        numbers = range(after + 1, min(durable.sequence, after + limit) + 1)
        entries = tuple(durable.entries[number] for number in numbers if number in durable.entries)
        return Followed(entries=entries, sequence=after + len(numbers), behind=durable.sequence - after - len(numbers))

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        self._opened()
        durable = self.durable
        if not self._may_take(patience_seconds):
            return None
        before, is_own = durable.holder, durable.place == self.place
        rest = await self.follow(after=after, limit=10**9)
        durable.owner, durable.holder, durable.place = self, self.name, self.place
        durable.epoch = max(durable.epoch, at_least, self.known_epoch) + 1
        durable.lease_until, durable.given_to = now, None
        self._epoch = durable.epoch
        return Taken(
            epoch=durable.epoch, rest=rest, until=now, holder=f"{self.name}-{durable.epoch}",
            is_own=is_own or not before, before=before, reason="start" if is_own or not before else "expired",
            last_at=durable.last_at, is_promoted=self.is_promoted, words=durable.words.waiting(self.wall_time()),
        )  # fmt: skip

    def _may_take(self, patience_seconds: float) -> bool:
        durable = self.durable
        if durable.given_to is not None and (durable.given_by is self or durable.given_to not in ("", self.name)):
            return False
        return durable.owner is None or durable.owner is self

    @property
    def format(self) -> int:
        return self.durable.format

    async def release(self, *, to: str, is_for_others: bool = True) -> None:
        await self._writing()
        self.durable.owner, self.durable.given_to = None, to
        self.durable.given_by = self if is_for_others else None
        self._epoch = 0

    async def report(self, report: ControllerReport, *, is_last: bool = False) -> Sequence[ControllerView]:
        self._opened()
        durable = self.durable
        durable.controllers[report.name] = report
        return await self.controllers()

    async def controllers(self) -> Sequence[ControllerView]:
        self._opened()
        durable = self.durable
        held = (HeldShard(shard="main", epoch=durable.epoch, since=0.0),)
        return [
            ControllerView(
                report=one, heard=0.0, is_alive=True, is_self=name == self.name,
                shards=held if durable.owner is not None and durable.owner.name == name else (),
            )
            for name, one in sorted(durable.controllers.items())
        ]  # fmt: skip

    async def know_epoch(self, epoch: int) -> None:
        self.known_epoch = max(self.known_epoch, epoch)

    async def remember(self, words: Words) -> None:
        self.kept_words = words

    async def say(self, said: Said, *, shards: Sequence[str]) -> str:
        self._opened()
        assert list(shards) == [MAIN_SHARD], "this store holds one shard"
        check_said(said)
        return self.durable.words.add(said, self.wall_time())

    async def words(self) -> Sequence[Word]:
        self._opened()
        return self.durable.words.waiting(self.wall_time())

    def wall_time(self) -> float:  # of the store's clock
        return 0.0

    async def append(self, batch: Batch) -> int:
        await self._writing()
        if self.is_checked:
            check(batch)
        durable = self.durable
        durable.budget.write(durable.shard, batch)
        durable.words.fold(batch.words, self.wall_time())
        for entry in batch.entries:
            durable.sequence += 1
            durable.entries[durable.sequence] = entry
            durable.last_at, durable.newest_epoch = entry.at, self._epoch or 0
        for host in batch.snapshots:
            durable.hosts[host.name] = (durable.sequence, host)
            durable.faults.pop(host.name, None)
        if batch.fleet is not None:
            durable.fleet, durable.fleet_fault = (durable.sequence, batch.fleet), ""
        for operation in batch.operations:
            self._store_operation(operation)
        for message in batch.outbox:
            durable.outbox_number += 1
            stored = replace(message, sequence=durable.outbox_number)
            durable.outbox[durable.outbox_number] = StoredMessage(message=stored, at=durable.last_at or 0.0)
        self.appended.append(batch)
        sequence = durable.sequence
        await asyncio.sleep(self.delay_after_seconds)
        return sequence

    async def end_doubt(self) -> None:
        await self._writing()
        self.is_promoted = False

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        await self._writing()
        self.durable.lease_until = now + ttl_seconds
        self.durable.anchor = anchor if anchor is not None else self.durable.anchor
        return self.durable.lease_until

    async def clock_anchor(self) -> ClockAnchor | None:
        self._opened()
        return self.durable.anchor

    async def accept_store(self) -> None:
        self._opened()
        self.durable.replaces = ""

    async def outbox(
        self, *, limit: int, each: int, skipping: Collection[HostName | None] = ()
    ) -> Sequence[OutboxMessage]:
        self._opened()
        places: Counter[HostName | None] = Counter()
        found: list[tuple[int, int, OutboxMessage]] = []
        for number, row in self.durable.outbox.items():
            host = row.message.host
            if not row.is_delivered and host not in skipping and places[host] < each:
                places[host] += 1
                found.append((places[host], number, row.message))
        return [message for _, _, message in sorted(sorted(found, key=_place)[:limit], key=lambda it: it[1])]

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        await self._writing()
        for message in messages:
            assert message.sequence is not None, "only what `outbox` gave can be delivered"
            row = self.durable.outbox.get(message.sequence)
            if row is not None and row.is_event:
                row.is_delivered = True
            elif row is not None:
                del self.durable.outbox[message.sequence]

    async def outbox_pending(self) -> int:
        self._opened()
        return sum(not row.is_delivered for row in self.durable.outbox.values())

    async def operation(self, operation: OperationId) -> Operation | None:
        self._opened()
        row = self.durable.operations.get(operation)
        return row[1] if row else None

    async def operations(self, like: OperationsLike, *, limit: int, after: str | None) -> Page:
        self._opened()
        below = cursor_of(after)
        found = [
            (number, operation)
            for number, operation in sorted(self.durable.operations.values(), key=lambda row: -row[0])
            if (below is None or number < below) and like.chooses(operation)
        ]
        following = str(found[limit - 1][0]) if len(found) > limit else None
        return Page(items=tuple(operation for _, operation in found[:limit]), next=following)

    async def entries(
        self, *, host: HostName | None, limit: int, before: int | None = None
    ) -> Sequence[tuple[int, Entry]]:
        self._opened()
        found = [
            (sequence, entry)
            for sequence, entry in reversed(self.durable.entries.items())
            if (host is None or entry.host == host) and (before is None or sequence < before)
        ]
        return found[:limit]

    async def decisions(self, host: HostName, *, before: float | None, limit: int, after: str | None) -> DecisionPage:
        self._opened()
        below = cursor_of(after)
        found = [
            (number, RecordedDecision(at=entry.at, host=host, record=entry.record))
            for number, entry in reversed(self.durable.entries.items())
            if entry.host == host
            and isinstance(entry.record, Decided)
            and (before is None or entry.at < before)
            and (below is None or number < below)
        ]
        following = str(found[limit - 1][0]) if len(found) > limit else None
        return DecisionPage(items=tuple(item for _, item in found[:limit]), next=following)

    async def events(self, *, after: int, limit: int) -> Sequence[OutboxMessage]:
        self._opened()
        return [row.message for number, row in self.durable.outbox.items() if row.is_event and number > after][:limit]

    async def newest_event(self) -> int:
        self._opened()
        return max((number for number, row in self.durable.outbox.items() if row.is_event), default=0)

    async def elsewhere(self) -> Elsewhere:
        self._opened()
        return self.durable.budget.elsewhere(self.durable.shard)

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        await self._writing()
        durable = self.durable
        records = [number for number, entry in durable.entries.items() if self._is_prunable(number, entry, before)]
        events = [number for number, row in durable.outbox.items() if row.is_delivered and row.at < events_before]
        ended = [name for name, (_, row) in durable.operations.items() if row.ended is not None and row.ended < before]
        for sequence in (gone := records[:limit]):
            del durable.entries[sequence]
        for number in (gone_events := events[: limit - len(gone)]):
            del durable.outbox[number]
        for operation in (gone_operations := ended[: limit - len(gone) - len(gone_events)]):
            del durable.operations[operation]
        return len(gone) + len(gone_events) + len(gone_operations)

    async def checkpoint(self) -> None:
        self._opened()

    async def close(self) -> None:
        if self.durable.owner is self:
            self.durable.owner = None
            self.durable.lease_until = 0.0
        self._epoch, self._is_open = None, False

    def _opened(self) -> None:
        if not self._is_open:
            raise StoreError("memory: the store is not open")

    async def _writing(self) -> None:
        """Delay or fail as set, before a write. After this, nothing awaits until the write is complete."""
        self._opened()
        await asyncio.sleep(self.delay_seconds)
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        if self.durable.epoch != self._epoch:
            raise EpochLost(f"memory: {self.durable.holder} holds epoch {self.durable.epoch}, ours is {self._epoch}")

    def _covered(self, host: HostName | None) -> int:
        if host is None:
            return self.durable.fleet[0]
        return self.durable.hosts[host][0] if host in self.durable.hosts else 0

    def _store_operation(self, operation: Operation) -> None:
        durable = self.durable
        if operation.id in durable.operations:
            number = durable.operations[operation.id][0]
        else:
            durable.operation_number += 1
            number = durable.operation_number
        durable.operations[operation.id] = (number, operation)

    def _is_prunable(self, sequence: int, entry: Entry, before: float) -> bool:
        operation = codec.operation_of(entry.record)
        row = self.durable.operations.get(operation) if operation is not None else None
        is_running = row is not None and row[1].state is OperationState.RUNNING
        is_covered = sequence <= self._covered(entry.host) and sequence < self.durable.sequence
        return entry.at < before and is_covered and not is_running


def _place(found: tuple[int, int, OutboxMessage]) -> tuple[int, int]:
    """Sort key: the oldest message of every host before the second of any."""
    return found[0], found[1]


def cursor_of(after: str | None) -> int | None:
    """Parse a cursor of this journal. Raises ValueError for anything else."""
    if after is None:
        return None
    if not after.isdecimal() or not after.isascii() or len(after) > 18:
        raise ValueError(f"{after[:40]!r} is not a cursor of this list")
    return int(after)

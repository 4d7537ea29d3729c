"""A controller's connection to the world's store (disk.py): ports.journal with several controllers.

Each write locks the lease row, compares epoch, holder and the count of writes, and fails if any of them is another's
(S20). What the controller saw is kept in its state directory, and compared (S22).
"""

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import replace

from fenced.core.durable.records import Entry, StoreDoubted, StoreReleased
from fenced.core.heard.others import Elsewhere
from fenced.journal.taking import LeaseWatch, is_own
from fenced.ports.journal import (
    Batch,
    ClockAnchor,
    ControllerReport,
    ControllerView,
    EpochLost,
    Followed,
    HeldShard,
    Loaded,
    NotTaken,
    Said,
    StoreError,
    StoreHeld,
    StoreWentBack,
    Taken,
    Word,
    Words,
)
from tests.fakes.journal import MemoryJournal
from tests.world.disk import Disk, Report, Transaction
from tests.world.leasing import Lease, Mark, Seen, StateDir
from tests.world.loop import virtual

CLOSE_SECONDS = 5.0
"""How long a controller that ends waits for the store."""


class WorldJournal(MemoryJournal):
    """One controller's connection to the store. `is_cut`: it does not reach it; `is_dead`: the controller was killed.

    `kept`: its state directory. `own_now`: its machine's clock, which goes on in suspend. `on_append` is called before
    a batch is stored, `on_stored` when the controller learns of it."""

    def __init__(
        self, disk: Disk, owner: str, *, is_checked: bool, kept: StateDir | None = None, lease_seconds: float = 15.0,
        own_now: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(disk.durable, is_checked=is_checked)
        self.disk, self.owner = disk, owner
        self.kept = kept if kept is not None else StateDir(owner)
        self.is_cut = self.is_dead = False
        self.on_append: Callable[[Batch], None] = lambda batch: None
        self.on_stored: Callable[[], None] = lambda: None
        disk.holders += 1
        self.holder = f"{owner}.{disk.holders}"
        self._own_now = own_now if own_now is not None else disk.clock.now
        self._lease_seconds = lease_seconds
        self._watch: LeaseWatch | None = None
        self._batch = 0
        self._is_last_said = False
        self._turn = asyncio.Lock()
        """One connection writes, so this controller's own writes wait for each other."""
        self._now = Seen()
        self._is_doubted = False
        """The store lacks what the state directory names, and the journal does not say so yet."""

    # -- starting and following ---------------------------------------------------------------------------------------

    async def open(self, *, holder: str, now: float) -> Loaded:
        await self._reached()
        self.name = holder
        self._check_name()
        loaded = await super().open(holder=holder, now=now)
        seen, disk = self.kept.seen, self.disk
        self._now = Seen(epoch=seen.epoch, floor=seen.floor, mark=seen.mark, words=seen.words)
        went_back = self._missing() or seen.went_back
        self._is_doubted = bool(went_back)
        self._saw(loaded.sequence)
        if went_back:
            seen.went_back = went_back
        anchor = self.durable.anchor
        steady_at = anchor.steady + (disk.now() - disk.anchored_at) if anchor is not None else None
        return replace(loaded, went_back=went_back, words=seen.words if went_back else None, steady_at=steady_at)

    async def follow(self, *, after: int, limit: int) -> Followed:
        await self._reached()
        self._check_past()
        followed = await super().follow(after=after, limit=limit)
        self._saw(followed.sequence)
        self._saw_entries(followed.entries)
        return followed

    def _check_past(self) -> None:
        """Raises StoreWentBack if the store lacks what this controller read or wrote."""
        if why := self._missing():
            self._keep()
            raise StoreWentBack(f"store: {why}; an older state was put in its place")

    def knows_more(self) -> bool:
        """Return whether this controller, or its state directory, knows what the store lacks."""
        return self._is_doubted or bool(self._missing() or self._missing(self.kept.seen))

    def _missing(self, seen: Seen | None = None) -> str:
        """Return what the store lacks although this controller saw it; "" if nothing."""
        seen, durable = seen if seen is not None else self._now, self.durable
        if self.disk.row.epoch < seen.epoch:
            return f"the store has epoch {self.disk.row.epoch}, and this controller saw epoch {seen.epoch}"
        if durable.sequence < seen.mark.sequence:
            return f"the store lacks record {seen.mark.sequence}; its newest is {durable.sequence}"
        if seen.mark.entry is not None and durable.entries.get(seen.mark.sequence) is not seen.mark.entry:
            return f"record {seen.mark.sequence} is another one than this controller saw"
        return ""

    def _saw(self, sequence: int) -> None:
        now, epoch = self._now, self.disk.row.epoch
        now.epoch, now.floor = epoch, max(now.floor, epoch)
        now.mark = Mark(sequence=sequence, entry=self.durable.entries.get(sequence))

    def _saw_entries(self, entries: Sequence[Entry]) -> None:
        if self._is_doubted and any(isinstance(each.record, StoreDoubted | StoreReleased) for each in entries):
            self._is_doubted = False

    def _keep(self) -> None:
        """Write what was seen into the state directory. While the store lacks what that names, it goes on naming it."""
        kept, now = self.kept.seen, self._now
        if self._is_doubted:
            kept.floor = max(kept.floor, now.floor)
        else:
            kept.epoch, kept.floor, kept.mark, kept.went_back = now.epoch, now.floor, now.mark, ""

    async def remember(self, words: Words) -> None:
        self.kept.seen.words = words

    async def know_epoch(self, epoch: int) -> None:
        self.kept.seen.floor = max(self.kept.seen.floor, epoch)

    async def accept_store(self) -> None:
        await super().accept_store()
        self._is_doubted = False
        self._keep()

    # -- the lease ----------------------------------------------------------------------------------------------------

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        await self._reached()
        if self.disk.look_seconds:
            await asyncio.sleep(self.disk.look_seconds)
        asked_at, disk = self._own_now(), self.disk
        if disk.is_failing:
            raise StoreError("disk: no space left")
        if self._watch is None:
            self._watch = LeaseWatch(place=self.place, lease_seconds=self._lease_seconds)
        self._watch.saw(disk.row.row(disk.now()), at=self._own_now())
        if not self._is_free(asked_at, patience_seconds):
            return None
        transaction = await disk.lock(self._lease_seconds / 3)
        try:
            await self._go_on(transaction)
            if not self._is_free(asked_at, patience_seconds):
                return None
            if disk.why_not_taken:
                raise NotTaken(disk.why_not_taken)
            self._check_past()
            return await self._take(after, now, at_least)
        finally:
            disk.unlock(transaction)

    @property
    def holds(self) -> bool:
        """Whether this connection took the lease, and nobody did since."""
        return self.disk.row.is_held and self.disk.row.holder == self.holder

    def _is_free(self, asked_at: float, patience_seconds: float) -> bool:
        assert self._watch is not None, "it was looked at before"
        row = self.disk.row.row(self.disk.now())
        return self._watch.may_take(row, name=self.name, at=asked_at, patience_seconds=patience_seconds)

    async def _take(self, after: int, now: float, at_least: int) -> Taken:
        disk, durable, before = self.disk, self.durable, self.disk.row
        rest = await MemoryJournal.follow(self, after=after, limit=10**9)
        anchor = durable.anchor
        steady_at = anchor.steady + (disk.now() - disk.anchored_at) if anchor is not None else None
        epoch = max(before.epoch, durable.epoch, self._now.floor, self.kept.seen.floor, at_least) + 1
        disk.row = Lease(
            epoch=epoch, holder=self.holder, name=self.name, place=self.place, batch=before.batch + 1,
            until=disk.now() + self._lease_seconds, ttl_seconds=self._lease_seconds, since=disk.now(),
        )  # fmt: skip
        durable.epoch, durable.holder = epoch, self.name
        self._epoch, self._batch = epoch, disk.row.batch
        self._saw(rest.sequence)
        self._saw_entries(rest.entries)
        self._keep()
        disk.on_taken(before, disk.row)
        return Taken(
            epoch=epoch, rest=rest, until=now + self._lease_seconds, holder=self.holder,
            is_own=is_own(before.row(disk.now()), place=self.place, newest_epoch=durable.newest_epoch),
            before=before.name, reason="start" if before.place in {"", self.place} else "expired",
            last_at=durable.last_at, steady_at=steady_at, is_promoted=self.is_promoted,
            words=durable.words.waiting(self.wall_time()),
        )  # fmt: skip

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        await self._writing()
        disk = self.disk
        disk.row = replace(disk.row, until=disk.now() + ttl_seconds, ttl_seconds=ttl_seconds)
        disk.on_renewed(disk.row)
        if anchor is not None:
            self.durable.anchor, disk.anchored_at = anchor, disk.now()
        return now + ttl_seconds

    async def release(self, *, to: str, is_for_others: bool = True) -> None:
        await self._writing()
        self._give_up(by=self.place if is_for_others else "", to=to)

    def _give_up(self, *, by: str = "", to: str = "") -> None:
        disk = self.disk
        disk.row = replace(disk.row, until=0.0, released_by=by, released_to=to, released_at=disk.now())
        self._epoch = 0
        self._keep()

    async def close(self) -> None:
        """End the lease and the reports, as far as the store can be reached."""
        if self._is_open and not self.is_dead:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    if self._epoch:
                        await self._writing()
                        self._give_up()
                    await self._reached()
                    self._leave()
            except (StoreError, TimeoutError):
                pass
            self._keep()
        self._epoch, self._is_open = None, False

    def _leave(self) -> None:
        mine = None if self._is_last_said else self.disk.reports.get(self.name)
        if mine is not None and mine.instance == self.kept.id:
            self.disk.reports[self.name] = replace(mine, is_gone=True)

    # -- the other shards ---------------------------------------------------------------------------------------------

    async def elsewhere(self) -> Elsewhere:
        self._opened()
        await self._reached()
        return await super().elsewhere()

    # -- the other controllers ----------------------------------------------------------------------------------------

    async def report(self, report: ControllerReport, *, is_last: bool = False) -> Sequence[ControllerView]:
        self._is_last_said = is_last
        self._opened()
        await self._reached()
        if self.disk.refuses():
            raise StoreError("disk: no space left")
        self._check_name()
        self._keep()
        self.disk.reports[self.name] = Report(report=report, instance=self.kept.id, heard=self.disk.now())
        return self._views()

    async def controllers(self) -> Sequence[ControllerView]:
        self._opened()
        await self._reached()
        return self._views()

    def _views(self) -> Sequence[ControllerView]:
        disk = self.disk
        row, views = disk.row, []
        shards = (HeldShard(shard="main", epoch=row.epoch, since=row.since),)
        for name, it in sorted(disk.reports.items()):
            is_holder = row.is_held and row.name == name and disk.now() <= row.until
            views.append(
                ControllerView(
                    report=it.report, heard=it.heard, is_alive=self._is_alive(it), is_self=name == self.name,
                    shards=shards if is_holder else (),
                )
            )  # fmt: skip
        return views

    def _is_alive(self, report: Report) -> bool:
        return not report.is_gone and abs(self.disk.now() - report.heard) <= self._lease_seconds

    def _check_name(self) -> None:
        other = self.disk.reports.get(self.name)
        if other is not None and other.instance != self.kept.id and self._is_alive(other):
            raise StoreHeld(f"store: a living controller has the name {self.name}")

    # -- writing ------------------------------------------------------------------------------------------------------

    def wall_time(self) -> float:
        return self.disk.now()

    async def words(self) -> Sequence[Word]:
        await self._reached()
        return await super().words()

    async def say(self, said: Said, *, shards: Sequence[str]) -> str:
        """Lock the row as a write does, which ends before or begins after it."""
        self._opened()
        async with self._turn:
            await self._reached()
            transaction = await self.disk.lock(self._lease_seconds / 3)
            try:
                if self.disk.slow_seconds:
                    await asyncio.sleep(self.disk.slow_seconds)
                if self.disk.refuses():
                    raise StoreError("disk: no space left")
                await self._go_on(transaction)
                word_id = await super().say(said, shards=shards)
                self.disk.on_said(next(it for it in self.durable.words.waiting(0.0) if it.id == word_id))
            finally:
                self.disk.unlock(transaction)
        return word_id

    async def append(self, batch: Batch) -> int:
        self.on_append(batch)
        if self.disk.refuse():
            raise StoreError("disk: no space left")
        if self.disk.late_seconds:
            sequence = await self._append_late(batch)
        else:
            sequence = await super().append(batch)
        self._saw(sequence)
        self._saw_entries(batch.entries)
        self.on_stored()
        return sequence

    async def _append_late(self, batch: Batch) -> int:
        """Append a batch that its controller can't call back: it commits even if the controller is dead by then."""

        async def fly() -> int:
            self._is_flying = True
            try:
                return await MemoryJournal.append(self, batch)
            finally:
                self._is_flying = False

        flying = asyncio.get_running_loop().create_task(fly(), name="a batch", context=contextvars.Context())
        # Nobody is left to learn that the batch of a dead controller was refused.
        flying.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(flying)

    _is_flying = False

    async def _writing(self) -> None:
        """Lock the row, delay or fail as set, and check that the lease is this controller's. Nothing awaits between
        this and the end of the write."""
        self._opened()
        async with self._turn:
            await self._write()

    async def _write(self) -> None:
        disk = self.disk
        await self._reached()
        transaction = await disk.lock(self._lease_seconds / 3)
        transaction.is_flying = self._is_flying
        try:
            seconds = disk.slow_seconds + self.delay_seconds + (disk.late_seconds if self._is_flying else 0.0)
            if seconds:
                await asyncio.sleep(seconds)
            if disk.refuses():
                raise StoreError("disk: no space left")
            if self.fail_next is not None:
                error, self.fail_next = self.fail_next, None
                raise error
            await self._go_on(transaction)
            self._check_lease()
        finally:
            disk.unlock(transaction)
        disk.row = replace(disk.row, batch=disk.row.batch + 1)
        self._batch = disk.row.batch

    async def _go_on(self, transaction: Transaction) -> None:
        """Stand still while the controller is held. Raises StoreError if the store aborted the transaction."""
        if not self._is_flying:
            if virtual().is_held(self.owner):
                await asyncio.sleep(0)  # does not come back before the hold ends
            if self.is_dead:
                raise asyncio.CancelledError
        if transaction.is_aborted:
            raise StoreError("store: terminating connection due to idle-in-transaction timeout")

    def _check_lease(self) -> None:
        row = self.disk.row
        ours, theirs = (self._epoch, self.holder), (row.epoch, row.holder)
        if row.epoch < (self._epoch or 0) or (ours == theirs and row.batch != self._batch):
            self._keep()
            raise StoreWentBack(f"store: write {self._batch} of epoch {self._epoch} is gone; it has {row.batch}")
        if ours != theirs or not row.is_held:
            raise EpochLost(f"store: {row.name} holds epoch {row.epoch}, ours is {self._epoch}")

    async def _reached(self) -> None:
        while self.is_cut or self.disk.is_hanging:
            await self.disk.change()

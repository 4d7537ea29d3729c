"""The `Journal` port over a database: which statements each call runs, whatever the database is.

`writing`, `reading`, `following`, `leases` and `controllers` hold the statements. A subclass owns connections,
transactions and errors, in `_write` and `_read`: a write returns once it is durable, or raises and stored nothing;
either way the next write works. A cancelled call ends when its transaction has ended: it stored all or nothing.
"""

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from fenced.journal import controllers as reports
from fenced.journal import division, files, following, leases, reading, standing, taking, words, writing
from fenced.journal.following import Mark, Position
from fenced.journal.leases import Held, LeaseRow
from fenced.journal.queries import Reader, SqlQueries
from fenced.journal.seen import Memory, SeenFile, Server
from fenced.journal.standing import Standing
from fenced.journal.store_id import IdFile
from fenced.ports.journal import (
    Batch,
    ClockAnchor,
    ControllerReport,
    ControllerView,
    EpochLost,
    Followed,
    Loaded,
    OutboxMessage,
    Said,
    StoreError,
    StoreWentBack,
    Taken,
    Words,
)

T = TypeVar("T")
MayTake = Callable[[LeaseRow | None], bool]
log = structlog.get_logger(__name__)


class SqlJournal(SqlQueries, ABC):
    """Implements the `Journal` port, and keeps the anchor of the steady clock."""

    def __init__(
        self, *, place: str, shard: str, state_dir: Path, lease_ttl_seconds: float, where: str = "", instance: str = ""
    ) -> None:
        """`place`: the store's name in errors, without secrets. `where`: the state directory in this boot of the
        machine, and `instance`: its id; "" where no other machine can reach the store. Opens nothing yet."""
        super().__init__(place=place, shard=shard)
        self._where, self._instance, self._lease_seconds = where, instance, lease_ttl_seconds
        self._id_file = IdFile(state_dir.resolve())
        self._memory = Memory(SeenFile(state_dir.resolve()), shard=shard)
        self._memory_fault = self._store_id = self._name = ""
        self._standing = Standing(id="")
        """As it was at the start; its format as last read."""
        self._has_reported = self._has_timeline = False
        """Whether others know of it, and whether the server's timeline may be read."""
        self._held = Held(shard=shard)
        self._positions: dict[int, Position] = {}
        """By sequence: what `follow` and `take` may go on from."""
        self._calls: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def open(self, *, holder: str, now: float) -> Loaded: ...

    @abstractmethod
    async def checkpoint(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def _write(
        self, name: str, work: Callable[[Connection], T], *, batches: int = 1,
        then: Callable[[T], None] = lambda _: None,
    ) -> T:  # fmt: skip
        """Run `work` in one transaction, durable on return; count `batches` writes of the shard in `_held`.

        `then` gets the result before the next write begins. Raises StoreError, and what `work` raises.
        """

    @abstractmethod
    async def _note(self, name: str, work: Callable[[Connection], T]) -> T:
        """Run `work`, which writes but needs no lease, without delaying `_write`. Raises as that does."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raises StoreError if the store is not open."""

    # -- starting, following, reporting -------------------------------------------------------------------------------

    async def accept_store(self) -> None:
        self._check_open()
        with files.translated():
            await asyncio.to_thread(self._id_file.write, self._store_id)
        await self._memorize(self._memory.accept)

    async def know_epoch(self, epoch: int) -> None:
        await self._memorize(lambda: self._memory.know_epoch(epoch))

    async def remember(self, words: Words) -> None:
        """While the store lacks what the file holds, the words of that past stay in the file (`seen`)."""
        await self._memorize(lambda: self._memory.remember(words))

    async def _memorize(self, what: Callable[[], None]) -> None:
        self._check_open()
        what()
        with files.translated():
            await asyncio.to_thread(self._memory.write)

    async def report(self, report: ControllerReport, *, is_last: bool = False) -> Sequence[ControllerView]:
        assert report.name == self._name, "a controller reports under the name with which it opened the store"
        await self._keep_memory()
        self._has_reported = not is_last

        def work(connection: Connection) -> tuple[int, Sequence[ControllerView]]:
            return standing.checked_format(connection), reports.report(connection, report, self._self())

        number, views = await self._note("report", work)
        self._standing = replace(self._standing, format=number)
        return views

    async def controllers(self) -> Sequence[ControllerView]:
        self._check_open()
        return await self._look("controllers", lambda it: reports.views(it, self._self()))

    async def follow(self, *, after: int, limit: int) -> Followed:
        """`after`: 0, or the `sequence` of what `open` or the last call returned."""
        self._check_open()
        since = self._position(after)
        work = functools.partial(following.follow, shard=self._held.shard, since=since, limit=limit)
        followed, position = await self._noticing(self._read("follow", work, Reader.KEEPER))
        self._positions = {after: since, followed.sequence: position}
        self._memory.advanced(position)
        self._memory.saw_entries(followed.entries)
        return followed

    # -- the lease ----------------------------------------------------------------------------------------------------

    async def take(self, *, after: int, now: float, patience_seconds: float = 0.0, at_least: int = 0) -> Taken | None:
        """Also returns None if more records are new than `reading.ROWS_MAX`: follow them first."""
        self._check_open()
        since = self._position(after)

        async def whole() -> Taken | None:
            may_take = await self._look_at_lease(patience_seconds)
            if may_take is None:
                return None
            above = max(self._memory.floor, at_least)
            work = functools.partial(self._take, may_take=may_take, since=since, above=above, now=now)
            done = await self._write("take", work, batches=0, then=self._hold)
            if done is None:
                return None
            taken, _, position = done
            self._positions = {after: since, position.mark.sequence: position}
            self._memory.advanced(position)
            self._memory.saw_entries(taken.rest.entries)
            await self._keep_memory()
            if taken.is_promoted:
                log.warning(
                    "lease_taken_in_doubt", store=self._place, epoch=taken.epoch, timeline=self._held.timeline,
                    advice=await self._advice_on_losses(),
                )  # fmt: skip
            return taken

        return await self._noticing(self._whole("take", whole()))

    def _take(
        self, connection: Connection, *, may_take: MayTake, since: Position, above: int, now: float
    ) -> tuple[Taken, Held, Position] | None:
        shard = self._held.shard
        row = leases.locked_lease_row(connection, shard, has_timeline=self._has_timeline)
        if not may_take(row):
            return None
        stands = standing.checked(connection, self._standing)
        division.check(connection, shard, self.division)
        rest, position = following.follow(connection, shard=shard, since=since, limit=reading.ROWS_MAX)
        if rest.behind:
            return None
        steady_at = leases.steady_time(connection, shard)
        until = now + self._lease_seconds
        held = leases.take(
            connection, self._held, row=row, name=self._name, place=self._where, above=above, until=until,
            ttl_seconds=self._lease_seconds, is_older=self._memory.lacks_past, division=self.division,
        )  # fmt: skip
        standing.settle(connection, stands)
        taken = Taken(
            epoch=held.epoch, rest=rest, until=until, holder=held.holder, before="" if row is None else row.name,
            is_own=taking.is_own(row, place=self._where, newest_epoch=position.mark.epoch), steady_at=steady_at,
            is_promoted=row is not None and (row.is_promoted or row.is_doubted),
            reason=taking.reason(row, self._where), last_at=reading.newest_moment(connection, shard=shard),
            words=words.waiting(connection, shard=shard),
        )  # fmt: skip
        return taken, held, replace(position, epoch=held.epoch)

    def _hold(self, done: tuple[Taken, Held, Position] | None) -> None:
        if done is not None:
            self._held = done[1]

    async def end_doubt(self) -> None:
        await self._change("end-doubt", lambda it: leases.end_doubt(it, self._held))

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float:
        """`anchor`: the position of the steady clock, for the next start; None keeps the last one."""
        until = now + ttl_seconds

        def work(it: Connection) -> None:
            end = {"until": until, "ttl_seconds": ttl_seconds}
            leases.renew(it, self._held, **end, anchor=anchor, division=self.division)
            standing.check_home(it)

        await self._change("renew-lease", work)
        return until

    @property
    def format(self) -> int:
        return self._standing.format

    async def release(self, *, to: str, is_for_others: bool = True) -> None:
        by = self._where if is_for_others else ""

        async def whole() -> None:
            await self._write("release", lambda it: leases.release(it, self._held, by=by, to=to), then=self._let_go)
            await self._keep_memory()

        await self._noticing(self._whole("release", whole()))

    def _let_go(self, _: None) -> None:
        self._held = replace(self._held, epoch=0)

    # -- writing and reading ------------------------------------------------------------------------------------------

    async def append(self, batch: Batch) -> int:
        encoded = writing.encode(batch, self._standing.format)

        def work(connection: Connection) -> tuple[int, int]:
            sequence = writing.append(connection, encoded, self._held)
            standing.noted(connection, batch.entries)
            return sequence, self._held.epoch

        sequence, epoch = await self._change("append", work)
        if encoded.records:
            at, host, _, body = encoded.records[-1]
            mark = Mark(sequence=sequence, epoch=epoch, digest=following.digest(at, host, body))
            self._memory.advanced(Position(mark=mark, epoch=epoch))
            self._memory.saw_entries(batch.entries)
        return sequence

    async def say(self, said: Said, *, shards: Sequence[str]) -> str:
        """Uses the connection that writes: it notices a commit that the synchronous standby database lacks."""
        return await self._write("say", lambda it: words.say(it, said, shards, self._standing.format), batches=0)

    async def delivered(self, messages: Sequence[OutboxMessage]) -> None:
        assert all(message.sequence is not None for message in messages), "only messages of `outbox` can be delivered"
        if messages:
            await self._change("delivered", lambda it: writing.delivered(it, messages, self._held))

    async def prune(self, *, before: float, events_before: float, limit: int) -> int:
        work = functools.partial(writing.prune, before=before, events_before=events_before, limit=limit)
        return await self._change("prune", lambda it: work(it, self._held))

    # -- for subclasses -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _translated(self) -> AbstractContextManager[None]:
        """Return a context that raises StoreError for errors of the database and of the file system."""

    @abstractmethod
    async def _look_at_lease(self, patience_seconds: float) -> MayTake | None:
        """Look once. Return None if the lease may not be taken, else the check of its row once that is locked."""

    @abstractmethod
    async def _server(self) -> Server:
        """Return which server holds the store, as far as this user may know."""

    async def _advice_on_losses(self) -> str:
        """Return how to avoid that a promotion loses records; "" if nothing is known that allows it."""
        return ""

    async def _load(self, name: str) -> Loaded:
        """Read the store, and compare it with what this controller saw of it. Raises StoreHeld, StoreError."""
        self._name = name
        with files.translated():
            seen = self._memory.open()
        server = await self._server()
        self._has_timeline = server.timeline is not None

        def work(connection: Connection) -> tuple[Loaded, Position]:
            reports.check_name(connection, self._self())
            loaded = reading.load(connection, shard=self._held.shard)
            self._standing = standing.read(connection)
            doubt = standing.doubt(connection, self._standing, shard=self._held.shard, seen=seen, server=server)
            loaded = replace(loaded, went_back=doubt)
            steady_at = leases.steady_time(connection, self._held.shard)
            position = following.position(connection, shard=self._held.shard, sequence=loaded.sequence)
            return replace(loaded, steady_at=steady_at, words=seen.words if loaded.went_back else None), position

        loaded, position = await self._read("open", work, Reader.KEEPER)
        loaded = self._checked_id(loaded)
        self._positions = {loaded.sequence: position}
        self._memory.opened(
            store=loaded.store_id, position=position, server=server, went_back=loaded.went_back,
            is_other_store=bool(loaded.expected_store), is_away=self._standing.is_away,
        )  # fmt: skip
        if loaded.went_back:
            log.error("store_went_back", store=self._place, missing=loaded.went_back)
            await self._keep_memory()
        return loaded

    def _checked_id(self, loaded: Loaded) -> Loaded:
        """Compare the store with the one used before. Another one needs an operator's release. Raises StoreError."""
        self._store_id = loaded.store_id
        with files.translated():
            kept = self._id_file.read()
            if kept is not None and kept not in {loaded.store_id, loaded.fleet.released_store}:
                return replace(loaded, expected_store=kept)
            if kept != loaded.store_id:
                self._id_file.write(loaded.store_id)
        return loaded

    async def _leave(self) -> None:
        """End lease and reports, and keep what was seen. A store that can't be written lets both expire."""
        if not self._store_id:
            return
        try:
            if self._held.epoch:
                await self._write("give-up-lease", lambda it: leases.release(it, self._held))
        except (EpochLost, StoreWentBack):
            pass  # another controller holds it
        except StoreError:
            self._has_reported = False  # the next write would wait as long in vain
        if self._has_reported:
            with contextlib.suppress(StoreError):
                await self._note("leave", lambda it: reports.leave(it, self._self()))
        self._held = replace(self._held, epoch=0)
        await self._keep_memory()

    async def _change(self, name: str, work: Callable[[Connection], T]) -> T:
        return await self._noticing(self._write(name, work))

    async def _noticing(self, call: Coroutine[Any, Any, T]) -> T:
        """Keep what was seen before the store went back: the next start compares it."""
        try:
            return await call
        except StoreWentBack as exc:
            await self._keep_memory()
            raise StoreWentBack(f"{self._place}: {exc}") from exc

    async def _keep_memory(self) -> None:
        """Write what was seen to the disk. A failure is only logged: the store itself is in order."""
        try:
            await asyncio.to_thread(self._memory.write)
        except OSError as exc:
            if str(exc) != self._memory_fault:
                log.error("seen_file_not_written", error=str(exc), advice="check owner, mode and disk of state_dir")
            self._memory_fault = str(exc)
        else:
            self._memory_fault = ""

    def _position(self, after: int) -> Position:
        if after == 0:
            return Position(mark=Mark(), epoch=max(known.epoch for known in self._positions.values()))
        assert after in self._positions, "follow on from where the last call ended"
        return self._positions[after]

    def _self(self) -> reports.Self:
        return reports.Self(
            name=self._name, instance=self._instance, place=self._where, lease_seconds=self._lease_seconds
        )

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
            if not task.cancelled():
                task.exception()  # asyncio would log one that nobody retrieves
            raise

"""Asynchronous access to the proxy agent's database: one thread writes, and concurrent commands share one disk sync.

A call that returned is on disk; a call that raised left nothing behind.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import structlog

from fenced.model.names import PlugId, Token
from fenced.ports.devices import Started
from fenced.proxy.floors import Floor, Raised
from fenced.proxy.state import EPOCH_JUMP_LOGGED, Claim, Denial, ProxyState, StateError, Unfinished

GROUP_MAX: Final = 256
"""Maximum number of writes in one transaction."""

T = TypeVar("T")

_log: structlog.stdlib.BoundLogger = structlog.get_logger("fenced.proxy")


@dataclass(slots=True, kw_only=True)
class _Job:
    """One write and the future that waits for it."""

    act: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    waiter: asyncio.Future[Any]


class TokenMemory:
    """Owns the state and its thread between enter and exit. The server bounds how many jobs wait."""

    def __init__(self, state: ProxyState) -> None:
        self._state = state
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="token memory", daemon=True)
        self._is_closed = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the waiting writes, then close the state."""
        self._is_closed = True
        self._jobs.put(None)
        self._thread.join()
        self._state.close()

    async def claim(self, claim: Claim) -> Denial | None:
        """As ProxyState.claim, durable; logs a jump of the epoch. Raises StateError."""
        seen, denial = await self._submit(lambda: (self._state.epoch_seen(claim.plug_id), self._state.claim(claim)))
        if seen is not None and claim.token.epoch - seen > EPOCH_JUMP_LOGGED:
            _log.warning(
                "token jumped", plug=claim.plug_id, token=str(claim.token), epoch_seen=seen, is_taken=denial is None
            )
        return denial

    async def raise_floor(
        self, store: str, shard: str, epoch: int, holder: str, *, is_first: bool, now: float, acting_max: int
    ) -> Raised:
        """As ProxyState.raise_floor, durable; logs every change. Raises StateError."""
        before = self.floor(store, shard)
        raised = await self._submit(
            lambda: self._state.raise_floor(
                store, shard, epoch, holder, is_first=is_first, now=now, acting_max=acting_max
            )
        )
        if raised.why:
            _log.warning("floor not raised", shard=shard, epoch=epoch, holder=holder, reason=raised.why)
        elif raised.floor != before:
            _log.info("floor raised", shard=shard, epoch=epoch, holder=holder, may_still_act=len(raised.acting))
        return raised

    def floor(self, store: str, shard: str) -> Floor | None:
        """Return the floor on disk, without waiting."""
        return self._state.floors.get((store, shard))

    def floors(self) -> Sequence[Floor]:
        """Return all floors on disk, without waiting."""
        return list(self._state.floors.values())

    async def started(self, plug_id: PlugId, token: Token, started: Started) -> None:
        """Durable when it returns. Raises StateError."""
        await self._submit(lambda: self._state.started(plug_id, token, started))

    async def ended(self, plug_id: PlugId, token: Token) -> None:
        """Record the end. Raises StateError; then the command counts as under way until its `not_after`."""
        await self._submit(lambda: self._state.ended(plug_id, token))

    async def unfinished(self, *, now: float) -> Sequence[Unfinished]:
        """Return what an earlier run left unfinished.

        Commands past their `not_after` are returned once, then deleted.
        """

        def act() -> list[Unfinished]:
            found = self._state.unfinished()
            self._state.forget_past(now=now)
            return found

        return await self._submit(act)

    async def store(self) -> str | None:
        return await self._submit(self._state.store)

    async def _submit(self, act: Callable[[], T]) -> T:
        if self._is_closed:
            raise StateError("the proxy agent is stopping")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(act=act, loop=loop, waiter=waiter))
        return await waiter

    def _write(self) -> None:
        while (first := self._jobs.get()) is not None:
            group, is_last = self._take_waiting(first)
            self._commit(group)
            if is_last:
                return

    def _take_waiting(self, first: _Job) -> tuple[list[_Job], bool]:
        group = [first]
        while len(group) < GROUP_MAX:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        """Commit all or nothing: if one write fails, all writes of the group fail, and each caller gets the error."""
        try:
            with self._state.transaction():
                results = [job.act() for job in group]
        except StateError as exc:
            self._fail(group, exc)
            return
        except Exception as exc:  # the thread's border: after a crash here every later command would wait for ever
            self._fail(group, StateError(f"internal error in the token memory ({type(exc).__name__})"))
            return
        for job, result in zip(group, results, strict=True):
            _answer(job, job.waiter.set_result, result)

    def _fail(self, group: list[_Job], error: StateError) -> None:
        for job in group:
            _answer(job, job.waiter.set_exception, error)


def _answer(job: _Job, answer: Callable[[Any], None], value: object) -> None:
    def in_the_loop() -> None:
        if not job.waiter.done():
            answer(value)

    # After a forced stop the loop may be closed, and nothing waits any more.
    if not job.loop.is_closed():
        job.loop.call_soon_threadsafe(in_the_loop)

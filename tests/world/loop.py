"""An asyncio event loop in virtual time: when nothing is ready, it jumps to the next timer. Nothing ever really sleeps.

It is deterministic, without sockets, threads or signals: the same program and seed give the same run. If nothing is
ready and no timer is set, a real program would wait for ever; here that is an error, as is a loop in which time never
advances. Work belongs to an owner (`owned`). An owner can be held while the rest of the world goes on: a process with a
stalled loop.
"""

import asyncio
import contextvars
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")

TURNS_AT_ONE_MOMENT_MAX = 30_000
"""Iterations of the loop without an advance of time: more than any legitimate burst of work needs."""

LATE_MICROSECONDS_MAX: Final = 2000
"""With a seed, a timer fires up to this much late, as in a real loop, so timers of one moment fire in any order."""

_owner: contextvars.ContextVar[str] = contextvars.ContextVar("owner", default="")
"""The owner of the running work; tasks and timers inherit it from their creator."""


class Stuck(Exception):
    """Nothing is ready and no timer is set, or time does not advance."""


class _NoSelector:
    """BaseEventLoop closes a selector at its end; nothing is ever selected."""

    def close(self) -> None:
        pass


class _Handle(asyncio.Handle):
    """Like asyncio's, without the parts for debugging: a scenario makes thousands of them."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None


class _Timer(asyncio.TimerHandle):
    """Like asyncio's, reduced in the same way. `_scheduled` is unused: the loop does not count cancelled timers."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None
        self._when = when


@dataclass(slots=True)
class _Hold:
    """An owner that is held: until when, and what waits for the end, in order. `steps`: how many steps it still has."""

    until: float
    steps: int = 0
    on_held: Callable[[], None] | None = None
    waiting: list[asyncio.Handle] = field(default_factory=list)


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` starts at 0 and advances in whole microseconds. `seed` None: timers are exact.

    `faults`: unhandled exceptions in order; `run` raises the first."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._numbers = itertools.count()
        self._random = None if seed is None else random.Random(seed).random
        self._holds: dict[str, _Hold] = {}
        self._released: dict[str, float] = {}
        self._selector = _NoSelector()
        self._timers: list[tuple[float, int, _Timer]] = []
        self.faults: list[BaseException] = []
        self.set_exception_handler(self._keep)

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override] # as its callers use it
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As BaseEventLoop.call_at, with a defined order among equal times; never early."""
        microseconds = math.ceil(when * 1e6 - 0.01)
        if self._random is not None:
            microseconds += int(self._random() * LATE_MICROSECONDS_MAX)
        at = microseconds / 1e6
        timer = _Timer(at, callback, args, self, context)
        # Of timers for the same moment, the one that was set first fires first.
        heapq.heappush(self._timers, (at, next(self._numbers), timer))
        return timer

    def call_later(  # type: ignore[override] # as its callers use it
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_soon(  # type: ignore[override] # as its callers use it
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined] # of BaseEventLoop
        return handle

    # -- one turn -----------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run one iteration as BaseEventLoop does. Advance time when nothing is ready."""
        timers = self._timers
        ready: deque[Any] = self._ready  # type: ignore[attr-defined] # of BaseEventLoop
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._jump(timers)
        self._turns += 1
        if self._turns > TURNS_AT_ONE_MOMENT_MAX:
            raise Stuck(f"at {self._now:.3f} s time does not go on: something is ready again and again")
        now = self._now
        while timers and timers[0][0] <= now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled or (self._holds and self._is_held(handle)):
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self.faults.append(exc)

    def _jump(self, timers: list[tuple[float, int, _Timer]]) -> None:
        """Advance to the next timer."""
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck(f"at {self._now:.3f} s nothing is ready and no timer is set")
        if timers[0][0] > self._now:
            self._now, self._turns = timers[0][0], 0

    # -- holding an owner ---------------------------------------------------------------------------------------------

    def hold(self, owner: str, seconds: float, *, is_suspended: bool = False) -> None:
        """Run nothing of that owner for so long; then run at once what became due meanwhile, in order of time.

        `is_suspended`: its timers stood still, too, as CLOCK_MONOTONIC does while a machine sleeps."""
        assert owner, "the world itself can't be held up"
        hold = self._holds.setdefault(owner, _Hold(until=self._now))
        if hold.until == math.inf:
            return
        hold.until = max(hold.until, self._now + seconds)
        if is_suspended:
            self._put_off(owner, seconds)
        self.call_at(hold.until, self._end_hold, owner, context=contextvars.Context())

    def stop_after(self, owner: str, steps: int, on_held: Callable[[], None]) -> None:
        """Stop the owner after so many more steps of its tasks (0: at its next await), until `release`."""
        hold = self._holds.setdefault(owner, _Hold(until=math.inf, steps=steps))
        if hold.steps == 0:  # held already, so it stays held
            hold.until = math.inf
            self.call_soon(on_held, context=contextvars.Context())
        else:
            hold.on_held = on_held

    def release(self, owner: str) -> None:
        """Let the owner run again, whatever its hold was."""
        hold = self._holds.pop(owner, None)
        if hold is not None:
            self._released[owner] = self._now
            self._ready.extend(hold.waiting)  # type: ignore[attr-defined]

    def is_just_released(self, owner: str) -> bool:
        """Return whether the owner was held until this very moment: it finishes what it had begun before."""
        return self._released.get(owner) == self._now

    @property
    def holds_somebody(self) -> bool:
        return bool(self._holds)

    def is_held(self, owner: str) -> bool:
        hold = self._holds.get(owner)
        return hold is not None and hold.steps == 0

    def _end_hold(self, owner: str) -> None:
        hold = self._holds.get(owner)
        if hold is not None and hold.until <= self._now:
            self.release(owner)

    def _is_held(self, handle: Any) -> bool:
        """Keep the handle and return True if its owner is held."""
        hold = self._holds.get(handle._context.get(_owner, ""))
        if hold is None:
            return False
        if hold.steps > 0:
            hold.steps -= 1
            return False
        hold.waiting.append(handle)
        if hold.on_held is not None:
            self.call_soon(hold.on_held, context=contextvars.Context())
            hold.on_held = None
        return True

    def _put_off(self, owner: str, seconds: float) -> None:
        for place, (at, number, timer) in enumerate(self._timers):
            if timer._context.get(_owner, "") == owner:
                timer._when = round(at + seconds, 6)
                self._timers[place] = (timer._when, number, timer)
        heapq.heapify(self._timers)

    # -- not supported ------------------------------------------------------------------------------------------------

    def _keep(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        self.faults.append(fault if isinstance(fault, BaseException) else RuntimeError(context["message"]))

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(  # type: ignore[override] # no future comes of it
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> NoReturn:
        raise Stuck("threads know no virtual time")


def owned(owner: str) -> contextvars.Context:
    """Return a context for `create_task`: the task and everything that it starts belong to the owner."""
    context = contextvars.Context()
    context.run(_owner.set, owner)
    return context


def virtual() -> VirtualLoop:
    """Return the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run(main: Coroutine[Any, Any, T], *, seed: int | None = None) -> T:
    """Run `main` in a new virtual loop. Raises what it raises, and unhandled exceptions of tasks."""
    loops: list[VirtualLoop] = []

    def factory() -> VirtualLoop:
        loops.append(VirtualLoop(seed))
        return loops[0]

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(main)
    for fault in loops[0].faults:
        raise fault
    return result

"""An asyncio event loop in virtual time: when nothing is ready it jumps to the next timer. Nothing ever really sleeps.

Deterministic: it knows no socket, thread or signal, so the same program gives the same run. A run in which nothing is ready
and no timer is set waits for ever in the real world; here it is an error, as is one that never lets time go on.
"""

import asyncio
import contextvars
import heapq
import itertools
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

TURNS_AT_ONE_MOMENT_MAX = 200_000
"""Turns of the loop without time going on; more than any honest burst of work needs."""


class Stuck(Exception):
    """Nothing is ready and no timer is set, or time does not go on."""


class _Jumper:
    """In the place of a selector: instead of waiting for sockets, time is moved to the next timer."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck(f"at {self._loop.time():.3f} s nothing is ready and no timer is set")
        if timeout > 0 and self._loop.jump():
            self._turns = 0
            return []
        self._turns += 1
        if self._turns > TURNS_AT_ONE_MOMENT_MAX:
            raise Stuck(f"at {self._loop.time():.3f} s time does not go on: something is ready again and again")
        return []

    def close(self) -> None:
        pass


class _Timer(asyncio.TimerHandle):
    """Of timers for the same moment the one that was set first fires first."""

    __slots__ = ("number",)

    number: int

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self.when(), self.number) < (other.when(), other.number)


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` starts at 0 and goes on in whole microseconds.

    `faults`: exceptions that nobody took, in order; `run` raises the first."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._numbers = itertools.count()
        self._selector = _Jumper(self)
        self._clock_resolution = 1e-6  # what a float of a year in seconds can still tell apart
        self.faults: list[BaseException] = []
        self.set_exception_handler(self._keep)

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override] # as its callers use it
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As BaseEventLoop.call_at, with an order among equals; never early."""
        timer = _Timer(math.ceil(when * 1e6 - 0.01) / 1e6, callback, args, self, context)
        timer.number = next(self._numbers)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined] # of BaseEventLoop
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def jump(self) -> bool:
        """Go to the next timer; whether time went on."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # of BaseEventLoop
        before, self._now = self._now, max(self._now, scheduled[0].when())
        return self._now > before

    def _keep(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        self.faults.append(fault if isinstance(fault, BaseException) else RuntimeError(context["message"]))

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(  # type: ignore[override] # no future comes of it
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> NoReturn:
        raise Stuck("threads know no virtual time")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in a virtual loop of its own. Raises what it raises, and what a task died of unseen."""
    loops: list[VirtualLoop] = []

    def factory() -> VirtualLoop:
        loops.append(VirtualLoop())
        return loops[0]

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(main)
    for fault in loops[0].faults:
        raise fault
    return result

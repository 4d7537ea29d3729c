"""An event loop in virtual time that runs only between the rules of a state machine; tasks continue from rule to rule.

An exception in a task fails the history in the step in which it is raised.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.world.loop import VirtualLoop

T = TypeVar("T")

MOMENT_SECONDS = 0.000001


class Running:
    """Tasks that live from rule to rule. `is_broken`: one of them died, so later steps prove nothing."""

    def __init__(self) -> None:
        self._loop = VirtualLoop()
        self._begun: list[asyncio.Task[Any]] = []
        self.is_broken = False

    def now(self) -> float:
        return self._loop.time()

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Run the loop until `act` has ended."""
        try:
            result = self._loop.run_until_complete(act)
            for fault in self._loop.faults:
                raise fault
            for task in [task for task in self._begun if task.done()]:
                self._begun.remove(task)
                if not task.cancelled():
                    task.result()
        except BaseException:
            self.is_broken = True
            raise
        return result

    def go(self, seconds: float = MOMENT_SECONDS) -> None:
        """Let time pass. Without a number, run only what is ready, until everything waits."""
        self.do(asyncio.sleep(seconds))

    def begin(self, act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that continues in the next steps."""
        task = self._loop.create_task(act)
        self._begun.append(task)
        return task

    def end(self, *tasks: "asyncio.Task[Any]") -> None:
        """Cancel tasks, and return when they have ended."""
        self.do(_ended(tasks))

    def close(self) -> None:
        """End everything that still runs."""
        self._loop.run_until_complete(_ended(tuple(asyncio.all_tasks(self._loop))))
        self._loop.close()


async def _ended(tasks: "tuple[asyncio.Task[Any], ...]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

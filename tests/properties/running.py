"""An event loop in virtual time that a state machine lets run between its rules; what was begun goes on meanwhile.

It knows no machine. Its one rule: what a task died of fails the history in the step in which it died.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.world.loop import VirtualLoop

T = TypeVar("T")

MOMENT_SECONDS = 0.000001


class Running:
    """Tasks that live from rule to rule. `is_broken`: one of them died, and nothing that follows says anything."""

    def __init__(self) -> None:
        self._loop = VirtualLoop()
        self._begun: list[asyncio.Task[Any]] = []
        self.is_broken = False

    def now(self) -> float:
        return self._loop.time()

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until `act` has ended."""
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
        """Let time pass; without a number only what is ready goes on, until all of it waits."""
        self.do(asyncio.sleep(seconds))

    def begin(self, act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that goes on in the next steps."""
        task = self._loop.create_task(act)
        self._begun.append(task)
        return task

    def end(self, *tasks: "asyncio.Task[Any]") -> None:
        """Cancel them; returns when they have ended."""
        self.do(_ended(tasks))

    def close(self) -> None:
        """End all that still runs."""
        self._loop.run_until_complete(_ended(tuple(asyncio.all_tasks(self._loop))))
        self._loop.close()


async def _ended(tasks: "tuple[asyncio.Task[Any], ...]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

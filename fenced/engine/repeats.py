"""Keeps which hosts' retained states are to be published again, and how soon.

After a connection all of them, at once. A host of which the bus shows another state than the daemon's waits longer each
time, so that two programs that contradict each other don't fill the broker.
"""

from collections.abc import Iterable
from typing import Final

from fenced.model.names import HostName

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
CALM_SECONDS: Final = 300.0
"""After so long without another contradiction the next one is answered at once again."""


class Repeats:
    """Each host has a mark, which changes with each reason to repeat: a message that was under way before it does not
    count as its answer."""

    def __init__(self) -> None:
        self._marks: dict[HostName, int] = {}
        self._number = 0
        self._not_before: dict[HostName, float] = {}
        self._answers: dict[HostName, tuple[int, float]] = {}
        """How often in a row a host was answered, and when last."""

    def __len__(self) -> int:
        return len(self._marks)

    def __contains__(self, name: object) -> bool:
        return name in self._marks

    def at_once(self, names: Iterable[HostName]) -> None:
        """Repeat these hosts' states, however often they were contradicted."""
        for name in names:
            self._mark(name)
            self._not_before.pop(name, None)

    def contradicted(self, name: HostName, now: float) -> None:
        """Repeat a host's state, because the bus shows another one."""
        is_waiting = name in self._marks
        self._mark(name)
        if is_waiting:
            return
        times, last = self._answers.get(name, (0, now))
        times = 0 if now - last > CALM_SECONDS else times
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (times - 1), LONGEST_PAUSE_SECONDS) if times else 0.0
        at = max(now, last + pause)
        self._not_before[name], self._answers[name] = at, (times + 1, at)

    def due(self, now: float) -> list[tuple[HostName, int]]:
        """Return the hosts whose turn it is, in order, each with its mark."""
        return [(name, mark) for name, mark in self._marks.items() if self._not_before.get(name, now) <= now]

    def next_at(self, now: float) -> float:
        """Return when the next host's pause ends, or infinity."""
        return min((at for at in self._not_before.values() if at > now), default=float("inf"))

    def done(self, name: HostName, mark: int) -> None:
        """Note that the broker has the state, unless there was a new reason meanwhile."""
        if self._marks.get(name) == mark:
            del self._marks[name]
            self._not_before.pop(name, None)

    def drop(self, name: HostName) -> None:
        """Forget a host that the inventory does not have any more."""
        for table in (self._marks, self._not_before, self._answers):
            table.pop(name, None)

    def _mark(self, name: HostName) -> None:
        self._number += 1
        self._marks[name] = self._number

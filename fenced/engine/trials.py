"""Has observers look at each host that lives, once per interval of the check: `core.suspected.trials` says at what.

It must delay no look at a silent host: few hosts at once, never many in a second, each look with its own deadline, and
none without the lease. A first silence is looked at again soon, because it may be that of a lost packet.
"""

import asyncio
import heapq
import zlib
from collections.abc import Callable
from typing import Final

from fenced.core import events as e
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Look, Saw
from fenced.core.suspected import trials
from fenced.engine.checking import Spawn
from fenced.engine.looking import Looking
from fenced.engine.waiting import nudged
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.clock import Clock

AT_ONCE_MAX: Final = 16
"""Hosts that are looked at at once: an eighth of what one proxy takes from a daemon."""
GAP_SECONDS_MIN: Final = 0.05
"""Between two starts, also in a backlog: a proxy takes a hundred looks in a second, and most are for silent hosts."""
GAP_SECONDS_MAX: Final = 0.25
IDLE_SECONDS: Final = 5.0
PUT_OFF_SHARE: Final = 20
"""A host that does not live now is asked for again after this part of the interval."""
PUT_OFF_SECONDS_MIN: Final = 15.0
AGAIN_SECONDS: Final = 10.0
"""After a first silence; time for a heartbeat in between, which shows that the host lived."""
SLICE_HOSTS: Final = 500


class TrialLooks:
    """`deliver` receives what was seen; `spawn` runs a look as an effect."""

    def __init__(
        self, *, fleet: Fleet, looking: Looking, clock: Clock, deliver: Callable[[e.Event], None], spawn: Spawn,
        has_lease: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._fleet, self._looking, self._clock = fleet, looking, clock
        self._deliver, self._spawn, self._has_lease = deliver, spawn, has_lease
        self._known: Inventory | None = None
        self._interval_seconds = 0.0
        self._due: dict[HostName, float] = {}
        """The hosts that wait for their turn; one that is being looked at is not in it."""
        self._queue: list[tuple[float, HostName]] = []
        """A heap of moments of `_due`, with some that do not hold any more."""
        self._silences: dict[HostName, int] = {}
        self._looked_at: set[HostName] = set()
        self._next_start = 0.0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            if self._known is not self._fleet.inventory:
                await self._take(self._fleet.inventory)
            self._ended.clear()
            await nudged(self._ended, seconds=self._start_next())

    async def _take(self, inventory: Inventory) -> None:
        """Spread the hosts of an inventory over the interval; known ones keep their turn."""
        self._known = inventory
        interval = inventory.daemon.check.interval_seconds
        is_same, now, before = interval == self._interval_seconds, self._clock.now(), self._due
        self._interval_seconds, self._due = interval, {}
        hosts = [host for host in inventory.hosts.values() if interval > 0 and trials.is_tried(host)]
        for number, host in enumerate(hosts, start=1):
            if host.name not in self._looked_at:
                at = before.get(host.name) if is_same else None
                self._due[host.name] = now + interval * _share(host.name) if at is None else at
            if number % SLICE_HOSTS == 0:
                await asyncio.sleep(0)
        self._silences = {name: count for name, count in self._silences.items() if name in inventory.hosts}
        self._queue = [(at, name) for name, at in self._due.items()]
        heapq.heapify(self._queue)

    def _start_next(self) -> float:
        """Start the next look that is due, if any; return the seconds until the next call."""
        now = self._clock.now()
        if not self._has_lease() or len(self._looked_at) >= AT_ONCE_MAX:
            return IDLE_SECONDS
        if now < self._next_start:
            return self._next_start - now
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        if not self._queue or self._queue[0][0] > now:
            return min(max(self._queue[0][0] - now, 0.001), IDLE_SECONDS) if self._queue else IDLE_SECONDS
        _, name = heapq.heappop(self._queue)
        del self._due[name]
        gap = self._interval_seconds / (2 * (len(self._due) + 1))
        self._next_start = now + max(GAP_SECONDS_MIN, min(gap, GAP_SECONDS_MAX))
        self._looked_at.add(name)
        task = self._spawn(self._look(name), f"trial look at {name}")
        task.add_done_callback(lambda done: self._end(name))
        return self._next_start - now

    async def _look(self, name: HostName) -> None:
        command = trials.question(self._fleet, name, self._clock.now())
        if command is None:
            self._silences.pop(name, None)
            return
        asked = await self._looking.ask(command)
        if asked is not None:
            is_silent = any(map(_is_silent, asked.looks))
            self._silences[name] = self._silences.get(name, 0) + 1 if is_silent else 0
            self._deliver(e.TrialLooked(host=name, looks=asked.looks))

    def _end(self, name: HostName) -> None:
        """Give the host its next turn, however this one ended."""
        self._looked_at.discard(name)
        known = self._fleet.inventory.hosts.get(name)
        if known is not None and self._interval_seconds > 0 and trials.is_tried(known):
            self._due[name] = self._clock.now() + self._pause(name)
            heapq.heappush(self._queue, (self._due[name], name))
        self._ended.set()

    def _pause(self, name: HostName) -> float:
        count = self._silences.get(name)
        if count is None:
            return max(self._interval_seconds / PUT_OFF_SHARE, PUT_OFF_SECONDS_MIN)
        is_doubtful = 0 < count < trials.CERTAIN_SILENCES
        return min(AGAIN_SECONDS, self._interval_seconds) if is_doubtful else self._interval_seconds


def _is_silent(look: Look) -> bool:
    """Return whether a look may be that of a false witness."""
    return look.saw is Saw.SILENT and look.control != ""


def _share(name: HostName) -> float:
    """Return a number in [0, 1), the same in each run."""
    return zlib.crc32(name.encode()) / 2**32

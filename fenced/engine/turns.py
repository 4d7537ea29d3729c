"""Schedules the path checks: spread over the interval, one at a time per physical unit, with a pause after each.

Knows no devices and no tasks; `now` is passed in. A turn costs the logarithm of the number of units, however many paths
there are. A path that may not be read now is queued for later, so that it is not checked in vain.
"""

import heapq
import itertools
import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fenced.model.names import DeviceName, HostName, ProxyName, UnitId

JITTER_SHARE: Final = 0.1
"""Share of the interval. Rounds of different paths drift apart instead of staying in step."""

PathKey = tuple[HostName, DeviceName, ProxyName]


@dataclass(slots=True)
class Path:
    """One path to one device. `failures` and `offs`: in a row; `off_since`: the end of the first OFF.

    `is_answered`: the last read gave a result, good or bad. `is_counted`: the running read counts as one of a failing
    path.
    """

    key: PathKey
    unit: UnitId
    due: float
    round: int = 0
    failures: int = 0
    offs: int = 0
    off_since: float = 0.0
    is_answered: bool = False
    is_gone: bool = False
    is_counted: bool = False


@dataclass(slots=True)
class _Unit:
    """One physical unit: its paths by due time, and when it may be read again. `queued_at`: its valid queue entry."""

    name: UnitId
    free_at: float = 0.0
    queued_at: float | None = None
    is_read: bool = False
    is_held_back: bool = False
    paths: list[tuple[float, int, Path]] = field(default_factory=list)

    def first(self) -> Path | None:
        """Return the path that is due first, dropping those that a reload removed."""
        while self.paths and self.paths[0][2].is_gone:
            heapq.heappop(self.paths)
        return self.paths[0][2] if self.paths else None


class Turns:
    """`pause_seconds`: between two reads of one unit. `failing_max`: how many failing paths may be read at once."""

    def __init__(self) -> None:
        self.interval_seconds = 0.0
        self.pause_seconds = 0.0
        self.failing_max = 1
        self._paths: dict[PathKey, Path] = {}
        self._units: dict[UnitId, _Unit] = {}
        self._ready: list[tuple[float, int, _Unit]] = []
        self._held_back: deque[_Unit] = deque()
        self._failing = 0
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._paths)

    def take(self, paths: Iterable[tuple[PathKey, UnitId]], now: float) -> None:
        """Replace the paths. Known ones keep their due time; new ones are spread over the interval."""
        latest = now + (1 + JITTER_SHARE) * self.interval_seconds
        kept: dict[PathKey, Path] = {}
        for key, unit in paths:
            known = self._paths.get(key)
            if known is not None and known.unit == unit and known.due <= latest:
                kept[key] = known
            else:
                kept[key] = Path(key=key, unit=unit, due=now + self.interval_seconds * _share("/".join(key)))
        for key, path in self._paths.items():
            path.is_gone = kept.get(key) is not path
        new = [path for key, path in kept.items() if self._paths.get(key) is not path]
        self._paths = kept
        # A unit without paths may get one again at once, so it keeps its pause.
        self._units = {
            name: unit
            for name, unit in self._units.items()
            if unit.is_read or unit.first() is not None or unit.free_at > now
        }
        for path in new:
            self._queue(path)
        for _ in range(len(self._held_back)):  # a unit that lost its first path blocks no other
            self._let_go()

    def next(self, now: float) -> Path | None:
        """Return the path to read now; its unit is busy until `ended`."""
        while self._ready and self._ready[0][0] <= now:
            at, _, unit = heapq.heappop(self._ready)
            if at != unit.queued_at:
                continue
            unit.queued_at = None
            path = unit.first()
            if path is None:
                continue
            if max(unit.free_at, path.due) > now:
                self._queue_unit(unit)
            elif path.failures and self._failing >= self.failing_max:
                unit.is_held_back = True
                self._held_back.append(unit)
            else:
                heapq.heappop(unit.paths)
                self._begin(unit, path)
                return path
        return None

    def next_at(self) -> float | None:
        """Return when the next unit is due; None if there is none."""
        return self._ready[0][0] if self._ready else None

    def put_off(self, path: Path, until: float) -> None:
        """Reschedule a path that was not read after all; its unit is free at once."""
        self._end(path)
        path.due = until
        self._queue(path)

    def ended(self, path: Path, now: float, *, again_at: float | None = None) -> None:
        """Schedule the next round of a path that was read. `again_at`: an earlier time for it."""
        self._end(path).free_at = now + self.pause_seconds
        path.round += 1
        jitter = JITTER_SHARE * self.interval_seconds * (_share(f"{path.key}/{path.round}") - 0.5)
        path.due = now + self.interval_seconds + jitter
        if again_at is not None:
            path.due = min(path.due, again_at)
        self._queue(path)

    def _begin(self, unit: _Unit, path: Path) -> None:
        unit.is_read = True
        if path.failures:
            path.is_counted = True
            self._failing += 1

    def _end(self, path: Path) -> _Unit:
        unit = self._unit(path.unit)
        unit.is_read = False
        if path.is_counted:
            path.is_counted = False
            self._failing -= 1
            if self._held_back:
                self._let_go()
        return unit

    def _let_go(self) -> None:
        """Queue the unit that was held back first again."""
        unit = self._held_back.popleft()
        unit.is_held_back = False
        self._queue_unit(unit)

    def _queue(self, path: Path) -> None:
        unit = self._unit(path.unit)
        if not path.is_gone:
            heapq.heappush(unit.paths, (path.due, next(self._numbers), path))
        self._queue_unit(unit)

    def _unit(self, name: UnitId) -> _Unit:
        unit = self._units.get(name)
        if unit is None:
            unit = self._units[name] = _Unit(name=name)
        return unit

    def _queue_unit(self, unit: _Unit) -> None:
        path = unit.first()
        if path is None or unit.is_read or unit.is_held_back:
            return
        at = max(unit.free_at, path.due)
        if unit.queued_at is None or at < unit.queued_at:
            unit.queued_at = at
            heapq.heappush(self._ready, (at, next(self._numbers), unit))


def _share(of: str) -> float:
    """Return a number in [0, 1) derived from the text, the same in each run."""
    return zlib.crc32(of.encode()) / 2**32

"""One decision in the making: records that were folded already, commands that wait for them to be durable.

Its one rule: whatever changes state goes through `record`, so that a replay of the records gives the same state.
"""

import zlib
from dataclasses import dataclass
from typing import Any

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.state import HostState, Operation
from fenced.core.fleet import Fleet, Sight
from fenced.core.said.announce import Announcement, announce
from fenced.model.inventory import Host
from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a decision. `lengths`: of entries, commands, ended operations and what is told."""

    host: HostState
    fleet: FleetState
    lengths: tuple[int, int, int, int]


class Work:
    """The decision about one event. Belongs to one host at a time; `at` the steady time of the decision."""

    def __init__(self, fleet: Fleet, now: float) -> None:
        self.fleet = fleet
        self.now = now
        self.entries: list[r.Entry] = []
        self.commands: list[c.Command] = []
        self.ended: list[Operation] = []
        self.told: list[Announcement] = []

    def on(self, name: HostName) -> "HostWork":
        return HostWork(self, name)

    def record_fleet(self, record: r.FleetRecord) -> None:
        self._fold(r.Entry(at=self.now, host=None, record=record))

    def record(self, name: HostName, record: r.HostRecord) -> None:
        self._fold(r.Entry(at=self.now, host=name, record=record))

    def command(self, command: c.Command) -> None:
        self.commands.append(command)

    def mark(self, name: HostName) -> "Mark":
        """How far the decision has come, for `undo`; in between only this host changes."""
        lengths = (len(self.entries), len(self.commands), len(self.ended), len(self.told))
        return Mark(host=self.fleet.known(name), fleet=self.fleet.state, lengths=lengths)

    def undo(self, mark: "Mark") -> None:
        """What was decided since did not happen."""
        parts: tuple[list[Any], ...] = (self.entries, self.commands, self.ended, self.told)
        for part, length in zip(parts, mark.lengths, strict=True):
            del part[length:]
        self.fleet.put(mark.host)
        self.fleet.state = mark.fleet
        self.fleet.sights[mark.host.name].wake_at = None

    def _fold(self, entry: r.Entry) -> None:
        before = self.fleet.known(entry.host) if entry.host is not None else None
        self.fleet.apply(entry)
        after = self.fleet.known(entry.host) if entry.host is not None else None
        self.entries.append(entry)
        self.told += announce(entry, before, after)


class HostWork:
    """The decision about one host."""

    def __init__(self, work: Work, name: HostName) -> None:
        self.work = work
        self.name = name
        self.fleet = work.fleet
        self.now = work.now

    @property
    def host(self) -> Host:
        return self.fleet.host(self.name)

    @property
    def state(self) -> HostState:
        return self.fleet.known(self.name)

    @property
    def sight(self) -> Sight:
        return self.fleet.sights[self.name]

    @property
    def operation(self) -> Operation | None:
        return self.state.operation

    def record(self, record: r.HostRecord) -> None:
        self.work.record(self.name, record)

    def command(self, command: c.Command) -> None:
        self.work.command(command)

    def wake(self, at: float) -> None:
        """Look at this host again at that time; an earlier wake that is still ahead makes this one needless."""
        sight = self.sight
        if sight.wake_at is not None and self.now < sight.wake_at <= at:
            return
        sight.wake_at = at
        self.command(c.Wake(host=self.name, at=at))


def back_off_seconds(attempt: int, *, first: float, most: float, salt: str) -> float:
    """Doubled with each attempt up to `most`, plus up to a quarter that differs by `salt`: no dice in the core."""
    base = min(first * 2.0 ** max(attempt - 1, 0), most)
    return base * (1.0 + (zlib.crc32(f"{salt}/{attempt}".encode()) % 1000) / 4000)

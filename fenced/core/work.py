"""Collects one decision: its records, folded at once, and its commands, which wait until the records are durable.

Durable state changes through `record` alone, so that a replay of the records gives the same state. Heartbeats and
checks change through `see`, the daemon's own condition through `own`.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Unpack

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.state import HostState, Operation
from fenced.core.fleet import Fleet
from fenced.core.heard.others import Room
from fenced.core.heard.own import Own
from fenced.core.heard.sight import Seen, Sight
from fenced.core.said.announce import Announcement, announce
from fenced.model.inventory import Host
from fenced.model.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point in a decision. `lengths`: of entries, commands, ended operations, announcements and rooms."""

    host: HostState
    fleet: FleetState
    lengths: tuple[int, int, int, int, int]


class Work:
    """The decision about one event; `now` is its steady time."""

    def __init__(self, fleet: Fleet, now: float) -> None:
        self.fleet = fleet
        self.now = now
        self.entries: list[r.Entry] = []
        self.commands: list[c.Command] = []
        self.ended: list[Operation] = []
        self.told: list[Announcement] = []
        self.rooms: list[Room] = []

    def on(self, name: HostName) -> "HostWork":
        return HostWork(self, name)

    def record_fleet(self, record: r.FleetRecord) -> None:
        self._fold(r.Entry(at=self.now, host=None, record=record))

    def record(self, name: HostName, record: r.HostRecord) -> None:
        self._fold(r.Entry(at=self.now, host=name, record=record))

    def command(self, command: c.Command) -> None:
        self.commands.append(command)

    def draw(self, record: r.BudgetDrawn, room: Room) -> None:
        """Draw from the fleet's budget, as far as other shards leave it."""
        self.rooms.append(room)
        self.record_fleet(record)

    def own(self, condition: Own) -> None:
        """Replace the daemon's own condition."""
        self.fleet.own = condition

    def mark(self, name: HostName) -> "Mark":
        """Mark this point for `undo`. Until then only this host and the fleet's state may change."""
        lengths = (len(self.entries), len(self.commands), len(self.ended), len(self.told), len(self.rooms))
        return Mark(host=self.fleet.known(name), fleet=self.fleet.state, lengths=lengths)

    def undo(self, mark: "Mark") -> None:
        """Drop everything decided since the mark."""
        parts: tuple[list[Any], ...] = (self.entries, self.commands, self.ended, self.told, self.rooms)
        for part, length in zip(parts, mark.lengths, strict=True):
            del part[length:]
        self.fleet.put(mark.host)
        self.fleet.state = mark.fleet
        if mark.host.name in self.fleet.sights:
            self.fleet.see(mark.host.name, wake_at=None)

    def _fold(self, entry: r.Entry) -> None:
        before = self.fleet.known(entry.host) if entry.host is not None else None
        self.fleet.apply(entry)
        after = self.fleet.known(entry.host) if entry.host is not None else None
        self.entries.append(entry)
        self.told += announce(entry, before, after)


class HostWork:
    """The part of a decision that concerns one host."""

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

    def see(self, **changes: Unpack[Seen]) -> None:
        """Change what is known of the host's heartbeats and checks."""
        self.fleet.see(self.name, **changes)

    def command(self, command: c.Command) -> None:
        self.work.command(command)

    def wake(self, at: float) -> None:
        """Schedule a check of this host, unless an earlier one is still ahead."""
        wake_at = self.sight.wake_at
        if wake_at is not None and self.now < wake_at <= at:
            return
        self.see(wake_at=at)
        self.command(c.Wake(host=self.name, at=at))


def back_off_seconds(attempt: int, *, first: float, most: float, salt: str) -> float:
    """Return a pause that doubles with each attempt up to `most`, plus up to a quarter derived from `salt`: the core
    uses no random source."""
    base = min(first * 2.0 ** max(attempt - 1, 0), most)
    return base * (1.0 + (zlib.crc32(f"{salt}/{attempt}".encode()) % 1000) / 4000)

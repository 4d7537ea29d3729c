"""What the gates of a storm cost: processor time of the core for each suspect, with more and more of them.

No journal, bus or device: time is played, and there is a turn for each moment at which a timer is due or a probe ends,
as if the machine were never late. What the heartbeats of the others cost is not counted.
"""

import gc
import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.decide import decide
from fenced.core.fleet import Fleet
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, HostName
from fenced.model.power import State
from tests.bench.report import Report
from tests.bench.row import Row
from tests.world import rack as racks
from tests.world.rack import Rack

RACK: Final = 40
"""Hosts of a rack."""
GATHERED_SECONDS: Final = 0.05
"""So much of the heartbeats is decided together, as the bus hands them over."""
FOR_EVER: Final = 1e12
STORM: Final = "in a storm"
DISARMED: Final = "disarmed, in no storm"
WAYS: Final = (STORM, DISARMED)
LIMIT: Final = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`held_seconds`: how long all of them are held. `probe_seconds`: until a probe ends without an answer."""

    hosts: int = 10_000
    suspects: tuple[int, ...] = (500, 1000, 2000, 4000)
    ways: tuple[str, ...] = WAYS
    held_seconds: float = 10.0
    probe_seconds: float = 2.0
    interval_seconds: float = 5.0


@dataclass(slots=True, kw_only=True)
class Spent:
    """Processor seconds, and the turns in which they were spent. `longest`: of one turn."""

    seconds: float = 0.0
    turns: int = 0
    longest: float = 0.0

    def take(self, seconds: float) -> None:
        self.seconds += seconds
        self.turns += 1
        self.longest = max(self.longest, seconds)


@dataclass(slots=True)
class Play:
    """A fleet in played time. `spent`: what its timers and probes took since it was last replaced."""

    inventory: Inventory
    size: Size
    now: float = 1000.0
    silent: frozenset[HostName] = frozenset()
    spent: Spent = field(default_factory=lambda: Spent())
    probes: list[tuple[float, HostName]] = field(default_factory=list)
    wakes: list[tuple[float, HostName]] = field(default_factory=list)
    beats: int = 0
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.inventory, epoch=1, started=self.now)

    def calm(self) -> None:
        """Begin, and hear every host for two of its intervals."""
        self.turn(e.LeaseRenewed(until=FOR_EVER, format=2), e.Started(), e.BusConnected(at=self.now))
        self.go(self.inventory.daemon.startup_quiet_seconds + 2 * self.size.interval_seconds)

    def turn(self, *events: e.Event) -> None:
        """Decide these together, and keep it."""
        self.fleet.begin()
        decisions = [decide(self.fleet, event, self.now) for event in events]
        self.fleet.settle()
        for decision in decisions:
            for command in decision.commands:
                match command:
                    case c.Wake():
                        heapq.heappush(self.wakes, (command.at, command.host))
                    case c.AskLife():
                        heapq.heappush(self.probes, (self.now + self.size.probe_seconds, command.host))
                    case _:
                        pass

    def go(self, seconds: float) -> None:
        """Let time pass: the timers and probes of a moment are a turn, the heartbeats one."""
        end = self.now + seconds
        names = list(self.inventory.hosts)
        while self.now < end:
            until = min(self.now + GATHERED_SECONDS, end)
            while (at := min(queue[0][0] if queue else FOR_EVER for queue in (self.wakes, self.probes))) <= until:
                self.now = max(self.now, at)
                asked = [e.LifeAsked(host=name, answered=None) for name in self._due(self.probes)]
                self._look(*asked, *(e.TimerFired(host=name) for name in self._due(self.wakes)))
            self.now = until
            upto = int(self.now * len(names) / self.size.interval_seconds)
            self.turn(*(self._beat(names[number % len(names)]) for number in range(self.beats or upto, upto)
                        if names[number % len(names)] not in self.silent))  # fmt: skip
            self.beats = upto

    def _due(self, queue: list[tuple[float, HostName]]) -> Iterator[HostName]:
        while queue and queue[0][0] <= self.now:
            yield heapq.heappop(queue)[1]

    def _look(self, *events: e.Event) -> None:
        began = time.process_time()
        self.turn(*events)
        self.spent.take(time.process_time() - began)

    def _beat(self, name: HostName) -> e.Health:
        return e.Health(
            host=name, received=self.now, is_retained=False, boot=BootId(f"{name}#1"), sequence=None,
            status=e.HealthStatus.OK, interval_seconds=self.size.interval_seconds,
        )  # fmt: skip

    def held(self) -> int:
        """Return how many suspects are held by a gate."""
        return sum(it.state is State.SUSPECT and bool(it.held_by) for it in self.fleet.hosts.values())


async def measure(folder: Path, report: Report, size: Size | None = None) -> None:
    """One play for each number of suspects and way. The first one is played twice, because the first play warms up."""
    size = size or Size()
    for way in size.ways:
        _played(size, size.suspects[0], way)
        found = {count: _played(size, count, way) for count in size.suspects}
        first = size.suspects[0]
        for what, spent_of in _parts(size):
            for count in size.suspects:
                report.line(
                    f"{way}, {what}, {count}", spent_of(found[count]) / count, "us",
                    floor=spent_of(found[first]) / first, floor_name=f"with {first}",
                    limit=LIMIT if count != first else None,
                )  # fmt: skip
        most = found[size.suspects[-1]]
        report.line(f"{way}: longest turn with {size.suspects[-1]}", 1000 * max(most[0].longest, most[1].longest), "ms")
        share = most[1].seconds / size.held_seconds
        report.line(f"{way}: share of a core while {size.suspects[-1]} are held", 100 * share, "%")
    report.notes.append(f"in {size.hosts} hosts of one cluster, racks of {RACK}")


def _parts(size: Size) -> Iterator[tuple[str, Callable[[tuple[Spent, Spent]], float]]]:
    yield "a suspect until it is held", lambda both: 1e6 * both[0].seconds
    yield f"a suspect held, {size.held_seconds:g} s of it", lambda both: 1e6 * both[1].seconds


def _played(size: Size, count: int, way: str) -> tuple[Spent, Spent]:
    """Return what is spent until all of so many suspects are held, and while they are."""
    play = Play(_inventory(size, way), size)
    play.calm()
    gc.collect()
    play.spent = becoming = Spent()
    play.silent = frozenset(list(play.inventory.hosts)[:count])
    detection = next(iter(play.inventory.hosts.values())).settings.detection
    wait = play.inventory.daemon.gates.witness_wait_seconds
    play.go(detection.grace_seconds + size.interval_seconds + wait + 2 * size.probe_seconds)
    assert play.held() == count, f"{play.held()} of {count} suspects are held"
    play.spent = held = Spent()
    play.go(size.held_seconds)
    return becoming, held


def _inventory(size: Size, way: str) -> Inventory:
    names = tuple(f"node-{number}" for number in range(size.hosts))
    settings: dict[str, Any] = {"daemon.is_armed_by_file": way == STORM}
    if way == STORM:
        settings["gates.storm_domains"] = ("rack", "cluster")
    rack = Rack(hosts=names, devices=("pdu-a:1",), settings=settings,
                racks={name: f"r{number // RACK}" for number, name in enumerate(names)})  # fmt: skip
    made = racks.inventory(rack)
    return replace(made, hosts={name: replace(host, address="") for name, host in made.hosts.items()})


ROW = Row(name="storm_gates", title="the gates of a storm", measure=measure, needs=(), bound_seconds=300.0)

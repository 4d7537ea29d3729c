"""Replays the journal beside the program, as a start does, and compares (S3, S13).

Knows records and states, no machines. A store that went back is replayed anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fenced.core.durable.evolve import evolve
from fenced.core.durable.evolve_fleet import evolve_fleet
from fenced.core.durable.fleet_state import FleetState
from fenced.core.durable.replacing import replace
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.model.names import HostName
from tests.fakes.journal import Durable


@dataclass(slots=True)
class Folding:
    """`find(rule, text)` receives what differs."""

    durable: Durable
    find: Callable[[str, str], None]
    _sequence: int = 0
    _hosts: dict[HostName, HostState] = field(default_factory=dict)
    _fleet: FleetState = field(default_factory=FleetState)

    def hosts(self) -> dict[HostName, HostState]:
        self._fold()
        return self._hosts

    def fleet(self) -> FleetState:
        self._fold()
        return self._fleet

    def begin_anew(self) -> None:
        self._sequence, self._hosts, self._fleet = 0, {}, FleetState()

    def compare(self, fleet: Fleet, known: dict[HostName, HostState]) -> None:
        """Compare a live fleet with the journal. `known`: states that were compared before."""
        self._fold()
        for name, state in fleet.hosts.items():
            if known.get(name) is not state:
                replayed = self._hosts.get(name, state)
                if not _is_same(replayed, state):
                    self.find("replay", f"{name} is {state} live and {replayed} replayed")
        if self._fleet != fleet.state:
            self.find("replay", "the fleet's own state differs")

    def _fold(self) -> None:
        """Replay what became durable since. Each snapshot must equal the records before it."""
        for number in range(self._sequence + 1, self.durable.sequence + 1):
            entry = self.durable.entries.get(number)
            if entry is None:
                continue
            if entry.host is None:
                self._fleet = evolve_fleet(self._fleet, entry)
            else:
                before = self._hosts.get(entry.host) or HostState(name=entry.host)
                self._hosts[entry.host] = evolve(before, entry)
        self._sequence = self.durable.sequence
        for name, (number, state) in self.durable.hosts.items():
            if number == self._sequence and not _is_same(state, self._hosts.get(name, state)):
                self.find("replay", f"the snapshot of {name} is {state}, its records give {self._hosts[name]}")


def _is_same(one: HostState, other: HostState) -> bool:
    """Compare, except `since`, which a start sets for a host without any record."""
    return one == other or replace(one, since=0.0) == replace(other, since=0.0)

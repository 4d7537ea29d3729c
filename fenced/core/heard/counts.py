"""What is counted over a cluster, a failure domain or the fleet at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fenced.core.durable.fleet_state import Storm
from fenced.core.heard.own import Own
from fenced.core.heard.watching import Control, Roster
from fenced.model.names import ClusterName, HostName

Domain = tuple[str, str]
"""A failure domain: a key (`rack`, `cluster`, a label) and its value."""


class Tally(NamedTuple):
    """Of a failure domain: the hosts that fell silent lately, and how many are monitored.

    `fell`: all that are silent, each with when it fell silent, in listening time, in this order. `together`: those of
    them that are a storm by their number, however long ago that was.
    """

    late: tuple[HostName, ...]
    monitored: int
    fell: tuple[tuple[float, HostName], ...]
    together: frozenset[HostName]


class Storms(NamedTuple):
    """The recorded storms, to be found fast. `of`: what they were read from. `last`: the last one of each domain.
    `naming`: those that last, by the hosts with which they began. `excused`: by the key of a domain, the hosts that
    make no new storm until they are heard, and when that was said; `released`: those of them that a person released."""

    of: tuple[Storm, ...]
    last: Mapping[Domain, Storm]
    naming: Mapping[HostName, tuple[Storm, ...]]
    excused: Mapping[str, Mapping[HostName, float]]
    released: Mapping[str, Mapping[HostName, float]]


class Count(NamedTuple):
    """Of a cluster: how many hosts are monitored, and overdue of them; how many could be heard as witnesses, and are
    expected to be (`expected`), and which share of them is not overdue (`heard`)."""

    overdue: int
    monitored: int
    expected: int
    heard: int


@dataclass(slots=True, kw_only=True)
class Memo:
    """What was counted at one moment, so that the gates of a thousand suspects don't scan the fleet a thousand times.

    It holds for this moment and this condition of the daemon, and until a host's state or sight changes in a way that
    it depends on: `Fleet` drops it then. `newest`: the last heard of all possible witnesses that are not overdue, the
    newest first; there are at most `newest_max`.
    """

    key: tuple[float, float]
    own: Own
    clusters: dict[ClusterName, Count] = field(default_factory=dict)
    tallies: dict[Domain, Tally] = field(default_factory=dict)
    storms: Storms | None = None
    roster: Roster | None = None
    controls: dict[str, tuple[Control, ...]] = field(default_factory=dict)
    """By network, some that are heard."""
    away: frozenset[HostName] | None = None
    newest: list[tuple[float, HostName]] | None = None
    newest_max: int = 0

    @property
    def at(self) -> float:
        return self.key[0]

    def hear(self, name: HostName, at: float) -> None:
        """Take in a newer beat of a witness that was not overdue."""
        if self.newest is None:
            return
        if len(self.newest) < self.newest_max or (at, name) > self.newest[-1]:
            others = (it for it in self.newest if it[1] != name)
            self.newest = sorted((*others, (at, name)), reverse=True)[: self.newest_max]

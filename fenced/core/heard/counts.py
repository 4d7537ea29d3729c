"""What is counted over a cluster or a failure domain at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fenced.core.durable.fleet_state import Storm
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


@dataclass(slots=True)
class Memo:
    """Counts over a cluster or domain, made once per batch, so that the gates of a thousand suspects don't scan the
    fleet a thousand times."""

    at: float = -1.0
    overdue: dict[ClusterName, tuple[int, int]] = field(default_factory=dict)
    tallies: dict[Domain, Tally] = field(default_factory=dict)
    storms: Storms | None = None
    roster: Roster | None = None
    controls: dict[str, tuple[Control, ...]] = field(default_factory=dict)
    """By network, some that are heard."""

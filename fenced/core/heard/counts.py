"""What is counted over a cluster or a failure domain at one moment."""

from dataclasses import dataclass, field
from typing import NamedTuple

from fenced.model.names import ClusterName, HostName

Domain = tuple[str, str]
"""A failure domain: a key (`rack`, `cluster`, a label) and its value."""


class Tally(NamedTuple):
    """Of a failure domain: the hosts that fell silent lately, and how many are monitored."""

    late: tuple[HostName, ...]
    monitored: int


@dataclass(slots=True)
class Memo:
    """Counts over a cluster or domain, made once per batch, so that the gates of a thousand suspects don't scan the
    fleet a thousand times."""

    at: float = -1.0
    overdue: dict[ClusterName, tuple[int, int]] = field(default_factory=dict)
    tallies: dict[Domain, Tally] = field(default_factory=dict)

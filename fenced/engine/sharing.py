"""Decides which shard a controller gives to which other one, so that each has its fair share.

It only moves shards that are held. A shard that nobody holds is taken by any fit controller (`standby`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenced.ports.journal import ControllerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """A shard for another controller, by its name."""

    shard: str
    to: str


def gift(held: Mapping[str, bool], views: Sequence[ControllerView], *, at_most: int = 0) -> Gift | None:
    """Return what to give away, or None if the shares are fair, or nobody who has less takes more.

    `held`: the shards of this controller, and whether each is at rest: one without a running operation goes first.
    `views`: all controllers, as the store has them. A gift makes the shares more equal, or there is none: the other one
    must have at least two shards less. Above `at_most` (0: no bound) any other one will do.
    """
    is_too_full = 0 < at_most < len(held)
    others = [view for view in views if view.is_alive and not view.is_self and not view.report.unfit]
    for other in sorted(others, key=lambda view: (len(view.shards), view.report.name)):
        if len(other.shards) + 2 > len(held) and not is_too_full:
            return None
        takes = other.report.takes
        wanted = [shard for shard in held if takes is None or shard in takes]
        if wanted:
            return Gift(shard=min(wanted, key=lambda shard: (not held[shard], shard)), to=other.report.name)
    return None

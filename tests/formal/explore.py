"""Explores everything that may happen in the model, breadth first, and says by which way a rule is broken.

Knows states and steps as values, nothing of what they mean. One rule: it is exhaustive within its bounds, or says that it is not.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from tests.formal.model import Bounds, World, steps, violations

STATES_MAX: Final = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """`broken`: the rules that the first bad state breaks, and the shortest way to it; both empty: there is none."""

    states: int
    broken: tuple[str, ...] = ()
    way: tuple[str, ...] = ()


def explore(bounds: Bounds) -> Explored:
    """All states that can be reached. Raises MemoryError when there are more than STATES_MAX."""
    first = World()
    came: dict[World, tuple[World, str] | None] = {first: None}
    ahead = deque([first])
    while ahead:
        world = ahead.popleft()
        broken = violations(world)
        if broken:
            return Explored(states=len(came), broken=tuple(broken), way=_way(came, world))
        for name, following in steps(world, bounds):
            if following not in came:
                came[following] = (world, name)
                ahead.append(following)
        if len(came) > STATES_MAX:
            raise MemoryError(f"more than {STATES_MAX} states: narrow the bounds")
    return Explored(states=len(came))


def _way(came: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    names = []
    step = came[world]
    while step is not None:
        world, name = step
        names.append(name)
        step = came[world]
    return tuple(reversed(names))

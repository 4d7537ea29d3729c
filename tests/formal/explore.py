"""Explore everything that can happen in the model, breadth first, and return the steps that break a promise.

Treats states and steps as opaque values. It is exhaustive within its bounds, or says that it is not.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.formal.model import Action, World
from tests.formal.properties import NOT_OURS, broken, is_good_end
from tests.formal.rules import actions, after, refusals
from tests.formal.symmetry import canonical

STATES_MAX: Final = 3_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`pending`: the maximum of commands on their way to one device; nothing else is bounded. `without`:
    rules left out.

    `only`: the promises to check, by their first letters; empty: all.
    """

    pending: int = 2
    without: frozenset[str] = frozenset()
    only: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """`broken`: the broken promise, and the shortest `way` that breaks it; None: all hold."""

    states: int
    steps: int
    broken: str | None = None
    way: tuple[Action, ...] = ()


@dataclass(slots=True)
class _Known:
    """All states by number, from which state each was first reached, and which lead to it by steps
    that can be relied on.
    """

    numbers: dict[World, int] = field(default_factory=dict)
    came: list[tuple[int, Action] | None] = field(default_factory=list)
    leading: list[list[int]] = field(default_factory=list)
    good: list[int] = field(default_factory=list)

    def add(self, world: World, came: tuple[int, Action] | None) -> int:
        number = self.numbers[world] = len(self.came)
        self.came.append(came)
        self.leading.append([])
        if is_good_end(world):
            self.good.append(number)
        return number

    def way(self, number: int) -> tuple[Action, ...]:
        found: list[Action] = []
        step = self.came[number]
        while step is not None:
            number, action = step
            found.append(action)
            step = self.came[number]
        return tuple(reversed(found))


def explore(bounds: Bounds, *, progress: Callable[[int], None] = lambda states: None) -> Explored:
    """Return all reachable states. Raises MemoryError if there are more than STATES_MAX."""
    known, first = _Known(), World()
    known.add(first, None)
    ahead, steps = deque([first]), 0
    while ahead:
        world = ahead.popleft()
        here = known.numbers[world]
        for action, raw in successors(world, bounds):
            steps += 1
            promise = broken(world, action, raw)
            if promise is not None and promise.startswith(bounds.only):
                return Explored(states=len(known.came), steps=steps, broken=promise, way=(*known.way(here), action))
            following = canonical(raw, bounds.without)
            there = known.numbers.get(following)
            if there is None:
                there = known.add(following, (here, action))
                ahead.append(following)
            if action.does not in NOT_OURS:
                known.leading[there].append(here)
        if here % 10_000 == 0:
            progress(len(known.came))
        if len(known.came) > STATES_MAX:
            raise MemoryError(f"more than {STATES_MAX} states: narrow the bounds")
    return _with_ends(known, steps, bounds)


def successors(world: World, bounds: Bounds) -> list[tuple[Action, World]]:
    """Return what may happen next under the rules of `bounds`, with the resulting worlds."""
    without = bounds.without
    return [
        (action, after(world, action, without))
        for action in actions(world, pending=bounds.pending, without=without)
        if without.issuperset(refusals(world, action))
    ]


def _with_ends(known: _Known, steps: int, bounds: Bounds) -> Explored:
    """Check that every state can reach a good end without outside help: nothing is stuck, nothing stale stays."""
    reached = [False] * len(known.came)
    ahead = deque(known.good)
    for number in known.good:
        reached[number] = True
    while ahead:
        for number in known.leading[ahead.popleft()]:
            if not reached[number]:
                reached[number] = True
                ahead.append(number)
    promise = "liveness: from here no good end can be reached"
    if all(reached) or not promise.startswith(bounds.only):
        return Explored(states=len(reached), steps=steps)
    return Explored(states=len(reached), steps=steps, broken=promise, way=known.way(reached.index(False)))

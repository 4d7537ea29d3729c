"""Explore everything that can happen in a model, breadth first, and return the steps that break a promise.

Knows no model: worlds and actions are opaque values. It is exhaustive within the model's bounds, or says that it is
not.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

STATES_MAX: Final = 3_000_000
W = TypeVar("W", bound=Hashable)
A = TypeVar("A")


class Model(Protocol[W, A]):
    """What is explored. `only`: the promises to check, by their first letters; "": all."""

    @property
    def only(self) -> tuple[str, ...]: ...

    @property
    def without(self) -> frozenset[str]:
        """The rules that are left out."""
        ...

    def first(self) -> W:
        """Return the world at the beginning."""
        ...

    def successors(self, world: W) -> Iterable[tuple[A, W]]:
        """Return what may happen next, with the resulting worlds."""
        ...

    def canonical(self, world: W) -> W:
        """Return the representative of all worlds with the same futures."""
        ...

    def broken(self, before: W, action: A, world: W) -> str | None:
        """Return the promise that this step breaks."""
        ...

    def is_good_end(self, world: W) -> bool: ...

    def is_reliable(self, action: A) -> bool:
        """Return whether a good end may need this step: it happens without outside help."""
        ...

    def named(self, world: W, action: A) -> str:
        """Return one step in words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored(Generic[A]):
    """`broken`: the broken promise, and the shortest `way` that breaks it; None: all hold."""

    states: int
    steps: int
    broken: str | None = None
    way: tuple[A, ...] = ()


@dataclass(slots=True)
class _Known(Generic[W, A]):
    """All states by number, from which state each was first reached, and which lead to it by steps
    that can be relied on.
    """

    model: Model[W, A]
    numbers: dict[W, int] = field(default_factory=dict)
    came: list[tuple[int, A] | None] = field(default_factory=list)
    leading: list[list[int]] = field(default_factory=list)
    good: list[int] = field(default_factory=list)

    def add(self, world: W, came: tuple[int, A] | None) -> int:
        number = self.numbers[world] = len(self.came)
        self.came.append(came)
        self.leading.append([])
        if self.model.is_good_end(world):
            self.good.append(number)
        return number

    def way(self, number: int) -> tuple[A, ...]:
        found: list[A] = []
        step = self.came[number]
        while step is not None:
            number, action = step
            found.append(action)
            step = self.came[number]
        return tuple(reversed(found))


def explore(model: Model[W, A], *, progress: Callable[[int], None] = lambda states: None) -> Explored[A]:
    """Return all reachable states. Raises MemoryError if there are more than STATES_MAX."""
    known, first = _Known[W, A](model), model.first()
    known.add(first, None)
    ahead, steps = deque([first]), 0
    while ahead:
        world = ahead.popleft()
        here = known.numbers[world]
        for action, raw in model.successors(world):
            steps += 1
            promise = model.broken(world, action, raw)
            if promise is not None and promise.startswith(model.only):
                return Explored(states=len(known.came), steps=steps, broken=promise, way=(*known.way(here), action))
            following = model.canonical(raw)
            there = known.numbers.get(following)
            if there is None:
                there = known.add(following, (here, action))
                ahead.append(following)
            if model.is_reliable(action):
                known.leading[there].append(here)
        if here % 10_000 == 0:
            progress(len(known.came))
        if len(known.came) > STATES_MAX:
            raise MemoryError(f"more than {STATES_MAX} states: narrow the bounds")
    return _with_ends(known, steps)


def _with_ends(known: _Known[W, A], steps: int) -> Explored[A]:
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
    if all(reached) or not promise.startswith(known.model.only):
        return Explored(states=len(reached), steps=steps)
    return Explored(states=len(reached), steps=steps, broken=promise, way=known.way(reached.index(False)))

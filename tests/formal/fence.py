"""The model of one fence, as the explorer takes it."""

from dataclasses import dataclass

from tests.formal.model import Action, World
from tests.formal.naming import named
from tests.formal.properties import NOT_OURS, broken, is_good_end
from tests.formal.rules import actions, after, refusals
from tests.formal.symmetry import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """`pending`: the maximum of commands on their way to one device; nothing else is bounded. `without`: rules left
    out.

    `only`: the promises to check, by their first letters; empty: all.
    """

    pending: int = 2
    without: frozenset[str] = frozenset()
    only: tuple[str, ...] = ("",)

    def first(self) -> World:
        return World()

    def successors(self, world: World) -> list[tuple[Action, World]]:
        without = self.without
        return [
            (action, after(world, action, without))
            for action in actions(world, pending=self.pending, without=without)
            if without.issuperset(refusals(world, action))
        ]

    def canonical(self, world: World) -> World:
        return canonical(world, self.without)

    def broken(self, before: World, action: Action, world: World) -> str | None:
        return broken(before, action, world)

    def is_good_end(self, world: World) -> bool:
        return is_good_end(world)

    def is_reliable(self, action: Action) -> bool:
        return action.does not in NOT_OURS

    def named(self, world: World, action: Action) -> str:
        return named(world, action)

"""The model of several controllers, as the explorer takes it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.formal.controllers.effects import after
from tests.formal.controllers.model import EVERYTHING, Action, Proxy, Scope, World
from tests.formal.controllers.properties import NOT_OURS, broken, is_good_end
from tests.formal.controllers.rules import actions, refusals
from tests.formal.controllers.symmetry import canonical
from tests.formal.controllers.telling import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Controllers:
    """`scope`: what is explored. `without`: rules left out.

    `only`: the promises to check, by their first letters; empty: all."""

    scope: Scope = EVERYTHING
    without: frozenset[str] = frozenset()
    only: tuple[str, ...] = ("",)

    def first(self) -> World:
        return World(proxies=(Proxy(),) * self.scope.proxies)

    def successors(self, world: World) -> Iterator[tuple[Action, World]]:
        without = self.without
        for action in actions(world, self.scope, without):
            if without.issuperset(refusals(world, action, without)):
                following = after(world, action, self.scope, without)
                if following != world:
                    yield action, following

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

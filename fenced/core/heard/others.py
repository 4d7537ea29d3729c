"""What other shards have drawn from the fleet's budget, as the store last told this one.

Each shard has a journal part of its own, and the budget is one: a draw counts in all shards. This is memory, and may be
old, so the store compares again what a decision assumed (`Room`), in the transaction that makes it durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LOCKED_SECONDS: Final = 1.0
"""How long the budget stays closed after another shard drew at the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What the store has of other shards. `lasting_seconds`: for each draw in force how long it still counts.

    `unrecovered`: their hosts that were fenced, or could not be, and are not back.
    """

    lasting_seconds: tuple[float, ...] = ()
    unrecovered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSeen:
    """An event: what the store has of other shards at that time. None: one of them was drawing at that moment."""

    at: float
    elsewhere: Elsewhere | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """The same on the steady clock. `until`: when each draw ends to count. `locked_until`: a draw was refused because
    another shard was drawing, so nothing is drawn before."""

    until: tuple[float, ...] = ()
    unrecovered: int = 0
    locked_until: float = 0.0

    def drawn(self, now: float) -> int:
        """Return how many draws of other shards still count."""
        return sum(1 for end in self.until if now < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a draw leaves to other shards: it stands if they have drawn at most `drawn`, and at most `unrecovered` of
    their hosts are not back; below zero it never stands. `per_seconds`: how long the draw counts."""

    per_seconds: float
    drawn: int
    unrecovered: int


def tightest(rooms: Sequence[Room]) -> Room | None:
    """Return the room of several draws that become durable together; None without one."""
    if not rooms:
        return None
    return Room(
        per_seconds=max(room.per_seconds for room in rooms),
        drawn=min(room.drawn for room in rooms),
        unrecovered=min(room.unrecovered for room in rooms),
    )

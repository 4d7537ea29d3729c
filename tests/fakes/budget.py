"""The fleet's budget in memory, which the journals of several shards share. A change comes between two awaits."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fenced.core.durable.records import BudgetDrawn, BudgetReturned
from fenced.core.heard.others import Elsewhere, Room
from fenced.model.names import HostName
from fenced.ports.journal import Batch, BudgetClosed


@dataclass(slots=True, kw_only=True)
class Budget:
    """The fleet's budget, which the shards of one store share. `now`: the store's clock.

    `draws`: by shard, host and the operation's start, until when it counts. `is_locked`: another shard draws now.
    """

    now: Callable[[], float] = lambda: 0.0
    draws: dict[tuple[str, HostName, float], float] = field(default_factory=dict)
    unrecovered: dict[str, int] = field(default_factory=dict)
    is_locked: bool = False

    def elsewhere(self, shard: str) -> Elsewhere:
        now = self.now()
        lasting = (until - now for (of, _, _), until in self.draws.items() if of != shard and until > now)
        unrecovered = sum(count for of, count in self.unrecovered.items() if of != shard)
        return Elsewhere(lasting_seconds=tuple(sorted(lasting)), unrecovered=unrecovered)

    def write(self, shard: str, batch: Batch) -> None:
        """Raises BudgetClosed if other shards have drawn more than the batch leaves to them."""
        self._compare(shard, batch.room)
        self._change(shard, batch)

    def copied(self) -> "Budget":
        return replace(self, draws=dict(self.draws), unrecovered=dict(self.unrecovered))

    def put_back(self, copy: "Budget") -> None:
        """Go back in time, for all shards."""
        self.draws, self.unrecovered = dict(copy.draws), dict(copy.unrecovered)

    def _compare(self, shard: str, room: Room | None) -> None:
        if room is None:
            return
        if self.is_locked:
            raise BudgetClosed(None)
        others = self.elsewhere(shard)
        if len(others.lasting_seconds) > room.drawn or others.unrecovered > room.unrecovered:
            raise BudgetClosed(others)

    def _change(self, shard: str, batch: Batch) -> None:
        for entry in batch.entries:
            match entry.record:
                case BudgetDrawn(host=host):
                    assert batch.room is not None, "a draw leaves room to others"
                    self.draws[shard, host, entry.at] = self.now() + batch.room.per_seconds
                case BudgetReturned(host=host, drawn_at=at):
                    self.draws.pop((shard, host, at), None)
                case _:
                    pass
        if batch.unrecovered is not None:
            self.unrecovered[shard] = batch.unrecovered

"""What an engine knows of its process: its own shard, and the engines of other shards beside it.

Each shard has an engine, a journal and a lease of its own. Together they are one controller: one name, one report to
the store, one topic on the bus.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from fenced.model.names import MAIN_SHARD


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldHere:
    """A shard that an engine of this process holds. `since`: on the steady clock."""

    shard: str
    epoch: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """`unfit`, `lag`, `held`: of the other engines. `patience`: how much longer than others this controller waits for a
    shard that nobody holds, in seconds; infinite: it takes none. `takes`: the shards that it would take now; None: its
    only one. `turn`: held while `patience` is asked and the lease is taken, so that no two engines take the last shard
    that a bound allows; `took`: called then. `mark`: begins this engine's reasons in the report of all. `pause`:
    shortens a pause between two looks at the store, so that all engines look at about the same moment."""

    shard: str = MAIN_SHARD
    mark: str = ""
    unfit: Callable[[], tuple[str, ...]] = tuple
    lag: Callable[[], int] = lambda: 0
    held: Callable[[], Sequence[HeldHere]] = tuple
    patience: Callable[[], float] = lambda: 0.0
    takes: Callable[[], tuple[str, ...]] | None = None
    turn: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    took: Callable[[], None] = lambda: None
    pause: Callable[[float], float] = lambda seconds: seconds

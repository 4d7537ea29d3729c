"""The database of the world: its records, the lease row and its lock, a clock of its own, and the ways it can fail.

Knows no controller. It can go back in time: a standby database without the last commits is promoted, or a backup is put
back (S22).
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from fenced.ports.clock import Clock
from fenced.ports.journal import ControllerReport, StoreError, Word
from tests.fakes.journal import Durable
from tests.world.leasing import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a controller last said of itself. `instance`: the id of its state directory; `heard`: by the store."""

    report: ControllerReport
    instance: str
    heard: float
    is_gone: bool = False


@dataclass(slots=True, eq=False)
class Transaction:
    """A write that has locked the row. `is_aborted`: the store ended it, because its controller did not go on."""

    began: float
    is_flying: bool = False
    is_aborted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The whole content of the store at some moment."""

    durable: Durable
    row: Lease
    anchored_at: float
    reports: dict[str, Report]


@dataclass(slots=True)
class Disk:
    """The database of all controllers. `durable`: its records and rows. `row`: the lease; `anchored_at`: when its
    anchor was written, by the store's clock. `ahead_seconds`: how far that clock is ahead; it may jump.

    `slow_seconds`: duration of each write; `late_seconds`: how long a batch is in the air: from then on the controller
    can't stop it, and only the store decides; `look_seconds`: how long a look at the lease takes; `is_failing`: every
    write fails; `refused_share`: this share of them, 0 to 1, fails; `is_hanging`: nothing ends until this is reset;
    `refuse`: asked before each batch whether it fails. `why_not_taken`: why nobody must take the lease. `copy`: an
    earlier content, for a store that goes back.
    """

    clock: Clock
    durable: Durable = field(default_factory=Durable)
    row: Lease = field(default_factory=Lease)
    anchored_at: float = 0.0
    reports: dict[str, Report] = field(default_factory=dict)
    ahead_seconds: float = 0.0
    slow_seconds: float = 0.0
    late_seconds: float = 0.0
    look_seconds: float = 0.0
    is_failing: bool = False
    refused_share: float = 0.0
    is_hanging: bool = False
    refuse: Callable[[], bool] = lambda: False
    why_not_taken: str = ""
    copy: Copy | None = None
    on_taken: Callable[[Lease, Lease], None] = lambda before, row: None
    on_renewed: Callable[[Lease], None] = lambda row: None
    on_went_back: Callable[[], None] = lambda: None
    on_said: Callable[[Word], None] = lambda word: None
    holders: int = 0
    _locked: Transaction | None = None
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.durable.budget.now = self.now

    def now(self) -> float:
        """Return the time of the store's own clock."""
        return self.clock.now() + self.ahead_seconds

    @property
    def lease_ends(self) -> float:
        """When the lease is over, in the world's time; 0 after a release."""
        return self.row.until - self.ahead_seconds if self.row.is_held else 0.0

    @lease_ends.setter
    def lease_ends(self, at: float) -> None:
        self.row = replace(self.row, until=at + self.ahead_seconds)

    @property
    def is_well(self) -> bool:
        is_slow = self.slow_seconds or self.late_seconds or self.refused_share
        return not (self.is_failing or self.is_hanging or is_slow)

    def refuses(self) -> bool:
        """Whether it refuses the next write."""
        return self.is_failing or (self.refused_share > 0.0 and self._dice.random() < self.refused_share)

    def hang(self, is_hanging: bool) -> None:
        self.is_hanging = is_hanging
        self.changed()

    def changed(self) -> None:
        """Wake those that wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, seconds: float | None = None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # -- the lock of the row ------------------------------------------------------------------------------------------

    async def lock(self, timeout_seconds: float) -> Transaction:
        """Lock the lease row. A transaction whose controller stands still is aborted after `timeout_seconds`.

        Raises StoreError if another one holds the lock for as long.
        """
        began = self.clock.now()
        while (other := self._locked) is not None:
            now = self.clock.now()
            if not other.is_flying and now >= other.began + timeout_seconds:
                other.is_aborted, self._locked = True, None
                break
            if now >= began + timeout_seconds:
                raise StoreError("store: the lease row is locked; canceling statement due to lock timeout")
            ends = began if other.is_flying else other.began
            await self.change(max(ends + timeout_seconds - now, 0.001))
        transaction = self._locked = Transaction(began=self.clock.now())
        return transaction

    def unlock(self, transaction: Transaction) -> None:
        if self._locked is transaction:
            self._locked = None
            self.changed()

    # -- going back ---------------------------------------------------------------------------------------------------

    def keep_copy(self) -> None:
        """Keep the content: a backup, or a standby database that gets no newer commits from now on."""
        self.copy = Copy(
            durable=_copied(self.durable), row=self.row, anchored_at=self.anchored_at, reports=dict(self.reports)
        )

    def go_back(self) -> None:
        """Put the copy in the place of the content. What is under way is aborted."""
        assert self.copy is not None, "no copy was kept"
        old = _copied(self.copy.durable)
        self.durable.budget.put_back(old.budget)
        for each in fields(Durable):
            if each.name != "budget":
                setattr(self.durable, each.name, getattr(old, each.name))
        self.row, self.anchored_at, self.reports = self.copy.row, self.copy.anchored_at, dict(self.copy.reports)
        if self._locked is not None:
            self._locked.is_aborted, self._locked = True, None
        self.on_went_back()
        self.changed()


def _copied(durable: Durable) -> Durable:
    return replace(
        durable, faults=dict(durable.faults), entries=dict(durable.entries), hosts=dict(durable.hosts),
        operations=dict(durable.operations), outbox={n: replace(row) for n, row in durable.outbox.items()},
        budget=durable.budget.copied(),
        words=durable.words.copied(),
    )  # fmt: skip

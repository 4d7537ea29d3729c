"""The lease row of the world's store, and what a controller keeps of the store in its state directory (S20, S22).

When a lease may be taken is decided by the real rules (fenced.journal.taking).
"""

from dataclasses import dataclass, field

from fenced.core.durable.records import Entry
from fenced.journal.leases import LeaseRow
from fenced.ports.journal import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`holder`: random for each start; `name`: the controller's. `until`: by the store's clock; 0: released.
    `ttl_seconds`: how long it was to last. `batch`: the writes so far. `released_by`: the place that handed it over; ""
    after an orderly stop."""

    epoch: int = 0
    holder: str = ""
    name: str = ""
    place: str = ""
    batch: int = 0
    until: float = 0.0
    ttl_seconds: float = 0.0
    since: float = 0.0
    released_by: str = ""
    released_to: str = ""
    released_at: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether it was taken and not released. Its time may be over."""
        return self.epoch > 0 and self.until > 0.0

    def row(self, now: float) -> LeaseRow:
        """Return what a controller reads. `now`: by the store's clock."""
        return LeaseRow(
            name=self.name, place=self.place, epoch=self.epoch, batch=self.batch, until=self.until,
            released_by=self.released_by, released_to=self.released_to, is_over=self.until < now,
            rest_seconds=self.until - now, ttl_seconds=self.ttl_seconds,
            released_seconds=None if self.released_at is None else now - self.released_at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A record that was read or written. The entry stands for its digest."""

    sequence: int = 0
    entry: Entry | None = None


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a controller saw of the store. `floor`: the highest epoch ever, also of a past that the store lost.
    `went_back`: what the store lacks, until the journal says it."""

    epoch: int = 0
    floor: int = 0
    mark: Mark = field(default_factory=Mark)
    went_back: str = ""
    words: Words | None = None


@dataclass(slots=True)
class StateDir:
    """A controller's state directory: survives its crashes and its machine's boots. `id`: unlike any other's."""

    id: str
    seen: Seen = field(default_factory=Seen)

"""What one look at the store shows of every shard, and whether the journal of a shard may spare a look of its own.

A process of several shards looks twice a second for each: for records, for the lease, for words. A glance answers for
all of them at once whether there is anything to look for. It is a hint and nothing more: what there is, the journal
reads by itself, and the lease is taken by its own look and transaction alone. A journal without a glance, because there
is none or it failed, looks by itself; and so it does every few seconds, whatever the glances show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from sqlalchemy import ARRAY, Text, bindparam, exists, func, select
from sqlalchemy.dialects import postgresql

from fenced.journal import leases
from fenced.journal.leases import LeaseRow
from fenced.journal.schema import LEASE, WORDS
from fenced.journal.taking import LeaseWatch

ALONE_SECONDS: Final = 10.0
"""How often a journal looks by itself, also if the glances show nothing: they may be of another server than its own."""
EARLY_SECONDS: Final = 1.0
"""How long before a lease may be taken the journal begins to look by itself: its own looks alone count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A shard at one moment. Equal glances of two moments: nothing was written between.

    `asked`, `came`: before the question and after its answer, on a clock that goes on while the machine sleeps.
    `has_timeline`: whether `row` shows the server's. `sequence`, `pruned`, `holder`: as in the row of `lease`.
    """

    row: LeaseRow
    holder: str
    sequence: int
    pruned: int
    has_words: bool
    has_timeline: bool
    asked: float = field(default=0.0, compare=False)
    came: float = field(default=0.0, compare=False)


class Glances(Protocol):
    """Looks for all shards that ask at about the same moment."""

    async def of(self, shard: str, *, has_timeline: bool) -> Glance | None:
        """Return a glance that was asked for after this call; None: there is none, so look yourself. Raises nothing.

        `has_timeline`: as at `leases.lease_row`.
        """
        ...


def glance_of(row: Mapping[str, Any], *, has_timeline: bool, asked: float, came: float) -> Glance:
    """Return the glance of a row of the statement."""
    lease = {key: row[key] for key in LeaseRow.__dataclass_fields__}
    return Glance(
        row=LeaseRow(**lease), holder=row["holder"], sequence=row["sequence"], pruned=row["pruned"],
        has_words=bool(row["has_words"]), has_timeline=has_timeline, asked=asked, came=came,
    )  # fmt: skip


_HAS_WORDS: Final = exists().where(WORDS.c.shard == LEASE.c.shard).correlate(LEASE)
STATEMENTS: Final = {
    has_timeline: str(
        select(
            LEASE.c.shard, *leases.row_columns("postgresql", has_timeline=has_timeline), LEASE.c.holder,
            LEASE.c.sequence, LEASE.c.pruned, _HAS_WORDS.label("has_words"),
        )
        .where(LEASE.c.shard == func.any(bindparam("of", type_=ARRAY(Text))))
        .compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]  # it has no type
    )
    for has_timeline in (False, True)
}  # fmt: skip
"""As text, whose parameter is a list of shards: to run it through SQLAlchemy costs more than all else of a look. One
statement, so that all parts of a glance are of one moment. The key: whether the server's timeline may be seen."""


class Look(Enum):
    """What a journal looks for by itself."""

    RECORDS = "records"
    LEASE = "lease"
    WORDS = "words"


class Hints:
    """What the glances of a process tell the journal of one shard. Without `glances` it always looks by itself.

    The journal asks for a glance before each look. If it looks by itself after all, it says so with `looked`.
    """

    def __init__(
        self, glances: Glances | None, *, shard: str, place: str, lease_seconds: float, clock: Callable[[], float]
    ) -> None:  # fmt: skip
        self._glances, self._shard, self._clock = glances, shard, clock
        self._watch = LeaseWatch(place=place, lease_seconds=lease_seconds)
        """Of glances alone: that of the journal counts its own looks."""
        self._before: dict[Look, tuple[Glance, float]] = {}
        """The glance before the journal's last look of its own, and when that ended."""
        self._known_to = -1
        """The newest record that the journal knew by then."""
        self._is_first = True
        """Whether the journal never looked: its first look waits for nobody."""

    async def ask(self, *, has_timeline: bool) -> Glance | None:
        """Return a glance of this moment; None: there is none. `has_timeline`: as at `leases.lease_row`."""
        if self._glances is None or self._is_first:
            self._is_first = False
            return None
        glance = await self._glances.of(self._shard, has_timeline=has_timeline)
        if glance is None or glance.has_timeline is not has_timeline:
            return None
        self._watch.saw(glance.row, at=glance.came)
        return glance

    def has_records(self, glance: Glance | None, *, after: int) -> bool:
        """Return whether there may be records after this number, or fewer than there were."""
        return not (self._is_as_before(Look.RECORDS, glance) and after == self._known_to)

    def may_take(self, glance: Glance | None, *, name: str, patience_seconds: float) -> bool:
        """Return whether the lease may be free, now or soon."""
        if glance is None or not self._is_as_before(Look.LEASE, glance):
            return True
        at, patience = glance.asked + EARLY_SECONDS, patience_seconds
        return self._watch.may_take(glance.row, name=name, at=at, patience_seconds=patience)

    def has_words(self, glance: Glance | None) -> bool:
        """Return whether words may wait."""
        return glance is None or glance.has_words or not self._is_recent(Look.WORDS)

    def looked(self, look: Look, glance: Glance | None, *, known_to: int = -1, is_whole: bool = True) -> None:
        """Note that the journal looked by itself, after this glance. `known_to`: the newest record that it knows now.
        `is_whole`: whether there was no more."""
        self._before.pop(look, None)
        if glance is not None and is_whole:
            self._before[look] = glance, self._clock()
        if look is Look.RECORDS:
            self._known_to = known_to

    def _is_as_before(self, look: Look, glance: Glance | None) -> bool:
        """Return whether nothing was written since the journal's last look, and that was not long ago."""
        return self._is_recent(look) and self._before[look][0] == glance

    def _is_recent(self, look: Look) -> bool:
        return look in self._before and self._clock() < self._before[look][1] + ALONE_SECONDS

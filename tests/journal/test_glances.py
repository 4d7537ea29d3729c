"""What a journal spares because of a glance, and what it looks for by itself all the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fenced.journal.glances import ALONE_SECONDS, EARLY_SECONDS, Glance, Hints, Look
from fenced.journal.leases import LeaseRow
from tests.journal.rigs import Clock

LEASE_SECONDS = 9.0
MAIN = "main"
HELD = LeaseRow(
    name="fenced-a", place="there", epoch=3, batch=7, until=1e9, released_by="", released_to="", is_over=False,
    released_seconds=None, rest_seconds=5.0, ttl_seconds=15.0,
)  # fmt: skip


@dataclass(slots=True)
class Shown:
    """Glances as a test has them. `has_timeline`: of their rows."""

    clock: Clock
    glance: Glance | None = field(
        default=Glance(row=HELD, holder="h", sequence=5, pruned=0, has_words=False, has_timeline=False)
    )

    async def of(self, shard: str, *, has_timeline: bool) -> Glance | None:
        return None if self.glance is None else replace(self.glance, asked=self.clock.now, came=self.clock.now)


@dataclass(slots=True)
class Desk:
    """The hints of a journal that looked by itself a moment ago, after the glance that is shown."""

    clock: Clock = field(default_factory=Clock)
    shown: Shown = field(init=False)
    hints: Hints = field(init=False)

    def __post_init__(self) -> None:
        self.shown = Shown(self.clock)
        self.hints = Hints(self.shown, shard=MAIN, place="here", lease_seconds=LEASE_SECONDS, clock=self.clock)

    async def look(self) -> None:
        glance = await self.ask() or await self.ask()  # the first one waits for nobody
        for look in Look:
            self.hints.looked(look, glance, known_to=5)

    async def ask(self) -> Glance | None:
        return await self.hints.ask(has_timeline=False)

    async def looks(self, *, after: int = 5, patience_seconds: float = 0.0) -> set[Look]:
        """Return what the journal must look for by itself now."""
        glance = await self.ask()
        found = {
            Look.RECORDS: self.hints.has_records(glance, after=after),
            Look.LEASE: self.hints.may_take(glance, name="fenced-b", patience_seconds=patience_seconds),
            Look.WORDS: self.hints.has_words(glance),
        }
        return {look for look, must in found.items() if must}

    def show(self, **changes: Any) -> None:
        assert self.shown.glance is not None
        self.shown.glance = replace(self.shown.glance, **changes)


async def desk() -> Desk:
    made = Desk()
    await made.look()
    return made


BOTH = {Look.RECORDS, Look.LEASE}


async def test_a_row_that_did_not_change_spares_every_look() -> None:
    it = await desk()
    assert await it.looks() == set()
    it.clock.now += ALONE_SECONDS / 2
    assert await it.looks() == set()


@pytest.mark.parametrize(
    ("changes", "looks"),
    [
        ({"sequence": 6}, BOTH),
        ({"pruned": 4}, BOTH),
        ({"holder": "another start"}, BOTH),
        ({"row": replace(HELD, batch=8)}, BOTH),
        ({"row": replace(HELD, batch=6)}, BOTH),
        ({"row": replace(HELD, epoch=4)}, BOTH),
        ({"row": replace(HELD, server_timeline=2)}, BOTH),
        ({"row": replace(HELD, until=0.0, released_to="fenced-b")}, BOTH),
        ({"has_words": True}, {*BOTH, Look.WORDS}),
    ],
)
async def test_whatever_was_written_is_looked_for(changes: Mapping[str, Any], looks: set[Look]) -> None:
    it = await desk()
    it.show(**changes)
    assert await it.looks() == looks


async def test_a_journal_that_knows_less_than_at_its_last_look_looks_again() -> None:
    it = await desk()
    assert await it.looks(after=4) == {Look.RECORDS}
    glance = await it.ask()
    it.hints.looked(Look.RECORDS, glance, known_to=5, is_whole=False)
    assert await it.looks() == {Look.RECORDS}


async def test_a_journal_looks_by_itself_every_few_seconds_whatever_is_shown() -> None:
    it = await desk()
    it.clock.now += ALONE_SECONDS
    assert await it.looks() == set(Look)
    await it.look()
    assert await it.looks() == set()


async def test_without_a_glance_a_journal_looks_by_itself() -> None:
    it = await desk()
    it.shown.glance = None
    assert await it.looks() == set(Look)
    it.hints = Hints(None, shard=MAIN, place="here", lease_seconds=LEASE_SECONDS, clock=it.clock)
    await it.look()
    assert await it.looks() == set(Look)


async def test_the_first_look_waits_for_no_glance() -> None:
    it = Desk()
    assert await it.ask() is None
    assert await it.ask() is not None


async def test_a_glance_of_other_rights_than_the_journals_is_none() -> None:
    it = await desk()
    assert await it.hints.ask(has_timeline=True) is None


async def test_a_lease_that_is_over_is_looked_for_before_it_may_be_taken() -> None:
    it = await desk()
    it.show(row=replace(HELD, is_over=True))
    over = LEASE_SECONDS - EARLY_SECONDS
    for _ in range(round(2 * over)):
        assert Look.LEASE not in await it.looks()
        it.clock.now += 0.5
        it.hints.looked(Look.LEASE, await it.ask())  # nothing is older than a few seconds
    assert Look.LEASE in await it.looks()


async def test_a_released_lease_is_looked_for_in_each_look_while_it_may_be_taken() -> None:
    it = await desk()
    it.show(row=replace(HELD, until=0.0, released_seconds=0.0))
    assert Look.LEASE in await it.looks()
    it.hints.looked(Look.LEASE, await it.ask())
    assert Look.LEASE in await it.looks(), "nothing was written, and it is still free"
    assert Look.LEASE not in await it.looks(patience_seconds=3.0), "an emptier controller comes first"
    it.clock.now += 3.0 - EARLY_SECONDS
    assert Look.LEASE in await it.looks(patience_seconds=3.0)

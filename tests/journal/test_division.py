"""Two controllers that divide the fleet into shards differently never hold shards at the same time (S20)."""

import pytest

from fenced.journal.division import division
from fenced.journal.postgres.store import PostgresJournal
from fenced.ports.journal import NotTaken
from tests.journal.rigs import PostgresRig
from tests.needs import needs

ONE = division({"node-1": "main", "node-2": "dc2"})
MOVED = division({"node-1": "dc2", "node-2": "dc2"})


async def controller(database: PostgresRig, name: str, shard: str, divided: str) -> PostgresJournal:
    journal = database.build(place=name, shard=shard)
    journal.division = divided
    await journal.open(holder=name, now=1.0)
    return journal


def test_a_division_names_the_hosts_outside_main() -> None:
    assert division({"node-2": "dc2"}) == ONE == division({"node-2": "dc2", "node-9": "main"})
    others: tuple[dict[str, str], ...] = ({}, {"node-2": "dc3"}, {"node-2": "dc2", "node-3": "dc2"})
    assert len({ONE, MOVED, *map(division, others)}) == 5
    assert division({}), "one shard is a division, too"


@pytest.mark.integration
@pytest.mark.database
@needs("postgres")
async def test_nobody_takes_a_shard_beside_a_living_holder_with_another_division(database: PostgresRig) -> None:
    first = await controller(database, "fenced-a", "main", ONE)
    assert await first.take(after=0, now=1.0) is not None
    other = await controller(database, "fenced-b", "dc2", MOVED)
    with pytest.raises(NotTaken, match="fenced-a"):
        await other.take(after=0, now=1.0)
    other.division = ONE
    assert await other.take(after=0, now=1.0) is not None, "the same files again"


@pytest.mark.integration
@pytest.mark.database
@needs("postgres")
async def test_the_division_of_a_reload_counts_from_the_next_renewal(database: PostgresRig) -> None:
    first = await controller(database, "fenced-a", "main", ONE)
    assert await first.take(after=0, now=1.0) is not None
    first.division = MOVED
    await first.renew_lease(now=1.0, ttl_seconds=PostgresRig.LEASE_SECONDS)
    other = await controller(database, "fenced-b", "dc2", MOVED)
    assert await other.take(after=0, now=1.0) is not None


@pytest.mark.integration
@pytest.mark.database
@needs("postgres")
@pytest.mark.parametrize("divided", ["", ONE])
async def test_a_dead_holder_or_an_older_program_divides_nothing(database: PostgresRig, divided: str) -> None:
    first = await controller(database, "fenced-a", "main", divided)
    assert await first.take(after=0, now=1.0) is not None
    if divided:
        await database.execute("UPDATE lease SET until = 1.0")
    other = await controller(database, "fenced-b", "dc2", MOVED)
    assert await other.take(after=0, now=1.0) is not None

"""An adopted store of several shards: each is in doubt until its own journal says so (S22)."""

import pytest

from fenced.journal.postgres.store import PostgresJournal
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import Batch, Loaded
from tests.journal.strategies import entry
from tests.journal.test_adopting import DOUBT, Site, site, taken
from tests.needs import needs

__all__ = ["site"]
pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
SHARDS = (MAIN_SHARD, "dc2")


async def opened(site: Site, database: str, name: str, shard: str) -> tuple[PostgresJournal, Loaded]:
    journal = PostgresJournal(site.settings(database), state_dir=site.state_dir(name), place=name, shard=shard)
    site.open_ones.push_async_callback(journal.close)
    return journal, await journal.open(holder=name, now=1.0)


async def test_each_shard_of_an_adopted_copy_is_doubted_until_its_own_record_says_so(site: Site) -> None:
    """The records of each may be missing, and another controller may open the second shard later."""
    database, _ = await site.original()
    journal, loaded = await opened(site, database, "fenced-b", "dc2")
    await taken(journal, loaded)
    await journal.append(Batch(entries=[entry(number=1)]))
    await journal.close()
    copy = await site.copy(database)
    await site.adopt(copy, "fenced-a")
    for shard in SHARDS:
        journal, loaded = await opened(site, copy, f"a new machine for {shard}", shard)
        assert loaded.went_back
        await taken(journal, loaded)
        await journal.append(Batch(entries=[DOUBT]))
        await journal.close()
        _, loaded = await opened(site, copy, f"another one for {shard}", shard)
        assert loaded.went_back == ""

"""`fenced store upgrade`: two program versions share a store, and the format rises once both read it."""

from typing import Final

import pytest

from fenced.core.durable.records import Entry, Record, StoreDoubted
from fenced.journal import codec
from fenced.journal.postgres.endpoint import PostgresEndpoint
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.upgrading import Upgraded, upgrade
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, ControllerReport, StoreTooNew
from tests.journal.rigs import PostgresRig
from tests.journal.strategies import entry
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
PLAIN: Record = StoreDoubted(why="x")
FULL: Record = StoreDoubted(why="x", is_older=True)


TODAY: Final = codec.FORMAT
NEXT: Final = TODAY + 1


def program_of(patch: pytest.MonkeyPatch, format: int) -> None:
    """Let the age of a doubted store be what the next format brings."""
    patch.setattr(codec, "FORMAT", format)
    patch.setattr(codec, "SINCE", {"StoreDoubted.is_older": NEXT})


async def upgraded(database: PostgresRig, *, lease_seconds: float = PostgresRig.LEASE_SECONDS) -> Upgraded:
    url = PostgresUrl.parse(database.server.url(database.database))
    endpoint = PostgresEndpoint(PostgresSettings(url=url, lease_ttl_seconds=9.0))
    return await upgrade(endpoint, lease_seconds=lease_seconds)


async def texts(database: PostgresRig) -> list[str]:
    connection = await database.server.connect(database.database)
    try:
        return [row["body"] for row in await connection.fetch("SELECT body FROM records ORDER BY sequence")]
    finally:
        await connection.close()


def of_fleet(record: Record) -> Batch:
    return Batch(entries=[Entry(at=1.0, host=None, record=record)])


async def test_a_newer_program_writes_what_the_older_one_reads(
    database: PostgresRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.open()
    await database.journal.report(ControllerReport(name="fenced-a", version="1.0"))
    program_of(monkeypatch, NEXT)
    await database.journal.append(of_fleet(PLAIN))
    assert "is_older" not in (await texts(database))[0]


@pytest.mark.parametrize("format", [TODAY, NEXT])
async def test_the_format_rises_to_what_all_living_controllers_read(
    database: PostgresRig, monkeypatch: pytest.MonkeyPatch, format: int
) -> None:
    await database.open()
    program_of(monkeypatch, NEXT)
    await database.journal.report(ControllerReport(name="fenced-a", version="2.0"))
    await database.execute(f"UPDATE controllers SET format = {format}")
    done = await upgraded(database)
    assert (done.before, done.now, done.newest) == (TODAY, format, NEXT)
    await database.journal.report(ControllerReport(name="fenced-a", version="2.0"))
    if format == NEXT:
        await database.journal.append(of_fleet(FULL))
        assert '"is_older":true' in (await texts(database))[0]
    else:
        await database.journal.append(of_fleet(PLAIN))
        assert "is_older" not in (await texts(database))[0]


async def test_a_living_older_controller_hinders_the_format(
    database: PostgresRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.open()
    await database.journal.report(ControllerReport(name="fenced-a", version="1.0"))
    program_of(monkeypatch, NEXT)
    done = await upgraded(database)
    assert done.now == TODAY
    assert [(it.name, it.version, it.format) for it in done.hindering] == [("fenced-a", "1.0", TODAY)]
    await database.journal.append(Batch(entries=[entry()]))


async def test_an_older_controller_that_is_gone_is_left_behind(
    database: PostgresRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.open()
    await database.journal.report(ControllerReport(name="fenced-a", version="1.0"))
    await database.journal.close()
    program_of(monkeypatch, NEXT)
    done = await upgraded(database)
    assert (done.now, done.hindering, [it.name for it in done.left_behind]) == (NEXT, [], ["fenced-a"])
    again = await upgraded(database)
    assert (again.before, again.now, again.hindering) == (NEXT, NEXT, [])
    program_of(monkeypatch, TODAY)
    database.journal = database.build()
    with pytest.raises(StoreTooNew, match=f"format {NEXT} is newer than this program's {TODAY}; install fenced"):
        await database.open()


async def test_a_program_that_starts_while_the_format_is_raised_ends(database: PostgresRig) -> None:
    """It had opened the store, and nobody knew of it yet."""
    loaded = await database.journal.open(holder="fenced-a", now=1.0)
    await database.execute(f"UPDATE store SET format = {NEXT}")
    with pytest.raises(StoreTooNew, match=f"format is {NEXT} now"):
        await database.journal.take(after=loaded.sequence, now=1.0)
    with pytest.raises(StoreTooNew, match=f"format is {NEXT} now"):
        await database.journal.report(ControllerReport(name="fenced-a"))

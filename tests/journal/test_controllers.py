"""The reports of controllers in PostgreSQL: who is listed, who lives, who may have a name."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fenced.journal.postgres.store import PostgresJournal
from fenced.ports.journal import ControllerReport, ControllerView, StoreHeld
from tests.journal.rigs import PostgresRig, start
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
A = ControllerReport(name="fenced-a", address="https://a:8443", version="1.2", unfit=("bus", "proxies"), lag=3)
B = ControllerReport(name="fenced-b", configuration="c0ffee")


async def opened(database: PostgresRig, name: str = "fenced-b", place: str = "machine-2/boot-1") -> PostgresJournal:
    journal = database.build(place=place)
    await journal.open(holder=name, now=1.0)
    return journal


async def silent_for(database: PostgresRig, seconds: float, name: str) -> None:
    await database.execute(f"UPDATE controllers SET heard = heard - {seconds} WHERE name = '{name}'")


def living(views: Sequence[ControllerView]) -> list[str]:
    return [view.report.name for view in views if view.is_alive]


async def test_each_sees_all_with_their_shards(database: PostgresRig) -> None:
    await database.open()
    await database.journal.report(A)
    other = await opened(database)
    first, second = await other.report(B)
    assert (first.report, first.is_alive, first.is_self) == (A, True, False)
    assert (second.report, second.is_alive, second.is_self, second.shards) == (B, True, True, ())
    (held,) = first.shards
    assert (held.shard, held.epoch) == ("main", database.taken.epoch)
    assert 0.0 <= second.heard - held.since < 60.0
    await database.journal.release(to="")
    assert [view.shards for view in await other.report(B)] == [(), ()]


async def test_a_controller_lives_for_a_lease_after_its_report(database: PostgresRig) -> None:
    await database.open()
    await database.journal.report(A)
    other = await opened(database)
    await silent_for(database, PostgresRig.LEASE_SECONDS - 2.0, "fenced-a")
    assert living(await other.report(B)) == ["fenced-a", "fenced-b"]
    await silent_for(database, 3.0, "fenced-a")
    assert living(await other.report(B)) == ["fenced-b"]
    await database.journal.report(A)
    assert living(await other.report(B)) == ["fenced-a", "fenced-b"]


async def test_a_report_of_the_future_is_from_before_the_clock_was_put_back(database: PostgresRig) -> None:
    await database.open()
    await database.journal.report(A)
    await silent_for(database, -3600.0, "fenced-a")
    assert living(await (await opened(database)).report(B)) == ["fenced-b"]


async def test_a_controller_that_ended_is_gone_at_once(database: PostgresRig) -> None:
    await database.open()
    await database.journal.report(A)
    other = await opened(database)
    await database.journal.close()
    assert living(await other.report(B)) == ["fenced-b"]
    moved = await opened(database, "fenced-a", "machine-3/boot-1")
    assert living(await moved.report(A)) == ["fenced-a", "fenced-b"]


async def test_the_last_word_of_a_controller_that_ended_stands_for_a_lease(database: PostgresRig) -> None:
    await database.open()
    other = await opened(database)
    word = replace(B, unfit=("store_went_back: the store lacks record 7",))
    await other.report(B)
    await other.report(word, is_last=True)
    await other.close()
    found = {view.report.name: view for view in await database.journal.report(A)}
    assert found["fenced-b"].is_alive and found["fenced-b"].report == word
    await silent_for(database, PostgresRig.LEASE_SECONDS + 1.0, "fenced-b")
    assert living(await database.journal.report(A)) == ["fenced-a"]


async def test_a_controller_lives_on_when_the_engine_of_one_of_its_shards_ends(database: PostgresRig) -> None:
    """Another one of its name must not start meanwhile, and the others must go on to know who acts."""
    place = "machine-1/boot-1"
    main, dc2 = database.build(place=place), database.build(place=place, shard="dc2")
    for journal in (main, dc2):
        await start(journal, holder="fenced-a")
        await journal.report(A)
    other = await opened(database)
    await dc2.close()
    assert living(await other.report(B)) == ["fenced-a", "fenced-b"]
    await main.close()
    assert living(await other.report(B)) == ["fenced-b"]


async def test_a_name_belongs_to_the_living_controller_that_has_it(database: PostgresRig) -> None:
    first = await opened(database, "fenced-a", "machine-1/boot-1")
    twin = await opened(database, "fenced-a", "machine-2/boot-1")
    await first.report(A)
    with pytest.raises(StoreHeld, match=r"living controller of the name fenced-a .* at https://a:8443"):
        await twin.report(A)
    third = asyncio.create_task(opened(database, "fenced-a", "machine-3/boot-1"))
    while not third.done():  # it waits, for the first one may have died a moment ago, until that one reports again
        await first.report(A)
        await asyncio.sleep(0.1)
    with pytest.raises(StoreHeld, match="fenced-a"):
        await third
    assert [view.report for view in await first.report(A)] == [A], "the twin changed nothing"
    await silent_for(database, PostgresRig.LEASE_SECONDS + 1.0, "fenced-a")
    await twin.report(A)
    with pytest.raises(StoreHeld):
        await first.report(A)


async def test_a_machine_that_was_started_again_keeps_its_name(database: PostgresRig) -> None:
    before = await opened(database, "fenced-a", "machine-1/boot-1")
    await before.report(A)
    after = await opened(database, "fenced-a", "machine-1/boot-2")
    assert living(await after.report(A)) == ["fenced-a"]


async def test_a_name_that_was_given_up_is_no_longer_listed(database: PostgresRig) -> None:
    await database.open()
    await database.journal.report(A)
    other = await opened(database)
    await silent_for(database, 31 * 86400.0, "fenced-a")
    assert [view.report.name for view in await other.report(B)] == ["fenced-b"]


async def test_a_controller_with_a_new_name_is_listed_once(database: PostgresRig) -> None:
    """Its old name would look like a controller that is missing."""
    folder = database.directory / "state"
    folder.mkdir()
    before = database.build(place="machine-1/boot-1", directory=folder)
    await before.open(holder="fenced-a", now=1.0)
    await before.report(A)
    await before.close()
    after = database.build(place="machine-1/boot-1", directory=folder)
    await after.open(holder="fenced-b", now=1.0)
    assert [view.report.name for view in await after.report(B)] == ["fenced-b"]


async def test_a_standby_reports_while_the_lease_is_held(database: PostgresRig) -> None:
    """A report neither needs the lease nor changes its row."""
    await database.open()
    other = await opened(database)
    before = await database.execute("SELECT * FROM lease WHERE batch = 1")
    await other.report(B)
    assert (before, await database.execute("SELECT * FROM lease WHERE batch = 1")) == ("SELECT 1", "SELECT 1")


async def test_a_cloned_machine_is_another_controller(database: PostgresRig) -> None:
    """Its state directory has the same id. Neither may delete the other's report."""
    first = await opened(database, "fenced-b", "cloned/boot-1")
    await first.report(B)
    clone = await opened(database, "fenced-c", "cloned/boot-2")
    assert living(await clone.report(replace(B, name="fenced-c"))) == ["fenced-b", "fenced-c"]
    await silent_for(database, PostgresRig.LEASE_SECONDS + 1.0, "fenced-b")
    assert [view.report.name for view in await clone.report(replace(B, name="fenced-c"))] == ["fenced-c"]

"""What people and disks do to a database: each error says who, what, and what to do now; nothing is stored twice."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from fenced.journal.postgres.checking import Level, check
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, EpochLost, StoreError, StoreWentBack
from tests.journal.rigs import PostgresRig, start
from tests.journal.strategies import entry
from tests.needs import needs, needs_root
from tests.postgres import server

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
HOUR: Final = 3600.0


# -- a full disk of the server -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A database whose tables are on a small file system."""

    url: str
    folder: Path

    def fill(self) -> None:
        with pytest.raises(OSError, match="No space"), (self.folder / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
async def small_disk() -> AsyncIterator[SmallDisk]:
    with server() as own:
        folder = own.folder / "small"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
        try:
            shutil.chown(folder, "nobody", "nogroup")
            tables = folder / "tables"
            tables.mkdir()
            shutil.chown(tables, "nobody", "nogroup")
            await own.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
            await own.execute("CREATE DATABASE fenced TABLESPACE small")
            yield SmallDisk(own.url("fenced"), folder)
        finally:
            own.end()
            subprocess.run(["umount", "-l", folder], check=True)


@needs_root()
async def test_a_full_disk_of_the_server_is_survived(small_disk: SmallDisk, tmp_path: Path) -> None:
    settings = PostgresSettings(url=PostgresUrl.parse(small_disk.url), lease_ttl_seconds=PostgresRig.LEASE_SECONDS)
    journal = PostgresJournal(settings, state_dir=tmp_path, place="this machine")
    try:
        await start(journal)
        stored = await journal.append(Batch(entries=[entry()]))
        small_disk.fill()
        with pytest.raises(StoreError, match="the database's disk is full; free some space"):
            for _ in range(200):
                stored = await journal.append(Batch(entries=[entry(number=stored)] * 100))
        small_disk.free()
        assert await journal.append(Batch(entries=[entry()])) == stored + 1
    finally:
        await journal.close()


# -- a lease row that a person edits -----------------------------------------------------------------------------------


async def test_a_lease_that_a_person_deleted_ends_its_holder(database: PostgresRig) -> None:
    await database.open()
    await database.journal.append(Batch(entries=[entry()]))
    await database.execute("DELETE FROM lease")
    with pytest.raises(StoreWentBack, match="which this controller took, is not in the store"):
        await database.journal.append(Batch(entries=[entry()]))
    assert (await database.crash()).went_back == "", "all records are there"
    assert database.taken.epoch == 2
    assert await database.journal.append(Batch(entries=[entry()])) == 2


async def test_a_lease_that_a_person_freed_is_another_controllers_and_the_former_one_can_write_nothing(
    database: PostgresRig,
) -> None:
    await database.open()
    await database.execute("UPDATE lease SET until = 0")
    other = database.second()
    loaded = await other.open(holder="fenced-b", now=1.0)
    assert await other.take(after=loaded.sequence, now=1.0) is not None
    with pytest.raises(EpochLost, match="fenced-b holds epoch 2, ours is 1"):
        await database.journal.append(Batch(entries=[entry()]))


# -- clocks an hour apart ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_a_clock_that_is_an_hour_off_is_said_and_ends_no_lease(database: PostgresRig, ahead: float) -> None:
    await database.open()
    settings = PostgresSettings(
        url=PostgresUrl.parse(database.server.url(database.database)), lease_ttl_seconds=PostgresRig.LEASE_SECONDS
    )
    found = await check(settings, wall=lambda: time.time() + ahead)
    [said] = [it for it in found if "the database's clock is" in it.what]
    assert (said.level, "run a time service on both" in said.meaning) == (Level.WARNING, True)
    other = database.build(place="another machine", clock=lambda: time.monotonic() + ahead)
    loaded = await other.open(holder="fenced-b", now=1.0 + ahead)
    for _ in range(3):
        assert await other.take(after=loaded.sequence, now=1.0 + ahead) is None
        await asyncio.sleep(0.1)
    await database.journal.append(Batch(entries=[entry()]))

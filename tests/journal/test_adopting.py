"""`fenced store adopt`: a dump, a clone and a replica that was promoted, on real PostgreSQL (S20, S22)."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from fenced.core.durable.records import Entry, StoreDoubted
from fenced.journal.adopting import Known, Step, adopt, look
from fenced.journal.leases import EPOCH_JUMP
from fenced.journal.postgres.checking import Level, check
from fenced.journal.postgres.endpoint import PostgresEndpoint
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal
from fenced.journal.seen import SeenFile
from fenced.journal.sqlite.endpoint import SqliteEndpoint
from fenced.journal.sqlite.store import SqliteJournal
from fenced.journal.store_id import IdFile
from fenced.model.names import PlugId, Token
from fenced.model.power import What
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import Batch, EpochLost, Loaded, NotTaken, StoreError, StoreWentBack, Taken
from fenced.proxy.state import Claim, ProxyState
from tests.journal.rigs import start, taken_in_time
from tests.journal.strategies import entry
from tests.needs import needs
from tests.postgres import USER, Server, run, server, standby_of

pytestmark = [needs("postgres"), pytest.mark.integration, pytest.mark.database]
LEASE: Final = 9.0
DOUBT: Final = Entry(at=9.0, host=None, record=StoreDoubted(why="x"))


@dataclass(slots=True)
class Site:
    """A server with databases, and the state directories of controllers."""

    server: Server
    folder: Path
    open_ones: AsyncExitStack

    def settings(self, database: str, of: Server | None = None) -> PostgresSettings:
        url = PostgresUrl.parse((of or self.server).url(database))
        return PostgresSettings(url=url, lease_ttl_seconds=LEASE)

    def state_dir(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def journal(self, database: str, name: str, *, of: Server | None = None) -> PostgresJournal:
        """Return a start of the controller of that name, not opened."""
        made = PostgresJournal(self.settings(database, of), state_dir=self.state_dir(name), place=name)
        self.open_ones.push_async_callback(made.close)
        return made

    async def opened(self, database: str, name: str, *, of: Server | None = None) -> tuple[PostgresJournal, Loaded]:
        journal = self.journal(database, name, of=of)
        return journal, await journal.open(holder=name, now=1.0)

    async def original(self, *, records: int = 3) -> tuple[str, str]:
        """Return the database of a store on which fenced-a wrote some records, and the store's id."""
        database = await self.server.new_database()
        journal = self.journal(database, "fenced-a")
        loaded, _ = await start(journal)
        for number in range(1, records + 1):
            await journal.append(Batch(entries=[entry(number=number)]))
        await journal.close()
        return database, loaded.store_id

    async def copy(self, database: str) -> str:
        """Return a copy on the same server."""
        name = f"{database}_copy"
        await self.server.execute(f"CREATE DATABASE {name} TEMPLATE {database}")
        return name

    async def look(self, database: str, name: str, *, of: Server | None = None) -> Known:
        return await look(PostgresEndpoint(self.settings(database, of)), self.state_dir(name))

    async def adopt(self, database: str, name: str, *, is_clone: bool = False, of: Server | None = None) -> Known:
        known = await self.look(database, name, of=of)
        endpoint = PostgresEndpoint(self.settings(database, of))
        return await adopt(endpoint, self.state_dir(name), known, is_clone=is_clone)


@pytest.fixture
async def site(postgres: Server, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as opened:
        yield Site(postgres, tmp_path, opened)


async def taken(journal: PostgresJournal, loaded: Loaded) -> Taken:
    return await taken_in_time(journal, after=loaded.sequence)


# -- a copy, and nobody said whose it is ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fenced-a", "a new machine"])
async def test_nobody_takes_the_lease_of_a_copy(site: Site, name: str) -> None:
    """A new machine never saw the original, so only the store itself can show that."""
    database, _ = await site.original()
    journal, loaded = await site.opened(await site.copy(database), name)
    assert "copy" in loaded.went_back
    with pytest.raises(NotTaken, match="fenced store adopt"):
        await journal.take(after=loaded.sequence, now=1.0)


async def test_a_holder_that_is_led_to_a_copy_ends(site: Site) -> None:
    """The copy has the row of its lease, so only the home shows that it is another database."""
    database, _ = await site.original()
    journal, loaded = await site.opened(database, "fenced-a")
    await taken(journal, loaded)
    await journal.renew_lease(now=1.0, ttl_seconds=LEASE)
    await site.server.execute("UPDATE store SET home = '1/2'", database)
    with pytest.raises(StoreWentBack, match="fenced store adopt"):
        await journal.renew_lease(now=1.0, ttl_seconds=LEASE)


async def test_a_look_at_a_copy_is_no_doubt_of_the_original(site: Site) -> None:
    """Somebody repaired the address of the database."""
    database, _ = await site.original()
    copy = await site.copy(database)
    before = SeenFile(site.state_dir("fenced-a")).read()
    journal, _ = await site.opened(copy, "fenced-a")
    await journal.close()
    assert SeenFile(site.state_dir("fenced-a")).read() == before
    journal, loaded = await site.opened(database, "fenced-a")
    assert loaded.went_back == ""
    assert not (await taken(journal, loaded)).is_promoted


async def test_the_first_lease_notes_where_a_store_belongs(site: Site) -> None:
    database, _ = await site.original()
    assert (await site.look(database, "fenced-a")).stands.home is not None
    await site.server.execute("UPDATE store SET home = NULL", database)
    journal, loaded = await site.opened(database, "fenced-a")
    await taken(journal, loaded)
    stands = (await site.look(database, "fenced-a")).stands
    assert stands.home == stands.server is not None


async def test_a_check_of_a_copy_says_what_to_do(site: Site) -> None:
    database, _ = await site.original()
    errors = [it.what for it in await check(site.settings(await site.copy(database))) if it.level is Level.ERROR]
    assert any("fenced store adopt" in each for each in errors)


# -- in the place of the original -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fenced-a", "a new machine"])
async def test_an_adopted_copy_is_doubted_until_a_record_says_so(site: Site, name: str) -> None:
    database, store_id = await site.original()
    copy = await site.copy(database)
    known = await site.adopt(copy, "fenced-a")
    assert (known.stands.id, known.stands.is_away) == (store_id, False)
    journal, loaded = await site.opened(copy, name)
    assert loaded.went_back
    lease = await taken(journal, loaded)
    assert lease.is_promoted, "the taker waits as long as a command may act"
    await journal.close()
    journal, loaded = await site.opened(copy, name)
    assert loaded.went_back, "the first one ended before it could record it"
    lease = await taken(journal, loaded)
    await journal.append(Batch(entries=[DOUBT]))
    await journal.end_doubt()
    await journal.close()
    _, loaded = await site.opened(copy, name)
    assert loaded.went_back == ""


async def test_the_doubt_does_not_come_back_with_the_age_of_its_record(site: Site) -> None:
    database, _ = await site.original()
    copy = await site.copy(database)
    await site.adopt(copy, "fenced-a")
    journal, loaded = await site.opened(copy, "fenced-a")
    await taken(journal, loaded)
    await journal.append(Batch(entries=[DOUBT, entry(number=9, at=900.0)]))
    await journal.close()
    await site.server.execute("DELETE FROM records WHERE host IS NULL", copy)
    _, loaded = await site.opened(copy, "a new machine")
    assert loaded.went_back == ""


async def test_the_next_epoch_is_above_what_the_lost_tail_may_hold(site: Site) -> None:
    database, _ = await site.original()
    copy = await site.copy(database)
    file = SeenFile(site.state_dir("fenced-a"))
    seen = file.read()
    assert seen is not None
    file.write(replace(seen, floor=50))
    assert (await site.adopt(copy, "fenced-a")).epoch == 50 + EPOCH_JUMP
    journal, loaded = await site.opened(copy, "a new machine")
    assert (await taken(journal, loaded)).epoch > 50 + EPOCH_JUMP


async def test_a_standby_that_runs_begins_anew_after_an_adoption(site: Site) -> None:
    """It loaded the store before there was a doubt, and its proxies have the former id."""
    database, _ = await site.original()
    standby, loaded = await site.opened(database, "fenced-b")
    await site.adopt(database, "fenced-a", is_clone=True)
    with pytest.raises(StoreWentBack, match="adopted"):
        await taken(standby, loaded)


async def test_a_store_on_which_somebody_acts_is_not_adopted(site: Site) -> None:
    database, store_id = await site.original()
    journal, loaded = await site.opened(database, "fenced-a")
    await taken(journal, loaded)
    with pytest.raises(StoreError, match="fenced-a acts on this store; stop it"):
        await site.adopt(database, "fenced-b", is_clone=True)
    assert (await site.look(database, "fenced-b")).stands.id == store_id
    await journal.append(Batch(entries=[entry(number=4)]))


async def test_a_frozen_holder_of_before_can_write_nothing(site: Site) -> None:
    database, _ = await site.original()
    frozen, loaded = await site.opened(database, "fenced-a")
    await taken(frozen, loaded)
    await site.server.execute("UPDATE lease SET until = 1", database)
    await site.adopt(database, "fenced-b", is_clone=True)
    with pytest.raises(EpochLost):
        await frozen.append(Batch(entries=[entry(number=4)]))


async def test_a_store_that_changed_since_it_was_shown_is_not_adopted(site: Site) -> None:
    database, _ = await site.original()
    copy = await site.copy(database)
    shown = await site.look(copy, "fenced-a")
    await site.adopt(copy, "fenced-a")
    with pytest.raises(StoreError, match="changed meanwhile"):
        await adopt(PostgresEndpoint(site.settings(copy)), site.state_dir("fenced-a"), shown, is_clone=False)


async def test_a_store_at_home_needs_no_adoption(site: Site) -> None:
    database, _ = await site.original()
    known = await site.look(database, "fenced-a")
    assert (known.step(is_clone=False), known.lacks) == (Step.NOTHING, "")
    await site.server.execute("DELETE FROM records WHERE sequence > 1", database)
    known = await site.look(database, "fenced-a")
    assert known.step(is_clone=False) is Step.NOTHING
    assert "lacks record 3" in known.lacks


# -- another store than this controller had ---------------------------------------------------------------------------


async def test_a_new_store_in_the_place_of_a_lost_one_is_adopted_once_in_the_store_and_once_here(site: Site) -> None:
    _, lost = await site.original()
    IdFile(site.state_dir("fenced-b")).write(lost)
    database = await site.server.new_database()
    journal, loaded = await site.opened(database, "a new machine")
    await taken(journal, loaded)
    await journal.close()
    known = await site.look(database, "fenced-a")
    assert (known.kept, known.step(is_clone=False)) == (lost, Step.STORE)
    epoch = (await site.adopt(database, "fenced-a")).epoch
    assert (await site.look(database, "fenced-b")).step(is_clone=False) is Step.HERE
    assert (await site.adopt(database, "fenced-b")).epoch == epoch, "no second doubt"
    for name in ("fenced-a", "fenced-b"):
        _, loaded = await site.opened(database, name)
        assert (loaded.expected_store, bool(loaded.went_back)) == ("", True)


async def test_a_file_that_was_replaced_is_adopted(tmp_path: Path) -> None:
    lost = SqliteJournal(url="sqlite:///fenced.db", state_dir=tmp_path)
    await start(lost)
    await lost.close()
    for file in tmp_path.glob("fenced.db*"):
        file.unlink()
    found = SqliteJournal(url="sqlite:///fenced.db", state_dir=tmp_path)
    loaded, _ = await start(found)
    assert loaded.expected_store
    await found.close()
    endpoint = SqliteEndpoint("sqlite:///fenced.db", tmp_path)
    await adopt(endpoint, tmp_path, await look(endpoint, tmp_path), is_clone=False)
    again = SqliteJournal(url="sqlite:///fenced.db", state_dir=tmp_path)
    after, lease = await start(again)
    assert (after.expected_store, bool(after.went_back), lease.is_promoted) == ("", True, True)
    await again.close()


# -- beside the original ----------------------------------------------------------------------------------------------


async def test_a_clone_and_its_original_have_no_proxy_in_common(site: Site, tmp_path: Path) -> None:
    database, store_id = await site.original()
    copy = await site.copy(database)
    clone = (await site.adopt(copy, "of the clone", is_clone=True)).stands.id
    assert (await site.look(database, "fenced-a")).stands.id == store_id != clone

    def command(store: str, epoch: int) -> Claim:
        token = Token(epoch=epoch, sequence=1)
        return Claim(store=store, plug_id=PlugId("pdu/1"), token=token, what=What.OFF, not_after=60.0)

    with ProxyState(tmp_path / "proxy", machine_boot="b") as proxy, proxy.transaction():
        assert proxy.claim(command(store_id, 2)) is None
        refused = proxy.claim(command(clone, 5000))
        assert refused is not None
        assert clone in refused.why
    journal, loaded = await site.opened(database, "fenced-a")
    assert (loaded.went_back, (await taken(journal, loaded)).epoch) == ("", 2)


# -- from server to server --------------------------------------------------------------------------------------------


def dumped(database: str, source: Server, target: Server) -> None:
    """Take a dump with the programs of PostgreSQL, and restore it elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="fenced-dump-"))
    folder.chmod(0o777)
    try:
        file = folder / "dump"
        run("pg_dump", "-h", "127.0.0.1", "-p", str(source.port), "-U", USER, "-Fc", "-f", file, database)
        run("pg_restore", "-h", "127.0.0.1", "-p", str(target.port), "-U", USER, "-d", "postgres", file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_a_dump_on_another_server_is_adopted_and_the_lost_tail_is_noticed(site: Site) -> None:
    """Records were written after the dump. The server with them is gone for good."""
    database, store_id = await site.original()
    with server() as other:
        dumped(database, site.server, other)
        journal, loaded = await site.opened(database, "fenced-a")
        lost = await taken(journal, loaded)
        await journal.append(Batch(entries=[entry(number=4)]))
        await journal.close()
        journal, loaded = await site.opened("postgres", "fenced-a", of=other)
        with pytest.raises(StoreError, match="fenced store adopt"):
            await journal.take(after=loaded.sequence, now=1.0)
        known = await site.look("postgres", "fenced-a", of=other)
        assert "epoch 1, and this controller saw epoch 2" in known.lacks
        assert (await site.adopt("postgres", "fenced-a", of=other)).stands.id == store_id
        with pytest.raises(StoreWentBack):
            await taken(journal, loaded)
        await journal.close()
        journal, loaded = await site.opened("postgres", "fenced-a", of=other)
        lease = await taken(journal, loaded)
        assert (bool(loaded.went_back), lease.is_promoted) == (True, True)
        assert lease.epoch > lost.epoch + EPOCH_JUMP
        await journal.close()


async def test_a_replica_that_was_promoted_is_at_home_and_may_become_a_clone(tmp_path: Path) -> None:
    """Nothing tells it from a failover, so a person must say that the original goes on."""
    async with AsyncExitStack() as opened:
        with server(("fsync=off", "wal_level=replica", "max_wal_senders=4")) as primary:
            site = Site(primary, tmp_path, opened)
            database, store_id = await site.original()
            with standby_of(primary) as replica:
                await replica.execute("SELECT pg_promote()")
                known = await site.look(database, "fenced-a", of=replica)
                assert (known.stands.is_away, known.step(is_clone=False)) == (False, Step.NOTHING)
                clone = (await site.adopt(database, "of the clone", is_clone=True, of=replica)).stands.id
                assert clone != store_id == (await site.look(database, "fenced-a")).stands.id
                journal, loaded = await site.opened(database, "of the clone", of=replica)
                assert (loaded.store_id, bool(loaded.went_back)) == (clone, True)
                await journal.close()


# -- rights ------------------------------------------------------------------------------------------------------------


async def test_a_user_that_may_not_know_the_server_goes_on_without_a_home(site: Site) -> None:
    database = await site.server.new_database()
    await site.server.execute("DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN")
    await site.server.execute(f"ALTER DATABASE {database} OWNER TO blind")
    await site.server.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", database)
    settings = site.settings(database)
    url = PostgresUrl.parse(site.server.url(database).replace(f"//{USER}@", "//blind@"))
    journal = PostgresJournal(replace(settings, url=url), state_dir=site.state_dir("blind"), place="blind")
    site.open_ones.push_async_callback(journal.close)
    await site.server.execute("GRANT ALL ON SCHEMA public TO blind", database)
    await start(journal)
    assert await journal.append(Batch(entries=[entry()])) == 1
    stands = (await look(PostgresEndpoint(replace(settings, url=url)), site.state_dir("blind"))).stands
    assert (stands.home, stands.server, stands.is_away) == (None, None, False)

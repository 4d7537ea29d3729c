"""Controllers of two versions share a store during an upgrade, and a copy of a store is adopted."""

import asyncio
import functools
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from fenced import __version__
from fenced.journal.codec import FORMAT
from fenced.journal.migrations import MIGRATIONS
from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.e2e.programs import FENCED, IS_COLD, Program, run_short
from tests.needs import needs
from tests.net import free_port, until
from tests.postgres import Server, postgres
from tests.warm.programs import ROOT, Ended

__all__ = ["postgres"]
pytestmark = [pytest.mark.integration, needs("mosquitto", "postgres")]
NEXT: Final = "99.0.0"
STEP: Final = """
def _paint(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE records ADD COLUMN IF NOT EXISTS colour TEXT NOT NULL DEFAULT 'red'")


MIGRATIONS = {**MIGRATIONS, max(MIGRATIONS) + 1: _paint}
ADDITIVE = frozenset({max(MIGRATIONS)})
"""
STANDBY: Final = '"standby": true'


def change(file: Path, old: str, new: str) -> None:
    text, count = re.subn(old, lambda _: new, file.read_text())
    assert count == 1, f"{old} is {count} times in {file}"
    file.write_text(text)


@dataclass(frozen=True, slots=True)
class NextVersion:
    """A copy of the program with one more additive schema step, and one more format, with a new field of a record."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "NextVersion":
        program = folder / "fenced"
        # With the bytecode, which stays valid for what is not changed below; but not with what is written just now.
        shutil.copytree(ROOT / "fenced", program, ignore=shutil.ignore_patterns("*.pyc.*"))
        change(program / "__init__.py", r'__version__ = ".*"', f'__version__ = "{NEXT}"')
        change(program / "journal" / "migrations.py", r"ADDITIVE: Final\[frozenset\[int\]\] = .*\n", STEP)
        change(program / "journal" / "codec.py", r"FORMAT: Final = \d+", f"FORMAT: Final = {FORMAT + 1}")
        change(
            program / "journal" / "codec.py", r"SINCE: Final\[Mapping\[str, int\]\] = \{",
            f'SINCE: Final[Mapping[str, int]] = {{"Disarmed.colour": {FORMAT + 1}, ',
        )  # fmt: skip
        kind = '    kind: Literal["disarmed"]'
        change(
            program / "core" / "durable" / "records" / "of_fleet.py", re.escape(kind), f'    colour: str = ""\n{kind}'
        )
        return cls(folder)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-P", *FENCED[1:]]

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder)}

    async def started(self, file: Path, log: Path) -> Program:
        program = Program([*self.command, "run", "-c", str(file)], log=log, environment=self.environment)
        token = IS_COLD.set(True)
        try:
            await program.start()
        finally:
            IS_COLD.reset(token)
        return program

    async def upgrade(self, it: Bed) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *self.command, "store", "upgrade", "-c", str(it.configuration.file), cwd=self.folder,
            env={**os.environ, **self.environment}, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(status=process.returncode, out=out.decode(), err=err.decode())


@dataclass(frozen=True, slots=True)
class Store:
    """A database of the server, empty at first."""

    server: Server
    database: str

    def of(self, configuration: Configuration) -> None:
        configuration.change("store", url=self.server.url(self.database))

    async def value(self, query: str) -> Any:
        connection = await self.server.connect(self.database)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def last_disarming(self) -> str:
        query = "SELECT body FROM records WHERE body LIKE '%\"disarmed\"%' ORDER BY sequence DESC LIMIT 1"
        return str(await self.value(query))


@pytest.fixture
async def store(postgres: Server) -> Store:
    return Store(postgres, await postgres.new_database())


def elsewhere(it: Bed, folder: Path, port: int) -> Path:
    """Return the file of a second controller."""
    made = it.configuration.copy()
    made.directory = folder / "elsewhere"
    made.directory.mkdir()
    made.change("daemon", name="fenced-b", state_dir=str(folder / "elsewhere" / "state"))
    made.change("api", listen=f"127.0.0.1:{port}", socket="")
    made.write()
    return made.file


async def is_fit(it: Bed, urls: str, name: str) -> bool:
    listed = json.loads((await it.ctl("--url", urls, "--json", "controllers")).out)
    return any(one["name"] == name and one["state"] != "offline" and one["fit"] for one in listed["items"])


async def hand_over(it: Bed, urls: str, to: str) -> None:
    await until(functools.partial(is_fit, it, urls, to), what=f"{to} is fit")
    done = await it.ctl("--url", urls, "hand-over", "--to", to, "--reason", "an upgrade", "--wait")
    assert done.status == 0, done.err


async def disarmed(it: Bed, urls: str, store: Store) -> str:
    """Disarm, arm again, and return the record."""
    for command in ("disarm", "arm"):
        done = await it.ctl("--url", urls, command, "--reason", "an upgrade")
        assert done.status == 0, done.err
    return await store.last_disarming()


@pytest.mark.timeout(240)
async def test_controllers_are_upgraded_one_after_the_other(tmp_path: Path, store: Store) -> None:
    agent = Agent(tmp_path / "agents")
    devices = {"node-1": [agent.device("a")], "node-2": [agent.device("b")]}
    following = NextVersion.made(tmp_path / "next")
    async with bed(tmp_path, devices, change=store.of) as it:
        port = free_port()
        urls = f"{it.api.url},http://127.0.0.1:{port}"
        newer = await following.started(elsewhere(it, tmp_path, port), tmp_path / "newer.log")
        await until(lambda: STANDBY in newer.log, what="the newer one is a standby", seconds=60)
        assert await store.value("SELECT max(number) FROM schema") == max(MIGRATIONS) + 1

        # The older program goes on, and starts again, on the newer schema.
        it.hosts.kill("node-1")
        await it.story.event("node-1", "host.fenced")
        await it.daemon.kill()
        await it.start()
        await it.story.event("node-1", "host.restored")
        it.hosts.boot("node-1")

        # The newer one acts, and the older one follows what it writes.
        await hand_over(it, urls, "fenced-b")
        assert "colour" not in await disarmed(it, urls, store)
        hindered = await following.upgrade(it)
        assert hindered.status == 1
        assert f"hinders format {FORMAT + 1}: fenced-a (fenced {__version__})" in hindered.out
        await hand_over(it, urls, "fenced-a")
        await hand_over(it, urls, "fenced-b")

        # Both have the newer program: the format rises, and there is no way back.
        assert await it.daemon.end() == 0
        it.daemon = await following.started(it.configuration.file, tmp_path / "daemon.log")
        await until(functools.partial(is_fit, it, urls, "fenced-a"), what="the upgraded one is fit")
        raised = await following.upgrade(it)
        assert raised.status == 0, raised.out + raised.err
        assert f"format {FORMAT} became {FORMAT + 1}" in raised.out
        assert "nothing to do" in (await following.upgrade(it)).out

        async def is_new_name_written() -> bool:
            return "colour" in await disarmed(it, urls, store)

        await until(is_new_name_written, what="the newer format is written")
        assert await it.daemon.end() == 0
        await it.start(is_awaited=False)
        assert await it.daemon.wait() == 78
        assert f"install fenced {NEXT} or newer" in it.daemon.log
        assert await newer.end() == 0


async def answers(it: Bed) -> bool:
    try:
        return (await it.api.call("GET", "/healthz", seconds=5.0)).status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def adopt(it: Bed, *options: str) -> Ended:
    return await run_short([*FENCED, "store", "adopt", "-c", str(it.configuration.file), *options])


async def test_a_restored_copy_fences_nothing_before_a_person_adopted_and_released_it(
    tmp_path: Path, store: Store
) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")], "node-2": [agent.device("b")]}, change=store.of) as it:
        nothing = await adopt(it)
        assert (nothing.status, "nothing to adopt" in nothing.out) == (0, True)
        assert await it.daemon.end() == 0
        copy = Store(store.server, f"{store.database}_copy")
        await store.server.execute(f"CREATE DATABASE {copy.database} TEMPLATE {store.database}")
        copy.of(it.configuration)
        await it.start(is_awaited=False)
        await until(lambda: "fenced store adopt" in it.daemon.log, what="the daemon says what to do")
        await until(functools.partial(answers, it), what="the API of the standby answers")
        it.hosts.kill("node-1")
        refused = await it.api.call("POST", "hosts/node-2/actions", body={"action": "off", "reason": "a test"})
        assert (refused.status, refused.body["rule"]) == (503, "standby")

        unconfirmed = await adopt(it)
        assert (unconfirmed.status, "--yes" in unconfirmed.err) == (1, True)
        assert "disagree: this database" in unconfirmed.out
        before = await store.value("SELECT id FROM store")
        done = await adopt(it, "--yes")
        assert done.status == 0, done.err
        assert await copy.value("SELECT id FROM store") == before
        assert await it.daemon.wait() == 1  # the service manager starts it again
        await it.start()
        status = await it.ctl("status")
        assert "adopted this database" in status.out
        await it.story.event("node-1", "host.held")
        assert agent.power("a") == "on"
        released = await it.ctl("release", "store", "--reason", "nothing is missing")
        assert released.status == 0, released.err
        await it.story.event("node-1", "host.fenced", seconds=40)


async def test_a_clone_gets_an_id_of_its_own(tmp_path: Path, store: Store) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")]}, change=store.of) as it:
        running = await adopt(it, "--clone", "--yes")
        assert (running.status, "fenced-a acts on this store; stop it" in running.err) == (1, True)
        assert await it.daemon.end() == 0
        before = await store.value("SELECT id FROM store")
        done = await adopt(it, "--clone", "--yes")
        assert done.status == 0, done.err
        after = await store.value("SELECT id FROM store")
        assert after != before
        assert f"fenced proxy -c FILE --adopt-store {after}" in done.out

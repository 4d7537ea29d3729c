"""A store under test, of each implementation: open it, kill its daemon, let another daemon take over."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fenced.journal.postgres.looking import SharedLooks
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.postgres.store import PostgresJournal, boottime
from fenced.journal.sqlite.store import SqliteJournal
from fenced.model.names import MAIN_SHARD
from fenced.model.store_urls import PostgresUrl
from fenced.ports.journal import ClockAnchor, Journal, Loaded, Taken
from tests.fakes.journal import MemoryJournal
from tests.postgres import Server


@dataclass(slots=True)
class Clock:
    """A controller's own clock, that a test sets (seconds)."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Anchored(Journal, Protocol):
    """The port with the additions of the other implementations."""

    async def renew_lease(self, *, now: float, ttl_seconds: float, anchor: ClockAnchor | None = None) -> float: ...

    async def clock_anchor(self) -> ClockAnchor | None: ...


class Rig(Protocol):
    """One store, and the journal that is open on it. `taken`: the lease that `open` took last."""

    journal: Anchored
    taken: Taken

    async def open(self) -> Loaded:
        """Open the journal, and take the lease."""
        ...

    async def reopen(self) -> Loaded:
        """End the daemon properly, and start the next one."""
        ...

    async def crash(self) -> Loaded:
        """Kill the daemon between two instructions, and start the next one on what is durable."""
        ...

    async def take_over(self) -> None:
        """Let another daemon take a newer epoch while this one runs."""
        ...

    def second(self) -> Anchored:
        """Return the journal of another daemon on the same store, not opened."""
        ...


async def start(journal: Journal, *, holder: str = "fenced-a", now: float = 1.0) -> tuple[Loaded, Taken]:
    """Open a journal whose lease is free, and take it."""
    loaded = await journal.open(holder=holder, now=now)
    taken = await journal.take(after=loaded.sequence, now=now)
    assert taken is not None, "the lease is held"
    return loaded, taken


async def taken_in_time(journal: Journal, *, after: int = 0, now: float = 1.0, seconds: float = 30.0) -> Taken:
    """Look several times a second until the lease is taken, as a standby does."""
    async with asyncio.timeout(seconds):
        while True:
            if (taken := await journal.take(after=after, now=now)) is not None:
                return taken
            await asyncio.sleep(0.1)


class MemoryRig:
    """Uses `MemoryJournal`."""

    taken: Taken

    def __init__(self) -> None:
        self._memory = MemoryJournal(is_checked=True)
        self.journal: Anchored = self._memory

    async def open(self) -> Loaded:
        loaded, self.taken = await start(self._memory)
        return loaded

    async def reopen(self) -> Loaded:
        await self._memory.close()
        return await self.crash()

    async def crash(self) -> Loaded:
        self._memory = self._memory.reopen()
        self.journal = self._memory
        return await self.open()

    async def take_over(self) -> None:
        self._memory.durable.epoch += 1
        self._memory.durable.holder = "fenced-b"

    def second(self) -> Anchored:
        second = MemoryJournal(self._memory.durable)
        second.place = "another machine"
        return second


class SqlRig:
    """Uses files. A crash copies the files of the open store, as a killed process leaves them."""

    taken: Taken

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._number = 0
        self._lives: list[SqliteJournal] = []
        self.directory = directory / "0"
        self.directory.mkdir()
        self.journal: Anchored = self._build()

    @property
    def path(self) -> Path:
        return self.directory / "fenced.db"

    async def open(self) -> Loaded:
        loaded, self.taken = await start(self.journal)
        return loaded

    async def reopen(self) -> Loaded:
        await self.journal.close()
        self.journal = self._build()
        return await self.open()

    async def crash(self) -> Loaded:
        self._number += 1
        image = self._root / str(self._number)
        shutil.copytree(self.directory, image, ignore=shutil.ignore_patterns("*-shm"))
        self.directory = image
        self.journal = self._build()
        return await self.open()

    async def take_over(self) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute("UPDATE lease SET epoch = epoch + 1, holder = 'x', name = 'fenced-b'")
        connection.close()

    def second(self) -> Anchored:
        return self._build()

    async def close(self) -> None:
        for journal in self._lives:
            await journal.close()

    def _build(self) -> SqliteJournal:
        journal = SqliteJournal(url="sqlite:///fenced.db", state_dir=self.directory, busy_timeout_seconds=0.3)
        self._lives.append(journal)
        return journal


class PostgresRig:
    """Uses a database of a real server. A crash leaves the killed daemon's connections as they are."""

    LEASE_SECONDS = 9.0
    taken: Taken

    def __init__(self, server: Server, database: str, directory: Path, *, has_glances: bool = False) -> None:
        """`has_glances`: its journals first look at the store together, as those of several shards do."""
        self.server, self.database, self.has_glances = server, database, has_glances
        self.directory = directory
        self._lives: list[PostgresJournal] = []
        self._looks: list[SharedLooks] = []
        self.journal: Anchored = self.build()

    async def open(self) -> Loaded:
        loaded, self.taken = await start(self.journal)
        return loaded

    async def reopen(self) -> Loaded:
        await self.journal.close()
        self.journal = self.build()
        return await self.open()

    async def crash(self) -> Loaded:
        self.journal = self.build()
        return await self.open()

    async def take_over(self) -> None:
        await self.execute("UPDATE lease SET epoch = epoch + 1, holder = 'x', name = 'fenced-b'")

    def second(self) -> Anchored:
        return self.build(place="another machine")

    async def execute(self, statement: str) -> str:
        return await self.server.execute(statement, self.database)

    async def close(self) -> None:
        await asyncio.gather(*(journal.close() for journal in self._lives))
        await asyncio.gather(*(looks.close() for looks in self._looks))

    def build(
        self, *, place: str = "this machine", lease_seconds: float = LEASE_SECONDS, directory: Path | None = None,
        clock: Callable[[], float] = boottime, shard: str = MAIN_SHARD,
    ) -> PostgresJournal:  # fmt: skip
        """Return another daemon's journal, not opened. Each has a folder of its own: a killed one's lock is free."""
        directory = directory or Path(tempfile.mkdtemp(dir=self.directory))
        settings = PostgresSettings(
            url=PostgresUrl.parse(self.server.url(self.database)), lease_ttl_seconds=lease_seconds
        )
        looks = SharedLooks(settings) if self.has_glances else None
        self._looks += [looks] if looks is not None else []
        journal = PostgresJournal(settings, state_dir=directory, place=place, clock=clock, shard=shard, glances=looks)
        self._lives.append(journal)
        return journal

"""An SQLite file as source or target of a copy."""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from fenced.journal.sqlite.connections import engine
from fenced.journal.sqlite.errors import translated
from fenced.journal.sqlite.location import database_path
from fenced.journal.sqlite.store import lock_files

HOLDER: Final = "fenced store"
BUSY_SECONDS: Final = 5.0


class SqliteEndpoint:
    """Implements `copying.Endpoint`. The lock files show whether a daemon uses the file."""

    def __init__(self, url: str, state_dir: Path) -> None:
        """Raises ValueError if the URL is not one of SQLite."""
        self.path = database_path(url, state_dir).resolve()
        self.place = f"sqlite:///{self.path}"
        self._locks = lock_files(self.path, state_dir.resolve())

    @contextlib.asynccontextmanager
    async def opened(self, *, is_written: bool) -> AsyncIterator[AsyncConnection]:
        with translated(self.path), self._locked():
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            made = engine(self.path, readers=0 if is_written else 1, busy_timeout_seconds=BUSY_SECONDS)
            try:
                async with made.connect() as connection, connection.begin():
                    yield connection
            finally:
                await made.dispose()

    def holder(self, connection: Connection) -> str:
        """A daemon would hold the lock."""
        return ""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        taken = []
        try:
            for lock in self._locks:
                lock.acquire(holder=HOLDER, now=time.time())
                taken.append(lock)
            yield
        finally:
            for lock in taken:
                lock.release()

"""Connections to an SQLite file: one kind writes, the other only reads."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fenced.ports.journal import StoreError

WAL_PAGES: Final = 4000
"""16 MB: a commit that finds more in the log moves it into the database, which delays that commit."""
WAL_BYTES_KEPT_MAX: Final = 32 * 1024 * 1024
CACHE_KIBIBYTES: Final = 16 * 1024


def engine(path: Path, *, readers: int, busy_timeout_seconds: float, wait_seconds: float | None = None) -> AsyncEngine:
    """`readers` 0: the engine of the one connection that writes. `wait_seconds`: the wait for a free connection."""
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        # None: the driver begins no transaction, this module does, so that a transaction includes DDL.
        connect_args={"timeout": busy_timeout_seconds, "isolation_level": None},
        pool_size=readers or 1,
        max_overflow=0,
        pool_timeout=wait_seconds if wait_seconds is not None else busy_timeout_seconds,
        pool_reset_on_return=None,
    )
    if readers:
        event.listen(made.sync_engine, "connect", _set_up_reader)
    else:
        event.listen(made.sync_engine, "connect", _set_up_writer)
        event.listen(made.sync_engine, "begin", _begin_immediate)
    return made


def _set_up_writer(connection: Any, _: object) -> None:
    """Sync each commit to the disk, and bound the log of commits."""
    with _closed_on_error(connection) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        if (mode := cursor.fetchone()[0]) != "wal":
            raise StoreError(f"this file system cannot hold a database in WAL mode (it stays {mode}); use a local disk")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT_MAX}")
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")


def _set_up_reader(connection: Any, _: object) -> None:
    with _closed_on_error(connection) as cursor:
        cursor.execute("PRAGMA query_only = ON")


@contextlib.contextmanager
def _closed_on_error(connection: Any) -> Iterator[Any]:
    """Close a connection whose set-up fails: the pool does not know it yet."""
    cursor = connection.cursor()
    try:
        yield cursor
    except BaseException:
        connection.close()
        raise
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that the epoch can't change between its check and the commit."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")

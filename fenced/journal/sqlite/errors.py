"""Translates errors of SQLite and the file system into the port's errors: the file, the fault, what to do now.

It knows error codes, not statements. No foreign exception leaves this package.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fenced.journal.codec import CodecError
from fenced.ports.journal import StoreError

# Primary result codes of SQLite (the low byte of an extended one): https://www.sqlite.org/rescode.html
_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, and the daemon goes on by itself",
    sqlite3.SQLITE_BUSY: "another process keeps the database locked; find it (fuser) and end it",
    sqlite3.SQLITE_LOCKED: "another process keeps the database locked; find it (fuser) and end it",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; stop the daemon, keep the file, and restore a backup",
    sqlite3.SQLITE_NOTADB: "this is not an SQLite database; restore a backup, or move it away to start an empty store",
    sqlite3.SQLITE_READONLY: "the database cannot be written; check owner, mode and mount of file and directory",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; check owner and mode of file and directory",
    sqlite3.SQLITE_PERM: "the database cannot be opened; check owner and mode of file and directory",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk, its quota and the kernel's log",
}
_HARMLESS: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise StoreError for an exception of SQLAlchemy, SQLite, the codec or the file system."""
    try:
        yield
    except PoolTimeoutError as exc:
        raise StoreError(f"{path}: too many reads at once; try again") from exc
    except (SQLAlchemyError, sqlite3.Error) as exc:
        raise StoreError(f"{path}: {_explain(exc)}") from exc
    except CodecError as exc:
        raise StoreError(
            f"{path}: {exc}; a newer program wrote it, or the file is damaged: install that program or restore a backup"
        ) from exc
    except OSError as exc:
        raise StoreError(f"{exc.filename or path}: {exc.strerror or exc}; check its owner, mode and disk") from exc


def is_connection_doubtful(exc: BaseException) -> bool:
    """Return whether to replace the connection. After a full disk or a lock SQLite has rolled back cleanly."""
    code = _code(exc)
    return code is not None and code not in _HARMLESS


def _explain(exc: BaseException) -> str:
    origin = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    advice = _ADVICE.get(_code(exc) or 0)
    return f"{origin}; {advice}" if advice else f"{type(origin).__name__}: {origin}"


def _code(exc: BaseException) -> int | None:
    """Return the primary result code, or None if the error is not SQLite's."""
    origin = exc.orig if isinstance(exc, DBAPIError) else exc
    code = getattr(origin, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None

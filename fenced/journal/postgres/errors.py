"""Translates errors of PostgreSQL and the connection into the port's errors: database, fault, what to do now.

It knows SQLSTATE codes, not statements. No foreign exception leaves this package.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched as NotMatched
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fenced.journal.codec import CodecError
from fenced.ports.journal import StoreError

# https://www.postgresql.org/docs/15/errcodes-appendix.html; the longest matching prefix counts.
_ADVICE: Final[Mapping[str, str]] = {
    "08": "the connection was lost; the daemon connects again by itself",
    "25006": "this server accepts no writes; name the primary in [store] url, or wait for the failover",
    "28": "the database refuses this login; check user, password and pg_hba.conf",
    "3D000": "create the database: createdb -O USER NAME",
    "3F000": "the daemon's user may create no table here: ALTER DATABASE NAME OWNER TO USER",
    "40": "another transaction was in the way; the daemon tries again by itself",
    "42501": "give the database to the daemon's user: ALTER DATABASE NAME OWNER TO USER, and the schema as well",
    "42P01": "a table of the store is missing; restore a backup, or name an empty database",
    "53100": "the database's disk is full; free some space, and the daemon goes on by itself",
    "53300": "the server has no connection left; raise max_connections, or close others",
    "55P03": "another transaction holds the lease's row; if it stays, find it in pg_stat_activity",
    "57014": "the statement took too long; look at the database's load, locks and synchronous standby",
    "57P": "the server stops or starts; the daemon goes on when it is back",
    "XX001": "the database is damaged; stop the daemon, and restore a backup",
}


_OF_DRIVER: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The last of them comes, too, if the server said goodbye, and the end of the connection is not noticed yet."""
FAILURES: Final = (*_OF_DRIVER, OSError)
"""What a statement or a connection may raise; a TimeoutError is an OSError."""


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise StoreError for an exception of SQLAlchemy, asyncpg, the codec or the network."""
    try:
        yield
    except PoolTimeoutError as exc:
        raise StoreError(f"{place}: too many reads at once; try again") from exc
    except CodecError as exc:
        raise StoreError(
            f"{place}: {exc}; a newer program wrote it, or it was edited: install that program or restore a backup"
        ) from exc
    except _OF_DRIVER as exc:
        raise StoreError(f"{place}: {_explain(exc)}") from exc
    except TimeoutError as exc:
        raise StoreError(f"{place}: no answer in time; check the database and the network to it") from exc
    except OSError as exc:  # a refused or lost connection, a TLS failure
        raise StoreError(f"{place}: {exc.strerror or exc}; check the database and the network to it") from exc


def state_of(exc: BaseException) -> str | None:
    """Return the SQLSTATE, or None if the server did not send one."""
    origin = exc.orig if isinstance(exc, DBAPIError) else exc
    code = getattr(origin, "sqlstate", None)
    return code if isinstance(code, str) else None


def _explain(exc: BaseException) -> str:
    origin = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
    cause = origin.__cause__ if isinstance(origin.__cause__, (asyncpg.PostgresError, NotMatched, OSError)) else origin
    said = str(cause).partition("\n")[0] or type(cause).__name__
    if isinstance(cause, asyncpg.InternalClientError):
        code = "25006" if isinstance(cause, NotMatched) else "08"
    else:
        code = state_of(exc) or ""
    advice = next((_ADVICE[code[:size]] for size in (5, 3, 2) if code[:size] in _ADVICE), "")
    return f"{said}; {advice}" if advice else said

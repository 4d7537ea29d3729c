"""Connections to the database, and transactions with their time limits.

Each transaction begins with one message that also sets its limits. They count for this transaction alone, so that a
pooler that lends the connection to others (PgBouncer in transaction mode) is no danger. A server whose client is frozen
or cut off ends the transaction by itself, and blocks no other controller (S20).
"""

import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from fenced.journal.postgres.errors import FAILURES
from fenced.journal.postgres.settings import CONNECT_SECONDS_MAX, PostgresSettings

APPLICATION: Final = "fenced"
_SETTINGS: Final = {"application_name": APPLICATION, "client_encoding": "UTF8", "timezone": "UTC"}


def engine(
    settings: PostgresSettings, *, size: int, wait_seconds: float, on_notice: Callable[[Any], None] | None = None
) -> AsyncEngine:
    """Return an engine of at most `size` connections. `on_notice` gets what the server reports beside its answers."""

    async def connect() -> Any:
        return await _connect(settings, on_notice)

    pooled: dict[str, Any] = {"pool_size": size, "max_overflow": 0, "pool_timeout": wait_seconds}
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",  # `transaction` begins and commits
        pool_reset_on_return=None,
        connect_args=_statement_names(settings),
        **({"poolclass": NullPool} if size == 0 else pooled),
    )


@contextlib.asynccontextmanager
async def transaction(
    connection: AsyncConnection, settings: PostgresSettings, *, is_read_only: bool = False
) -> AsyncIterator[None]:
    """Begin; roll back on an exception. Without one the caller commits with `commit`.

    A connection on which this fails is dropped.
    """
    milliseconds = round(settings.timeout_seconds * 1000)
    # All statements of a read see one moment, while another controller may write. A write must see what the one that it
    # waited for has committed.
    mode = "REPEATABLE READ READ ONLY" if is_read_only else "READ COMMITTED READ WRITE"
    begin = (
        f"BEGIN ISOLATION LEVEL {mode}; SET LOCAL statement_timeout = {milliseconds}; "
        f"SET LOCAL lock_timeout = {milliseconds}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )
    try:
        await raw(connection, begin)
    except BaseException:
        await connection.invalidate()
        raise
    try:
        yield
    except BaseException:
        await _roll_back(connection)
        raise


async def commit(connection: AsyncConnection) -> None:
    """Raises what the connection raises; then it is not known whether the transaction was committed."""
    tag = await raw(connection, "COMMIT")
    if tag != "COMMIT":  # of a failed transaction the server says ROLLBACK
        raise asyncpg.InterfaceError(f"the server answered {tag} to COMMIT")


async def raw(connection: AsyncConnection, text: str) -> str:
    """Run statements without parameters in one message; return the last one's tag."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    return str(await driver.execute(text))


async def _roll_back(connection: AsyncConnection) -> None:
    try:
        await raw(connection, "ROLLBACK")
    except FAILURES:  # the server ends the transaction with the connection
        await connection.invalidate()


async def _connect(settings: PostgresSettings, on_notice: Callable[[Any], None] | None) -> asyncpg.Connection:
    url = settings.url
    connection = await asyncpg.connect(
        host=[host for host, _ in url.hosts],
        port=[port for _, port in url.hosts],
        user=url.user,
        database=url.database,
        password=settings.password.reveal() if settings.password is not None else None,
        ssl=settings.tls() or False,
        timeout=min(CONNECT_SECONDS_MAX, settings.timeout_seconds),
        command_timeout=settings.timeout_seconds * 2,
        statement_cache_size=0 if settings.is_pooled else 100,
        server_settings=None if settings.is_pooled else _SETTINGS,
        target_session_attrs="read-write",
    )
    if on_notice is not None:
        connection.add_log_listener(lambda _, message: on_notice(message))
    _give_up_dead_peers(connection, settings.timeout_seconds)
    return connection


def _statement_names(settings: PostgresSettings) -> dict[str, Any]:
    """Behind a pooler a prepared statement may meet another client's of its name, and ends with its transaction."""
    if not settings.is_pooled:
        return {}
    return {
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"fenced_{uuid.uuid4().hex}",
    }


def _give_up_dead_peers(connection: asyncpg.Connection, seconds: float) -> None:
    """Let the kernel end a connection whose peer acknowledges nothing; without it that takes 15 minutes."""
    transport = getattr(connection, "_transport", None)
    plain = transport.get_extra_info("socket") if transport is not None else None
    if plain is not None and plain.family in (socket.AF_INET, socket.AF_INET6):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))

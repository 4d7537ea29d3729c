"""A PostgreSQL database as source or target of a copy."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fenced.journal import leases
from fenced.journal.postgres.connections import commit, engine, transaction
from fenced.journal.postgres.errors import translated
from fenced.journal.postgres.settings import PostgresSettings
from fenced.journal.schema import LEASE

PATIENCE_SECONDS: Final = 3600.0
"""The limits of a transaction come from a lease of this length: a copy of a large store takes minutes."""


class PostgresEndpoint:
    """Implements `copying.Endpoint`. The rows of `lease` show whether a daemon uses the database."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = replace(settings, lease_ttl_seconds=PATIENCE_SECONDS)
        self.place = str(settings.url)

    @contextlib.asynccontextmanager
    async def opened(self, *, is_written: bool) -> AsyncIterator[AsyncConnection]:
        with translated(self.place):
            made = engine(self._settings, size=1, wait_seconds=self._settings.timeout_seconds)
            try:
                async with made.connect() as connection:
                    async with transaction(connection, self._settings, is_read_only=not is_written):
                        yield connection
                    await commit(connection)
            finally:
                await made.dispose()

    def holder(self, connection: Connection) -> str:
        """Lock all shards, so that no daemon takes one before the transaction ends; name a holder of one."""
        for shard in connection.execute(select(LEASE.c.shard).order_by(LEASE.c.shard)).scalars().all():
            row = leases.locked_lease_row(connection, shard)
            if row is not None and not (row.is_released or row.is_over):
                return row.name
        return ""

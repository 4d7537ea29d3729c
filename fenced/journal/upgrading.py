"""Raises the store's format to the newest that all living controllers read (`codec`).

A program that reads less is refused from then on, so this is the step of an upgrade that has no way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, update

from fenced import __version__
from fenced.journal import codec, controllers, migrations, standing
from fenced.journal.controllers import FormatReader
from fenced.journal.copying import Endpoint
from fenced.journal.schema import STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """The format before and now, the newest that this program knows, and who reads what."""

    before: int
    now: int
    newest: int
    readers: Sequence[FormatReader]

    @property
    def hindering(self) -> Sequence[FormatReader]:
        """Return the living controllers because of which the store has no newer format."""
        return [it for it in self.readers if it.is_alive and self.now <= it.format < self.newest]

    @property
    def left_behind(self) -> Sequence[FormatReader]:
        """Return the controllers that don't run, and can't start again as they were."""
        return [it for it in self.readers if not it.is_alive and it.format < self.now]


async def upgrade(endpoint: Endpoint, *, lease_seconds: float) -> Upgraded:
    """Raise the format as far as that is allowed. Raises StoreError."""
    async with endpoint.opened(is_written=True) as connection:
        return await connection.run_sync(_upgrade, endpoint.place, lease_seconds)


def _upgrade(connection: Connection, place: str, lease_seconds: float) -> Upgraded:
    schema = migrations.number_of(connection, place=place)
    before = standing.read(connection, is_locked=True).format
    readers = controllers.format_readers(connection, lease_seconds=lease_seconds)
    newest = min([codec.FORMAT, *(it.format for it in readers if it.is_alive)])
    if newest > before:
        program = {"program": __version__} if schema <= max(migrations.MIGRATIONS) else {}
        connection.execute(update(STORE).values(format=newest, **program))
    return Upgraded(before=before, now=max(before, newest), newest=codec.FORMAT, readers=readers)

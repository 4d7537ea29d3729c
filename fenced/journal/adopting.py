"""Makes a database the store of this installation from now on, once a person said so (S20, S22).

A dump that was restored keeps the id of its original, which is gone: proxies go on to obey it. A clone beside its
original gets an id of its own, which no proxy obeys until it is told to. Either way records may be missing that no
controller here saw. So the next epochs are above all that is known, the next holder waits as long as any command may
act, and fences nothing by itself until a person releases the store.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select, update

from fenced.journal import files, following, migrations, standing, statements
from fenced.journal.copying import Endpoint
from fenced.journal.leases import EPOCH_JUMP, EPOCH_MAX
from fenced.journal.schema import LEASE, STORE
from fenced.journal.seen import Seen, SeenFile
from fenced.journal.standing import Standing
from fenced.journal.store_id import IdFile
from fenced.ports.journal import StoreError

_CLONE: Final = "a person made this copy a store of its own: its inventory may name hosts that the original fences"
_ADOPTED: Final = "a person adopted this database as the store: the last records may be missing"


class Step(Enum):
    """What an adoption has to change: nothing, only the state directory, or the store."""

    NOTHING = "nothing"
    HERE = "here"
    STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the database says, and what this state directory knows of its store. `epoch`: the newest that was drawn.
    `newest`: the newest record by shard. `holder`: who acts on it now, "" for nobody. `kept`: the id of the store that
    belongs to the state directory, `seen` what it saw of it; None for a new one. `lacks`: what it saw and the database
    does not hold."""

    stands: Standing
    schema: int
    epoch: int
    newest: Mapping[str, int]
    holder: str
    kept: str | None
    seen: Seen | None
    lacks: str

    @property
    def is_other(self) -> bool:
        """Whether this state directory belongs to another store."""
        return self.kept not in {None, self.stands.id}

    def step(self, *, is_clone: bool) -> Step:
        """A store that controllers act on, or that a person adopted before, needs only to be accepted here."""
        if is_clone or self.stands.is_away:
            return Step.STORE
        if not self.is_other:
            return Step.NOTHING
        return Step.HERE if self.holder or self.stands.adopted else Step.STORE


async def look(endpoint: Endpoint, state_dir: Path) -> Known:
    """Return what is known, and change nothing. Raises StoreError."""
    with files.translated():
        kept, seen = IdFile(state_dir).read(), SeenFile(state_dir).read()
    async with endpoint.opened(is_written=True) as connection:
        return await connection.run_sync(_look, endpoint, kept, seen)


async def adopt(endpoint: Endpoint, state_dir: Path, known: Known, *, is_clone: bool) -> Known:
    """Do what is needed, and return what is known then. Raises StoreError if somebody acts on the store, or if it is
    not as it was looked at.

    The state directory changes last: a command that breaks off is repeated.
    """
    store_id = known.stands.id
    if known.step(is_clone=is_clone) is Step.STORE:
        async with endpoint.opened(is_written=True) as connection:
            store_id = await connection.run_sync(_adopt, endpoint, known, is_clone)
    with files.translated():
        IdFile(state_dir).write(store_id)
    return await look(endpoint, state_dir)


def _look(connection: Connection, endpoint: Endpoint, kept: str | None, seen: Seen | None) -> Known:
    schema = migrations.number_of(connection, place=endpoint.place)
    stands = standing.read(connection)
    is_same = seen is not None and seen.store == stands.id
    lacks = following.missing(connection, shard=seen.shard, since=seen.position) if seen and is_same else ""
    return Known(
        stands=stands,
        schema=schema,
        epoch=_newest_epoch(connection),
        newest={row.shard: row.sequence for row in connection.execute(select(LEASE.c.shard, LEASE.c.sequence))},
        holder=endpoint.holder(connection),
        kept=kept,
        seen=seen,
        lacks=lacks,
    )


def _adopt(connection: Connection, endpoint: Endpoint, known: Known, is_clone: bool) -> str:
    """Return the store's id. Whoever held a lease of the original has none of this one."""
    if who := endpoint.holder(connection):
        raise StoreError(f"{endpoint.place}: {who} acts on this store; stop it, and try again when its lease is over")
    now = standing.read(connection, is_locked=True)
    if now != known.stands:
        raise StoreError(f"{endpoint.place}: the store changed meanwhile; look at it again")
    seen = known.seen or Seen()
    above = max(_newest_epoch(connection), seen.floor, seen.epoch)
    epoch = above + EPOCH_JUMP
    if epoch >= EPOCH_MAX:
        raise StoreError(f"epoch {above} is too high: fenced.seen in state_dir names it, or the store; set it right")
    store_id = str(uuid.uuid4()) if is_clone else now.id
    connection.execute(
        update(STORE).values(
            id=store_id, epochs=epoch, home=now.server, adopted=epoch, doubt=_CLONE if is_clone else _ADOPTED
        )
    )
    connection.execute(
        update(LEASE).values(
            epoch=epoch, holder="", place="", until=0.0, batch=LEASE.c.batch + 1, released_by="", released_to="",
            released_at=statements.wall_time(connection.dialect.name), is_doubted=True,
        )
    )  # fmt: skip
    return store_id


def _newest_epoch(connection: Connection) -> int:
    """Return the newest epoch that was drawn. Raises StoreError if a person made it none."""
    drawn = connection.execute(select(STORE.c.epochs)).scalar_one()
    epochs = (drawn, *connection.execute(select(LEASE.c.epoch)).scalars())
    numbers = [epoch for epoch in epochs if isinstance(epoch, int)]
    if len(numbers) != len(epochs):
        raise StoreError("the epoch of the lease cannot be read: it is not a number")
    return max(numbers)

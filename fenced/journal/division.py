"""Keeps two controllers that divide the fleet into shards differently from holding shards at the same time (S20).

A host that one of them has in its shard and the other one in another would have two owners. A reload can't move a host,
but a start with changed files can, also one after a crash. Each holder writes its division into its lease, and nobody
takes a shard beside a living holder with another one. Takings come one after the other: each holds the store's row.
"""

import hashlib
from collections.abc import Mapping

from sqlalchemy import Connection, select

from fenced.journal import statements
from fenced.journal.schema import LEASE
from fenced.model.names import MAIN_SHARD
from fenced.ports.journal import NotTaken

CHARACTERS = 32


def division(shards: Mapping[str, str]) -> str:
    """Return what names a division: the shard of each host. Hosts may come and go in `main` without changing it."""
    made = hashlib.sha256()
    for host, shard in sorted(shards.items()):
        if shard != MAIN_SHARD:
            made.update(f"{host}\n{shard}\n".encode())
    return made.hexdigest()[:CHARACTERS]


def check(connection: Connection, shard: str, own: str) -> None:
    """Raises NotTaken if the living holder of another shard divides the fleet differently. "": not known."""
    if connection.dialect.name != "postgresql" or not own:
        return  # an SQLite file holds one shard
    lease = LEASE.c
    is_alive = lease.until >= statements.wall_time("postgresql")
    found = select(lease.shard, lease.name).where(
        lease.shard != shard, is_alive, lease.division.not_in(("", own))
    )  # fmt: skip
    other = connection.execute(found.order_by(lease.shard).limit(1)).one_or_none()
    if other is not None:
        raise NotTaken(
            f"shard {shard} is not taken: {other.name}, which holds shard {other.shard}, divides the fleet into shards "
            "in another way, so that a host could have two owners; give both controllers the same files, and to move "
            "hosts between shards stop every controller first"
        )

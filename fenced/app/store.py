"""Builds what reaches the store that `[store]` or a command names."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fenced.app.clocks import Clocks
from fenced.config.configuration import Configuration, StoreConfiguration
from fenced.host import machine
from fenced.journal.copying import Endpoint
from fenced.journal.database import SqlJournal
from fenced.journal.division import division
from fenced.journal.glances import Glances
from fenced.journal.instance import instance
from fenced.journal.sqlite.endpoint import SqliteEndpoint
from fenced.journal.sqlite.store import SqliteJournal
from fenced.model.inventory import Inventory
from fenced.model.names import MAIN_SHARD
from fenced.model.store_urls import POSTGRESQL, PostgresUrl
from fenced.ports.journal import ClockAnchor, Loaded, StoreError

if TYPE_CHECKING:
    from fenced.journal.postgres.looking import SharedLooks
    from fenced.journal.postgres.settings import PostgresSettings


def shard_dir(state_dir: Path, shard: str) -> Path:
    """Return where a controller keeps what it knows of one shard; it need not exist."""
    return state_dir if shard == MAIN_SHARD else state_dir / "shards" / shard


def divide(journal: SqlJournal, inventory: Inventory) -> None:
    """Tell the journal how this configuration divides the fleet; from the next renewal on its lease says so."""
    journal.division = division({str(name): inventory.shard_of(host) for name, host in inventory.hosts.items()})


def glances_of(configuration: Configuration) -> "SharedLooks | None":
    """Return what looks for several shards at once; None where the store holds one. Raises StoreError."""
    store = configuration.store
    if store.postgres is None:
        return None
    settings = postgres_settings(configuration, store.postgres)
    from fenced.journal.postgres.looking import SharedLooks

    return SharedLooks(settings)


def journal_of(configuration: Configuration, *, shard: str = MAIN_SHARD, glances: Glances | None = None) -> SqlJournal:
    """Return the journal of a shard, not opened. Its directory exists. Raises StoreError, MachineError."""
    store, state_dir = configuration.store, configuration.state_dir
    if store.postgres is None:
        ttl = configuration.inventory.daemon.lease_ttl_seconds
        return SqliteJournal(url=store.url, state_dir=state_dir, lease_ttl_seconds=ttl)
    settings = postgres_settings(configuration, store.postgres)
    from fenced.journal.postgres.place import place
    from fenced.journal.postgres.store import PostgresJournal

    where = place(state_dir, boot=machine.boot_id())  # one controller, whatever it holds
    directory = shard_dir(state_dir, shard)
    return PostgresJournal(settings, state_dir=directory, place=where, shard=shard, glances=glances)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The store of one shard, opened."""

    journal: SqlJournal
    loaded: Loaded
    kept: ClockAnchor | None


async def opened(configuration: Configuration, shard: str, *, glances: Glances | None = None) -> Opened:
    """Open the store of one shard; the caller closes its journal. Raises StoreError, MachineError."""
    directory = shard_dir(configuration.state_dir, shard)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as exc:
        raise StoreError(f"can't make {directory}: {exc.strerror or exc}; make it for the daemon's user") from exc
    journal = journal_of(configuration, shard=shard, glances=glances)
    divide(journal, configuration.inventory)
    loaded = await journal.open(holder=configuration.inventory.daemon.name, now=time.time())
    try:
        return Opened(journal=journal, loaded=loaded, kept=await journal.clock_anchor())
    except BaseException:
        await journal.close()
        raise


def clocks_of(store: Opened) -> Clocks:
    """Return clocks that continue the time of the shard's journal."""
    return Clocks(kept=store.kept, last_at=store.loaded.last_at, steady_at=store.loaded.steady_at)


def markers_of(store: StoreConfiguration, *, state_dir: Path, store_id: str) -> frozenset[str]:
    """Return the markers of programs that only an earlier run of this state directory can have left.

    Earlier versions used the id of the store. A store in PostgreSQL is not this daemon's alone: there the id may mark
    the running agents of another controller. Raises StoreError.
    """
    own = frozenset({instance(state_dir)})
    return own | {store_id} if store.postgres is None else own


def endpoint_of(configuration: Configuration, url: str) -> Endpoint:
    """Return the store of a URL, with the login and certificates of `[store]`. Raises StoreError, ValueError."""
    if not url.startswith(POSTGRESQL):
        return SqliteEndpoint(url, configuration.state_dir)
    settings = postgres_settings(configuration, PostgresUrl.parse(url))
    from fenced.journal.postgres.endpoint import PostgresEndpoint

    return PostgresEndpoint(settings)


def postgres_settings(configuration: Configuration, url: PostgresUrl) -> "PostgresSettings":
    """Return how to reach a database, with the login and certificates of `[store]`.

    Raises StoreError where its driver is not installed, which is an extra.
    """
    store = configuration.store
    try:
        import asyncpg  # noqa: F401

        from fenced.journal.postgres.settings import PostgresSettings
    except ModuleNotFoundError as exc:
        raise StoreError(f"{url}: PostgreSQL needs the package {exc.name}: install fenced[postgresql]") from exc
    return PostgresSettings(
        url=url,
        lease_ttl_seconds=configuration.inventory.daemon.lease_ttl_seconds,
        password=store.password,
        ca_file=store.tls.ca_file,
        cert_file=store.tls.cert_file,
        key_file=store.tls.key_file,
        is_pooled=store.is_pooled,
    )

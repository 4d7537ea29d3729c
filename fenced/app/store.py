"""Builds the journal that `[store]` names."""

from fenced.config.configuration import Configuration
from fenced.host import machine
from fenced.journal.database import SqlJournal
from fenced.journal.sqlite.store import SqliteJournal
from fenced.ports.journal import StoreError


def journal_of(configuration: Configuration) -> SqlJournal:
    """Return the journal, not opened. `state_dir` exists. Raises StoreError, MachineError."""
    store, state_dir = configuration.store, configuration.state_dir
    if store.postgres is None:
        return SqliteJournal(url=store.url, state_dir=state_dir)
    try:
        from fenced.journal.postgres.place import place
        from fenced.journal.postgres.settings import PostgresSettings
        from fenced.journal.postgres.store import PostgresJournal  # asyncpg is an extra
    except ModuleNotFoundError as exc:
        raise StoreError(
            f"{store.postgres}: PostgreSQL needs the package {exc.name}: install fenced[postgresql]"
        ) from exc
    settings = PostgresSettings(
        url=store.postgres,
        lease_ttl_seconds=configuration.inventory.daemon.lease_ttl_seconds,
        password=store.password,
        ca_file=store.tls.ca_file,
        cert_file=store.tls.cert_file,
        key_file=store.tls.key_file,
        is_pooled=store.is_pooled,
    )
    return PostgresJournal(settings, state_dir=state_dir, place=place(state_dir, boot=machine.boot_id()))

"""How to reach the database, and the time limits of a transaction (S20)."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.model.inventory import Secret
from fenced.model.store_urls import PostgresUrl

CONNECT_SECONDS_MAX: Final = 5.0
TIMEOUT_SHARE: Final = 3.0
"""No statement, wait for a lock, or pause inside a transaction takes longer than this share of the lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """`ca_file` None: no TLS. `is_pooled`: a pooler such as PgBouncer lends connections for one transaction."""

    url: PostgresUrl
    lease_ttl_seconds: float
    password: Secret | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    is_pooled: bool = False

    @property
    def timeout_seconds(self) -> float:
        """Return the limit of a statement, of a wait for a lock, and of a pause inside a transaction."""
        return self.lease_ttl_seconds / TIMEOUT_SHARE

    def tls(self) -> ssl.SSLContext | None:
        """Return a context that checks the server's certificate and name. Raises OSError, ssl.SSLError."""
        if self.ca_file is None and not self.url.is_tls:
            return None
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file is not None else None)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

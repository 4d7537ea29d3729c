"""The whole configuration, resolved: absolute paths, secrets read, defaults filled in. Values only.

Knows no file format. It exists only without mistakes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fenced.config.keys import ALL
from fenced.model.api_tokens import ApiToken
from fenced.model.bus_urls import BusScheme
from fenced.model.credentials import StoredCredential
from fenced.model.inventory import Inventory, Secret
from fenced.model.look_rules import LookRules
from fenced.model.store_urls import PostgresUrl

Tokens = tuple[ApiToken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsClient:
    """The files of a TLS client; None: not given."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusConfiguration:
    """`[bus]`: how to reach the broker. `url` is as written, possibly without a port."""

    url: str = "mqtt://127.0.0.1:1883"
    scheme: BusScheme = "mqtt"
    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password: Secret | None = None
    tls: TlsClient = field(default_factory=TlsClient)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfiguration:
    """`[store]`. `url` as written; `path`: the absolute file of SQLite's, else None; `postgres`: the other's parts.

    `shards`: as written; `Configuration.shards` has the names. `shards_at_most`: 0: its fair share.
    """

    url: str
    path: Path | None = None
    postgres: PostgresUrl | None = None
    password: Secret | None = None
    tls: TlsClient = field(default_factory=TlsClient)
    is_pooled: bool = False
    shards: tuple[str, ...] = (ALL,)
    shards_at_most: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfiguration:
    """`[api]`. Without `tokens` it listens only on loopback, and TCP only reads unless `tcp_writes`.

    `page`: it has a page for people. `socket`: the unix socket, or None. `is_socket_chosen`: it is not the default; the
    daemon does not start without.
    `hosts`: names under which the API answers beside loopback names and its address. `advertise`: its URL for others,
    or "".
    """

    host: str = "127.0.0.1"
    port: int = 8470
    advertise: str = ""
    socket: Path | None = None
    is_socket_chosen: bool = False
    tcp_writes: bool = False
    page: bool = True
    hosts: tuple[str, ...] = ()
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tokens: Tokens = ()
    requests_per_second: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What `fenced run` needs. `inventory.daemon` has the settings of the core and the engine."""

    file: Path
    state_dir: Path
    agent_path: tuple[Path, ...]
    bus: BusConfiguration
    store: StoreConfiguration
    api: ApiConfiguration
    proxy_client: TlsClient
    inventory: Inventory

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards that this controller may hold, sorted. Looks at every host."""
        words = self.store.shards
        return tuple(shard for shard in self.inventory.shards if ALL in words or shard in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfiguration:
    """The proxy agent's file. `allow`: common names of client certificates, without `CN=`.

    `options`, `file_dirs`: options and folders of the proxy's machine that calls may name. `look`: what it may look at
    for daemons; None: nothing.
    """

    name: str
    host: str
    port: int
    state_dir: Path
    tls_cert_file: Path | None
    tls_key_file: Path | None
    client_ca_file: Path | None
    allow: frozenset[str]
    agent_path: tuple[Path, ...]
    agent_processes: int
    has_warm_agents: bool
    credentials: Mapping[str, StoredCredential]
    options: frozenset[str]
    file_dirs: tuple[Path, ...]
    look: LookRules | None = None

"""Loads a configuration file and its inventory: a Configuration, or the list of every mistake in all files.

One mistake anywhere means that there is no Configuration. Errors never stop a run early.
"""

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fenced.config import names, places
from fenced.config.build import Builder, Built
from fenced.config.checks import run as checks
from fenced.config.checks.draft import Draft
from fenced.config.configuration import ApiConfiguration, Configuration
from fenced.config.digest import digest
from fenced.config.entries import Entries
from fenced.config.inventory_tables import LISTS
from fenced.config.keys import NAME_PATTERN
from fenced.config.mistakes import Mistake, Mistakes, Where, whole
from fenced.config.own_machine import OwnMachine
from fenced.config.read import find_files, read_inventory, read_toml
from fenced.config.resolve import Resolver, resolve_names
from fenced.config.secret_sources import SecretReader
from fenced.config.settings import Settings
from fenced.config.tables import MainTables
from fenced.config.tokens import read_tokens
from fenced.config.validate import parse
from fenced.config.via import read_via
from fenced.model.bus_urls import BusUrl
from fenced.model.drivers import Catalogue, Describe
from fenced.model.store_urls import PostgresUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`configuration` is None when there are errors; warnings stop nothing."""

    configuration: Configuration | None
    errors: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load(
    path: Path,
    *,
    own_machine: OwnMachine,
    environ: Mapping[str, str],
    catalogue: Catalogue,
    resolve: Resolver = resolve_names,
    is_outside_unit: bool = False,
) -> Loaded:
    """Read the main file and all inventory files. Raises nothing, whatever they contain, and if one is missing.

    `is_outside_unit`: check only, where systemd gives no credentials.
    """
    loader = _Loader(
        path=path,
        own_machine=own_machine,
        environ=environ,
        catalogue=catalogue,
        resolve=resolve,
        is_outside_unit=is_outside_unit,
    )
    with _no_garbage_collection():
        configuration = whole(path, loader.mistakes, loader.load)
    mistakes = loader.mistakes
    return Loaded(
        configuration=None if mistakes.errors else configuration,
        errors=tuple(mistakes.errors),
        warnings=tuple(mistakes.warnings),
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A large inventory makes a million lasting objects; scanning them again and again takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(slots=True, kw_only=True)
class _Loader:
    path: Path
    own_machine: OwnMachine
    environ: Mapping[str, str]
    catalogue: Catalogue
    resolve: Resolver
    is_outside_unit: bool
    mistakes: Mistakes = field(default_factory=Mistakes)

    @property
    def where(self) -> Where:
        return Where(str(self.path))

    @property
    def base(self) -> Path:
        return self.path.parent

    def load(self) -> Configuration | None:
        raw = read_toml(self.path, self.mistakes)
        if raw is None:
            return None
        parsed = parse(
            MainTables, {key: value for key, value in raw.items() if key not in LISTS}, self.where, self.mistakes
        )
        main = parsed.table
        entries = self._entries(raw, main)
        secrets = SecretReader(self.environ, self.mistakes, is_outside_unit=self.is_outside_unit)
        settings = Settings(main)
        built = Builder(
            entries=entries,
            settings=settings,
            secrets=secrets,
            describe=self._describe(main, entries),
            mistakes=self.mistakes,
            broker=self._broker(main),
            database=self._database(main),
            via=read_via(main.proxy_client, self.where.key("proxy_client"), self.base, secrets, self.mistakes),
        ).build(self._daemon_name(main))
        addresses = names.resolve_all(built, self.resolve)
        names.mark_own_machine(built, addresses, self.own_machine, main.daemon.runs_on)
        names.mark_targets(built, addresses)
        configuration = self._configuration(main, built, secrets)
        draft = Draft(
            main=main,
            where=self.where,
            entries=entries,
            settings=settings,
            built=built,
            configuration=configuration,
            addresses=addresses,
            identifying=tuple(native.name for native in self.catalogue.natives() if native.can_identify),
        )
        checks.run(draft, self.mistakes)
        secrets.tell_open()
        return configuration

    def _broker(self, main: MainTables) -> OwnMachine:
        """The broker's machine, by the name in the URL; `places` reports a URL that has none."""
        try:
            host = BusUrl.parse(main.bus.url).host
        except ValueError:
            host = ""
        return OwnMachine(hostname=host)

    def _database(self, main: MainTables) -> OwnMachine:
        """The servers of a PostgreSQL store, by the names in the URL; `places` reports a URL that has none."""
        try:
            found = PostgresUrl.parse(main.store.url).hosts
        except ValueError:
            found = ()
        return OwnMachine(hostname="", names=frozenset(host for host, _ in found))

    def _entries(self, raw: Mapping[str, Any], main: MainTables) -> Entries:
        entries = Entries()
        for key in raw.keys() - set(LISTS) - MainTables.model_fields.keys():
            entries.miss(key)
        entries.add(str(self.path), self.base, raw, self.mistakes)
        is_default = "files" not in main.inventory.model_fields_set
        where = self.where.key("inventory").key("files")
        for index, pattern in enumerate(main.inventory.files):
            for file in find_files(pattern, self.base, where.item(index), self.mistakes, can_be_empty=is_default):
                self._add_file(entries, file)
        return entries

    def _add_file(self, entries: Entries, file: Path) -> None:
        lists = read_inventory(file, self.mistakes)
        if lists is None:
            entries.is_whole = False
            return
        for key in lists.keys() - set(LISTS):
            entries.miss(str(key))
            self.mistakes.error(
                Where(str(file)).key(str(key)),
                f"unknown key; an inventory file may have {', '.join(f'[[{name}]]' for name in LISTS)}",
                value=lists[key],
            )
        entries.add(str(file), file.parent, lists, self.mistakes)

    def _describe(self, main: MainTables, entries: Entries) -> Describe:
        names = {device.table.driver for host in entries.all_hosts for device in host.devices}
        return self.catalogue.describing(
            names - {""},
            agent_path=[str(places.absolute(name, self.base)) for name in main.daemon.agent_path],
            state_dir=str(places.absolute(main.daemon.state_dir, self.base)),
        )

    def _daemon_name(self, main: MainTables) -> str:
        name = main.daemon.name or self.own_machine.hostname
        if NAME_PATTERN.fullmatch(name) is None:
            self.mistakes.error(
                self.where.key("daemon").key("name"),
                "the machine's host name is not a valid name: set one here",
                value=name,
            )
        return name

    def _configuration(self, main: MainTables, built: Built, secrets: SecretReader) -> Configuration:
        where, base, mistakes = self.where, self.base, self.mistakes
        daemon = where.key("daemon")
        state_dir = places.folder(main.daemon.state_dir, base, daemon.key("state_dir"), mistakes)
        bus = places.bus(main.bus.url, main.bus, base, where.key("bus"), secrets, mistakes)
        store = places.store(main.store, state_dir, base, where.key("store"), secrets, mistakes)
        if store.postgres is not None and bus.scheme == "embedded":
            mistakes.error(
                where.key("bus").key("url"), "a built-in broker ends with its daemon; with PostgreSQL use mqtt://",
                value=bus.url, unit="URL",
            )  # fmt: skip
        api = self._api(main, secrets)
        inventory = replace(built.inventory, digest=digest(built.inventory))
        return Configuration(
            file=self.path.absolute(),
            state_dir=state_dir,
            agent_path=places.folders(main.daemon.agent_path, base, daemon.key("agent_path"), mistakes),
            bus=bus,
            store=store,
            api=api,
            proxy_client=places.tls_client(main.proxy_client, base, where.key("proxy_client"), secrets, mistakes),
            inventory=replace(inventory, daemon=replace(inventory.daemon, address=api.advertise)),
        )

    def _api(self, main: MainTables, secrets: SecretReader) -> ApiConfiguration:
        table, where = main.api, self.where.key("api")
        host, port = places.listen(table.listen, where.key("listen"), self.mistakes)
        cert, key = places.key_pair(
            ("tls_cert_file", table.tls_cert_file),
            ("tls_key_file", table.tls_key_file),
            self.base,
            where,
            secrets,
            self.mistakes,
        )
        tokens = (
            read_tokens(
                places.absolute(table.tokens_file, self.base),
                where.key("tokens_file"),
                secrets,
                self.mistakes,
                now=time.time(),
            )
            if table.tokens_file
            else ()
        )
        return ApiConfiguration(
            host=host,
            port=port,
            advertise=places.advertised(
                table.advertise, host, port, where.key("advertise"), self.mistakes, is_tls=cert is not None
            ),
            socket=places.socket_to_be(table.socket, self.base, where.key("socket"), self.mistakes),
            is_socket_chosen=table.socket != type(table).model_fields["socket"].default,
            tcp_writes=table.tcp_writes,
            page=table.page,
            hosts=table.hosts,
            tls_cert_file=cert,
            tls_key_file=key,
            tokens=tokens,
            requests_per_second=table.requests_per_second,
        )

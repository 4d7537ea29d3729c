"""A configuration file and its inventory become a Configuration, or the list of everything that is wrong with them.

Knows no daemon. One rule: all or nothing, and all mistakes of all files in one run.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fenced.config import not_yet, outlets, places, timing
from fenced.config.build import Builder, Built
from fenced.config.configuration import ApiConfiguration, Configuration, StoreConfiguration, TlsClient
from fenced.config.entries import Entries, Entry
from fenced.config.inventory_tables import LISTS
from fenced.config.keys import NAME_PATTERN
from fenced.config.levels import Levels
from fenced.config.mistakes import Mistake, Mistakes, Where
from fenced.config.own_machine import OwnMachine
from fenced.config.reach import Reach
from fenced.config.read import find_files, read_inventory, read_toml
from fenced.config.resolve import Resolver, resolve_names
from fenced.config.secret_sources import SecretReader
from fenced.config.settings import Settings, set_keys
from fenced.config.tables import DetectionOfOne, MainTables, PowerOfOne, RaceTable
from fenced.config.tokens import read_tokens
from fenced.config.validate import parse
from fenced.config.via import read_via
from fenced.model.inventory import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`configuration` is None when there are errors; warnings stop nothing."""

    configuration: Configuration | None
    errors: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load(
    path: Path, *, own_machine: OwnMachine, environ: Mapping[str, str], resolve: Resolver = resolve_names
) -> Loaded:
    """Read the main file and all inventory files. Raises nothing for what is in them or is missing."""
    loader = _Loader(path=path, own_machine=own_machine, environ=environ, resolve=resolve)
    with _no_garbage_collection():
        configuration = loader.load()
    mistakes = loader.mistakes
    return Loaded(
        configuration=None if mistakes.errors else configuration,
        errors=tuple(mistakes.errors),
        warnings=tuple(mistakes.warnings),
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A large inventory makes a million lasting objects; going through them over and over is a third of the time."""
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
    resolve: Resolver
    mistakes: Mistakes = field(default_factory=Mistakes)
    unsure_of_main: frozenset[str] = frozenset()

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
        self.unsure_of_main = self._unsure_of_main()
        entries = self._entries(raw, main)
        secrets = SecretReader(self.environ, self.mistakes)
        settings = Settings(main)
        built = Builder(
            entries=entries,
            settings=settings,
            secrets=secrets,
            own_machine=self.own_machine,
            mistakes=self.mistakes,
            via=read_via(main.proxy_client, self.where.key("proxy_client"), self.base, secrets, self.mistakes),
        ).build(self._daemon_name(main))
        configuration = self._configuration(main, built, secrets)
        self._check(main, entries, settings, built, configuration)
        secrets.tell_open_to_all()
        return configuration

    def _unsure_of_main(self) -> frozenset[str]:
        """The keys of one host that were refused in the main file; all, where a whole table was."""
        return frozenset(
            key
            for table, model in (("detection", DetectionOfOne), ("power", PowerOfOne), ("race", RaceTable))
            for key in model.model_fields
            if self.mistakes.is_refused(self.where.key(table).key(key))
        )

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
                f"unknown key; an inventory file has {', '.join(f'[[{name}]]' for name in LISTS)}",
                value=lists[key],
            )
        entries.add(str(file), file.parent, lists, self.mistakes)

    def _daemon_name(self, main: MainTables) -> str:
        name = main.daemon.name or self.own_machine.hostname
        if NAME_PATTERN.fullmatch(name) is None:
            self.mistakes.error(
                self.where.key("daemon").key("name"),
                "the machine's host name can't be a name here: give one",
                value=name,
            )
        return name

    def _configuration(self, main: MainTables, built: Built, secrets: SecretReader) -> Configuration:
        where, base, mistakes = self.where, self.base, self.mistakes
        state_dir = places.absolute(main.daemon.state_dir, base)
        store = places.store_path(main.store.url, state_dir, where.key("store").key("url"), mistakes)
        return Configuration(
            file=self.path.absolute(),
            state_dir=state_dir,
            agent_path=tuple(places.absolute(name, base) for name in main.daemon.agent_path),
            bus=places.bus(main.bus.url, main.bus, base, where.key("bus"), secrets, mistakes),
            store=StoreConfiguration(url=main.store.url, path=store),
            api=self._api(main, secrets),
            proxy_client=places.tls_client(main.proxy_client, base, where.key("proxy_client"), mistakes),
            inventory=built.inventory,
        )

    def _api(self, main: MainTables, secrets: SecretReader) -> ApiConfiguration:
        table, where = main.api, self.where.key("api")
        host, port = places.listen(table.listen, where.key("listen"), self.mistakes)
        cert, key = places.key_pair(
            ("tls_cert_file", table.tls_cert_file),
            ("tls_key_file", table.tls_key_file),
            self.base,
            where,
            self.mistakes,
        )
        tokens = (
            read_tokens(places.absolute(table.tokens_file, self.base), where.key("tokens_file"), secrets, self.mistakes)
            if table.tokens_file
            else ()
        )
        if is_only_here(host):
            pass
        elif not table.tokens_file:
            self.mistakes.error(where.key("tokens_file"), "is missing: listen is not a loopback address", unit="file")
        elif cert is None:
            self.mistakes.warning(
                where.key("tls_cert_file"), "is missing: tokens go over the network in clear", unit="file"
            )
        return ApiConfiguration(
            host=host,
            port=port,
            tls_cert_file=cert,
            tls_key_file=key,
            tokens=tokens,
            requests_per_second=table.requests_per_second,
        )

    def _check(
        self, main: MainTables, entries: Entries, settings: Settings, built: Built, configuration: Configuration
    ) -> None:
        where, mistakes = self.where, self.mistakes
        not_yet.check_main(main, where, mistakes)
        timing.check_main(settings.of_host(), where, mistakes)
        is_bus_known = not mistakes.is_told(where.key("bus").key("url"))
        if "confirm_off" in main.bus.accept_requests and configuration.bus.scheme != "mqtts" and is_bus_known:
            mistakes.error(
                where.key("bus").key("accept_requests"), "confirm_off needs mqtts://", value=main.bus.accept_requests
            )
        if not built.hosts and entries.is_whole and not mistakes.is_refused(where.key("inventory").key("files")):
            mistakes.warning(where, "there is no host: nothing will be looked after")
        self._check_scopes(entries, settings)
        self._check_proxies(entries, built, configuration.proxy_client)
        Reach(built=built, entries=entries, agent_path=configuration.agent_path, mistakes=mistakes).check(
            where, main.defaults.proxies
        )
        self._check_hosts(entries, built, Levels(entries=entries, settings=settings, race=main.race, main=where))
        outlets.check_plugs(built.hosts, self.resolve, where, mistakes)

    def _check_scopes(self, entries: Entries, settings: Settings) -> None:
        """What data centres and clusters say of their hosts; each is judged with what is above it."""
        above: dict[str, Mapping[str, Any]] = {}
        for datacenter in entries.all_datacenters:
            said = set_keys(datacenter.table)
            above.setdefault(datacenter.table.name, said)
            merged = settings.of_host(said)
            unsure = self._unsure(datacenter)
            timing.check_scope(merged.detection, merged.power, said, datacenter.where, self.mistakes, unsure=unsure)
            not_yet.check_remedies(said, datacenter.where, self.mistakes)
        for cluster in entries.all_clusters:
            said = set_keys(cluster.table)
            merged = settings.of_host(above.get(cluster.table.datacenter, {}), said)
            unsure = self._unsure(cluster, entries.datacenters.get(cluster.table.datacenter))
            timing.check_scope(merged.detection, merged.power, said, cluster.where, self.mistakes, unsure=unsure)
            not_yet.check_remedies(said, cluster.where, self.mistakes)

    def _unsure(self, *chain: Entry[Any] | None) -> frozenset[str]:
        """The keys that were refused in any of these or in the main file: what holds instead is not what was meant."""
        refused = [entry.refused for entry in chain if entry is not None and entry.refused]
        return frozenset(self.unsure_of_main.union(*refused)) if refused else self.unsure_of_main

    def _check_proxies(self, entries: Entries, built: Built, files: TlsClient) -> None:
        names = [name for name, proxy in built.inventory.proxies.items() if proxy.url.startswith("https://")]
        where = self.where.key("proxy_client")
        is_unsure = any(self.mistakes.is_told(where.key(key)) for key in ("ca_file", "cert_file", "key_file"))
        if not names or is_unsure or (files.ca_file and files.cert_file and files.key_file):
            return
        self.mistakes.error(
            where,
            f"ca_file, cert_file and key_file are needed for https:// proxies, as {names[0]} "
            f"({entries.proxies[names[0]].where})",
            unit="files",
        )

    def _check_hosts(self, entries: Entries, built: Built, levels: Levels) -> None:
        for host in built.hosts:
            entry, settings = host.entry, host.host.settings
            said = set_keys(entry.table)
            above = (entries.clusters.get(host.host.cluster), entries.datacenters.get(host.host.datacenter))
            unsure = self._unsure(entry, *above)
            if said:
                timing.check_scope(settings.detection, settings.power, said, entry.where, self.mistakes, unsure=unsure)
                not_yet.check_remedies(said, entry.where, self.mistakes)
            for device in host.devices:
                own = device.entry.table.model_fields_set
                its_unsure = unsure.union(device.entry.refused) if device.entry.refused else unsure
                timing.check_scope(
                    settings.detection, device.device.power, own, device.entry.where, self.mistakes, unsure=its_unsure
                )
            not_yet.check_identity(host, self.mistakes)
            levels.check(host, unsure)
            outlets.check_kinds(host, self.mistakes)
        levels.tell(self.mistakes)


def is_only_here(host: str) -> bool:
    """Whether who listens at this address is heard on this machine alone; the wildcards are heard everywhere."""
    return is_loopback(host) and host not in {"0.0.0.0", "::"}

"""A configuration file and its inventory become a Configuration, or the list of everything that is wrong with them.

Knows no daemon. One rule: all or nothing, and all mistakes of all files in one run.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fenced.config import agent_trust, device_options, identities, names, not_yet, outlets, places, timing
from fenced.config.build import Builder, Built, BuiltDevice
from fenced.config.configuration import ApiConfiguration, Configuration, StoreConfiguration, TlsClient
from fenced.config.entries import Entries, Entry
from fenced.config.heard_as import check_names
from fenced.config.inventory_tables import LISTS
from fenced.config.keys import NAME_PATTERN
from fenced.config.levels import Levels
from fenced.config.mistakes import Mistake, Mistakes, Where, whole
from fenced.config.own_machine import OwnMachine
from fenced.config.reach import Reach
from fenced.config.read import find_files, read_inventory, read_toml
from fenced.config.resolve import Resolver, resolve_names
from fenced.config.rounds import check_round
from fenced.config.secret_sources import SecretReader
from fenced.config.settings import Settings, set_keys
from fenced.config.tables import DetectionOfOne, MainTables, PowerOfOne, RaceTable
from fenced.config.tokens import read_tokens
from fenced.config.validate import parse
from fenced.config.via import read_via
from fenced.model.addresses import is_loopback
from fenced.model.drivers import Catalogue, Describe

PASSWORD_KEYS: Final = ("password_file", "password_env", "password_credential")


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
) -> Loaded:
    """Read the main file and all inventory files. Raises nothing for what is in them or is missing."""
    loader = _Loader(path=path, own_machine=own_machine, environ=environ, catalogue=catalogue, resolve=resolve)
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
    catalogue: Catalogue
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
            describe=self._describe(main, entries),
            mistakes=self.mistakes,
            broker=self._broker(main),
            via=read_via(main.proxy_client, self.where.key("proxy_client"), self.base, secrets, self.mistakes),
        ).build(self._daemon_name(main))
        addresses = names.resolve_all(built, self.resolve, self.where, self.mistakes)
        names.mark_own_machine(built, addresses, self.own_machine, self._runs_on(main, entries), self.mistakes)
        names.mark_targets(built, addresses)
        configuration = self._configuration(main, built, secrets)
        self._check(main, entries, settings, built, configuration)
        check_names(built, configuration.state_dir, self.mistakes)
        outlets.check_plugs(built.hosts, addresses, self.mistakes)
        secrets.tell_open_to_all()
        return configuration

    def _broker(self, main: MainTables) -> OwnMachine:
        """The machine of the broker, by the name in the URL; nobody's where that is a mistake, which is told elsewhere."""
        try:
            _, host, _ = places.split_bus_url(main.bus.url)
        except ValueError:
            host = ""
        return OwnMachine(hostname=host)

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
                "the machine's host name can't be a name here: give one",
                value=name,
            )
        return name

    def _runs_on(self, main: MainTables, entries: Entries) -> tuple[str, ...]:
        """The hosts that a person says this daemon runs on; each must be one."""
        where = self.where.key("daemon").key("runs_on")
        for index, name in enumerate(main.daemon.runs_on):
            if entries.is_whole and "host" not in entries.nameless and name not in entries.named["host"]:
                self.mistakes.error(where.item(index), "there is no host of this name", value=name, unit="name")
        return main.daemon.runs_on

    def _configuration(self, main: MainTables, built: Built, secrets: SecretReader) -> Configuration:
        where, base, mistakes = self.where, self.base, self.mistakes
        daemon = where.key("daemon")
        state_dir = places.folder(main.daemon.state_dir, base, daemon.key("state_dir"), mistakes)
        store = places.store_path(main.store.url, state_dir, where.key("store").key("url"), mistakes)
        return Configuration(
            file=self.path.absolute(),
            state_dir=state_dir,
            agent_path=places.folders(main.daemon.agent_path, base, daemon.key("agent_path"), mistakes),
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
        if is_loopback(host):
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
        check_round(main.check, built.inventory, where.key("check"), mistakes)
        is_bus_known = not mistakes.is_told(where.key("bus").key("url"))
        if "confirm_off" in main.bus.accept_requests and configuration.bus.scheme != "mqtts" and is_bus_known:
            mistakes.error(
                where.key("bus").key("accept_requests"), "confirm_off needs mqtts://", value=main.bus.accept_requests
            )
        if not built.hosts and entries.is_whole and not mistakes.is_refused(where.key("inventory").key("files")):
            mistakes.warning(where, "there is no host: nothing will be looked after")
        self._check_scopes(entries, settings)
        self._check_proxies(entries, built, configuration.proxy_client)
        agent_trust.check_agent_path(configuration.agent_path, where.key("daemon").key("agent_path"), mistakes)
        reach = Reach(built=built, entries=entries, agent_path=configuration.agent_path, mistakes=mistakes)
        reach.check(where, main.defaults.proxies)
        self._check_drivers(built, reach)
        self._check_hosts(entries, built, Levels(entries=entries, settings=settings, race=main.race, main=where))

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

    def _check_drivers(self, built: Built, reach: Reach) -> None:
        """What devices say to their drivers."""
        able = [description.name for description in self.catalogue.natives() if description.can_identify]
        options = device_options.OptionChecks(mistakes=self.mistakes)
        for host in built.hosts:
            identities.check_identity(host, able, self.mistakes)
            for device in host.devices:
                _check_options(device, options, is_run_here=reach.may_run_here(device.device, host.host))
        identities.check_between_hosts(built.hosts, self.mistakes)
        options.tell()

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
            levels.check(host, unsure)
            outlets.check_kinds(host, self.mistakes)
            outlets.check_feeds(host, self.mistakes)
        levels.tell(self.mistakes)
        self._check_addresses(built)

    def _check_addresses(self, built: Built) -> None:
        """One line, however many hosts nobody can ask before they are switched off."""
        answering = {proxy.machine for proxy in built.inventory.proxies.values()}
        mute = [
            host.entry
            for host in built.hosts
            if host.devices
            and not host.host.address
            and host.host.name not in answering
            and not host.host.is_own_machine
            and host.entry.is_sure_of("address")
        ]
        if mute:
            more = f" (and {len(mute) - 1} more hosts)" if len(mute) > 1 else ""
            self.mistakes.warning(
                mute[0].where,
                f"has no address: when it is silent, nobody can ask it whether it lives before it is switched off{more}",
                value=mute[0].table.name,
                unit="address",
            )


def _check_options(built: BuiltDevice, options: device_options.OptionChecks, *, is_run_here: bool) -> None:
    entry, table, spec = built.entry, built.entry.table, built.device.spec
    if built.description is None or not entry.is_sure_of("driver", "address", "username", "options", "secrets"):
        return
    password_key = next((key for key in PASSWORD_KEYS if getattr(table, key)), "")
    keys = {
        "address": ("address", table.address),
        "username": ("username", table.username),
        "password_file": (password_key, password_key),
    }
    given = device_options.Given(
        options=table.options,
        secrets=dict(spec.secrets),
        keys={set_by: said for set_by, said in keys.items() if said[1]},
        is_at_proxy=bool(spec.credential),
        is_run_here=is_run_here,
    )
    options.check(built.description, given, entry.where)

"""Builds the inventory of the model from the entries: follow references, merge settings, read secrets.

Knows no file format. A reference to something that does not exist is reported where it is written; building goes on as
if it were empty, so that `checks` still finds the other mistakes.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fenced.config import logins, option_shapes, places
from fenced.config.entries import Entries, Entry, HostEntry, given_twice
from fenced.config.inventory_tables import DeviceTable, HostTable, ProxyTable
from fenced.config.mistakes import Mistakes, Where
from fenced.config.own_machine import OwnMachine
from fenced.config.plugs import Plug, identify, is_name
from fenced.config.secret_sources import SecretReader
from fenced.config.settings import Settings, set_keys
from fenced.config.tables import PowerOfOne
from fenced.config.via import read_via
from fenced.model.addresses import canonical, is_loopback, names_nobody
from fenced.model.drivers import Describe, DriverDescription, NoSuchDriver
from fenced.model.inventory import Device, DeviceSpec, Host, Inventory, Proxy, Tls, Via
from fenced.model.names import ClusterName, DatacenterName, DeviceName, HostName, PlugId, ProxyName, UnitId
from fenced.model.power import Kind
from fenced.model.settings import HostSettings, SavingSettings

PROXY_PORT = 8471


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDevice:
    """A device with what only the checks need. `plug` is None where a refused key would decide it.

    `description` is None where there is no such driver. `is_sure_of_kind`: no key that decides the kind was refused.
    """

    entry: Entry[DeviceTable]
    device: Device
    plug: Plug | None
    description: DriverDescription | None = None
    is_sure_of_kind: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltHost:
    """A host with what only the checks need."""

    entry: Entry[HostTable]
    host: Host
    devices: tuple[BuiltDevice, ...]


@dataclass(slots=True, kw_only=True)
class Built:
    """The inventory, and its hosts with their places in the files; last come hosts without a usable name.

    `is_sure_of_places`: no key that places a proxy was refused, and all of them name something that exists.
    """

    inventory: Inventory
    is_sure_of_places: bool
    hosts: list[BuiltHost] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Builder:
    """Builds one inventory from the entries of one run."""

    entries: Entries
    settings: Settings
    secrets: SecretReader
    describe: Describe
    mistakes: Mistakes
    broker: OwnMachine
    database: OwnMachine
    _described: dict[str, DriverDescription | str] = field(default_factory=dict)
    via: Via | None = None
    _overrides: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _savings: dict[str, SavingSettings] = field(default_factory=dict)
    _clusters: dict[ClusterName, DatacenterName] = field(default_factory=dict)
    _owners: dict[str, Entry[HostTable]] = field(default_factory=dict)
    _folded: dict[str, Entry[HostTable]] = field(default_factory=dict)
    _is_sure_of_places: bool = True

    def build(self, daemon_name: str) -> Built:
        """Build everything; mistakes go to `mistakes`."""
        self._clusters = self._build_clusters()
        self._name_owners()
        proxies = {ProxyName(name): self._proxy(entry) for name, entry in self.entries.proxies.items()}
        for apart in self.entries.proxies_apart:
            self._proxy(apart)
        is_sure_of_places = self._is_sure_of_places and self._are_places_whole()
        hosts = [self._host(entry) for entry in self.entries.all_hosts]
        inventory = Inventory(
            hosts={built.host.name: built.host for built in hosts[: len(self.entries.hosts)]},
            proxies=proxies,
            clusters=self._clusters,
            datacenters={DatacenterName(name): entry.table.shard for name, entry in self.entries.datacenters.items()},
            daemon=self.settings.daemon(daemon_name),
        )
        return Built(inventory=inventory, is_sure_of_places=is_sure_of_places, hosts=hosts)

    def _are_places_whole(self) -> bool:
        """Whether every proxy that a preference word could name is known."""
        entries = self.entries
        return (
            entries.is_whole
            and not {"datacenter", "cluster", "proxy"} & entries.nameless
            and all(
                entry.is_sure_of("name", "url", "cluster", "datacenter", "host", "tags")
                for entry in entries.all_proxies
            )
            and all(entry.is_sure_of("name", "datacenter") for entry in entries.all_clusters)
        )

    def _build_clusters(self) -> dict[ClusterName, DatacenterName]:
        clusters: dict[ClusterName, DatacenterName] = {}
        for entry in self.entries.all_clusters:
            datacenter = self._known("datacenter", entry.table.datacenter, entry.where)
            if entry.table.name:
                clusters.setdefault(ClusterName(sys.intern(entry.table.name)), DatacenterName(datacenter))
        return clusters

    def _known(self, kind: str, name: str, where: Where) -> str:
        """Return the name if such an entry exists, else "" and, unless a nameless entry could be it, a mistake.

        `where`: the entry whose key of this kind has the name.
        """
        if not name or name in self.entries.named[kind]:
            return sys.intern(name)
        self._is_sure_of_places = False
        if kind not in self.entries.nameless:
            self.mistakes.error(where.key(kind), f"there is no {kind} of this name", value=name, unit="name")
        return ""

    def _name_owners(self) -> None:
        """Every name, alias and address belongs to one host; a loopback address belongs to none."""
        hosts = [entry.entry for entry in self.entries.all_hosts]
        self._owners = {_spelled(name): entry.entry for name, entry in self.entries.hosts.items()}
        for entry in hosts:
            given = [(entry.where.key("address"), entry.table.address)]
            given += [(entry.where.key("addresses").key(network), name) for network, name in entry.table.addresses]
            given += [(entry.where.key("aliases").item(index), name) for index, name in enumerate(entry.table.aliases)]
            for where, name in given:
                if not name or names_nobody(name):
                    continue
                owner = self._owners.setdefault(_spelled(name), entry)
                # A host that is given twice, whole, is one mistake.
                if owner is not entry and (owner.table.name != entry.table.name or not entry.table.name):
                    given_twice(name, where, owner.where, self.mistakes)
        for name, entry in self._owners.items():
            self._folded.setdefault(canonical(name), entry)

    def _inherited(self, cluster: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return what a host of this cluster inherits: the data centre's overrides, then the cluster's."""
        datacenter = self._clusters.get(ClusterName(cluster), DatacenterName(""))
        return self._of("datacenter", datacenter), self._of("cluster", cluster)

    def _of(self, kind: str, name: str) -> dict[str, Any]:
        key = (kind, name)
        if key not in self._overrides:
            known: Mapping[str, Entry[Any]] = (
                self.entries.datacenters if kind == "datacenter" else self.entries.clusters
            )
            self._overrides[key] = set_keys(known[name].table) if name in known else {}
        return self._overrides[key]

    def _saving(self, cluster: str) -> SavingSettings:
        if cluster not in self._savings:
            known = self.entries.clusters.get(cluster)
            self._savings[cluster] = self.settings.saving(known.table.saving if known is not None else None)
        return self._savings[cluster]

    def _host(self, built: HostEntry) -> BuiltHost:
        entry = built.entry
        table = entry.table
        cluster = self._known("cluster", table.cluster, entry.where)
        overrides = (*self._inherited(cluster), set_keys(table))
        proxies = next(
            (said["proxies"] for said in reversed(overrides) if "proxies" in said), self.settings.base["proxies"]
        )
        settings = self.settings.of_host(*overrides, saving=self._saving(cluster))
        listed = self.settings.shared(proxies)
        devices = tuple(self._device(device, table, settings, listed) for device in built.devices)
        host = Host(
            name=HostName(table.name),
            cluster=ClusterName(cluster),
            datacenter=self._clusters.get(ClusterName(cluster), DatacenterName("")),
            address=table.address,
            addresses=table.addresses,
            aliases=table.aliases,
            rack=sys.intern(table.rack),
            labels=self.settings.shared(table.labels),
            roles=self.settings.shared(table.roles),
            is_protected=table.protected,
            is_drill=table.drill,
            may_sleep=table.saving,
            identity=table.identity,
            settings=settings,
            devices=tuple(device.device for device in devices),
        )
        if self.broker.is_called(host.names):
            host = replace(host, is_beside_broker=True)
        if self.database.is_called(host.names):
            host = replace(host, is_beside_store=True)
        return BuiltHost(entry=entry, host=host, devices=devices)

    def _device(
        self, entry: Entry[DeviceTable], host: HostTable, above: HostSettings, proxies: tuple[str, ...]
    ) -> BuiltDevice:
        """`above`, `proxies`: the settings and the preference list of its host."""
        table, where = entry.table, entry.where
        description = self._description(table.driver, where)
        is_agent = description is None or description.is_agent
        options = option_shapes.passable(table.options, where, self.mistakes, is_agent=is_agent)
        password = self.secrets.password(table, where, entry.base)
        secrets = self.secrets.named(table.secrets, where.key("secrets"), entry.base) if table.secrets else ()
        credential = logins.credential(table, where, self.mistakes)
        plug = _plug(description, table, options or {}, host.name)
        kind, is_sure_of_kind = _kind(entry, description)
        settings = self.settings.of_device(above, set_keys(table, PowerOfOne))
        identity = (table.identity or host.identity) if description is not None and description.can_identify else ""
        spec = DeviceSpec(
            driver=sys.intern(table.driver),
            plug_id=plug.plug_id if plug is not None else PlugId(""),
            unit_id=plug.unit_id if plug is not None else UnitId(""),
            address=table.address,
            username=sys.intern(table.username),
            password=password,
            options={sys.intern(str(key)): value for key, value in (options or {}).items()},
            nodename=host.name,
            off_by_exit_status=table.off_by_exit_status,
            sessions=settings.sessions,
            secrets=secrets,
            credential=credential,
            identity=identity,
            cuts_power=table.cuts_power,
            check_ready=table.check_ready,
            tls=Tls(table.tls),
        )
        is_settle_said = "settle" in table.model_fields_set
        returning_seconds = 0.0 if description is None else description.settle_seconds
        device = Device(
            name=DeviceName(sys.intern(table.name)),
            kind=kind,
            level=table.level,
            spec=spec,
            proxies=self.settings.shared(table.proxies or proxies),
            power=settings,
            settle_seconds=table.settle,
            settle_after_return_seconds=table.settle if is_settle_said else returning_seconds,
            is_standby_separate=bool(table.standby),
            identity=identity,
        )
        # A plug may default to the host's name; without the name it is unknown.
        is_named = bool(host.name) or plug == _plug(description, table, options or {}, "x")
        is_plug_known = is_named and entry.is_sure_of("driver", "address", "options") and options is not None
        return BuiltDevice(
            entry=entry,
            device=device,
            plug=plug if is_plug_known else None,
            description=description,
            is_sure_of_kind=is_sure_of_kind,
        )

    def _description(self, driver: str, where: Where) -> DriverDescription | None:
        """Return the driver's description, or None with a mistake. `where`: the device."""
        if driver not in self._described:
            try:
                self._described[driver] = self.describe(driver)
            except NoSuchDriver as exc:
                self._described[driver] = str(exc)
        found = self._described[driver]
        if isinstance(found, DriverDescription):
            return found
        self.mistakes.error(where.key("driver"), found, value=driver, unit="driver")
        return None

    def _proxy(self, entry: Entry[ProxyTable]) -> Proxy:
        table, where = entry.table, entry.where
        url, address = _proxy_url(table.url, where.key("url"), self.mistakes)
        host = self._known("host", table.host, where)
        # urlsplit lowers the case of a URL's host, and DNS names ignore case.
        owner = self._owners.get(_spelled(address)) or self._folded.get(address)
        machine = host or (owner.table.name if owner is not None else "")
        cluster = self._known("cluster", table.cluster, where)
        datacenter = self._known("datacenter", table.datacenter, where)
        return Proxy(
            name=ProxyName(table.name),
            url=url,
            address=address,
            cluster=ClusterName(cluster) if cluster else None,
            datacenter=DatacenterName(datacenter) if datacenter else None,
            machine=HostName(machine) if machine else None,
            domain=table.domain,
            tags=table.tags,
            calls=table.calls,
            via=self._via_of(table, where, entry.base, url),
        )

    def _via_of(self, table: ProxyTable, where: Where, base: Path, url: str) -> Via | None:
        """Return the HTTP proxy set here, else the common one. Plain HTTP stays on this machine and needs none."""
        own = read_via(table, where, base, self.secrets, self.mistakes)
        if own is not None and url.startswith("http://"):
            self.mistakes.error(
                where.key("via"),
                "only https:// proxies can be reached through an HTTP proxy",
                value=table.via,
                unit="URL",
            )
        return None if url.startswith("http://") else own if table.via else self.via


def _kind(entry: Entry[DeviceTable], description: DriverDescription | None) -> tuple[Kind, bool]:
    """Return what the device controls, and whether no key that decides it was refused."""
    table = entry.table
    by_default = Kind.OUTLET if description is None else description.kind
    kind = Kind(table.kind) if table.kind else by_default
    return kind, entry.is_sure_of("kind") if table.kind else entry.is_sure_of("kind", "driver")


def _spelled(name: str) -> str:
    """Return one spelling for an IP address. Names stay as they are, because they match exactly (S12)."""
    return name if is_name(name) else canonical(name)


def _plug(
    description: DriverDescription | None, table: DeviceTable, options: Mapping[str, Any], nodename: str
) -> Plug | None:
    if description is None:
        return None
    return identify(description, table.address, options, nodename=nodename)


def _proxy_url(url: str, where: Where, mistakes: Mistakes) -> tuple[str, str]:
    """Return (the URL without a path and with a port, its host)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PROXY_PORT
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if places.has_user_info(url):
        mistakes.error(
            where, "a secret is never written inline: proxies authenticate the daemon by its certificate", value=url
        )
    elif parts.scheme not in {"http", "https"} or not host or parts.path not in {"", "/"} or parts.query:
        mistakes.error(where, "must be https://HOST:PORT", value=url, unit="URL")
    elif parts.scheme == "http" and not is_loopback(host):
        mistakes.error(
            where, "http:// is only allowed on loopback: use https:// and certificates", value=url, unit="URL"
        )
    shown_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown_host}:{port}", canonical(host)

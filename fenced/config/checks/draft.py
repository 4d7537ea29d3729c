"""The built configuration as the checks get it, with the place of everything in the files.

It has defaults in place of refused keys; see `finding`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fenced.config.build import Built, BuiltHost
from fenced.config.checks.vocabulary import Vocabulary
from fenced.config.configuration import Configuration
from fenced.config.entries import Entries, Entry
from fenced.config.mistakes import Where
from fenced.config.resolve import Addresses
from fenced.config.settings import Settings, set_keys
from fenced.config.tables import DetectionOfOne, MainTables
from fenced.core.reach.candidates import named, why_not
from fenced.model.drivers import DriverDescription
from fenced.model.inventory import Device, Host, Inventory
from fenced.model.names import ENGINE, ProxyName
from fenced.model.settings import HostSettings

Chain = tuple[Entry[Any], ...]
"""An entry and those that it inherits from, nearest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A data centre, a cluster or a host: what it sets itself, and the settings that result."""

    chain: Chain
    sets: Mapping[str, Any]
    settings: HostSettings

    @property
    def entry(self) -> Entry[Any]:
        return self.chain[0]


@dataclass(slots=True, kw_only=True)
class Draft:
    """One run's configuration before it is checked. `where`: the main file.

    `addresses`: what names resolved to. `identifying`: the drivers that can read a machine's identity.
    """

    main: MainTables
    where: Where
    entries: Entries
    settings: Settings
    built: Built
    configuration: Configuration
    addresses: Addresses
    identifying: tuple[str, ...]
    _candidates: dict[tuple[object, ...], frozenset[ProxyName]] = field(default_factory=dict)
    _vocabularies: dict[int, Vocabulary] = field(default_factory=dict)

    @property
    def hosts(self) -> list[BuiltHost]:
        return self.built.hosts

    @property
    def inventory(self) -> Inventory:
        return self.built.inventory

    @property
    def are_shards_sure(self) -> bool:
        """Whether no key is wrong that may put a cluster into another shard."""
        datacenters = self.entries.all_datacenters
        return self.built.is_sure_of_places and all(entry.is_sure_of("name", "shard") for entry in datacenters)

    def scopes(self) -> Iterator[Scope]:
        """Every data centre, then every cluster."""
        sets_of: dict[str, Mapping[str, Any]] = {}
        for datacenter in self.entries.all_datacenters:
            sets = set_keys(datacenter.table)
            sets_of.setdefault(datacenter.table.name, sets)
            yield Scope(chain=(datacenter,), sets=sets, settings=self.settings.of_host(sets))
        for cluster in self.entries.all_clusters:
            sets = set_keys(cluster.table)
            name = cluster.table.datacenter
            above = self.entries.datacenters.get(name)
            yield Scope(
                chain=(cluster,) if above is None else (cluster, above),
                sets=sets,
                settings=self.settings.of_host(
                    sets_of.get(name, {}), sets, saving=self.settings.saving(cluster.table.saving)
                ),
            )

    def chain_of(self, built: BuiltHost) -> Chain:
        """The host's entry, its cluster's and its data centre's."""
        cluster = self.entries.clusters.get(built.host.cluster)
        datacenter = self.entries.datacenters.get(built.host.datacenter)
        return (built.entry, *(entry for entry in (cluster, datacenter) if entry is not None))

    def scope_of(self, built: BuiltHost) -> Scope:
        return Scope(chain=self.chain_of(built), sets=set_keys(built.entry.table), settings=built.host.settings)

    def places(self, names: Iterable[str], chain: Chain) -> tuple[Where, ...]:
        """Every place that can set these keys of [power] or [detection]: the main file, and each entry of the chain."""
        found: list[Where] = []
        for name in names:
            table = self.where.key("detection" if name in DetectionOfOne.model_fields else "power")
            found += (table.key(name), *(entry.where.key(name) for entry in chain))
        return tuple(found)

    def candidates(self, words: tuple[str, ...], host: Host) -> frozenset[ProxyName]:
        """Return all proxies that a preference list names for this host; cached, because many hosts share a list."""
        key = (words, host.cluster, host.datacenter)
        if key not in self._candidates:
            self._candidates[key] = frozenset(name for word in words for name in named(word, host, self.inventory))
        return self._candidates[key]

    def vocabulary(self, description: DriverDescription) -> Vocabulary:
        """Return the option names of a driver; cached for the object, of which the inventory has one for each."""
        if id(description) not in self._vocabularies:
            self._vocabularies[id(description)] = Vocabulary.of(description)
        return self._vocabularies[id(description)]

    def can_serve(self, name: ProxyName, host: Host) -> bool:
        return why_not(name, host, self.inventory, lambda proxy: None) is None

    def may_run_here(self, device: Device, host: Host) -> bool:
        """Whether the drivers of the daemon's own machine may serve the device."""
        return ENGINE in self.candidates(device.proxies, host) and self.can_serve(ENGINE, host)

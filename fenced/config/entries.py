"""All data centres, clusters, proxies and hosts of the files, each parsed on its own, with its place.

References between them are followed in `build`. An entry with a mistake stays here, with defaults for the refused keys,
so that the run finds its other mistakes; the error keeps a Configuration from being made.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

from fenced.config.inventory_tables import LISTS, ClusterTable, DatacenterTable, DeviceTable, HostTable, ProxyTable
from fenced.config.keys import Tables
from fenced.config.mistakes import Mistakes, Where
from fenced.config.table import Table
from fenced.config.validate import parse

TableType = TypeVar("TableType", bound=Table)
NamedType = TypeVar("NamedType", DatacenterTable, ClusterTable, ProxyTable, HostTable, DeviceTable)

_LISTED = Tables("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[TableType]):
    """One table with its place.

    `base`: the directory of its file; `refused`: see `Parsed`; they are reported already.
    """

    table: TableType
    where: Where
    base: Path
    refused: Mapping[str, object] = field(default_factory=dict)

    def is_sure_of(self, *keys: str) -> bool:
        """Whether none of these keys was refused."""
        return not self.refused or not any(key in self.refused for key in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """A host and its devices, including those without a name or with a duplicate one."""

    entry: Entry[HostTable]
    devices: tuple[Entry[DeviceTable], ...]


@dataclass(slots=True, kw_only=True)
class Entries:
    """By name, in the order of the files. `named`: all names that were given, valid or not.

    `..._apart`: entries without a usable name, or with one that is taken, so that nothing can refer to them.
    """

    datacenters: dict[str, Entry[DatacenterTable]] = field(default_factory=dict)
    clusters: dict[str, Entry[ClusterTable]] = field(default_factory=dict)
    proxies: dict[str, Entry[ProxyTable]] = field(default_factory=dict)
    hosts: dict[str, HostEntry] = field(default_factory=dict)
    datacenters_apart: list[Entry[DatacenterTable]] = field(default_factory=list)
    clusters_apart: list[Entry[ClusterTable]] = field(default_factory=list)
    proxies_apart: list[Entry[ProxyTable]] = field(default_factory=list)
    hosts_apart: list[HostEntry] = field(default_factory=list)
    named: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in LISTS})
    nameless: set[str] = field(default_factory=set)
    """The lists that have an entry without a readable name."""
    is_whole: bool = True
    """Whether every file was readable and every list a list, so that no entry is missing."""

    @property
    def all_datacenters(self) -> Iterator[Entry[DatacenterTable]]:
        return chain(self.datacenters.values(), self.datacenters_apart)

    @property
    def all_clusters(self) -> Iterator[Entry[ClusterTable]]:
        return chain(self.clusters.values(), self.clusters_apart)

    @property
    def all_proxies(self) -> Iterator[Entry[ProxyTable]]:
        return chain(self.proxies.values(), self.proxies_apart)

    @property
    def all_hosts(self) -> Iterator[HostEntry]:
        return chain(self.hosts.values(), self.hosts_apart)

    def add(self, file: str, base: Path, lists: Mapping[str, Any], mistakes: Mistakes) -> None:
        """Add the entries of one file."""
        for raw, where in self._listed("datacenter", Where(file), lists, mistakes):
            datacenter = _entry(DatacenterTable, raw, where, base, mistakes)
            _put(self.datacenters, self.datacenters_apart, datacenter, mistakes)
        for raw, where in self._listed("cluster", Where(file), lists, mistakes):
            _put(self.clusters, self.clusters_apart, _entry(ClusterTable, raw, where, base, mistakes), mistakes)
        for raw, where in self._listed("proxy", Where(file), lists, mistakes):
            _put(self.proxies, self.proxies_apart, _entry(ProxyTable, raw, where, base, mistakes), mistakes)
        for raw, where in self._listed("host", Where(file), lists, mistakes):
            self._add_host(raw, where, base, mistakes)

    def miss(self, key: str) -> None:
        """Note that entries of a list can't be read; a misspelt key counts as the one it looks like."""
        for near in difflib.get_close_matches(key, LISTS, n=1, cutoff=0.7):
            self.is_whole = False
            self.nameless.add(near)

    def _listed(
        self, key: str, where: Where, lists: Mapping[str, Any], mistakes: Mistakes
    ) -> Iterable[tuple[dict[str, Any], Where]]:
        listed = lists.get(key)
        if listed is None:
            return
        where = where.key(key)
        if not isinstance(listed, list):
            self.miss(key)
            mistakes.error(where, f"must be tables: [[{key}]]", value=listed, unit=_LISTED.unit)
            return
        for index, raw in enumerate(listed):
            if not isinstance(raw, dict):
                self.miss(key)
                mistakes.error(where.item(index), "must be a table", value=raw, unit="table")
                continue
            name = raw.get("name")
            if isinstance(name, str):
                self.named[key].add(name)
            else:
                self.nameless.add(key)
            yield raw, where.item(index).called(name if isinstance(name, str) else f"{key} without a name")

    def _add_host(self, raw: dict[str, Any], where: Where, base: Path, mistakes: Mistakes) -> None:
        host = _entry(HostTable, raw, where, base, mistakes)
        listed = raw.get("device")
        devices: dict[str, Entry[DeviceTable]] = {}
        apart: list[Entry[DeviceTable]] = []
        for index, device in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(device, dict):
                place = where.key("device").item(index).called(str(device.get("name", f"device {index + 1}")))
                # Another item may have made the list refused; this one is still checked.
                _put(devices, apart, _entry(DeviceTable, device, place, base, mistakes), mistakes)
        entry = HostEntry(entry=host, devices=(*devices.values(), *apart))
        if not host.table.name:
            self.hosts_apart.append(entry)
            return
        first = self.hosts.setdefault(host.table.name, entry)
        if first is not entry:
            self.hosts_apart.append(entry)
            given_twice(host.table.name, where.key("name"), first.entry.where, mistakes)


def given_twice(name: str, where: Where, first: Where, mistakes: Mistakes) -> None:
    """Report a name that is taken."""
    mistakes.error(where, f"is given twice: it is also the name of {first}", value=name, unit="name")


def _entry(
    model: type[TableType], raw: dict[str, Any], where: Where, base: Path, mistakes: Mistakes
) -> Entry[TableType]:
    parsed = parse(model, raw, where, mistakes)
    return Entry(table=parsed.table, where=where, base=base, refused=parsed.refused)


def _put(
    known: dict[str, Entry[NamedType]], apart: list[Entry[NamedType]], entry: Entry[NamedType], mistakes: Mistakes
) -> None:
    if not entry.table.name:
        apart.append(entry)
        return
    first = known.setdefault(entry.table.name, entry)
    if first is not entry:
        apart.append(entry)
        given_twice(entry.table.name, entry.where.key("name"), first.where, mistakes)

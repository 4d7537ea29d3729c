"""All data centres, clusters, proxies and hosts that the files list, each checked by itself, with its place.

Knows no reference between them. One rule: what is wrong in one entry hides nothing in another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from fenced.config.inventory_tables import LISTS, ClusterTable, DatacenterTable, DeviceTable, HostTable, ProxyTable
from fenced.config.keys import Tables
from fenced.config.mistakes import Mistakes, Where
from fenced.config.tables import Table
from fenced.config.validate import parse

TableType = TypeVar("TableType", bound=Table)
NamedType = TypeVar("NamedType", DatacenterTable, ClusterTable, ProxyTable, HostTable, DeviceTable)

_LISTED = Tables("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[TableType]):
    """One table with its place; `base`: the directory of its file; `is_whole`: nothing had to be left out."""

    table: TableType
    where: Where
    base: Path
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """A host and its devices."""

    entry: Entry[HostTable]
    devices: tuple[Entry[DeviceTable], ...]


@dataclass(slots=True, kw_only=True)
class Entries:
    """By name, in the order of the files. `named`: also the names of entries too broken to be here."""

    datacenters: dict[str, Entry[DatacenterTable]] = field(default_factory=dict)
    clusters: dict[str, Entry[ClusterTable]] = field(default_factory=dict)
    proxies: dict[str, Entry[ProxyTable]] = field(default_factory=dict)
    hosts: dict[str, HostEntry] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in LISTS})
    is_whole: bool = True

    def add(self, file: str, base: Path, lists: Mapping[str, Any], mistakes: Mistakes) -> None:
        """Take what one file lists; `lists` has no other keys than LISTS."""
        for raw, where in self._listed("datacenter", Where(file), lists, mistakes):
            self._put(self.datacenters, self._entry(DatacenterTable, raw, where, base, mistakes), mistakes)
        for raw, where in self._listed("cluster", Where(file), lists, mistakes):
            self._put(self.clusters, self._entry(ClusterTable, raw, where, base, mistakes), mistakes)
        for raw, where in self._listed("proxy", Where(file), lists, mistakes):
            self._put(self.proxies, self._entry(ProxyTable, raw, where, base, mistakes), mistakes)
        for raw, where in self._listed("host", Where(file), lists, mistakes):
            self._add_host(raw, where, base, mistakes)

    def _listed(
        self, key: str, where: Where, lists: Mapping[str, Any], mistakes: Mistakes
    ) -> Iterable[tuple[dict[str, Any], Where]]:
        listed = lists.get(key)
        if listed is None:
            return
        where = where.key(key)
        if not isinstance(listed, list):
            self.is_whole = False
            mistakes.error(where, f"must be tables: [[{key}]]", value=listed, unit=_LISTED.unit)
            return
        for index, raw in enumerate(listed):
            if not isinstance(raw, dict):
                self.is_whole = False
                mistakes.error(where.item(index), "must be a table", value=raw, unit="table")
                continue
            name = raw.get("name")
            if isinstance(name, str):
                self.named[key].add(name)
            yield raw, where.item(index).called(name if isinstance(name, str) else f"{key} without a name")

    def _entry(
        self, model: type[TableType], raw: dict[str, Any], where: Where, base: Path, mistakes: Mistakes
    ) -> Entry[TableType] | None:
        parsed = parse(model, raw, where, mistakes)
        self.is_whole = self.is_whole and parsed.is_whole
        if parsed.table is None:
            return None
        return Entry(table=parsed.table, where=where, base=base, is_whole=parsed.is_whole)

    def _put(self, known: dict[str, Entry[NamedType]], entry: Entry[NamedType] | None, mistakes: Mistakes) -> None:
        if entry is None:
            return
        first = known.setdefault(entry.table.name, entry)
        if first is not entry:
            given_twice(entry.table.name, entry.where.key("name"), first.where, mistakes)

    def _add_host(self, raw: dict[str, Any], where: Where, base: Path, mistakes: Mistakes) -> None:
        host = self._entry(HostTable, raw, where, base, mistakes)
        listed = raw.get("device")
        devices: dict[str, Entry[DeviceTable]] = {}
        for index, device in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(device, dict):
                place = where.key("device").item(index).called(str(device.get("name", f"device {index + 1}")))
                self._put(devices, self._entry(DeviceTable, device, place, base, mistakes), mistakes)
        if host is None:
            return
        entry = HostEntry(entry=host, devices=tuple(devices.values()))
        first = self.hosts.setdefault(host.table.name, entry)
        if first is not entry:
            given_twice(host.table.name, where.key("name"), first.entry.where, mistakes)


def given_twice(name: str, where: Where, first: Where, mistakes: Mistakes) -> None:
    """A name that is already somebody else's."""
    mistakes.error(where, f"is given twice: it is that of {first}, too", value=name, unit="name")

"""Who can reach a device, and whether its program is there. Knows no plug and no level.

One rule: a word that names nobody is told where it was written; a device that nobody can reach, at the device.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fenced.config.build import Built, BuiltDevice, BuiltHost
from fenced.config.entries import Entries, Entry
from fenced.config.inventory_tables import DeviceTable, Overrides
from fenced.config.mistakes import Mistakes, Where
from fenced.core.reach.candidates import RESERVED_WORDS, TAG, by_machine, named, why_not
from fenced.model.addresses import names_nobody
from fenced.model.inventory import Device, Host
from fenced.model.names import ENGINE, ProxyName


@dataclass(slots=True, kw_only=True)
class Reach:
    """Checks every preference list of one run."""

    built: Built
    entries: Entries
    agent_path: tuple[Path, ...]
    mistakes: Mistakes
    _named: dict[tuple[object, ...], frozenset[ProxyName]] = field(default_factory=dict)
    _words: dict[str, str | None] = field(default_factory=dict)
    _missing: dict[tuple[str, bool], list[Where]] = field(default_factory=dict)
    _cautions: dict[tuple[str, str], list[Where]] = field(default_factory=dict)
    _hidden: str = ""
    _is_anybody_hidden: bool = False
    _is_any_tag_hidden: bool = False

    def check(self, main: Where, default_words: Iterable[str]) -> None:
        """All lists that are written somewhere, then all devices."""
        default_place = main.key("defaults").key("proxies")
        self._hidden = "\0".join(_hidden_names(self.entries))
        self._is_anybody_hidden = "proxy" in self.entries.nameless or _is_a_machine_without_text(self.entries)
        self._is_any_tag_hidden = any(_is_without_text(proxy, "tags") for proxy in self.entries.all_proxies)
        self._check_words(default_words, default_place)
        for datacenter in self.entries.all_datacenters:
            self._check_own_words(datacenter.table, datacenter.where)
        for cluster in self.entries.all_clusters:
            self._check_own_words(cluster.table, cluster.where)
        for built in self.built.hosts:
            self._check_own_words(built.entry.table, built.entry.where)
            for device in built.devices:
                self._check_own_words(device.entry.table, device.entry.where)
                self._check_device(device, built)
        self._tell_missing()
        self._tell_cautions()

    def may_run_here(self, device: Device, host: Host) -> bool:
        """Whether this machine's own drivers may serve the device."""
        return ENGINE in self._all_named(device.proxies, host) and self._is_usable(ENGINE, host)

    def _check_own_words(self, table: Overrides | DeviceTable, where: Where) -> None:
        if "proxies" in table.model_fields_set:
            self._check_words(table.proxies, where.key("proxies"))

    def _check_words(self, words: Iterable[str], where: Where) -> None:
        for index, word in enumerate(words):
            why = self._why_unknown(word)
            if why is not None:
                self.mistakes.error(where.item(index), why, value=word, unit="preference word")

    def _why_unknown(self, word: str) -> str | None:
        if word not in self._words:
            self._words[word] = self._look_up(word)
        return self._words[word]

    def _look_up(self, word: str) -> str | None:
        inventory = self.built.inventory
        if word in RESERVED_WORDS or word in self.entries.named["proxy"]:
            return None
        if word.startswith(TAG):
            has_tag = any(word.removeprefix(TAG) in proxy.tags for proxy in inventory.proxies.values())
            may_be = self._is_any_tag_hidden or self._may_be_hidden(word.removeprefix(TAG))
            return None if has_tag or may_be else "no proxy has this tag"
        if any(by_machine(word, inventory)) or self._may_be_hidden(word):
            return None
        if names_nobody(word):
            return "a loopback address names nobody; for the daemon's own machine say engine"
        if any(word in built.host.names for built in self.built.hosts):
            return "no proxy is known to run on this host"
        return "neither engine, cluster, dc, other_dc, tag:T nor the name or address of a proxy"

    def _may_be_hidden(self, word: str) -> bool:
        """Whether who is meant may be in what could not be read, or was refused."""
        return not self.entries.is_whole or self._is_anybody_hidden or word in self._hidden

    def _check_device(self, built: BuiltDevice, of: BuiltHost) -> None:
        device, host = built.device, of.host
        candidates = self._all_named(device.proxies, host)
        is_reached = any(self._is_usable(name, host) for name in candidates)
        is_certain = self._is_sure_of_place(of) and self._is_sure_of_list(built, of)
        # This daemon never switches its own machine (S18), so nobody needs to reach it from here.
        if not is_reached and is_certain and not host.is_own_machine:
            self.mistakes.error(
                built.entry.where.key("proxies"),
                "nobody can reach this device: its list names no proxy but those on the host itself",
                value=device.proxies,
                unit="list of preference words",
            )
        self._check_program(built, host)
        self._check_credential(built, is_own_list=bool(built.entry.table.proxies), is_run_here=ENGINE in candidates)

    def _check_program(self, built: BuiltDevice, host: Host) -> None:
        description = built.description
        if built.plug is None or description is None:
            return
        where = built.entry.where.key("driver")
        if not description.is_installed:
            key = (description.name, self.may_run_here(built.device, host))
            self._missing.setdefault(key, []).append(where)
        for caution in description.cautions:
            self._cautions.setdefault((description.name, caution), []).append(where)

    def _check_credential(self, built: BuiltDevice, *, is_own_list: bool, is_run_here: bool) -> None:
        """This machine keeps no credentials, so that it can't be asked for a device whose login is at the proxy."""
        if not built.device.spec.credential or not is_run_here:
            return
        where = built.entry.where.key("credential")
        why = "its proxies name engine, which keeps no credentials: it can never reach this device"
        if is_own_list:
            self.mistakes.error(where, why, value=built.entry.table.credential, unit="credential")
        else:
            self._cautions.setdefault((built.entry.table.credential, why), []).append(where)

    def _is_sure_of_place(self, of: BuiltHost) -> bool:
        """Whether all is known of where the host and all proxies are."""
        is_sure_of_host = of.entry.is_sure_of("name", "cluster", "address", "aliases")
        return self.built.is_sure_of_places and is_sure_of_host and of.host.cluster == of.entry.table.cluster

    def _is_sure_of_list(self, built: BuiltDevice, of: BuiltHost) -> bool:
        """Whether the device's list, its own or inherited, is what somebody wrote, and each word of it is known."""
        if not built.entry.is_sure_of("proxies") or any(self._why_unknown(word) for word in built.device.proxies):
            return False
        if built.entry.table.proxies:
            return True
        above: list[Entry[Any] | None] = [
            of.entry,
            self.entries.clusters.get(of.host.cluster),
            self.entries.datacenters.get(of.host.datacenter),
        ]
        # A refused [defaults] can't matter: the default list has engine in it.
        return all(entry is None or entry.is_sure_of("proxies") for entry in above)

    def _all_named(self, words: tuple[str, ...], host: Host) -> frozenset[ProxyName]:
        """Remembered by what the words depend on, for thousands of hosts share one list."""
        key = (words, host.cluster, host.datacenter)
        if key not in self._named:
            names = (name for word in words for name in named(word, host, self.built.inventory))
            self._named[key] = frozenset(names)
        return self._named[key]

    def _is_usable(self, name: ProxyName, host: Host) -> bool:
        return why_not(name, host, self.built.inventory, lambda proxy: None) is None

    def _tell_missing(self) -> None:
        """One line per program, however many devices need it; only a warning where the daemon itself never runs it."""
        path = ", ".join(str(directory) for directory in self.agent_path)
        for (driver, is_run_here), places in self._missing.items():
            more = f" (and {len(places) - 1} more devices)" if len(places) > 1 else ""
            tell: Callable[..., None] = self.mistakes.error if is_run_here else self.mistakes.warning
            on = "" if is_run_here else " here; its proxies must have it"
            tell(places[0], f"no such program along agent_path ({path}){on}{more}", value=driver, unit="driver")

    def _tell_cautions(self) -> None:
        """One line for each, however many devices it concerns."""
        for (value, caution), places in self._cautions.items():
            more = f" (and {len(places) - 1} more devices)" if len(places) > 1 else ""
            self.mistakes.warning(places[0], f"{caution}{more}", value=value)


def _hidden_names(entries: Entries) -> Iterator[str]:
    """What refused keys and entries say that may name a proxy or its machine."""
    for proxy in entries.all_proxies:
        for key in ("name", "url", "host", "tags"):
            yield from _texts(proxy.refused.get(key))
        for machine in _texts(proxy.refused.get("host")):
            if machine in entries.hosts:
                table = entries.hosts[machine].entry.table
                yield from (table.address, *table.aliases)
        if proxy.table.host not in entries.hosts:
            yield proxy.table.host
    for apart in entries.proxies_apart:
        yield from (apart.table.url, apart.table.host, *apart.table.tags)
    for host in entries.all_hosts:
        for key in ("name", "address", "aliases"):
            yield from _texts(host.entry.refused.get(key))
    for other in entries.hosts_apart:
        yield from (other.entry.table.address, *other.entry.table.aliases)


def _is_a_machine_without_text(entries: Entries) -> bool:
    """Whether a proxy, or a host on which one runs, may be meant by any word: not even a wrong text says how."""
    machines = {proxy.table.host for proxy in entries.all_proxies}
    return any(_is_without_text(proxy, "host") for proxy in entries.all_proxies) or any(
        _is_without_text(host.entry, "address", "aliases")
        for host in entries.all_hosts
        if host.entry.refused and host.entry.table.name in machines
    )


def _is_without_text(entry: Entry[Any], *keys: str) -> bool:
    """Whether one of these keys was refused and holds something else than text."""
    refused = (entry.refused[key] for key in keys if key in entry.refused)
    return any(
        not all(isinstance(item, str) for item in (said if isinstance(said, list) else (said,))) for said in refused
    )


def _texts(said: object) -> Iterator[str]:
    """Every text in a value of a file, however deep."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        for item in said.values():
            yield from _texts(item)
    elif isinstance(said, list | tuple):
        for item in said:
            yield from _texts(item)

"""Checks that every preference word names a proxy, that every device can be reached, and that its program is installed.

An unknown word is reported where it is written, an unreachable device at the device.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fenced.config.build import BuiltDevice, BuiltHost
from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, once_for_all, warning
from fenced.config.entries import Entries, Entry
from fenced.config.inventory_tables import DeviceTable, HostTable, Overrides
from fenced.config.mistakes import Where
from fenced.core.reach.candidates import RESERVED_WORDS, TAG, by_machine
from fenced.model.addresses import names_nobody
from fenced.model.names import ENGINE

NO_LOGIN_HERE = "its proxies include engine, which keeps no credentials and can never reach this device: remove it"


def check(draft: Draft) -> Iterator[Finding]:
    """Check every preference list where it is written, and every device."""
    words = _Words.of(draft)
    yield from words.unknown(draft.main.defaults.proxies, draft.where.key("defaults").key("proxies"))
    for scope in draft.scopes():
        yield from words.unknown_in(scope.entry.table, scope.entry.where)
    for built in draft.hosts:
        yield from words.unknown_in(built.entry.table, built.entry.where)
        for device in built.devices:
            yield from words.unknown_in(device.entry.table, device.entry.where)
            if not any(words.why_unknown(word) for word in device.device.proxies):
                yield from _unreachable(draft, device, built)
            yield from _own_credential(draft, device, built)


def programs(draft: Draft) -> Iterator[Finding]:
    """One line per missing program; only a warning where the daemon itself never runs it."""
    path = ", ".join(str(directory) for directory in draft.configuration.agent_path)
    for built in draft.hosts:
        for device in built.devices:
            description = device.description
            if device.plug is None or description is None or description.is_installed:
                continue
            is_run_here = draft.may_run_here(device.device, built.host)
            on = "" if is_run_here else " here; its proxies must have it"
            yield Finding(
                where=device.entry.where.key("driver"),
                reason=f"no such program along agent_path ({path}){on}",
                value=description.name,
                unit="driver",
                is_error=is_run_here,
                once=once_for_all("devices", description.name, is_run_here),
            )


def cautions(draft: Draft) -> Iterator[Finding]:
    """One line for each caution about a driver or a credential, however many devices it concerns."""
    for built in draft.hosts:
        for device in built.devices:
            description = device.description
            for caution in () if device.plug is None or description is None else description.cautions:
                assert description is not None
                yield warning(
                    device.entry.where.key("driver"),
                    caution,
                    value=description.name,
                    once=once_for_all("devices", description.name, caution),
                )
            if _needs_login_here(draft, device, built) and not device.entry.table.proxies:
                credential = device.entry.table.credential
                yield warning(
                    device.entry.where.key("credential"),
                    NO_LOGIN_HERE,
                    value=credential,
                    once=once_for_all("devices", credential),
                )


def _own_credential(draft: Draft, device: BuiltDevice, built: BuiltHost) -> Iterator[Finding]:
    """Report a device whose own list has engine, which has no login for it; `cautions` reports inherited lists."""
    if _needs_login_here(draft, device, built) and device.entry.table.proxies:
        yield error(
            device.entry.where.key("credential"),
            NO_LOGIN_HERE,
            value=device.entry.table.credential,
            unit="credential",
        )


def _needs_login_here(draft: Draft, device: BuiltDevice, built: BuiltHost) -> bool:
    """Whether engine is a candidate for a device whose login is at the proxy."""
    return bool(device.device.spec.credential) and ENGINE in draft.candidates(device.device.proxies, built.host)


def _unreachable(draft: Draft, device: BuiltDevice, of: BuiltHost) -> Iterator[Finding]:
    """Report a device that no proxy can reach, except on the own machine, which this daemon never switches (S18)."""
    host, words = of.host, device.device.proxies
    are_places_known = draft.built.is_sure_of_places and host.cluster == of.entry.table.cluster
    if host.is_own_machine or not are_places_known:
        return
    if any(draft.can_serve(name, host) for name in draft.candidates(words, host)):
        return
    # A refused [defaults] can't matter: the default list has engine in it.
    lists = (device.entry,) if device.entry.table.proxies else (device.entry, *draft.chain_of(of))
    yield error(
        device.entry.where.key("proxies"),
        "no proxy can reach this device: its list names only proxies on the host itself",
        value=words,
        unit="list of preference words",
        rests_on=(
            *keys(of.entry, "name", "cluster", "address", "addresses", "aliases"),
            *(entry.where.key("proxies") for entry in lists),
        ),
    )


@dataclass(slots=True, kw_only=True)
class _Words:
    """Looks up preference words. `hidden`: all texts in refused keys, because a word may refer to one of them."""

    draft: Draft
    hidden: str
    is_anybody_hidden: bool
    is_any_tag_hidden: bool
    _known: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft) -> "_Words":
        entries = draft.entries
        return cls(
            draft=draft,
            hidden="\0".join(_hidden_names(entries)),
            is_anybody_hidden="proxy" in entries.nameless or _is_a_machine_without_text(entries),
            is_any_tag_hidden=any(_is_without_text(proxy, "tags") for proxy in entries.all_proxies),
        )

    def unknown_in(self, table: Overrides | DeviceTable, where: Where) -> Iterator[Finding]:
        if "proxies" in table.model_fields_set:
            yield from self.unknown(table.proxies, where.key("proxies"))

    def unknown(self, words: Iterable[str], where: Where) -> Iterator[Finding]:
        for index, word in enumerate(words):
            why = self.why_unknown(word)
            if why is not None:
                yield error(where.item(index), why, value=word, unit="preference word")

    def why_unknown(self, word: str) -> str | None:
        if word not in self._known:
            self._known[word] = self._look_up(word)
        return self._known[word]

    def _look_up(self, word: str) -> str | None:
        inventory = self.draft.built.inventory
        if word in RESERVED_WORDS or word in self.draft.entries.named["proxy"]:
            return None
        if word.startswith(TAG):
            has_tag = any(word.removeprefix(TAG) in proxy.tags for proxy in inventory.proxies.values())
            may_be = self.is_any_tag_hidden or self._may_be_hidden(word.removeprefix(TAG))
            return None if has_tag or may_be else "no proxy has this tag"
        if any(by_machine(word, inventory)) or self._may_be_hidden(word):
            return None
        if names_nobody(word):
            return "a loopback address names no machine; for the daemon's own machine use engine"
        if any(word in built.host.names for built in self.draft.built.hosts):
            return "no proxy is known to run on this host: set host = in its [[proxy]]"
        return "unknown: use engine, cluster, dc, other_dc, tag:T, or the name or address of a proxy"

    def _may_be_hidden(self, word: str) -> bool:
        """Whether the word may refer to an unreadable file or a refused key."""
        return not self.draft.entries.is_whole or self.is_anybody_hidden or word in self.hidden


def _hidden_names(entries: Entries) -> Iterator[str]:
    """Yield texts of refused keys and entries that may name a proxy or its machine."""
    for proxy in entries.all_proxies:
        for key in ("name", "url", "host", "tags"):
            yield from _texts(proxy.refused.get(key))
        for machine in _texts(proxy.refused.get("host")):
            if machine in entries.hosts:
                table = entries.hosts[machine].entry.table
                yield from _names(table)
        if proxy.table.host not in entries.hosts:
            yield proxy.table.host
    for apart in entries.proxies_apart:
        yield from (apart.table.url, apart.table.host, *apart.table.tags)
    for host in entries.all_hosts:
        for key in ("name", "address", "addresses", "aliases"):
            yield from _texts(host.entry.refused.get(key))
    for other in entries.hosts_apart:
        yield from _names(other.entry.table)


def _names(table: HostTable) -> Iterator[str]:
    yield from (table.address, *(address for _, address in table.addresses), *table.aliases)


def _is_a_machine_without_text(entries: Entries) -> bool:
    """Whether a proxy, or a host with one, has a refused name that is no text, so that any word may refer to it."""
    machines = {proxy.table.host for proxy in entries.all_proxies}
    return any(_is_without_text(proxy, "host") for proxy in entries.all_proxies) or any(
        _is_without_text(host.entry, "address", "addresses", "aliases")
        for host in entries.all_hosts
        if host.entry.refused and host.entry.table.name in machines
    )


def _is_without_text(entry: Entry[Any], *keys: str) -> bool:
    """Whether one of these keys was refused and is not text."""
    refused = (entry.refused[key] for key in keys if key in entry.refused)
    return any(not all(isinstance(item, str) for item in _items(said)) for said in refused)


def _items(said: object) -> Iterable[object]:
    if isinstance(said, Mapping):
        return said.values()
    return said if isinstance(said, list) else (said,)


def _texts(said: object) -> Iterator[str]:
    """Yield every text in a value of a file, however deep."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        for item in said.values():
            yield from _texts(item)
    elif isinstance(said, list | tuple):
        for item in said:
            yield from _texts(item)

"""Who takes part in an installation: its site, controller, hosts, proxies, evidence sources and readers.

The inventory is read without its meaning (no device is looked at), because a first inventory is not complete yet.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fenced.config.keys import NAME_PATTERN
from fenced.config.mistakes import Mistakes, Where
from fenced.config.read import find_files, read_inventory, read_toml

INVENTORY: Final = "inventory/*.toml"
SECRET_KEYS: Final = ("password_file", "tokens_file", "key_file")
"""How the keys end that name a file with a secret."""
CONTROLLER_PREFIX: Final = "controller-"
SITE: Final = "site-1"
NAME_CHARS_MAX: Final = 64
"""Of a certificate's common name (RFC 5280, appendix A)."""
ADDRESS_PATTERN: Final = re.compile(r"[A-Za-z0-9._:%-]+", re.ASCII)
"""A DNS name or an address. Addresses stand in certificates, URLs and commands to copy, so no other character may."""


class NotSetUp(Exception):
    """Nothing was written. The text says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`broker`: the names and addresses under which clients reach the broker, the first of which they are given.

    `broker` is empty until the run knows them. `proxies`: name -> addresses of its certificate. `sources` may send
    evidence about every host; `readers` only read.
    """

    site: str
    controller: str
    broker: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    proxies: Mapping[str, tuple[str, ...]]
    sources: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def controller_account(self) -> str:
        return f"{CONTROLLER_PREFIX}{self.controller}"

    @property
    def accounts(self) -> tuple[str, ...]:
        """Return every account of the broker, the controller's first."""
        return (self.controller_account, *self.hosts, *self.sources, *self.readers)

    def only(self, name: str) -> "Fleet":
        """Return the fleet with the host and the proxy of this name, and no other."""
        return replace(
            self,
            hosts=tuple(host for host in self.hosts if host == name),
            proxies={proxy: where for proxy, where in self.proxies.items() if proxy == name},
        )

    def checked(self) -> "Fleet":
        """Return the fleet. Raises NotSetUp for a name or address that can't be one, or a name that two would share."""
        for name in (self.site, self.controller, *self.accounts, *self.proxies):
            if NAME_PATTERN.fullmatch(name) is None:
                raise NotSetUp(f"{name!r} is not a name: use letters, digits, dots, hyphens and underscores")
        for name in (*self.accounts, *self.proxies):
            if len(name) > NAME_CHARS_MAX:
                raise NotSetUp(f"{name} has {len(name)} characters; a certificate has room for {NAME_CHARS_MAX}")
        for address in (*self.broker, *(each for addresses in self.proxies.values() for each in addresses)):
            if ADDRESS_PATTERN.fullmatch(address) is None:
                raise NotSetUp(
                    f"{address!r} is no DNS name and no address; correct --broker, --proxy or the proxy's url"
                )
        accounts = self.accounts
        twice = sorted({name for name in accounts if accounts.count(name) > 1})
        if twice:
            raise NotSetUp(
                f"{', '.join(twice)}: two clients would share this account of the broker and disconnect each other; "
                "give hosts, sources and readers different names"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the configuration and the inventory say today. None, or empty: not said."""

    site: str | None = None
    controller: str | None = None
    hosts: tuple[str, ...] = ()
    proxies: Mapping[str, tuple[str, ...]]
    without_device: tuple[str, ...] = ()
    is_present: bool = False
    patterns: tuple[str, ...] = (INVENTORY,)
    bus: Mapping[str, Any] = field(default_factory=dict)
    secrets: frozenset[Path] = frozenset()
    """The files of secrets that these files name."""


def read_written(config: Path) -> Written:
    """Read the daemon's file and its inventory, if there is one. Raises NotSetUp with every file that can't be read."""
    if not config.exists():
        return Written(proxies={})
    mistakes = Mistakes()
    main = read_toml(config, mistakes) or {}
    daemon = _table(main, "daemon")
    patterns = _table(main, "inventory").get("files", [INVENTORY])
    lists = [main]
    secrets = {*_secret_files(main, config.parent)}
    for pattern in patterns if isinstance(patterns, list) else []:
        for file in find_files(str(pattern), config.parent, Where(str(config)), mistakes, can_be_empty=True):
            lists.append(read_inventory(file, mistakes) or {})
            secrets |= {*_secret_files(lists[-1], file.parent)}
    if mistakes.errors:
        raise NotSetUp("\n".join(str(each) for each in mistakes.errors))
    hosts = [host for tables in lists for host in _entries(tables, "host")]
    return Written(
        site=_text(daemon, "site"),
        controller=_text(daemon, "name"),
        hosts=_unique(str(host["name"]) for host in hosts),
        proxies={
            str(proxy["name"]): _addresses(str(proxy.get("url", "")), str(proxy["name"]))
            for tables in lists
            for proxy in _entries(tables, "proxy")
        },
        without_device=_unique(str(host["name"]) for host in hosts if not host.get("device")),
        is_present=True,
        patterns=tuple(map(str, patterns)) if isinstance(patterns, list) else (),
        bus=_table(main, "bus"),
        secrets=frozenset(secrets),
    )


def joined(written: Written, asked: Fleet) -> Fleet:
    """Return the fleet of the inventory with what the options add to it. Raises NotSetUp."""
    return replace(
        asked,
        hosts=_unique((*written.hosts, *asked.hosts)),
        proxies={**asked.proxies, **written.proxies},
    ).checked()


def _table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = tables.get(key)
    return found if isinstance(found, dict) else {}


def _secret_files(found: object, base: Path, key: str = "", *, is_inside: bool = False) -> Iterator[Path]:
    """Yield the files of a table's secrets, at any depth. `is_inside`: the table holds nothing but secrets."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _secret_files(value, base, name, is_inside=is_inside or name == "secrets")
    elif isinstance(found, list):
        for value in found:
            yield from _secret_files(value, base, key, is_inside=is_inside)
    elif isinstance(found, str) and found and (key.endswith(SECRET_KEYS) or (is_inside and key.endswith("_file"))):
        yield Path(os.path.normpath(base / found))


def _entries(tables: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the tables of a list that have a name; `check-config` reports the others."""
    found = tables.get(key)
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) and value else None


def _addresses(url: str, name: str) -> tuple[str, ...]:
    """Return the addresses of a proxy's certificate: the host of its url."""
    try:
        return (urlsplit(url).hostname or name,)
    except ValueError:
        return (name,)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

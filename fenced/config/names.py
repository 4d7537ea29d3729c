"""Resolves the names of a configuration, and decides which hosts they mean: this machine, or a proxy's target (S18).

Asks `resolve` once for all names. An answer can bar a host or proxy; a missing answer bars none, so that a dead name
server only means that names are compared as text.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from fenced.config.build import Built
from fenced.config.own_machine import OwnMachine
from fenced.config.plugs import is_name
from fenced.config.resolve import Addresses, Resolver
from fenced.model.addresses import canonical, is_address, names_nobody
from fenced.model.inventory import Host
from fenced.model.names import HostName

NAMES_MAX: Final = 50_000
"""Resolve at most this many; compare the others as text."""
SMALL_FLEET_HOSTS_MAX: Final = 1_000
"""Only in fleets up to this size resolve the names of hosts that have an address: mostly both agree."""


def resolve_all(built: Built, resolve: Resolver) -> Addresses:
    """Resolve the names of power devices, proxies and hosts."""
    names = dict.fromkeys((*needed(built), *(name for name in _further(built) if _is_asked(name))))
    asked = list(names)[:NAMES_MAX]
    answers = resolve(asked) if asked else {}
    return {name: frozenset(canonical(address) for address in found) for name, found in answers.items() if found}


def mark_own_machine(built: Built, addresses: Addresses, own_machine: OwnMachine, runs_on: Iterable[str]) -> None:
    """Mark hosts that share a name or address with this machine, and those of daemon.runs_on."""
    said = frozenset(runs_on)
    for index, of in enumerate(built.hosts):
        host = of.host
        is_called = own_machine.is_called((*host.names, *_resolved(host, addresses)))
        if not (host.name in said or is_called):
            continue
        host = replace(host, is_own_machine=True, is_own_by_word=not is_called)
        built.hosts[index] = replace(of, host=host)
    own = {of.host.name: of.host for of in built.hosts if of.host.is_own_machine}
    hosts = {name: own.get(name, host) for name, host in built.inventory.hosts.items()}
    built.inventory = replace(built.inventory, hosts=hosts)


def mark_targets(built: Built, addresses: Addresses) -> None:
    """Mark proxies whose URL is another spelling of a host: they never serve it, even if `host` names another."""
    proxies = dict(built.inventory.proxies)
    hosts = _hosts_by_address(built.inventory.hosts.values() if proxies else (), addresses)
    for name, proxy in proxies.items():
        found = {host for address in _addresses_of(proxy.address, addresses) for host in hosts.get(address, ())}
        also_on = tuple(sorted(found - {proxy.machine}))
        if also_on:
            proxies[name] = replace(proxy, also_on=also_on)
    built.inventory = replace(built.inventory, proxies=proxies)


def needed(built: Built) -> list[str]:
    """Return the names that the checks need resolved."""
    return list(dict.fromkeys(name for name in _needed(built) if _is_asked(name)))


def _needed(built: Built) -> Iterator[str]:
    """Names of devices, and of proxies and hosts that are reached by name."""
    for of in built.hosts:
        yield from (device.plug.address for device in of.devices if device.plug is not None)
    for proxy in built.inventory.proxies.values():
        if proxy.via is None:  # otherwise the HTTP proxy resolves it
            yield proxy.address
    for of in built.hosts:
        yield from (address for _, address in of.host.networks)


def _further(built: Built) -> Iterator[str]:
    """Names and aliases of hosts, those without an address first, and of all proxies. They may well not resolve."""
    for of in built.hosts:
        if not is_address(of.host.address):
            yield from sorted(of.host.names)
    for proxy in built.inventory.proxies.values():
        yield proxy.address
    if len(built.hosts) <= SMALL_FLEET_HOSTS_MAX:
        for of in built.hosts:
            yield from sorted(of.host.names)


def _is_asked(name: str) -> bool:
    return is_name(name) and not names_nobody(name)


def _resolved(host: Host, addresses: Addresses) -> frozenset[str]:
    return (
        frozenset(address for name in host.names for address in addresses.get(name, ())) if addresses else frozenset()
    )


def _addresses_of(name: str, addresses: Addresses) -> frozenset[str]:
    """Return the addresses of a name, without loopback and wildcard addresses."""
    found = addresses.get(name, ()) if is_name(name) else (canonical(name),)
    return frozenset(address for address in found if not names_nobody(address))


def _hosts_by_address(hosts: Iterable[Host], addresses: Addresses) -> Mapping[str, set[HostName]]:
    """Ignore what names resolve to where several hosts get one address: the name server answers for unknown names."""
    certain: dict[str, set[HostName]] = defaultdict(set)
    by_name: dict[str, set[HostName]] = defaultdict(set)
    for host in hosts:
        own = {address for _, address in host.networks}
        for name in host.names:
            found = certain if name in own or not is_name(name) else by_name
            for address in _addresses_of(name, addresses):
                found[address].add(host.name)
    for address, meant in by_name.items():
        if len(meant) == 1:
            certain[address] |= meant
    return certain

"""Expands a device's preference list into tiers of proxies: which may reach it, in which order, and which are left out.

The caller says why a proxy can't serve now. The list is exact: no proxy is added to it, a host never reaches its own
devices, and each proxy appears once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fenced.core.durable.state import Exclusion
from fenced.core.reach.controls import Networks, networks
from fenced.core.reach.domains import Place, spread
from fenced.model.addresses import names_nobody
from fenced.model.inventory import Device, Host, Inventory, Proxy
from fenced.model.names import ENGINE, ClusterName, DatacenterName, ProxyName

CLUSTER: Final = "cluster"
DC: Final = "dc"
OTHER_DC: Final = "other_dc"
TAG: Final = "tag:"

RESERVED_WORDS: Final = frozenset({ENGINE, CLUSTER, DC, OTHER_DC})
"""Reserved words; no proxy may have one of these names."""

WhyBarred = Callable[[Proxy], str | None]
"""Return why a proxy, or its machine, can't serve now; None: it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """`tiers` in order of preference, none of them empty; `excluded`: the proxies that a word named, but
    that may not serve.
    """

    tiers: tuple[tuple[ProxyName, ...], ...]
    excluded: tuple[Exclusion, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no proxy may serve."""
        return not self.tiers


def expand(device: Device, host: Host, inventory: Inventory, why_barred: WhyBarred) -> Candidates:
    """Return the candidates for one device of one host. The first word that names a proxy decides its tier.

    Within a tier, proxies in a failure domain of the host come last, neighbours differ in their domain, and equal ones
    are ordered by the plug. A word that names no proxy gives no tier.
    """
    place = Place(host=host, inventory=inventory)
    tiers: list[tuple[ProxyName, ...]] = []
    excluded: list[Exclusion] = []
    seen: set[ProxyName] = set()
    for word in device.proxies:
        tier: list[ProxyName] = []
        for name in named(word, host, inventory):
            if name in seen:
                continue
            seen.add(name)
            why = why_not(name, host, inventory, why_barred)
            if why is None:
                tier.append(name)
            else:
                excluded.append(Exclusion(proxy=name, why=why))
        if tier:
            tiers.append(place.arrange(tier, lambda name: (0, spread(device.spec.plug_id, name))))
    return Candidates(tiers=tuple(tiers), excluded=tuple(excluded))


def named(word: str, host: Host, inventory: Inventory) -> Iterable[ProxyName]:
    """Return all proxies that one preference word names for this host, usable or not."""
    if word == ENGINE:
        return (ENGINE,)
    if word == CLUSTER:
        return _matching(inventory, lambda proxy: _is_same(cluster_of(proxy, inventory), host.cluster))
    if word == DC:
        return _matching(inventory, lambda proxy: _is_same(datacenter_of(proxy, inventory), host.datacenter))
    if word == OTHER_DC:
        return _matching(inventory, lambda proxy: _is_elsewhere(proxy, host, inventory))
    if word.startswith(TAG):
        tag = word.removeprefix(TAG)
        return _matching(inventory, lambda proxy: tag in proxy.tags)
    return by_machine(word, inventory)


def by_machine(word: str, inventory: Inventory) -> Iterable[ProxyName]:
    """Return the proxy of this name; otherwise all at this address, or on the host of this name, address or alias."""
    proxy = inventory.proxies.get(ProxyName(word))
    if proxy is not None:
        return (proxy.name,)
    return tuple(
        proxy.name for proxy in inventory.proxies.values() if proxy.address == word or _runs_on(proxy, word, inventory)
    )


def cluster_of(proxy: Proxy, inventory: Inventory) -> ClusterName | None:
    """Return the proxy's cluster, otherwise that of the host on which it runs; None: unknown."""
    if proxy.cluster:
        return proxy.cluster
    machine = inventory.machine_of(proxy)
    # A proxy that names a data centre but no cluster belongs to no cluster, whatever its machine does.
    if machine is None or proxy.datacenter:
        return None
    return machine.cluster or None


def datacenter_of(proxy: Proxy, inventory: Inventory) -> DatacenterName | None:
    """Return the proxy's data centre, otherwise its cluster's, otherwise that of its host; None: unknown."""
    if proxy.datacenter:
        return proxy.datacenter
    if proxy.cluster:
        return inventory.clusters.get(proxy.cluster) or None
    machine = inventory.machine_of(proxy)
    return (machine.datacenter or None) if machine is not None else None


def _matching(inventory: Inventory, is_meant: Callable[[Proxy], bool]) -> tuple[ProxyName, ...]:
    return tuple(proxy.name for proxy in inventory.proxies.values() if is_meant(proxy))


def _is_same(place: str | None, other: str) -> bool:
    """An unknown place is never the same one."""
    return bool(place) and place == other


def _is_elsewhere(proxy: Proxy, host: Host, inventory: Inventory) -> bool:
    """Return whether it is known to be in another data centre; an unknown place is not "elsewhere"."""
    place = datacenter_of(proxy, inventory)
    return bool(host.datacenter) and place is not None and place != host.datacenter


def _runs_on(proxy: Proxy, word: str, inventory: Inventory) -> bool:
    machine = inventory.machine_of(proxy)
    return machine is not None and word in machine.names


def _is_called(host: Host, address: str) -> bool:
    """Return `address in host.names`, without building the set: this runs for every proxy of every device."""
    is_its = address in (host.name, host.address, *host.aliases) or any(address == own for _, own in host.addresses)
    return is_its and not names_nobody(address)


def why_not(name: ProxyName, host: Host, inventory: Inventory, why_barred: WhyBarred) -> str | None:
    """Return why this proxy can't serve for this host; None: it can."""
    if name == ENGINE:
        return f"the target is {host.own_words}" if host.is_own_machine else None
    proxy = inventory.proxies[name]
    if proxy.machine == host.name or host.name in proxy.also_on or _is_called(host, proxy.address):
        return "runs on the target itself"
    return why_barred(proxy)


@dataclass(slots=True)
class Paths:
    """The proxies that an inventory's preference lists name, cached: thousands of devices share one list; and its
    hosts by network."""

    inventory: Inventory
    _networks: Networks | None = None
    _named: dict[tuple[tuple[str, ...], ClusterName, DatacenterName], tuple[ProxyName, ...]] = field(
        default_factory=dict
    )

    def of(self, host: Host, device: Device) -> tuple[ProxyName, ...]:
        """Return every proxy that may ever serve, in order of preference: the list without the host itself."""
        listed = self.listed(host, device)
        return tuple(name for name in listed if why_not(name, host, self.inventory, _never) is None)

    def listed(self, host: Host, device: Device) -> tuple[ProxyName, ...]:
        """Return every proxy that the list names, also those on the host itself. Equal lists share the answer."""
        key = (device.proxies, host.cluster, host.datacenter)
        names = self._named.get(key)
        if names is None:
            found = (name for word in device.proxies for name in named(word, host, self.inventory))
            names = self._named[key] = tuple(dict.fromkeys(found))
        return names

    @property
    def networks(self) -> Networks:
        """The hosts and references by network, found once."""
        if self._networks is None:
            self._networks = networks(self.inventory)
        return self._networks


def _never(proxy: Proxy) -> None:
    """Bar no proxy for a reason that may change."""

"""Names the content of an inventory, so that readers of the bus see whether two daemons have the same one.

Everybody who reads `info` on the bus gets the digest, so nothing of a secret goes into it: no login, no further secret,
no option that may hold one. Left out, too, is what a daemon's own machine or name makes of the files.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from fenced.config.mistakes import shown
from fenced.model.inventory import Device, Host, Inventory, Proxy
from fenced.model.names import MAIN_SHARD
from fenced.model.settings import DaemonSettings, GateSettings, HostSettings, PowerSettings, SavingSettings

CHARACTERS: Final = 16
EARLIER_EVIDENCE: Final = ("storage_lease",)
"""The default of `live_evidence` before it named more kinds."""

Settings = Callable[[HostSettings | PowerSettings | SavingSettings], "_Written"]


def digest(inventory: Inventory) -> str:
    """Return the digest of hosts, devices, proxies and settings. Their order in the files does not matter."""
    made = hashlib.sha256()
    for part in _parts(inventory):
        made.update(repr(part).encode("utf-8", "backslashreplace"))
    return made.hexdigest()[:CHARACTERS]


def _parts(inventory: Inventory) -> Iterator[tuple[object, ...]]:
    settings = _remembered()
    yield from _daemon(inventory.daemon)
    yield from _observing(inventory.daemon)
    yield ("datacenters", *sorted(inventory.datacenters))
    shards = sorted((name, shard) for name, shard in inventory.datacenters.items() if shard != MAIN_SHARD)
    if shards:  # without any, the digest is that of earlier versions
        yield ("shards", *shards)
    yield ("clusters", *sorted(inventory.clusters.items()))
    for _, proxy in sorted(inventory.proxies.items()):
        yield _proxy(proxy)
    for _, host in sorted(inventory.hosts.items()):
        yield _host(host, settings)


def _daemon(daemon: DaemonSettings) -> Iterator[tuple[object, ...]]:
    """Yield the settings of the daemon. At the default of `live_evidence` as before it named more kinds, so that the
    digest is that of earlier versions; what was the default then is told apart."""
    kinds = daemon.gates.live_evidence
    before = EARLIER_EVIDENCE if kinds == GateSettings().live_evidence else kinds
    yield ("daemon", replace(daemon, name="", gates=replace(daemon.gates, live_evidence=before)))
    if kinds == EARLIER_EVIDENCE:
        yield ("live_evidence", *kinds)


def _observing(daemon: DaemonSettings) -> Iterator[tuple[object, ...]]:
    """Yield what observers must fulfil. At its defaults nothing, so that the digest is that of earlier versions."""
    if daemon.observers != DaemonSettings(name="").observers:
        yield ("observers", daemon.observers)
    if daemon.references:
        yield ("references", *sorted((each.network, each.address) for each in daemon.references))


def _remembered() -> Settings:
    """Return what writes settings. Thousands of hosts share few objects, and each is written once."""
    known: dict[int, _Written] = {}

    def written(settings: HostSettings | PowerSettings | SavingSettings) -> _Written:
        if id(settings) not in known:
            known[id(settings)] = _Written(repr(settings))
        return known[id(settings)]

    return written


class _Written:
    """A text whose `repr` is kept."""

    def __init__(self, text: str) -> None:
        self._kept = repr(text)

    def __repr__(self) -> str:
        return self._kept


def _proxy(proxy: Proxy) -> tuple[object, ...]:
    via = proxy.via.url if proxy.via is not None else ""
    return (
        "proxy", proxy.name, proxy.url, proxy.cluster, proxy.datacenter, proxy.domain, proxy.tags, proxy.calls, via,
    )  # fmt: skip


def _host(host: Host, settings: Settings) -> tuple[object, ...]:
    return (
        "host", host.name, host.cluster, host.datacenter, host.address, host.aliases, host.rack, host.labels,
        host.roles, host.is_protected, host.is_drill, host.identity, settings(host.settings),
        *(_device(device, settings) for device in host.devices),
        *((("addresses", *host.addresses),) if host.addresses else ()),
        *_of_saving(host, settings),
    )  # fmt: skip


def _of_saving(host: Host, settings: Settings) -> Iterator[object]:
    """Yield whether and how the host may be put to sleep. At the defaults nothing, so that the digest is that of
    earlier versions."""
    if host.settings.saving != SavingSettings():
        yield ("saving", settings(host.settings.saving))
    if not host.may_sleep:
        yield ("may_sleep", False)


def _device(device: Device, settings: Settings) -> tuple[object, ...]:
    spec = device.spec
    return (
        device.name, device.kind.value, device.level, device.proxies, settings(device.power), device.settle_seconds,
        device.settle_after_return_seconds, device.is_standby_separate, device.identity, spec.driver, spec.plug_id,
        spec.address, spec.off_by_exit_status, spec.sessions, spec.cuts_power, spec.check_ready, spec.tls.value,
        *sorted((name, shown(name, value)) for name, value in spec.options.items()),
    )  # fmt: skip

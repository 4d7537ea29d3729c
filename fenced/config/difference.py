"""Lists what a reload changes, one line per change, and what of it needs a restart.

A changed secret is listed as changed; its values never are.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from fenced.config.configuration import Configuration
from fenced.config.durations import format_duration
from fenced.config.mistakes import shown
from fenced.model.inventory import Host, Inventory, Secret
from fenced.model.names import HostName

LINES_MAX: Final = 200

_RESTART_PARTS: Final = ("state_dir", "bus", "store", "proxy_client")
_RESTART_API_KEYS: Final = ("host", "port", "socket")
"""A reload exchanges the rest while the server runs."""
_KEPT_KEYS: Final = {
    "agent_processes": "power.agent_processes",
    "has_warm_agents": "power.warm_agents",
    "lease_ttl_seconds": "store.lease_ttl",
}
"""Settings that are read only at start, by their key in the file: a reload accepts them, and the old value stays."""
_IN_THE_FILE: Final = {
    "state_dir": "daemon.state_dir",
    "bus.scheme": "bus.url",
    "bus.host": "bus.url",
    "bus.port": "bus.url",
    "store.path": "",  # follows from the two keys that make it
    "api.host": "api.listen",
    "api.port": "api.listen",
}
"""The keys of the file behind fields that have another name."""


def difference(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """Return one line per change, `hosts.node-1.devices.bmc.level: 1 -> 2`; at most LINES_MAX, then how many more."""
    lines = [*_renamed(old.inventory, new.inventory), *_compare("", old, new)]
    if len(lines) > LINES_MAX:
        return (*lines[:LINES_MAX], f"and {len(lines) - LINES_MAX} more")
    return tuple(lines)


def removed_hosts(old: Inventory, new: Inventory) -> frozenset[HostName]:
    """Return the hosts that are gone or were renamed."""
    return frozenset(old.hosts.keys() - new.hosts.keys())


def needs_restart(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """Return the changed keys without whose old value the daemon can't go on: they need a restart."""
    changed = [place for part in _RESTART_PARTS for place in _places(part, getattr(old, part), getattr(new, part))]
    changed += [f"api.{key}" for key in _RESTART_API_KEYS if getattr(old.api, key) != getattr(new.api, key)]
    changed += ["api.tls_cert_file"] if (old.api.tls_cert_file is None) != (new.api.tls_cert_file is None) else []
    before, after = old.inventory.daemon, new.inventory.daemon
    changed += [f"daemon.{key}" for key in ("name", "site") if getattr(before, key) != getattr(after, key)]
    changed += _other_shards(old.inventory, new.inventory)
    keys = (_IN_THE_FILE.get(place, place) for place in changed)
    return tuple(dict.fromkeys(key for key in keys if key))


def _other_shards(old: Inventory, new: Inventory) -> list[str]:
    """Return the keys by which hosts or data centres are in another shard, whose journal knows nothing of them.

    "shards": none moved, but a shard came or went.
    """
    changed = []
    for place in sorted(old.datacenters.keys() & new.datacenters.keys()):
        if old.datacenters[place] != new.datacenters[place]:
            changed.append(f"datacenters.{place}.shard")
    for name, host in old.hosts.items():
        now = new.hosts.get(name)
        if now is None or old.shard_of(host) == new.shard_of(now):
            continue
        if now.cluster != host.cluster:
            changed.append(f"hosts.{name}.cluster")
        elif now.datacenter != host.datacenter:
            changed.append(f"clusters.{now.cluster}.datacenter")
    return changed or (["shards"] if old.shards != new.shards else [])


def kept_until_restart(old: Configuration, new: Configuration) -> tuple[str, ...]:
    """Return the changed keys that a reload accepts and only a restart applies."""
    before, after = old.inventory.daemon, new.inventory.daemon
    kept = ["daemon.agent_path"] if old.agent_path != new.agent_path else []
    kept += [key for name, key in _KEPT_KEYS.items() if getattr(before, name) != getattr(after, name)]
    return tuple(kept)


def _places(path: str, old: object, new: object) -> Iterator[str]:
    """Yield the keys that differ."""
    for line in _compare(path, old, new):
        yield line.partition(": ")[0].replace(".tls.", ".")


def _renamed(old: Inventory, new: Inventory) -> Iterator[str]:
    gone = removed_hosts(old, new)
    by_plugs = {_plugs(host): host.name for name, host in new.hosts.items() if name not in old.hosts and host.devices}
    for name in sorted(gone):
        now = by_plugs.get(_plugs(old.hosts[name]))
        if now is not None:
            yield f"hosts.{name}: probably renamed to {now}, which has the same power devices"


def _plugs(host: Host) -> tuple[str, ...]:
    return tuple(sorted(device.spec.plug_id for device in host.devices))


def _compare(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Secret) or isinstance(new, Secret):
        yield f"{path}: changed (secret)"
    elif path.endswith("tokens"):
        yield f"{path}: changed (secrets), {len(old)} -> {len(new)}"
    elif is_dataclass(old) and is_dataclass(new):
        for field in (each for each in fields(old) if each.compare):
            yield from _compare(_below(path, field.name), getattr(old, field.name), getattr(new, field.name))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _compare_mappings(path, old, new)
    elif _are_named(old, new):
        yield from _compare_mappings(path, {item.name: item for item in old}, {item.name: item for item in new})
        was, now = ([item.name for item in items] for items in (old, new))
        if was != now and sorted(was) == sorted(now):
            yield f"{path}: order changed"
    else:
        yield f"{path}: {_shown(path, old)} -> {_shown(path, new)}"


def _compare_mappings(path: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}, key=str):
        place = _below(path, str(key))
        if key not in old:
            yield f"{place}: added"
        elif key not in new:
            yield f"{place}: removed"
        else:
            yield from _compare(place, old[key], new[key])


def _are_named(old: object, new: object) -> bool:
    """Whether both are lists of things with names; one may be empty."""
    return isinstance(old, tuple) and isinstance(new, tuple) and all(hasattr(item, "name") for item in (*old, *new))


def _below(path: str, name: str) -> str:
    # "inventory" is not a key that an operator could look for in the file.
    if not path and name == "inventory":
        return ""
    return f"{path}.{name}" if path else name


def _shown(path: str, value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if path.endswith("_seconds") and isinstance(value, int | float):
        return format_duration(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = list(value)
    return shown(path, value) or '""'

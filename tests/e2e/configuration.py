"""The daemon's file and inventory as plain values, with settings so fast that a whole fence takes a second or two."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Table = dict[str, Any]

SITE: Final = "site-1"
DAEMON: Final = "fenced-a"
LEASE_SECONDS: Final = 6.0


def fast(state_dir: Path, *, bus: str, api_port: int, agents: Path) -> dict[str, Table]:
    """Return settings with short durations. A host is suspect after a second and a half of silence."""
    return {
        "daemon": {
            "name": DAEMON,
            "site": SITE,
            "state_dir": str(state_dir),
            "agent_path": [str(agents), "/usr/sbin"],
            "armed": True,
            "shutdown_grace": "10s",
        },
        "bus": {"url": bus, "announce_wait": "5s"},
        "store": {"lease_ttl": f"{LEASE_SECONDS:g}s"},
        "api": {
            "listen": f"127.0.0.1:{api_port}",
            "socket": str(state_dir.with_suffix(".sock")),
            "tcp_writes": True,
            "requests_per_second": 1000,
        },
        "detection": {
            "heartbeat_interval": "300ms",
            "missed_heartbeats": 3,
            "grace": "1500ms",
            "startup_quiet": "300ms",
            "bus_settle": "300ms",
            "boot_grace": "20s",
            "release_grace": "1s",
            "watch_interval": "1s",
            "late_message": "2s",
            "probe_timeout": "1s",
            "probe_ports": [],
        },
        "race": {"stagger": "100ms", "preference_grace": "100ms", "probe_timeout": "2s"},
        "power": {
            "verify_interval": "100ms",
            "verify_timeout": "3s",
            "already_off_hold": "1s",
            "attempt_timeout": "4s",
            "attempts": 2,
            "operation_timeout": "40s",
            "restore_timeout": "30s",
            "chassis_boot_timeout": "5s",
        },
        "gates": {
            "attempts": {"count": 100, "per": "1h"},
            "cooldown": "0s",
            "witness": {"hosts": 1, "wait": "200ms"},
            "connectivity": {"share": 90, "at_least": 3},
            "storm": {"domains": []},  # many tests kill several hosts of one cluster
            "budget": {"hosts": 20, "percent": 100, "at_most": 20, "per": "10s", "unrecovered": 100},
        },
    }


@dataclass(slots=True, kw_only=True)
class Configuration:
    """The contents of the files.

    A test changes `tables` and `hosts` before it starts the daemon, or before a SIGHUP.
    """

    directory: Path
    tables: dict[str, Table]
    hosts: dict[str, list[Table]] = field(default_factory=dict)
    about: dict[str, Table] = field(default_factory=dict)
    proxies: list[Table] = field(default_factory=list)
    shards: dict[str, str] = field(default_factory=dict)
    """The shard of a host, by name; `main` if it is not named."""
    preference: list[str] = field(default_factory=lambda: ["engine"])
    of_cluster: Table = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.directory / "fenced.toml"

    def change(self, section: str, **keys: Any) -> None:
        self.tables.setdefault(section, {}).update(keys)

    def copy(self) -> "Configuration":
        return copy.deepcopy(self)

    def write(self) -> Path:
        """Write both files; the test itself writes a secret's file."""
        tables = {**self.tables, "inventory": {"files": ["inventory.toml"]}}
        self.file.write_text(text(tables))
        parts = [text({"[datacenter]": {"name": "dc1"}})]
        cluster = {"name": "c1", "datacenter": "dc1", "proxies": self.preference, **self.of_cluster}
        parts.append(text({"[cluster]": cluster}))
        for shard in sorted(set(self.shards.values())):
            parts.append(text({"[datacenter]": {"name": f"dc-{shard}", "shard": shard}}))
            parts.append(text({"[cluster]": {**cluster, "name": f"c-{shard}", "datacenter": f"dc-{shard}"}}))
        for name in sorted({about["cluster"] for about in self.about.values() if "cluster" in about} - {"c1"}):
            parts.append(text({"[cluster]": {**cluster, "name": name}}))
        parts += [text({"[proxy]": proxy}) for proxy in self.proxies]
        for name, devices in self.hosts.items():
            cluster_name = f"c-{self.shards[name]}" if name in self.shards else "c1"
            parts.append(text({"[host]": {"name": name, "cluster": cluster_name, **self.about.get(name, {})}}))
            # No settle times: a daemon that has just started would wait for devices, and each test starts one.
            parts += [text({"[host.device]": {"settle": "0s", **device}}) for device in devices]
        (self.directory / "inventory.toml").write_text("\n".join(parts))
        return self.file


def text(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Format tables of plain values as TOML; a table within a table goes on one line."""
    lines: list[str] = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)

"""Writes the lab's configuration: real files with fast settings, as a user would write them, for the real programs.

Knows the keys (configuration.md) and where the lab's parts listen. The programs of the lab get their settings only from
these files.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fenced.lab.database import Database
from fenced.lab.ground import Endpoint
from fenced.lab.rack import Wiring
from fenced.model.socket_paths import why_no_socket_path

SITE: Final = "lab"
DAEMON: Final = "fenced-lab"
"""The only controller."""
CONTROLLERS: Final = ("fenced-a", "fenced-b")
"""The controllers that share a database."""
LEASE_TTL: Final = "5s"
BLACK_HOLE: Final = "px-hole"
USERNAME: Final = "fence"
PASSWORD: Final = "emulated"  # noqa: S105 - opens nothing but the lab's emulated devices
SHEBANG_BYTES_MAX: Final = 120
HEARTBEAT_INTERVAL: Final = "500ms"
STARTUP_QUIET_SECONDS: Final = 3.0
SAVING: Final[Mapping[str, object]] = {
    "enabled": True,
    "reserve": 1,
    "min_on": 3,
    "asleep_at_most": 25,
    "idle_for": "4s",
    "awake_for": "20s",
    "pause": "5s",
    "veto": "5s",
    "soft_off": "device",
    "soft_timeout": "1m",
    "retry_after": "1m",
    "proven_on": "0s",
    "watch": "3s",
}
"""Nobody needs to prove that it comes back: every host of the lab has just booted, but without the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerPlace:
    """One controller; its certificate has the same name. `inner`: its API where its programs run. `api`: the same API
    for other programs of this machine. `stem`: the name of its files."""

    name: str
    stem: str
    inner: Endpoint
    api: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlace:
    """One proxy agent of the lab; its certificate has the same name."""

    name: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlace:
    """One host: its wiring, its address ("" if it has none), its BMC."""

    wiring: Wiring
    address: str
    bmc: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All addresses and paths of a lab. `units`: the power units by name. `database`: None: the store is a file."""

    directory: Path
    broker: Endpoint
    controllers: Sequence[ControllerPlace]
    units: Mapping[str, Endpoint]
    hosts: Sequence[HostPlace]
    proxies: Sequence[ProxyPlace]
    black_hole: Endpoint
    probe_ports: Sequence[int]
    is_broker_built_in: bool = True
    """False: Mosquitto is the broker."""
    database: Database | None = None
    is_saving: bool = False
    """Idle hosts are put to sleep."""

    def configuration(self, controller: ControllerPlace) -> Path:
        return self.directory / f"{controller.stem}.toml"

    def state(self, controller: ControllerPlace) -> Path:
        """Return the state directory of a controller."""
        state = self.directory / "state"
        return state if self.database is None else state / controller.name

    @property
    def bus(self) -> str:
        return f"{'embedded' if self.is_broker_built_in else 'mqtt'}://{self.broker}"

    @property
    def broker_configuration(self) -> Path:
        return self.directory / "mosquitto.conf"

    def socket(self, controller: ControllerPlace) -> str:
        """Return a controller's unix socket, or "" where the folder's path is too long for one."""
        path = str(self.directory / ("api.sock" if self.database is None else f"{controller.stem}.sock"))
        return "" if why_no_socket_path(path) else path

    @property
    def certificates(self) -> Path:
        return self.directory / "certs"

    def proxy_configuration(self, name: str) -> Path:
        return self.directory / f"{name}.toml"


def write_agent(directory: Path) -> Path:
    """Write the fence agent for the lab's outlets as a standalone program. Return its path."""
    source = Path(__file__).with_name("fence_lab_outlet.py")
    program = directory / "fence_lab_outlet"
    shebang = f"#!{sys.executable} -IS\n"
    if len(shebang.encode()) <= SHEBANG_BYTES_MAX and " " not in sys.executable:
        text = shebang + source.read_text(encoding="utf-8")
    else:
        # The kernel accepts neither long paths nor paths with a space in a shebang line.
        text = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(source))}\n"
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def write(layout: Layout) -> None:
    """Write the daemon's file, its inventory, the proxies' files, the password and the fence agent."""
    agents = layout.directory / "agents"
    for directory in (agents, layout.directory / "state"):
        directory.mkdir(exist_ok=True)
    write_agent(agents)
    password = layout.directory / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD + "\n", encoding="utf-8")
    for controller in layout.controllers:
        layout.configuration(controller).write_text(daemon_file(layout, controller), encoding="utf-8")
    if not layout.is_broker_built_in:
        layout.broker_configuration.write_text(broker_file(layout), encoding="utf-8")
    (layout.directory / "inventory.toml").write_text(inventory_file(layout), encoding="utf-8")
    for proxy in layout.proxies:
        layout.proxy_configuration(proxy.name).write_text(proxy_file(layout, proxy), encoding="utf-8")


def broker_file(layout: Layout) -> str:
    """Return Mosquitto's file. As root it would take another user, who can't open the lab's folder."""
    return (
        f"user root\nlistener {layout.broker.port} {layout.broker.address}\nallow_anonymous true\npersistence false\n"
        "set_tcp_nodelay true\nlog_dest stderr\n"
    )


def daemon_file(layout: Layout, controller: ControllerPlace) -> str:
    """Return the file of a controller."""
    return _text(
        {
            "daemon": {
                "name": controller.name,
                "site": SITE,
                "state_dir": str(layout.state(controller)),
                "agent_path": [str(layout.directory / "agents")],
                "armed": True,
                "shutdown_grace": "5s",
            },
            "bus": {"url": layout.bus, "announce_wait": "3s"},
            "api": {
                "listen": str(controller.inner),
                "socket": layout.socket(controller),
                "tcp_writes": True,
                "advertise": f"http://{controller.api}",
            },
            "proxy_client": {
                "ca_file": str(layout.certificates / "ca.crt"),
                "cert_file": str(layout.certificates / f"{controller.name}.crt"),
                "key_file": str(layout.certificates / f"{controller.name}.key"),
            },
            **_store(layout.database),
            "detection": {
                "heartbeat_interval": HEARTBEAT_INTERVAL,
                "missed_heartbeats": 3,
                "grace": "2s",
                "startup_quiet": f"{STARTUP_QUIET_SECONDS:.0f}s",
                "bus_settle": "1s",
                "boot_grace": "30s",
                "release_grace": "3s",
                "watch_interval": "2s",
                "probe_timeout": "1s",
                "probe_ports": list(layout.probe_ports),
            },
            "race": {"stagger": "200ms", "preference_grace": "200ms", "probe_timeout": "2s"},
            "power": {
                "verify_interval": "200ms",
                "verify_timeout": "4s",
                "already_off_hold": "2s",
                "attempt_timeout": "4s",
                "attempts": 2,
                "operation_timeout": "1m",
                "restore_timeout": "1m",
                "chassis_boot_timeout": "10s",
            },
            "gates": {
                "attempts": _Inline(count=100, per="1h"),
                "cooldown": "2s",
                "witness": _Inline(hosts=1, wait="500ms"),
                "connectivity": _Inline(share=50, at_least=2),
                "budget": _Inline(hosts=5, percent=50, at_most=10, per="1m", unrecovered=10),
            },
            **({"saving": SAVING} if layout.is_saving else {}),
            "inventory": {"files": ["inventory.toml"]},
        }
    )


def _store(database: Database | None) -> dict[str, dict[str, object]]:
    """Return the table of the store; none where it is the file in `state_dir`."""
    if database is None:
        return {}
    return {"store": {"url": database.url, "password_file": str(database.password_file), "lease_ttl": LEASE_TTL}}


def inventory_file(layout: Layout) -> str:
    """Return one data centre, one cluster, all proxies and hosts. The black hole is first in every preference list."""
    names = [proxy.name for proxy in layout.proxies]
    tables = [
        _text({"[datacenter]": {"name": "dc1"}}),
        _text({"[cluster]": {"name": "c1", "datacenter": "dc1", "proxies": [BLACK_HOLE, *names, "engine"]}}),
    ]
    everybody = [ProxyPlace(name=BLACK_HOLE, endpoint=layout.black_hole), *layout.proxies]
    for proxy in everybody:
        tables.append(_text({"[proxy]": {"name": proxy.name, "url": f"https://{proxy.endpoint}", "cluster": "c1"}}))
    for host in layout.hosts:
        about = {"name": host.wiring.host, "cluster": "c1"} | ({"address": host.address} if host.address else {})
        tables.append(_text({"[host]": about}))
        tables += [_text({"[host.device]": device}) for device in _devices(layout, host)]
    return "\n".join(tables)


def proxy_file(layout: Layout, proxy: ProxyPlace) -> str:
    """Return the proxy agent's file."""
    return _text(
        {
            "proxy": {
                "name": proxy.name,
                "listen": str(proxy.endpoint),
                "state_dir": str(layout.directory / "state" / proxy.name),
                "tls_cert_file": str(layout.certificates / f"{proxy.name}.crt"),
                "tls_key_file": str(layout.certificates / f"{proxy.name}.key"),
                "client_ca_file": str(layout.certificates / "ca.crt"),
                "allow": [f"CN={controller.name}" for controller in layout.controllers],
                "agent_path": [str(layout.directory / "agents")],
            }
        }
    )


def _devices(layout: Layout, host: HostPlace) -> list[dict[str, object]]:
    """Return a host's devices. Level 1: both outlets. Level 2: the chassis."""
    password = str(layout.directory / "password")
    devices: list[dict[str, object]] = [
        {
            "name": outlet.unit,
            "driver": "fence_lab_outlet",
            "level": 1,
            "address": layout.units[outlet.unit].address,
            "username": USERNAME,
            "password_file": password,
            "settle": "0s",
            "options": _Inline(ipport=layout.units[outlet.unit].port, plug=str(outlet.number), power_timeout=3),
        }
        for outlet in host.wiring.outlets
    ]
    bmc: dict[str, object] = {
        "name": "bmc",
        "driver": "redfish",
        "level": 2,
        "address": f"http://{host.bmc}",
        "username": USERNAME,
        "password_file": password,
        "settle": "0s",
    }
    return [*devices, bmc | ({"standby": "separate"} if host.wiring.is_standby_separate else {})]


class _Inline(dict[str, object]):
    """A table written on one line."""

    def __init__(self, **values: object) -> None:
        super().__init__(values)


def _text(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Format tables of plain values as TOML. JSON strings, numbers and lists are valid TOML."""
    lines: list[str] = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, _Inline):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)

"""Which outlet, blade or BMC a device's keys mean: the identity of plugs and units, and when two are the same.

Knows drivers' and agents' words for address, port and plug. One rule: the ids are stable text, for tokens are
remembered under them; whether two names are one address is asked only when the configuration is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fenced.config.agents import family, is_bmc
from fenced.config.own_machine import canonical, is_address
from fenced.model.names import PlugId, UnitId

_ADDRESS_OPTIONS: Final = ("ip", "ipaddr", "hostname", "host")
_PORT_OPTIONS: Final = ("ipport", "udpport")
_PLUG_OPTIONS: Final = ("plug", "port")
_QUALIFIERS: Final = (
    "switch", "system", "systems_uri", "systems-uri", "suborg", "managed", "module_name", "namespace",
    "project", "pve_node", "region", "zone", "resourceGroup", "subscriptionId", "node_name",
)  # fmt: skip
"""Options that say which of several plugs of the same number at one address is meant."""

_DEFAULT_PORTS: Final = {"ipmi": "623", "redfish": "443", "snmp_outlet": "161"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """What one device's keys mean. `outlets`: usually one; agents take several as `7,8`."""

    driver: str
    address: str
    port: str
    outlets: tuple[str, ...]
    qualifier: str
    has_own_port: bool = False

    @property
    def plug_id(self) -> PlugId:
        plug = ",".join(self.outlets) + (f"?{self.qualifier}" if self.qualifier else "")
        return PlugId(f"{self.driver}|{_joined(self.address, self.port)}|{plug}")

    @property
    def unit_id(self) -> UnitId:
        """The physical unit; a plug without an address is its own."""
        return UnitId(_joined(self.address, self.port) if self.address else str(self.plug_id))

    def keys(self, addresses: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
        """One per outlet; equal keys are the same outlet. `addresses`: name -> the address it resolves to."""
        address = addresses.get(self.address, self.address)
        place = (family(self.driver), address, self.port, self.qualifier)
        return tuple((*place, outlet) for outlet in self.outlets)


def identify(driver: str, address: str, options: Mapping[str, Any], *, nodename: str) -> Plug:
    """The plug that these keys mean. `nodename`: what an agent gets as its plug where none is configured."""
    place, port = _place(driver, address, options)
    plug = _first(options, _PLUG_OPTIONS)
    if options.get("port_as_ip") and plug and not place:
        place, plug = canonical(plug), ""
    if not plug and not (place and is_bmc(driver)):
        plug = nodename
    qualifier = _qualifier(options) if place else _everything(options)
    return Plug(
        driver=driver,
        address=place,
        port=port or (_DEFAULT_PORTS.get(family(driver), "") if place else ""),
        outlets=tuple(part.strip() for part in plug.split(",")),
        qualifier=qualifier,
        has_own_port=bool(port),
    )


def is_name(address: str) -> bool:
    """Whether a name server would have to be asked what this address is."""
    return bool(address) and not is_address(address)


def split_address(address: str) -> tuple[str, str]:
    """(host, port) of a URL, HOST:PORT, [IPv6]:PORT, or a bare name or address; port "" where none is given."""
    if is_address(address):
        return canonical(address), ""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
    except ValueError:
        return address, ""
    return canonical(parts.hostname or ""), _port(parts)


def _port(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        return ""
    if port is not None:
        return str(port)
    return {"http": "80", "https": "443"}.get(parts.scheme, "")


def _place(driver: str, address: str, options: Mapping[str, Any]) -> tuple[str, str]:
    host, port = split_address(address or _first(options, _ADDRESS_OPTIONS))
    return host, _first(options, _PORT_OPTIONS) or port


def _qualifier(options: Mapping[str, Any]) -> str:
    return "&".join(f"{key}={options[key]}" for key in _QUALIFIERS if key in options)


def _everything(options: Mapping[str, Any]) -> str:
    """Without an address all options together say which plug it is."""
    return "&".join(f"{key}={options[key]}" for key in sorted(options) if key not in _PLUG_OPTIONS)


def _first(options: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(options[key]) for key in keys if key in options), "")


def _joined(address: str, port: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}" if port else host

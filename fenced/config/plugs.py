"""Which outlet, blade or BMC a device's keys mean: the identity of plugs and units, and when two are the same.

Asks a driver's description for its words for address, port and plug. One rule: the ids are stable text, for tokens are
remembered under them; whether two names are one address is asked only when the configuration is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fenced.config.own_machine import canonical, is_address
from fenced.model.drivers import DriverDescription
from fenced.model.names import PlugId, UnitId

_OUTLET_OPTIONS: Final = ("plug", "port")
"""Also of a driver whose address is one host, these say which part of it is meant."""
_PORT_OPTIONS: Final = ("ipport", "udpport", "port")
"""What says the port of a unit where the driver does not say what does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """What one device's keys mean. `outlets`: usually one; agents take several as `7,8`."""

    driver: str
    family: str
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
        place = (self.family, address, self.port, self.qualifier)
        return tuple((*place, outlet) for outlet in self.outlets)


def identify(description: DriverDescription, address: str, options: Mapping[str, Any], *, nodename: str) -> Plug:
    """The plug that these keys mean. `nodename`: what a driver gets as its plug where none is configured."""
    outlet_options = _outlet_options(description)
    place, port = _place(description, address, options)
    plug = _first(options, outlet_options)
    if options.get("port_as_ip") and plug and not place:
        place, plug = canonical(plug), ""
    if not plug and not (place and description.is_one_plug):
        plug = nodename
    said = next((name for name in outlet_options if name in options), "")
    default_port = "" if description.default_port is None or not place else str(description.default_port)
    return Plug(
        driver=description.name,
        family=description.family or description.name,
        address=place,
        port=port or default_port,
        outlets=tuple(part.strip() for part in plug.split(",")),
        qualifier=_qualifier(description, options, said) if place else _everything(options, outlet_options),
        has_own_port=bool(port),
    )


def _outlet_options(description: DriverDescription) -> tuple[str, ...]:
    """The options that are the outlet itself; of a driver that is one plug, others tell parts of it apart."""
    if not description.is_one_plug:
        return description.plug_options
    return tuple(name for name in description.plug_options if name in _OUTLET_OPTIONS)


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


def _place(description: DriverDescription, address: str, options: Mapping[str, Any]) -> tuple[str, str]:
    host, port = split_address(address or _first(options, description.address_options))
    port_options = description.port_options or tuple(
        name for name in _PORT_OPTIONS if name not in description.plug_options
    )
    return host, _first(options, port_options) or port


def _qualifier(description: DriverDescription, options: Mapping[str, Any], said: str) -> str:
    """`said`: the option that is the outlet. The order is the description's, for the id is stable text."""
    names = (*description.qualifiers, *description.plug_options)
    return "&".join(f"{key}={options[key]}" for key in dict.fromkeys(names) if key in options and key != said)


def _everything(options: Mapping[str, Any], outlet_options: tuple[str, ...]) -> str:
    """Without an address all options together say which plug it is."""
    return "&".join(f"{key}={options[key]}" for key in sorted(options) if key not in outlet_options)


def _first(options: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(options[key]) for key in keys if key in options), "")


def _joined(address: str, port: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}" if port else host

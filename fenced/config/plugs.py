"""Identifies the plug (outlet, blade or BMC) and the unit that a device's keys mean.

A driver's description says which options hold address, port and plug. The ids are stable text, because tokens are
stored under them. Whether two ids are one plug is decided only when a configuration is checked (`checks/likeness`).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fenced.model.addresses import is_address
from fenced.model.drivers import DriverDescription
from fenced.model.names import PlugId, UnitId

_OUTLET_OPTIONS: Final = ("plug", "port")
"""Even where one address is one host, these options choose a part of it."""
_PORT_OPTIONS: Final = ("ipport", "udpport", "port")
"""The options that hold the port of a unit, unless the driver names others."""
_SCHEME_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """What one device's keys mean. `outlets`: usually one; agents take several as `7,8`.

    `qualifiers`: options that distinguish plugs of one number. `first_unit`: the unit of a chain for an outlet without
    one; None: unknown. `objects`: SNMP objects that the operator gave for outlets, `{plug}` being the number plus
    `offset`.
    """

    description: DriverDescription
    address: str
    port: str
    outlets: tuple[str, ...]
    qualifiers: tuple[tuple[str, str], ...] = ()
    first_unit: int | None = None
    offset: int = 0
    objects: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.description.family or self.description.name

    @property
    def is_usual_port(self) -> bool:
        """Whether the port is the default, as far as is known."""
        if not self.port or self.port == str(self.description.default_port):
            return True
        return self.port in _usual_ports(self.description)

    @property
    def qualifier(self) -> str:
        """Offsets distinguish two outlets of one number, too."""
        said = *self.qualifiers, *([("offset", str(self.offset))] if self.offset else [])
        return "&".join(f"{key}={value}" for key, value in said)

    @property
    def plug_id(self) -> PlugId:
        plug = ",".join(self.outlets) + (f"?{self.qualifier}" if self.qualifier else "")
        return PlugId(f"{self.description.name}|{_joined(self.address, self.port)}|{plug}")

    @property
    def unit_id(self) -> UnitId:
        """The physical unit; a plug without an address is a unit of its own."""
        return UnitId(_joined(self.address, self.port) if self.address else str(self.plug_id))


def identify(description: DriverDescription, address: str, options: Mapping[str, Any], *, nodename: str) -> Plug:
    """Return the plug that these keys mean. `nodename`: the plug that a driver gets where none is configured."""
    outlet_options = _outlet_options(description)
    place, port = _place(description, address, options)
    plug = _first(options, outlet_options)
    if options.get("port_as_ip") and plug and not place:
        place, plug = _spelled(plug), ""
    if not plug and not (place and description.is_one_plug):
        plug = nodename
    said = next((name for name in outlet_options if name in options), "")
    default_port = "" if description.default_port is None or not place else str(description.default_port)
    return Plug(
        description=description,
        address=place,
        port=port or default_port,
        outlets=tuple(part.strip() for part in plug.split(",")),
        qualifiers=_qualifiers(description, options, said) if place else _everything(options, outlet_options),
        first_unit=description.first_unit(options),
        offset=_whole(options.get(description.offset_option)),
        objects=tuple(_dotted(str(options[name])) for name in description.object_options if name in options),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _dotted(name: str) -> str:
    """Return an object's name in one spelling."""
    return ".".join(part.lstrip("0") or "0" for part in name.strip().removeprefix(".").split("."))


def _outlet_options(description: DriverDescription) -> tuple[str, ...]:
    """Return the options that name the outlet. For a driver with one plug the other options choose parts of it."""
    if not description.is_one_plug:
        return description.plug_options
    return tuple(name for name in description.plug_options if name in _OUTLET_OPTIONS)


def _usual_ports(description: DriverDescription) -> frozenset[str]:
    by_metadata = (description.option(name) for name in _port_options(description))
    known = {option.default for option in by_metadata if option is not None}
    of_schemes = {_SCHEME_PORTS[scheme] for scheme in description.address_schemes if scheme in _SCHEME_PORTS}
    return frozenset(str(port) for port in known if port not in {None, ""}) | of_schemes


def is_name(address: str) -> bool:
    """Whether this address is a name that must be resolved."""
    return bool(address) and not is_address(address)


def split_address(address: str) -> tuple[str, str]:
    """Return (host, port) of a URL, HOST:PORT, [IPv6]:PORT, or a bare name or address; port "" if none is given."""
    if not address:
        return "", ""
    if is_address(address):
        return _spelled(address), ""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
    except ValueError:
        return address, ""
    return _spelled(parts.hostname or ""), _port(parts)


def _spelled(name: str) -> str:
    """Return the spelling of ids.

    Unlike `canonical`, it keeps an IPv4 address inside an IPv6 one, because ids are stable.
    """
    bare = name.strip("[]")
    return str(ipaddress.ip_address(bare)) if is_address(bare) else name.rstrip(".").casefold()


def _port(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        return ""
    if port is not None:
        return str(port)
    return _SCHEME_PORTS.get(parts.scheme, "")


def _place(description: DriverDescription, address: str, options: Mapping[str, Any]) -> tuple[str, str]:
    host, port = split_address(address or _first(options, description.address_options))
    return host, _first(options, _port_options(description)) or port


def _port_options(description: DriverDescription) -> tuple[str, ...]:
    return description.port_options or tuple(name for name in _PORT_OPTIONS if name not in description.plug_options)


def _qualifiers(description: DriverDescription, options: Mapping[str, Any], said: str) -> tuple[tuple[str, str], ...]:
    """`said`: the option that names the outlet. The description gives the order, because the id is stable text."""
    names = (*description.qualifiers, *description.plug_options)
    return tuple((key, str(options[key])) for key in dict.fromkeys(names) if key in options and key != said)


def _everything(options: Mapping[str, Any], outlet_options: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Without an address all options together identify the plug."""
    return tuple((key, str(options[key])) for key in sorted(options) if key not in outlet_options)


def _first(options: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(options[key]) for key in keys if key in options), "")


def _joined(address: str, port: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}" if port else host

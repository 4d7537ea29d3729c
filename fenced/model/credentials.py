"""Credentials stored at a proxy: decide whether one may be used for a call, by driver, address, daemon and options.

Reads no file and makes no call. A stored password goes only where the proxy's configuration allows it: reject a call
that asks for more, or that spells an address in a way that two parsers could read differently.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.option_values import pins_among, plain

ADDRESS_OPTIONS: Final = ("ip", "ipaddr")
"""Options in which fence agents accept an address. Each is checked against the list of addresses, too."""
OPTIONS: Final = frozenset(
    {
        *ADDRESS_OPTIONS,
        "plug", "port", "system", "lanplus", "cipher", "snmp_version",
        "login_timeout", "power_timeout", "power_wait", "shell_timeout",
    }
)  # fmt: skip
"""Options that a call may always combine with a stored credential: they name an outlet or a time, never a program or a
connection. Their values are checked where they are passed on."""
TLS: Final = "tls"
"""The pin for the device's key `tls`: a caller must not be able to send the password over an old TLS version."""
PLUG_IS_ADDRESS: Final = "port_as_ip"
"""With this option an agent uses its plug, or the host's name, as the address."""
ADDRESS_PATTERN: Final = re.compile(r"(?:(https?)://)?([A-Za-z0-9_.:\[\]-]+)/?", re.ASCII)
GLOB_PATTERN: Final = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)+", re.ASCII)
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address in comparable form. `port` is None if none is given, or if it is the https default."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `HOST`, `HOST:PORT` or `https://HOST[:PORT]`. Return None for anything ambiguous."""
        found = ADDRESS_PATTERN.fullmatch(text)
        if found is None or text.startswith("-"):
            return None
        scheme, place = found[1] or "", found[2]
        if not scheme and _as_ip(place) is not None:
            return cls(scheme="", host=str(_as_ip(place)), port=None)
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None
        if not host or (":" in host and "[" not in place):
            return None
        ip = _as_ip(host)
        return cls(
            scheme=scheme,
            host=host if ip is None else str(ip),
            port=None if port == HTTPS_PORT and scheme == "https" else port,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRule:
    """An entry of `addresses`: one exact address, a network, or a name in which `*` matches text without dots."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an entry. Raises ValueError with the reason."""
        if "://" not in text and "/" in text:
            network = ipaddress.ip_network(text)
            if network.prefixlen == 0:
                raise ValueError("this network contains every address; give a smaller one")
        elif "*" in text:
            if GLOB_PATTERN.fullmatch(text) is None or not any("*" not in label for label in text.split(".")):
                raise ValueError(
                    "a name with * needs one part without *, and no scheme or port: write *.bmc.example.org"
                )
        elif Address.parse(text) is None:
            raise ValueError("must be HOST, HOST:PORT, https://HOST, a network or a name with *")
        return cls(text=text)

    def allows(self, address: Address) -> bool:
        """Return whether the entry allows the address. http:// and a port match only an entry with the same one."""
        if "://" not in self.text and ("/" in self.text or "*" in self.text):
            return address.scheme != "http" and address.port is None and self._is_among(address.host)
        exact = Address.parse(self.text)
        assert exact is not None
        is_scheme = address.scheme == exact.scheme or (not exact.scheme and address.scheme == "https")
        return is_scheme and address.host == exact.host and address.port == exact.port

    def _is_among(self, host: str) -> bool:
        ip = _as_ip(host)
        if "/" in self.text:
            return ip is not None and ip in ipaddress.ip_network(self.text)
        parts = "[^.]+".join(re.escape(part) for part in self.text.lower().split("*"))
        return ip is None and re.fullmatch(parts, host) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """Empty `drivers` or `clients`: any. `clients` are the common names of certificates, without `CN=`.

    `pins`: options that only the proxy sets: which certificates the login trusts, and others that its file fixes.
    """

    username: str = ""
    password: Secret | None = None
    secrets: tuple[tuple[str, Secret], ...] = ()
    addresses: tuple[AddressRule, ...] = ()
    drivers: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    pins: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def tls(self) -> Tls:
        """Which TLS versions a native driver may use with this credential."""
        return Tls.LEGACY if self.pins.get(TLS) == Tls.LEGACY.value else Tls.DEFAULT

    @property
    def pinned_options(self) -> dict[str, str | int | float | bool]:
        """The pins that drivers and agents accept as options."""
        return {name: value for name, value in self.pins.items() if name != TLS or self.tls is Tls.DEFAULT}

    def why_not(self, spec: DeviceSpec, client: str) -> str | None:
        """Return why this call may not use the credential, or None if it may."""
        if self.clients and client not in self.clients:
            return f"is not for the daemon CN={client}"
        if self.drivers and spec.driver not in self.drivers:
            return f"is not for the driver {spec.driver}"
        asked = spec.options.keys() | ({TLS} if spec.tls is not Tls.DEFAULT else set())
        own = {plain(name) for name in self.pins}
        pinned = ", ".join(dict.fromkeys((*pins_among(asked), *(name for name in sorted(asked) if plain(name) in own))))
        if pinned:
            return f"is not to be used with the call's own {pinned[:200]}: remove it from the device, its pins set it"
        unknown = sorted(spec.options.keys() - OPTIONS - self.options)
        if unknown:
            return f"is not to be used with the options {', '.join(unknown)[:200]}"
        given = [text for text in _addresses(spec) if text]
        if not given:
            return "needs a call that says the device's address; set it on the device"
        return next((f"is not for the address {text[:200]}" for text in given if not self._is_for(text)), None)

    def _is_for(self, text: str) -> bool:
        address = Address.parse(text)
        return address is not None and any(rule.allows(address) for rule in self.addresses)


def _addresses(spec: DeviceSpec) -> Iterator[str]:
    """Yield every text that a driver or agent could use as the address."""
    yield spec.address
    names = {plain(name): str(value) for name, value in spec.options.items()}
    yield from (names[name] for name in ADDRESS_OPTIONS if name in names)
    if PLUG_IS_ADDRESS in names:
        yield from (names.get(name, "") for name in ("plug", "port"))
        yield spec.nodename


def _as_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

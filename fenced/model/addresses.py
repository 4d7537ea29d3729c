"""IP addresses and DNS names as text: normalise them, recognise loopback addresses, find the network of an address.

Resolves no names and does not know the machine it runs on. Only a literal address counts as one: `127.1`, `2130706433`
and a name that begins with `127.` are names for a resolver.
"""

import ipaddress
import re
from typing import Final

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""The only text of an IPv4 address. `ipaddress` takes ten times as long, and a large inventory has 100,000 of them."""


def is_address(text: str) -> bool:
    """Return whether the text is an IP address."""
    return _IPV4.fullmatch(text) is not None or _address(text) is not None


def canonical(name: str) -> str:
    """Normalise an IP address or a DNS name.

    An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) becomes the IPv4 address.
    """
    bare = name.strip("[]")
    if _IPV4.fullmatch(bare) is not None:
        return bare
    address = _address(bare)
    if address is None:
        return name.rstrip(".").casefold()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_loopback(name: str) -> bool:
    """Return whether only this machine can be reached or can connect there: 127.0.0.0/8, ::1, or the name `localhost`.

    0.0.0.0 and :: are not loopback: a server that listens there is reachable from everywhere.
    """
    if not (name.startswith("127.") or ":" in name or name[:1] in "lL["):
        return False  # the common case, fast: this runs for each proxy of each device
    plain = canonical(name)
    address = _address(plain)
    return plain == "localhost" if address is None else address.is_loopback


def names_nobody(name: str) -> bool:
    """Return whether the name or address identifies no single machine: loopback and wildcard addresses."""
    return is_loopback(name) or (name[:1] in "0:[" and canonical(name) in _WILDCARDS)


def tells_machines_apart(address: str) -> bool:
    """Return whether an IP address belongs to one machine only.

    Loopback and link-local addresses repeat on every link.
    """
    value = _address(canonical(address))
    return value is not None and not (value.is_loopback or value.is_link_local or value.is_unspecified)


def network(address: str) -> str:
    """Return the smallest network that the owner of an address can't leave by changing the address: the IPv4 address
    itself, or the /64 of an IPv6 address. Text that is no address is returned in its canonical form."""
    value = _address(canonical(address))
    if not isinstance(value, ipaddress.IPv6Address):
        return canonical(address)
    return str(ipaddress.ip_network((int(value), 64), strict=False))


def source(address: str | None) -> str:
    """Return the origin of a connection, for limits on each client: the /64 of an IPv6 client, because a client usually
    has all of it (RFC 6177), and "loopback" for every loopback address."""
    if address is None or is_loopback(address):
        return "loopback"
    return network(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if ":" not in text and not (text[:1].isdigit() and text[-1:].isdigit()):
        return None  # parsing is slow, and there are tens of thousands of names
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

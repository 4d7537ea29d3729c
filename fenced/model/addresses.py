"""IP addresses and DNS names as text: one spelling for each, and which of them mean "this machine" everywhere.

Asks nobody and knows no machine. One rule: only what is written out counts. `127.1`, `2130706433` and a name that begins
with `127.` are names for a resolver to answer, not addresses.
"""

import ipaddress
from typing import Final

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    return _address(text) is not None


def canonical(name: str) -> str:
    """One spelling for an IP address or a DNS name. An IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2) is that one."""
    address = _address(name.strip("[]"))
    if address is None:
        return name.rstrip(".").casefold()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant or connect there: 127.0.0.0/8, ::1, or the one name `localhost`.

    0.0.0.0 and :: are none: who listens there is heard everywhere.
    """
    if not (name.startswith("127.") or ":" in name or name[:1] in "lL["):
        return False  # nearly all names and addresses: this is asked for each proxy of each device
    plain = canonical(name)
    address = _address(plain)
    return plain == "localhost" if address is None else address.is_loopback


def names_nobody(name: str) -> bool:
    """Whether a name or address tells no machine from another: loopback addresses and those that stand for all."""
    return is_loopback(name) or (name[:1] in "0:[" and canonical(name) in _WILDCARDS)


def tells_machines_apart(address: str) -> bool:
    """Whether an IP address is one machine's alone: loopback and link-local ones mean another on every link."""
    value = _address(canonical(address))
    return value is not None and not (value.is_loopback or value.is_link_local or value.is_unspecified)


def network(address: str) -> str:
    """The smallest part of the network that its owner can't leave by taking another address: an IPv4 address, the /64 of an
    IPv6 one. What is no address is its own."""
    value = _address(canonical(address))
    if not isinstance(value, ipaddress.IPv6Address):
        return canonical(address)
    return str(ipaddress.ip_network((int(value), 64), strict=False))


def source(address: str | None) -> str:
    """From where somebody asks, as far as it tells him from others: whoever has one IPv6 address has its /64 (RFC 6177),
    and every loopback address is this machine."""
    if address is None or is_loopback(address):
        return "loopback"
    return network(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if ":" not in text and not (text[:1].isdigit() and text[-1:].isdigit()):
        return None  # the costly look is not for tens of thousands of names
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

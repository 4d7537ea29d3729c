"""Addresses of hosts and references: by network, one IP address or name each."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fenced.config.keys import Address, Check, Name, checked_pairs, refuse

NETWORKS_MAX: Final = 7
"""Networks of a host beside that of its `address`: observers look at each of them."""
REFERENCES_MAX: Final = 64


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class HostAddress(Address):
    """One IP address or name of a machine: nothing of a port, a network or a URL."""

    def check(self, value: object) -> str:
        text = Address.check(self, value)
        if text and not text.strip("0123456789.") and not _is_ipv4(text):
            raise refuse("is no IPv4 address: write four numbers up to 255, without leading zeros")
        if any(mark in text for mark in "/*,@"):
            raise refuse("must be one IP address or name, without a mask, a range or a URL")
        if text.count(":") == 1:
            raise refuse("must have no port: [detection] probe_ports says where to look")
        return text


@dataclass(frozen=True, slots=True)
class Addresses(Check):
    """Network -> address, held as pairs sorted by network."""

    unit = "table of addresses"

    def allowed(self) -> str:
        return f'as {{storage = "10.1.0.1"}}, at most {NETWORKS_MAX}'

    def check(self, value: object) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, Mapping):
            raise refuse('must be a table of addresses by network, as {storage = "10.1.0.1"}')
        if len(value) > NETWORKS_MAX:
            raise refuse(f"must have at most {NETWORKS_MAX} networks")
        return checked_pairs(value, Name("network"), HostAddress("address", can_be_empty=False))


@dataclass(frozen=True, slots=True)
class References(Check):
    """A list of addresses, or of tables with a network and an address; held as pairs of network and address."""

    unit = "list"

    def allowed(self) -> str:
        return f'as ["10.0.0.1", {{network = "storage", address = "10.1.0.1"}}], at most {REFERENCES_MAX}'

    def check(self, value: object) -> tuple[tuple[str, str], ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise refuse("must be a list in [brackets]")
        if len(value) > REFERENCES_MAX:
            raise refuse(f"must have at most {REFERENCES_MAX} items")
        pairs = tuple(self._pair(item) for item in value)
        for index, (network, address) in enumerate(pairs):
            if (network, address) in pairs[:index]:
                raise refuse(f"has {address} twice" + (f" in {network}" if network else ""))
        return pairs

    def _pair(self, item: object) -> tuple[str, str]:
        if isinstance(item, str):
            return "", HostAddress("", can_be_empty=False).check(item)
        if not isinstance(item, Mapping) or item.keys() != {"network", "address"}:
            raise refuse('each must be an address, or a table as {network = "storage", address = "10.1.0.1"}')
        return Name("").check(item["network"]), HostAddress("", can_be_empty=False).check(item["address"])

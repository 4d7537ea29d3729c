"""What a proxy's own file lets it look at: networks and TCP ports.

A daemon asks for addresses; this decides on the IP address that is about to be connected to, after any name was
resolved. Whoever may ask a proxy could otherwise scan its networks through it.
"""

import ipaddress
from dataclasses import dataclass
from typing import Self

from fenced.model.addresses import canonical

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRules:
    """`networks`: what may be looked at; `ports`: on which TCP ports."""

    networks: tuple[Network, ...]
    ports: tuple[int, ...]

    @classmethod
    def parse(cls, targets: tuple[str, ...], ports: tuple[int, ...]) -> Self:
        """Raises ValueError with the reason."""
        return cls(networks=tuple(parse_network(text) for text in targets), ports=ports)

    @property
    def targets(self) -> tuple[str, ...]:
        """The networks as text; a single address without its prefix length."""
        return tuple(
            str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
            for network in self.networks
        )

    def why_not(self, address: str, port: int) -> str | None:
        """Return why this IP address may not be looked at on this port, or None if it may."""
        ip = ipaddress.ip_address(canonical(address))
        if not any(ip.version == network.version and ip in network for network in self.networks):
            return f"{ip} is in no network of [look] targets"
        if port not in self.ports:
            return f"port {port} is not in [look] ports"
        return None


def parse_network(text: str) -> Network:
    """Return an address or a network in CIDR form. Raises ValueError with the reason."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as exc:
        raise ValueError(f"must be an IP address or a network such as 10.0.0.0/8 or fd00::/64: {exc}") from exc
    if network.prefixlen == 0:
        raise ValueError("this network contains every address; give a smaller one")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("write IPv4 addresses as such, not as ::ffff:...")
    return network


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

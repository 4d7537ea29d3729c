"""Failure domains of proxies: in which order a tier is asked, so that one broken rack costs least.

Knows no clock, no memory of earlier calls: the caller ranks. One rule: it orders and never leaves anybody out.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby

from fenced.model.inventory import Host, Inventory
from fenced.model.names import PlugId, ProxyName

Rank = tuple[float, ...]
"""Lower goes first. Its first number is how often the proxy failed: domains alternate only among equals of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The proxies as one host sees them."""

    host: Host
    inventory: Inventory

    def domain_of(self, name: ProxyName) -> str:
        """The proxy's own `domain`, else the rack of the host it runs on; "" where neither is known."""
        proxy = self.inventory.proxies.get(name)
        if proxy is None:
            return ""
        machine = self.inventory.hosts.get(proxy.machine) if proxy.machine is not None else None
        return proxy.domain or (machine.rack if machine is not None else "")

    def is_near(self, name: ProxyName) -> bool:
        """Whether the proxy is in a domain of the host's, and so likely to share its fate."""
        domain = self.domain_of(name)
        return bool(domain) and domain in {self.host.rack, self.host.cluster, self.host.datacenter}

    def arrange(self, tier: Iterable[ProxyName], rank: Callable[[ProxyName], Rank]) -> tuple[ProxyName, ...]:
        """The tier in the order of its starts: fewest failures, then far from the host, then by rank; among equals of
        the first two, neighbours are of different domains as long as there are any."""
        ranks = {name: rank(name) for name in tier}
        ordered = sorted((ranks[name][0], self.is_near(name), ranks[name][1:], name) for name in ranks)
        arranged: list[ProxyName] = []
        for _, alike in groupby(ordered, key=lambda entry: entry[:2]):
            arranged += _alternating([entry[-1] for entry in alike], self.domain_of, arranged[-1:])
        return tuple(arranged)


def _alternating(
    ordered: Sequence[ProxyName], domain_of: Callable[[ProxyName], str], before: Sequence[ProxyName]
) -> Iterator[ProxyName]:
    """The best first, but never two of one domain in a row while another is left. `before`: who comes just before."""
    queues: dict[str, list[int]] = {}
    for place in reversed(range(len(ordered))):
        # A proxy of no known domain has one of its own.
        queues.setdefault(domain_of(ordered[place]) or f"\0{place}", []).append(place)
    heads = [(queue[-1], domain) for domain, queue in queues.items()]
    heapify(heads)
    last = domain_of(before[-1]) if before else ""
    while heads:
        head = heappop(heads)
        if head[1] == last and heads:
            head = heapreplace(heads, head)
        place, last = head
        queues[last].pop()
        if queues[last]:
            heappush(heads, (queues[last][-1], last))
        yield ordered[place]


def spread(plug: PlugId, proxy: ProxyName) -> int:
    """An order of equal proxies of each plug's own: a thousand hosts don't all begin with the first. Same in each run."""
    return zlib.crc32(f"{plug}\0{proxy}".encode())

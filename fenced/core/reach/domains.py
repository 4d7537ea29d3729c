"""Orders a tier of proxies by failure domains, so that one broken rack costs the least time.

The caller ranks the proxies. Every proxy of the tier stays in it.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby

from fenced.model.inventory import Host, Inventory
from fenced.model.names import PlugId, ProxyName

Rank = tuple[float, ...]
"""Lower goes first. The first number is how often the proxy failed; domains alternate only among equal numbers."""


def domain_of(name: ProxyName, inventory: Inventory) -> str:
    """Return the proxy's `domain`, otherwise the rack of its host; "": unknown."""
    proxy = inventory.proxies.get(name)
    if proxy is None:
        return ""
    machine = inventory.machine_of(proxy)
    return proxy.domain or (machine.rack if machine is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The proxies as one host sees them."""

    host: Host
    inventory: Inventory

    def domain_of(self, name: ProxyName) -> str:
        """Return the proxy's failure domain; "": unknown."""
        return domain_of(name, self.inventory)

    def is_near(self, name: ProxyName) -> bool:
        """Return whether the proxy shares a domain with the host, so one fault may hit both."""
        domain = self.domain_of(name)
        return bool(domain) and domain in {self.host.rack, self.host.cluster, self.host.datacenter}

    def arrange(self, tier: Iterable[ProxyName], rank: Callable[[ProxyName], Rank]) -> tuple[ProxyName, ...]:
        """Return the tier in the order of its starts: fewest failures, then far from the host, then by rank.

        Among equals of the first two, neighbours differ in their domain while more than one is left.
        """
        ranks = {name: rank(name) for name in tier}
        ordered = sorted((ranks[name][0], self.is_near(name), ranks[name][1:], name) for name in ranks)
        arranged: list[ProxyName] = []
        for _, alike in groupby(ordered, key=lambda entry: entry[:2]):
            arranged += _alternating([entry[-1] for entry in alike], self.domain_of, arranged[-1:])
        return tuple(arranged)


def _alternating(
    ordered: Sequence[ProxyName], domain_of: Callable[[ProxyName], str], before: Sequence[ProxyName]
) -> Iterator[ProxyName]:
    """Yield the best first, but no two of one domain in a row while another is left.

    `before`: the proxy just before.
    """
    queues: dict[str, list[int]] = {}
    for place in reversed(range(len(ordered))):
        # A proxy of unknown domain counts as alone in one.
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
    """Order equal proxies differently for each plug, so that a thousand hosts don't start with the same one.

    Stable over runs.
    """
    return zlib.crc32(f"{plug}\0{proxy}".encode())

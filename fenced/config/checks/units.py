"""Groups plugs by the unit they are reached at: plugs whose addresses, or resolved names, have one in common.

Knows no outlet and no port. A name with two addresses makes both one unit for all plugs.
"""

from collections.abc import Iterable

from fenced.config.plugs import Plug
from fenced.config.resolve import Addresses
from fenced.model.addresses import canonical


class Units:
    """Groups of addresses, each named by one of them (disjoint sets: a member points at another or at itself)."""

    def __init__(self, plugs: Iterable[Plug], addresses: Addresses) -> None:
        self._parents: dict[str, str] = {}
        self._plain = {address: canonical(address) for address in {plug.address for plug in plugs}}
        for address, first in self._plain.items():
            for other in addresses.get(address, ()):
                self._parents[self._root(other)] = self._root(first)

    def of(self, plug: Plug) -> str:
        """Return the unit of a plug. Plugs without an address are one unit per driver family."""
        return self._root(self._plain[plug.address]) if plug.address else f"\0{plug.family}"

    def are_one(self, one: Plug, other: Plug) -> bool:
        return self.of(one) == self.of(other)

    def _root(self, address: str) -> str:
        while (parent := self._parents.setdefault(address, address)) != address:
            self._parents[address] = address = self._parents[parent]
        return address

"""Which plugs are reached at one unit: those whose addresses, or what their names resolve to, have one in common.

Knows no outlet and no port. One rule: a name that has two addresses makes them one unit for everybody.
"""

from collections.abc import Iterable

from fenced.config.plugs import Plug
from fenced.config.resolve import Addresses
from fenced.model.addresses import canonical


class Units:
    """Groups addresses; a group is called by one of them (disjoint sets, each member points at another or itself)."""

    def __init__(self, plugs: Iterable[Plug], addresses: Addresses) -> None:
        self._parents: dict[str, str] = {}
        self._plain = {address: canonical(address) for address in {plug.address for plug in plugs}}
        for address, first in self._plain.items():
            for other in addresses.get(address, ()):
                self._parents[self._root(other)] = self._root(first)

    def of(self, plug: Plug) -> str:
        """The unit of a plug; what has no address is in one group with all that its driver reaches so."""
        return self._root(self._plain[plug.address]) if plug.address else f"\0{plug.family}"

    def are_one(self, one: Plug, other: Plug) -> bool:
        return self.of(one) == self.of(other)

    def _root(self, address: str) -> str:
        while (parent := self._parents.setdefault(address, address)) != address:
            self._parents[address] = address = self._parents[parent]
        return address

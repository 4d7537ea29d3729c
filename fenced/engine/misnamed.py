"""Names on the bus that are no host's but nearly one's: another case, the short or full form, an alias, a final dot.

What arrives under them is no sign of life and no reason (S12: names match exactly and wholly); people are told, for such a
host looks silent while it speaks. One rule: names come from outside, so a few of each host are kept for a while.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from fenced.model.addresses import canonical, is_address
from fenced.model.inventory import Inventory
from fenced.model.names import HostName
from fenced.ports.clock import Clock

NAME_CHARACTERS_MAX: Final = 253
NAMES_OF_HOST_MAX: Final = 4
KEPT_SECONDS: Final = 600.0


class Misnamed:
    """`inventory`: the one in force."""

    def __init__(self, inventory: Callable[[], Inventory], clock: Clock) -> None:
        self._inventory, self._clock = inventory, clock
        self._heard: dict[HostName, OrderedDict[str, float]] = {}
        self._indexed: Inventory | None = None
        self._index: dict[str, set[HostName]] = {}

    def heard(self, name: str) -> None:
        """A message for a host that the inventory does not have."""
        if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            return
        for host in self._meant(name):
            names = self._heard.setdefault(host, OrderedDict())
            names[name] = self._clock.now()
            names.move_to_end(name)
            if len(names) > NAMES_OF_HOST_MAX:
                names.popitem(last=False)

    def names(self, host: HostName) -> tuple[str, ...]:
        """Under which wrong names something arrived lately that may be this host's."""
        oldest = self._clock.now() - KEPT_SECONDS
        heard = self._heard.get(host, OrderedDict[str, float]())
        return tuple(name for name, at in heard.items() if at >= oldest and host in self._meant(name))

    def sentences(self, host: HostName) -> tuple[str, ...]:
        """The same for people."""
        return tuple(_sentence(name, host, self._meant(name)) for name in self.names(host))

    def all(self) -> Mapping[HostName, tuple[str, ...]]:
        """The sentences of each host that has any."""
        return {host: told for host in self._heard if (told := self.sentences(host))}

    def _meant(self, name: str) -> frozenset[HostName]:
        """The hosts of the inventory that may be meant by a name that is none of theirs."""
        inventory = self._inventory()
        if inventory is not self._indexed:
            self._indexed, self._index = inventory, {}
            self._heard = {host: names for host, names in self._heard.items() if host in inventory.hosts}
            for host in inventory.hosts.values():
                for own in {host.name, *host.aliases, host.address} - {""}:
                    for spelled in {canonical(own), _short(own)} - {""}:
                        self._index.setdefault(spelled, set()).add(host.name)
        if name in inventory.hosts:
            return frozenset()
        exact = self._index.get(canonical(name), set())
        shortened = {host for host in self._index.get(_short(name), set()) if "." not in host}
        return frozenset(exact | shortened)


def _short(name: str) -> str:
    """The first part of a full name; "" where there is none: an address has no parts that mean anything alone."""
    short, _, rest = canonical(name).partition(".")
    return short if rest and not is_address(name) else ""


def _sentence(name: str, host: HostName, meant: frozenset[HostName]) -> str:
    others = sorted(meant - {host})
    more = f", or of {', '.join(others[:3])}, which that name may mean as well," if others else ""
    return (
        f"beats arrive as {name}, which is no host of the inventory{more} and are dropped: its reporter and the inventory "
        "must use one name"
    )

"""Finds near-miss host names on the bus: another case, the short or full form, an alias, a final dot.

Messages under such a name prove no life (S12: names match exactly), but operators are warned, because the
host looks silent while it sends. Names come from outside, so only a few per host are kept, for a limited time.
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
    """`inventory`: returns the one in force."""

    def __init__(self, inventory: Callable[[], Inventory], clock: Clock) -> None:
        self._inventory, self._clock = inventory, clock
        self._heard: dict[HostName, OrderedDict[str, float]] = {}
        self._indexed: Inventory | None = None
        self._index: dict[str, set[HostName]] = {}

    def heard(self, name: str) -> None:
        """Note a message for a host that is not in the inventory."""
        if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            return
        for host in self._meant(name):
            names = self._heard.setdefault(host, OrderedDict())
            names[name] = self._clock.now()
            names.move_to_end(name)
            if len(names) > NAMES_OF_HOST_MAX:
                names.popitem(last=False)

    def names(self, host: HostName) -> tuple[str, ...]:
        """Return the wrong names, heard lately, that may mean this host."""
        oldest = self._clock.now() - KEPT_SECONDS
        heard = self._heard.get(host, OrderedDict[str, float]())
        return tuple(name for name, at in heard.items() if at >= oldest and host in self._meant(name))

    def sentences(self, host: HostName) -> tuple[str, ...]:
        """Return a warning for each wrong name of the host."""
        return tuple(_sentence(name, host, self._meant(name)) for name in self.names(host))

    def all(self) -> Mapping[HostName, tuple[str, ...]]:
        """Return the warnings of each host that has any."""
        return {host: told for host in self._heard if (told := self.sentences(host))}

    def _meant(self, name: str) -> frozenset[HostName]:
        """Return the hosts that a name outside the inventory may mean."""
        inventory = self._inventory()
        if inventory is not self._indexed:
            self._indexed, self._index = inventory, {}
            self._heard = {host: names for host, names in self._heard.items() if host in inventory.hosts}
            for host in inventory.hosts.values():
                for own in {host.name, *host.aliases, *(address for _, address in host.networks)}:
                    for spelled in {canonical(own), _short(own)} - {""}:
                        self._index.setdefault(spelled, set()).add(host.name)
        if name in inventory.hosts:
            return frozenset()
        exact = self._index.get(canonical(name), set())
        shortened = {host for host in self._index.get(_short(name), set()) if "." not in host}
        return frozenset(exact | shortened)


def _short(name: str) -> str:
    """Return the first label of a full name; "" for an address or a name without a dot."""
    short, _, rest = canonical(name).partition(".")
    return short if rest and not is_address(name) else ""


def _sentence(name: str, host: HostName, meant: frozenset[HostName]) -> str:
    others = sorted(meant - {host})
    more = f" (it may also mean {', '.join(others[:3])})" if others else ""
    return (
        f"beats arrive as {name}, which is not in the inventory{more}, and are dropped: "
        "use the same name in the host's reporter and in the inventory"
    )

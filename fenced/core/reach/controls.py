"""Chooses what observers look at: each address of a suspect, with controls on the same network.

A control is another host that is heard now, or a reference. An observer that reaches none over a network knows nothing
of a host there. The hosts are counted once per network and moment, not per suspect.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from fenced.core.heard.looks import Target
from fenced.core.heard.watching import Control
from fenced.core.reach.domains import spread
from fenced.model.addresses import names_nobody
from fenced.model.inventory import Host, Inventory
from fenced.model.names import ENGINE, HostName, PlugId

CONTROLS_MAX: Final = 3
"""So many hosts are controls of one target, besides the references."""
POOL_MAX: Final = 24
A_RACK_MAX: Final = 4
"""So many hosts of one rack are in the pool of a network, so that one broken rack does not take all controls away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """An inventory by network: hosts that may be controls there, and references."""

    hosts: Mapping[str, tuple[Control, ...]]
    references: Mapping[str, tuple[str, ...]]


def networks(inventory: Inventory) -> Networks:
    """Return the networks of an inventory. Looks at every host."""
    hosts: dict[str, list[Control]] = {}
    for host in inventory.hosts.values():
        for network, address in host.networks if host.can_witness else ():
            if not names_nobody(address):
                hosts.setdefault(network, []).append(Control(host=host.name, address=address, rack=host.rack))
    references: dict[str, tuple[str, ...]] = {}
    for reference in inventory.daemon.references:
        references[reference.network] = (*references.get(reference.network, ()), reference.address)
    found = {network: tuple(controls) for network, controls in hosts.items()}
    return Networks(hosts=found, references=references)


def pool(controls: Sequence[Control], is_heard: Callable[[HostName], bool]) -> tuple[Control, ...]:
    """Return some controls that are heard now, of several racks if there are several."""
    found: list[Control] = []
    of_rack: dict[str, int] = {}
    for control in controls:
        most = A_RACK_MAX if control.rack else POOL_MAX
        if of_rack.get(control.rack, 0) < most and is_heard(control.host):
            of_rack[control.rack] = of_rack.get(control.rack, 0) + 1
            found.append(control)
            if len(found) >= POOL_MAX:
                break
    return tuple(found)


def is_looked_at(host: Host) -> bool:
    """Return whether there is anything to look at: an address that others can reach, and ports to probe."""
    return bool(host.settings.detection.probe_ports) and any(not names_nobody(it) for _, it in host.networks)


def has_control(host: Host, known: Networks) -> bool:
    """Return whether the inventory has a control for the host on one of its networks, heard or not."""
    own = {address for _, address in host.networks}
    return any(
        known.references.get(network) or any(it.host != host.name and it.address not in own for it in islice(among, 3))
        for network, address in host.networks
        if not names_nobody(address)
        for among in (known.hosts.get(network, ()),)
    )


def targets(
    host: Host, known: Networks, heard: Callable[[str], Sequence[Control]], observing: Container[HostName]
) -> tuple[Target, ...]:
    """Return what observers look at. `heard`: the pool of a network; `observing`: machines of observers, which are
    controls only where others are too few: no observer proves its network by reaching itself."""
    if not is_looked_at(host):
        return ()
    own = {address for _, address in host.networks}
    return tuple(
        Target(network=network, address=address, controls=tuple(_controls(host, network, known, heard, observing, own)))
        for network, address in host.networks
        if not names_nobody(address)
    )


def _controls(
    host: Host, network: str, known: Networks, heard: Callable[[str], Sequence[Control]],
    observing: Container[HostName], own: Container[str],
) -> Iterator[str]:  # fmt: skip
    """Yield hosts of other racks first, one of each rack, then those beside the host, and last the references."""
    others = [it for it in heard(network) if it.host != host.name and it.address not in own]
    start = spread(PlugId(host.name), ENGINE) % len(others) if others else 0
    of_rack: dict[str, int] = {}
    ranked: list[tuple[tuple[bool, bool, int], str]] = []
    for it in others[start:] + others[:start]:
        number = of_rack[it.rack] = of_rack.get(it.rack, 0) + bool(it.rack)
        ranked.append(((it.host in observing, bool(host.rack) and it.rack == host.rack, number), it.address))
    ranked.sort(key=lambda entry: entry[0])
    yield from dict.fromkeys(address for _, address in ranked[:CONTROLS_MAX])
    yield from (it for it in known.references.get(network, ()) if it not in own)

"""`GET fleet/map`: every host in one small answer, so that a page can draw ten thousand of them.

Hosts stand in groups by place, as two lists of one length; what few hosts have stands beside them by name. Never rename
or remove a released field.
"""

from collections import Counter
from collections.abc import Iterator

from fenced.api.call import Call
from fenced.api.shapes import Shape
from fenced.core.durable.state import FenceableLevel
from fenced.model.power import State
from fenced.ports.hosts import MappedHost


class MapGroup(Shape):
    """The hosts of a rack of a cluster. `states[n]` is the state of `hosts[n]`. `held`: by which gates. The other lists
    have names of hosts: `degraded` and `not_fenceable` by what was read of their devices, `not_read` where that is too
    old to tell."""

    datacenter: str
    cluster: str
    rack: str
    counts: dict[State, int]
    hosts: list[str]
    states: list[State]
    held: dict[str, list[str]]
    degraded: list[str]
    not_fenceable: list[str]
    not_read: list[str]
    paused: list[str]
    maintenance: list[str]
    stay_off: list[str]


class FleetMap(Shape):
    """All hosts, by data centre, cluster and rack. `counts`: hosts by state; of `held` also by gate."""

    hosts: int
    counts: dict[State, int]
    held_by: dict[str, int]
    groups: list[MapGroup]


async def fleet_map(call: Call) -> FleetMap:
    """Every host with its place, its state, and what is special about it."""
    places: dict[tuple[str, str, str], list[MappedHost]] = {}
    for each in call.control.map():
        places.setdefault((each.datacenter, each.cluster, each.rack), []).append(each)
    groups = [_group(place, hosts) for place, hosts in sorted(places.items())]
    counts, held = Counter[State](), Counter[str]()
    for group in groups:
        counts.update(group.counts)
        held.update(gate for gates in group.held.values() for gate in gates)
    return FleetMap(hosts=counts.total(), counts=dict(counts), held_by=dict(sorted(held.items())), groups=groups)


def _group(place: tuple[str, str, str], hosts: list[MappedHost]) -> MapGroup:
    states = [each.state for each in hosts]
    return MapGroup.model_construct(
        datacenter=place[0], cluster=place[1], rack=place[2], counts=dict(Counter(states)),
        hosts=[each.name for each in hosts], states=states,
        held={each.name: [*each.held_by] for each in hosts if each.held_by},
        degraded=[*_at(hosts, FenceableLevel.DEGRADED)], not_fenceable=[*_at(hosts, FenceableLevel.NONE)],
        not_read=[*_at(hosts, FenceableLevel.UNKNOWN)],
        paused=[each.name for each in hosts if each.is_paused],
        maintenance=[each.name for each in hosts if each.is_maintained],
        stay_off=[each.name for each in hosts if each.is_stay_off],
    )  # fmt: skip


def _at(hosts: list[MappedHost], level: FenceableLevel) -> Iterator[str]:
    return (each.name for each in hosts if each.fenceable is level)

"""Chooses who looks at a silent host: the daemon, and proxies that may look on its behalf (design.md#detection).

Votes count by failure domain, so a few observers of a few domains are asked, however many there are: the cost of one
suspect does not depend on the fleet. A domain whose observers can't look now still counts: it is missing, not absent.
The suspect's own proxy never looks, and the suspect's own domain has no vote where there is another one.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from fenced.core.heard.looks import Observer
from fenced.core.heard.watching import Member, Roster
from fenced.core.reach.domains import domain_of, spread
from fenced.model.inventory import PLACES, Host, Inventory, Proxy
from fenced.model.names import ENGINE, HostName, PlugId, ProxyName

K = TypeVar("K")
T = TypeVar("T")

SPARE_DOMAINS: Final = 1
"""So many domains are asked besides those that are needed: one that can't answer costs no second round."""
A_DOMAIN_MAX: Final = 2
"""So many observers of one domain are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Who looks at one host. `asked`: everybody who is asked. `missing`: who is needed and can't be asked.

    `voting`: the domains of those two whose silence counts; `needed`: how many of them must see the host silent.
    """

    asked: tuple[Member, ...]
    missing: tuple[Member, ...]
    voting: tuple[str, ...]
    needed: int


def roster(
    inventory: Inventory,
    names: frozenset[ProxyName],
    why_barred: Callable[[Proxy], str | None],
    is_away: Callable[[HostName], bool],
) -> Roster:
    """Return all observers. `names`: proxies that may look.

    One with a machine that `is_away` for a known reason is left out: its absence is no sign, and would hold every host
    until the machine is repaired.
    """
    engine = Member(observer=Observer(name=ENGINE, domain=inventory.daemon.domain), machines=frozenset())
    members = {ENGINE: engine}
    for name in sorted(names & inventory.proxies.keys()):
        proxy = inventory.proxies[name]
        machines = frozenset(filter(None, (proxy.machine, *proxy.also_on)))
        if not any(map(is_away, machines)):
            own = _own_addresses(proxy, machines, inventory)
            observer = Observer(name=name, domain=domain_of(name, inventory), own=own)
            members[name] = Member(observer=observer, machines=machines, why_missing=why_barred(proxy) or "")
    by_domain = _grouped((it.observer.domain, it) for it in members.values())
    able = _grouped((it.observer.domain, it) for it in members.values() if not it.why_missing)
    return Roster(
        members=members,
        by_domain=by_domain,
        by_machine=_grouped((machine, it) for it in members.values() for machine in it.machines),
        able=able,
        broken=tuple(domain for domain in by_domain if domain not in able),
    )


def _grouped(pairs: Iterable[tuple[K, Member]]) -> dict[K, tuple[Member, ...]]:
    found: dict[K, list[Member]] = {}
    for key, member in pairs:
        found.setdefault(key, []).append(member)
    return {key: tuple(members) for key, members in found.items()}


def _own_addresses(proxy: Proxy, machines: frozenset[HostName], inventory: Inventory) -> frozenset[str]:
    """Return the addresses that the proxy reaches without a network."""
    known = (inventory.hosts.get(name) or inventory.machines.get(name) for name in machines)
    return frozenset({proxy.address, *(it for host in known if host is not None for _, it in host.networks)} - {""})


def panel(host: Host, found: Roster, wanted: int) -> Panel:
    """Return who looks at that host. `wanted`: so many domains must see it silent, or all where there are fewer."""
    beside = found.by_machine.get(host.name, ())
    own = {member.observer.name for member in beside}
    empty = {
        domain
        for domain in (member.observer.domain for member in beside)
        if all(member.observer.name in own for member in found.by_domain[domain])
    }
    near = (near_domains(host) & found.by_domain.keys()) - empty
    is_any_far = len(found.by_domain) > len(near) + len(empty)
    voteless = empty | near if is_any_far else empty
    needed = max(1, min(wanted, len(found.by_domain) - len(voteless)))
    able = list(_some(host, tuple(found.able), needed + SPARE_DOMAINS, voteless))
    broken = list(_some(host, found.broken, needed - len(able), voteless))
    # The silence of those that are near says nothing, but an answer that they get is a sign of life.
    looking = able + sorted(domain for domain in near if domain not in able)
    return Panel(
        asked=tuple(it for domain in looking for it in _of_domain(host, found.able.get(domain, ()), own)),
        missing=tuple(it for domain in broken for it in found.by_domain[domain][:A_DOMAIN_MAX]),
        voting=(*able, *broken),
        needed=needed,
    )


def near_domains(host: Host) -> frozenset[str]:
    """Return the names of a host's failure domains: its rack, cluster, data centre, and the values of its labels."""
    return frozenset({*map(host.value_of, PLACES), *(value for _, value in host.labels)} - {""})


def _some(host: Host, domains: Sequence[str], count: int, voteless: Container[str]) -> Iterator[str]:
    """Yield so many domains: the first one, which is the daemon's, then others, which differ from host to host."""
    for domain in _turned(host, domains):
        if count <= 0:
            return
        if domain not in voteless:
            count -= 1
            yield domain


def _of_domain(host: Host, members: Sequence[Member], own: Container[ProxyName]) -> list[Member]:
    """Return some of these observers of one domain: the daemon if it is in it, and others, which differ from host to
    host."""
    return list(islice((it for it in _turned(host, members) if it.observer.name not in own), A_DOMAIN_MAX))


def _turned(host: Host, among: Sequence[T]) -> Iterator[T]:
    """Yield the first, then the others from some place on."""
    yield from among[:1]
    others = len(among) - 1
    start = spread(PlugId(host.name), ENGINE) % others if others > 0 else 0
    for step in range(others):
        yield among[1 + (start + step) % others]

"""The gate against storms: more hosts of a failure domain fell silent together than independent failures explain.

One cause (a switch, a power feed, a bad update) makes many hosts silent that still run. So nobody of the domain is
fenced until they are heard again or a person looked (StarlingX calls it multi-node failure avoidance). What is counted
are overdue hosts that fell silent within `per`: the first host to pass its grace already sees the others.
"""

import ipaddress
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from fenced.core.durable.fleet_state import Storm
from fenced.core.durable.standing import NOT_MONITORED, is_in_hand
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.heard.counts import Domain, Tally
from fenced.model.inventory import Host
from fenced.model.names import HostName
from fenced.model.text import one_line

IMPROBABLE: Final = 1e-6
"""So many hosts that fail independently are less probable than this: they have one cause."""
NETWORK_BITS: Final = {4: 24, 6: 64}
"""Addresses with so many bits in common are called one network."""


class Cause(NamedTuple):
    """Why a domain is held although no storm of it is recorded yet. `hosts`: who fell silent."""

    domain: Domain
    hosts: tuple[HostName, ...]
    why: str


def storm(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Close while a storm of one of the host's domains lasts or cools down, or could begin."""
    margin = "it is in no failure domain"
    most = -1
    for domain in domains_of(fleet, name):
        known = last_of(fleet, domain)
        if known is not None and (why := _why_held(known, now)):
            return _gate("storm", False, why)
        if (cause := cause_in(fleet, domain, now)) is not None:
            return _gate("storm", False, cause.why)
        late = len(counted(fleet, domain, now))
        if late > most:
            most, needed = late, fleet.inventory.daemon.gates.storm_hosts
            margin = f"{late} of {needed} hosts of {'='.join(domain)} fell silent lately"
    return _gate("storm", True, margin)


def _gate(gate: str, is_open: bool, why: str) -> GateVerdict:
    return GateVerdict(gate=gate, is_open=is_open, why=one_line(why))


def _why_held(storm: Storm, now: float) -> str:
    """Return why a storm that is recorded holds its domain now; "" if it does not."""
    if storm.end is None:
        common = f" (they share {', '.join(storm.common)})" if storm.common else ""
        ago = f"{now - storm.since:.0f} s ago"
        return (
            f"storm in {storm.words}: {len(storm.hosts)} hosts fell silent together {ago}{common}; "
            f"it ends when they are heard, or by `fencectl release {storm.words} --reason R`"
        )
    if now < storm.end.cooldown_until:
        return f"the storm in {storm.words} is over; {storm.end.cooldown_until - now:.0f} s of its cooldown are left"
    return ""


def domains_of(fleet: Fleet, name: HostName) -> Iterator[Domain]:
    """Yield the failure domains of a host."""
    host = fleet.host(name)
    for key in fleet.inventory.daemon.gates.storm_domains:
        if value := host.value_of(key):
            yield key, value


def last_of(fleet: Fleet, domain: Domain) -> Storm | None:
    """Return the storm of a domain that lasts, or the last one that ended."""
    return next((it for it in fleet.state.storms if (it.domain, it.value) == domain), None)


def cause_in(fleet: Fleet, domain: Domain, now: float) -> Cause | None:
    """Return what makes a new storm in a domain, or None."""
    settings = fleet.inventory.daemon.gates
    found, words = counted(fleet, domain, now), "=".join(domain)
    if len(found) >= settings.storm_hosts:
        minutes = settings.storm_per_seconds / 60
        return Cause(domain, found, f"{len(found)} hosts of {words} fell silent within {minutes:.3g} min")
    monitored = tally(fleet, domain, now).monitored
    if settings.storm_mtbf_seconds and len(found) > 1:
        expected = monitored * settings.storm_per_seconds / settings.storm_mtbf_seconds
        chance = tail(expected, len(found))
        if chance < IMPROBABLE:
            why = (
                f"{len(found)} of {monitored} hosts of {words} fell silent together: by chance once in {1 / chance:.1g}"
            )
            return Cause(domain, found, why)
    return None


def counted(fleet: Fleet, domain: Domain, now: float) -> tuple[HostName, ...]:
    """Return the hosts of a domain that fell silent within `per`. A storm that a person released, or that reached its
    longest time, was made by hosts that make no second one until they are heard."""
    late, known = tally(fleet, domain, now).late, last_of(fleet, domain)
    end = known.end if known is not None else None
    if end is None or end.why == "over":
        return late
    excused = {name for name in end.hosts if silent_since(fleet, name, now) <= end.at}
    return tuple(name for name in late if name not in excused)


def tally(fleet: Fleet, domain: Domain, now: float) -> Tally:
    """Return who fell silent lately and how many are monitored: counted once for all suspects of a moment."""
    memo = fleet.memo_at(now)
    if domain not in memo.tallies:
        names = [name for name in fleet.by_domain.get(domain, ()) if _is_monitored(fleet, name, now)]
        late = tuple(name for name in names if _is_late(fleet, name, now))
        memo.tallies[domain] = Tally(late=late, monitored=len(names))
    return memo.tallies[domain]


def _is_monitored(fleet: Fleet, name: HostName, now: float) -> bool:
    state = fleet.hosts[name]
    return state.state not in NOT_MONITORED and not is_in_hand(state, now)


def _is_late(fleet: Fleet, name: HostName, now: float) -> bool:
    within = fleet.inventory.daemon.gates.storm_per_seconds + fleet.grace_seconds(name, now)
    return fleet.is_overdue(name, now) and now - silent_since(fleet, name, now) <= within


def silent_since(fleet: Fleet, name: HostName, now: float) -> float:
    """Return when the host was last heard; one that was never heard since the start, and not suspected before, fell
    silent with the start at the latest."""
    heard_at = fleet.sights[name].heard_at
    heard = heard_at if heard_at is not None else fleet.hosts[name].last_heard
    return heard if heard is not None else now - fleet.silence_seconds(name, now)


def tail(expected: float, count: int) -> float:
    """Return the probability of at least so many independent events where `expected` are expected (Poisson)."""
    term, below = math.exp(-expected), 0.0
    for number in range(count):
        below += term
        term *= expected / (number + 1)
    if below < 0.5:
        return 1.0 - below
    total, number = 0.0, count  # the sum of the tail itself: 1 - below would lose it in rounding
    while term > total * 1e-12 and number < count + 1000:
        total += term
        number += 1
        term *= expected / number
    return max(total, 1e-300)


def shared_by(hosts: Sequence[Host], but: str) -> tuple[str, ...]:
    """Return what all these hosts have in common besides the domain `but`, as KEY=VALUE."""
    keys = dict.fromkeys(("cluster", "datacenter", "rack", *(key for host in hosts for key, _ in host.labels)))
    found = []
    for key in keys:
        values = {host.value_of(key) for host in hosts}
        if key != but and len(values) == 1 and (value := values.pop()):
            found.append(f"{key}={value}")
    networks = {_network(host.address) for host in hosts}
    if len(networks) == 1 and (network := networks.pop()):
        found.append(f"network={network}")
    units = [{device.spec.address for device in host.devices} - {""} for host in hosts]
    found += [f"device={address}" for address in sorted(set.intersection(*units) if units else ())]
    return tuple(found)


def _network(address: str) -> str:
    try:
        bits = NETWORK_BITS[ipaddress.ip_address(address).version]
    except ValueError:
        return ""  # a name, or none
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))

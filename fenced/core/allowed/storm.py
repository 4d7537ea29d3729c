"""The gate against storms: more hosts of a failure domain fell silent together than independent failures explain.

One cause (a switch, a power feed, a bad update) makes many hosts silent that still run. So nobody of the domain is
fenced until they are heard again or a person looked (StarlingX calls it multi-node failure avoidance). What is counted
are overdue hosts that fell silent within `per`: the first host to pass its grace already sees the others.
"""

import bisect
import ipaddress
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Final

from fenced.core.allowed.verdict import judged
from fenced.core.durable.fleet_state import Storm
from fenced.core.durable.standing import is_monitored
from fenced.core.durable.state import GateVerdict
from fenced.core.fleet import Fleet
from fenced.core.heard.counts import Domain, Storms, Tally
from fenced.model.inventory import PLACES, Host
from fenced.model.names import HostName
from fenced.model.power import State

IMPROBABLE: Final = 1e-6
"""So many hosts that fail independently are less probable than this: they have one cause."""
EXPECTED_MAX: Final = 500.0
"""Where more independent failures are expected, no number of them is improbable."""
NETWORK_BITS: Final = {4: 24, 6: 64}
"""Addresses with so many bits in common are called one network."""

_AT: Final = operator.itemgetter(0)


def storm(fleet: Fleet, name: HostName, now: float) -> GateVerdict:
    """Close while a storm of one of the host's domains lasts or cools down, or could begin."""
    said, margin = "it is in no failure domain", ""
    most = -1
    for known in naming(fleet, name, now):
        return judged("storm", False, _why_held(known, now))
    for domain in domains_of(fleet, name):
        recorded = last_of(fleet, domain, now)
        if recorded is not None and (why := _why_held(recorded, now)):
            return judged("storm", False, why)
        if why := why_new(fleet, domain, name, now):
            return judged("storm", False, why)
        late = len(tally(fleet, domain, now).late)
        if late > most:
            most, needed = late, fleet.inventory.daemon.gates.storm_hosts
            said = f"{late} of {needed} hosts of {'='.join(domain)} fell silent lately"
            margin = f"{max(needed - late, 0)} more silent"
    return judged("storm", True, said, margin)


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


def last_of(fleet: Fleet, domain: Domain, now: float) -> Storm | None:
    """Return the storm of a domain that lasts, or the last one that ended."""
    return recorded(fleet, now).last.get(domain)


def naming(fleet: Fleet, name: HostName, now: float) -> tuple[Storm, ...]:
    """Return the storms that last and began with this host. A reload that moves the host ends none of them."""
    keys = fleet.inventory.daemon.gates.storm_domains
    return tuple(it for it in recorded(fleet, now).naming.get(name, ()) if it.domain in keys)


def is_released(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether a person ended the storm in which the host fell silent."""
    released, since = recorded(fleet, now).released, silent_since(fleet, name, now)
    keys = fleet.inventory.daemon.gates.storm_domains
    return any(key in keys and since <= said.get(name, -math.inf) for key, said in released.items())


def recorded(fleet: Fleet, now: float) -> Storms:
    """Return the recorded storms as this moment's gates need them: read once for all suspects."""
    memo = fleet.memo_at(now)
    if memo.storms is None or memo.storms.of is not fleet.state.storms:
        before, memo.storms = memo.storms, _storms(fleet.state.storms)
        if before is None or before.excused != memo.storms.excused:
            memo.tallies.clear()
    return memo.storms


def _storms(storms: tuple[Storm, ...]) -> Storms:
    last: dict[Domain, Storm] = {}
    naming: dict[HostName, tuple[Storm, ...]] = {}
    excused: dict[str, dict[HostName, float]] = {}
    released: dict[str, dict[HostName, float]] = {}
    for it in storms:
        last[it.domain, it.value] = it
        if it.end is None:
            naming |= {name: (*naming.get(name, ()), it) for name in it.hosts}
            continue
        for found, is_meant in ((excused, it.end.why != "over"), (released, it.end.why == "released")):
            said = found.setdefault(it.domain, {})
            for name in it.end.hosts if is_meant else ():
                said[name] = max(it.end.at, said.get(name, it.end.at))
    return Storms(of=storms, last=last, naming=naming, excused=excused, released=released)


def made_by(fleet: Fleet, domain: Domain, name: HostName, now: float) -> tuple[HostName, ...]:
    """Return the hosts of a domain that fell silent lately, or within `per` of a suspect, with it."""
    found, per = tally(fleet, domain, now), fleet.inventory.daemon.gates.storm_per_seconds
    return tuple(dict.fromkeys((*found.late, *(other for _, other in _beside(found, name, per)))))


def why_new(fleet: Fleet, domain: Domain, name: HostName, now: float) -> str:
    """Return why the domain of a suspect has a storm that is not recorded yet; "" if it has none.

    Many fell silent lately, or together with this host: one that was silent through an outage, a hold or the start is
    looked at long after it fell silent.
    """
    settings, found = fleet.inventory.daemon.gates, tally(fleet, domain, now)
    words, minutes = "=".join(domain), settings.storm_per_seconds / 60
    if len(found.late) >= settings.storm_hosts:
        return f"{len(found.late)} hosts of {words} fell silent within {minutes:.3g} min"
    if name in found.together:
        return f"{settings.storm_hosts} or more hosts of {words} fell silent within {minutes:.3g} min, with this one"
    if not settings.storm_mtbf_seconds:
        return ""
    per = settings.storm_per_seconds
    most = max((end - begin for begin, end in _windows(_beside(found, name, per), per)), default=0)
    count = max(len(found.late), most)
    chance = tail(found.monitored * settings.storm_per_seconds / settings.storm_mtbf_seconds, count)
    if count < 2 or chance >= IMPROBABLE:
        return ""
    return f"{count} of {found.monitored} hosts of {words} fell silent together: by chance once in {1 / chance:.1g}"


def _beside(found: Tally, name: HostName, per: float) -> tuple[tuple[float, HostName], ...]:
    """Return who fell silent within `per` of a suspect, with it, and when."""
    at = next((at for at, other in found.fell if other == name), None)
    if at is None:
        return ()
    begin = bisect.bisect_left(found.fell, at - per, key=_AT)
    return found.fell[begin : bisect.bisect_right(found.fell, at + per, key=_AT)]


def _windows(fell: Sequence[tuple[float, HostName]], per: float) -> Iterator[tuple[int, int]]:
    """Yield for each that fell silent the longest slice that ends with it and fits into `per`."""
    begin = 0
    for last, (at, _) in enumerate(fell):
        while at - fell[begin][0] > per:
            begin += 1
        yield begin, last + 1


def tally(fleet: Fleet, domain: Domain, now: float) -> Tally:
    """Return who fell silent, and how many are monitored: counted once for all suspects of a moment.

    A storm that a person released, or that reached its longest time, was made by hosts that make no second one until
    they are heard.
    """
    excused = recorded(fleet, now).excused.get(domain[0], {})
    memo = fleet.memo_at(now)
    if domain not in memo.tallies:
        settings = fleet.inventory.daemon.gates
        names = [name for name in fleet.by_domain.get(domain, ()) if is_monitored(fleet.hosts[name], now)]
        silent = [
            name for name in names
            if fleet.is_overdue(name, now) and silent_since(fleet, name, now) > excused.get(name, -math.inf)
        ]  # fmt: skip
        fell = tuple(sorted((_fell_at(fleet, name, now), name) for name in silent))
        memo.tallies[domain] = Tally(
            late=tuple(name for name in silent if _is_late(fleet, name, now)), monitored=len(names), fell=fell,
            together=_together(fell, settings.storm_hosts, settings.storm_per_seconds),
        )  # fmt: skip
    return memo.tallies[domain]


def _together(fell: Sequence[tuple[float, HostName]], hosts: int, per: float) -> frozenset[HostName]:
    """Return those of which at least `hosts` fell silent within `per`."""
    found: set[HostName] = set()
    told = 0
    for begin, end in _windows(fell, per):
        if end - begin >= hosts:
            found.update(name for _, name in fell[max(begin, told) : end])
            told = end
    return frozenset(found)


def _is_late(fleet: Fleet, name: HostName, now: float) -> bool:
    within = fleet.inventory.daemon.gates.storm_per_seconds + fleet.grace_seconds(name, now)
    return now - silent_since(fleet, name, now) <= within


def _fell_at(fleet: Fleet, name: HostName, now: float) -> float:
    """Return when the host fell silent, in listening time: an outage moves nobody away from the others."""
    sight = fleet.sights[name]
    return sight.heard_ear if sight.heard_at is not None else silent_since(fleet, name, now) - fleet.started


def silent_since(fleet: Fleet, name: HostName, now: float) -> float:
    """Return when the host was last heard. One that was never heard since the start, and not suspected before, fell
    silent with the start at the latest: what the records say of it may be months old."""
    heard_at, state = fleet.sights[name].heard_at, fleet.hosts[name]
    if heard_at is not None:
        return heard_at
    was_silent = state.state is not State.HEALTHY and (state.suspected_at or 0.0) < fleet.started
    return state.last_heard if was_silent and state.last_heard is not None else fleet.started


def tail(expected: float, count: int) -> float:
    """Return the probability of at least so many independent events where `expected` are expected (Poisson).

    1 where so many are expected that no number of them is improbable: the exponential would be 0 there.
    """
    if expected > EXPECTED_MAX:
        return 1.0
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
    keys = dict.fromkeys((*PLACES, *(key for host in hosts for key, _ in host.labels)))
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
